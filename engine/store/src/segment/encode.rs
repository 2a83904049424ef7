//! Rows to one record of a segment file.

use std::io;

use megaping_probe::Outcome;
use megaping_wire::Addr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::header::{BLOCK_RECORD, BlockHeader};
use super::msgpack::Buffer;
use super::sort::{self, Sorter};
use super::{MAX_BLOCK_ROWS, status};

/// zstd's level: the fastest that still entropy-codes.
const LEVEL: i32 = 1;

/// Encodes blocks of rows; owns all scratch space and one compression context, so that after the first full
/// block nothing is allocated.
///
/// Rows are read once, in the order in which they lie. What differs from row to row goes into narrow copies, a fifth of
/// the size and one cache line at most each: it is those that are gathered in the sorted order. A full block of
/// rows is larger than a second-level cache, and its narrow copies are not.
pub struct BlockEncoder {
    sorter: Sorter,
    narrow: Vec<Narrow>,
    hot: Hot,
    v6: V6,
    wide: Vec<u64>,
    delta: Vec<i64>,
    raw: Buffer,
    compressor: Compressor<'static>,
    record: Vec<u8>,
}

/// What differs from row to row in nearly every block, beside the target.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Narrow {
    at: u64,
    rtt: u64,
    v4: u32,
    error: u32,
    seq: u32,
    status: u8,
    reply: u8,
    stamp_source: u8,
}

const _: () = assert!(size_of::<Narrow>() == 32, "two to a cache line");

/// The columns of what is narrow, in the sorted order.
#[derive(Default)]
struct Hot {
    dts: Vec<i64>,
    v4: Vec<i32>,
    target: Vec<u32>,
    rtt: Vec<u64>,
    error: Vec<u32>,
    status: Vec<u8>,
    reply: Vec<u8>,
    stamp_source: Vec<u8>,
}

/// The columns of a block with IPv6 destinations in it.
#[derive(Default)]
struct V6 {
    /// In the order in which the rows lie.
    destinations: Vec<Addr>,
    family: Vec<u8>,
    hi: Vec<i64>,
    lo: Vec<i64>,
}

impl BlockEncoder {
    /// An encoder with its compression context.
    ///
    /// # Errors
    /// zstd's own, when there is no memory.
    pub fn new() -> io::Result<BlockEncoder> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(BlockEncoder {
            sorter: Sorter::default(),
            narrow: Vec::new(),
            hot: Hot::default(),
            v6: V6::default(),
            wide: Vec::new(),
            delta: Vec::new(),
            raw: Buffer::default(),
            compressor,
            record: Vec::new(),
        })
    }

    /// One record, header and compressed block, of up to [`MAX_BLOCK_ROWS`] rows whose `at` is in Unix
    /// nanoseconds.
    ///
    /// # Errors
    /// zstd's own, when there is no memory.
    pub fn encode(&mut self, rows: &[Outcome], sequence: u64) -> io::Result<&[u8]> {
        debug_assert!(!rows.is_empty() && rows.len() <= MAX_BLOCK_ROWS);
        self.narrow.resize(rows.len(), Narrow::default());
        let survey = Survey::new(rows, &mut self.narrow, self.sorter.begin(rows.len()));
        self.columns(rows, &survey);
        let raw = self.raw.written();
        let room = BLOCK_RECORD + compress_bound(raw.len());
        if self.record.len() < room {
            self.record.resize(room, 0);
        }
        let (head, body) = self.record.split_at_mut(BLOCK_RECORD);
        let compressed = self.compressor.compress_to_buffer(raw, body)?;
        let header = BlockHeader {
            rows: rows.len() as u32,
            sequence,
            first_ns: survey.first_ns,
            last_ns: survey.last_ns,
            raw_len: raw.len() as u32,
            compressed_len: compressed as u32,
            compressed_crc: crc32fast::hash(&body[..compressed]),
        };
        head.copy_from_slice(&header.to_record());
        Ok(&self.record[..BLOCK_RECORD + compressed])
    }

    /// Writes the columns in the order that the table in [`super`] gives.
    fn columns(&mut self, rows: &[Outcome], survey: &Survey) {
        let order = self.sorter.sort(rows, survey.target);
        self.hot.gather(&self.narrow, order, survey.first_ns);
        let raw = &mut self.raw;
        raw.clear();
        raw.put(rows.len() as u32);
        raw.put(survey.first_ns);
        raw.put_array(&self.hot.dts);
        let mut rare = Rare { rows, order, wide: &mut self.wide, delta: &mut self.delta, raw };
        rare.destinations(survey, &self.hot.v4, &mut self.v6);
        rare.responders(survey);
        rare.targets(survey, &self.hot.target);
        rare.deltas(survey.seq, |i| u64::from(self.narrow[i].seq));
        rare.raw.put_array(&self.hot.rtt);
        rare.raw.put_array(&self.hot.error);
        rare.raw.put_array(&self.hot.status);
        rare.column(survey.detail, |r| u64::from(status::detail(r.verdict)));
        rare.column(survey.hop_limit, |r| u64::from(r.hop_limit));
        rare.raw.put_array(&self.hot.reply);
        rare.column(survey.size, |r| u64::from(r.size));
        rare.column(survey.flow, |r| u64::from(r.flow));
        rare.raw.put_array(&self.hot.stamp_source);
        rare.column(survey.marks, |r| u64::from(r.marks.0));
    }
}

/// What one pass over the rows tells of the columns that seldom vary: bits in which any row differs from the
/// first. A column without one is a single element, and is not gathered at all.
#[derive(Default)]
struct Survey {
    first_ns: u64,
    last_ns: u64,
    any_v6: bool,
    /// Bits in which a responder differs from its destination.
    responder: u128,
    target: u64,
    seq: u64,
    detail: u64,
    hop_limit: u64,
    size: u64,
    flow: u64,
    marks: u64,
}

impl Survey {
    /// Fills the narrow copies and the sorter's entries on the way.
    fn new(rows: &[Outcome], narrow: &mut [Narrow], entries: &mut [u64]) -> Survey {
        let first = &rows[0];
        let first_detail = status::detail(first.verdict);
        let mut s = Survey { first_ns: u64::MAX, ..Survey::default() };
        for (i, ((row, narrow), place)) in rows.iter().zip(narrow).zip(entries).enumerate() {
            let is_v4 = row.destination.is_v4();
            *place = sort::entry(row.target, i);
            *narrow = Narrow {
                at: row.at.0,
                rtt: row.rtt_ns,
                v4: if is_v4 { u32::from_be_bytes(row.destination.v4_octets()) } else { 0 },
                error: row.error_ns,
                seq: row.seq,
                status: status::number(row.verdict) | if is_v4 { 0 } else { NOT_V4 },
                reply: row.reply_hop_limit,
                stamp_source: row.stamp_source as u8,
            };
            s.target |= row.target ^ first.target;
            s.seq |= u64::from(row.seq ^ first.seq);
            s.first_ns = s.first_ns.min(row.at.0);
            s.last_ns = s.last_ns.max(row.at.0);
            s.any_v6 |= !is_v4;
            s.responder |= row.destination.to_bits() ^ row.responder.to_bits();
            s.detail |= u64::from(status::detail(row.verdict) ^ first_detail);
            s.hop_limit |= u64::from(row.hop_limit ^ first.hop_limit);
            s.size |= u64::from(row.size ^ first.size);
            s.flow |= u64::from(row.flow ^ first.flow);
            s.marks |= u64::from(row.marks.0 ^ first.marks.0);
        }
        s
    }
}

/// In a narrow copy's status: the destination is no IPv4 address, and its column repeats the one before.
const NOT_V4: u8 = 0x80;

impl Hot {
    fn gather(&mut self, narrow: &[Narrow], order: &[u64], base: u64) {
        let n = order.len();
        self.dts.resize(n, 0);
        self.v4.resize(n, 0);
        self.target.resize(n, 0);
        self.rtt.resize(n, 0);
        self.error.resize(n, 0);
        self.status.resize(n, 0);
        self.reply.resize(n, 0);
        self.stamp_source.resize(n, 0);
        // Slices of one length, so that one check serves all columns.
        let (dts, v4s, targets, rtt) =
            (&mut self.dts[..n], &mut self.v4[..n], &mut self.target[..n], &mut self.rtt[..n]);
        let (error, status, reply, stamp_source) =
            (&mut self.error[..n], &mut self.status[..n], &mut self.reply[..n], &mut self.stamp_source[..n]);
        let (mut at, mut v4, mut target) = (base, 0u32, 0u32);
        for (k, &entry) in order.iter().enumerate() {
            let row = &narrow[sort::index(entry)];
            let now = if row.status & NOT_V4 == 0 { row.v4 } else { v4 };
            let low = sort::low_target(entry);
            dts[k] = row.at.wrapping_sub(at).cast_signed();
            v4s[k] = now.wrapping_sub(v4).cast_signed();
            targets[k] = low.wrapping_sub(target);
            rtt[k] = row.rtt;
            error[k] = row.error;
            status[k] = row.status & !NOT_V4;
            reply[k] = row.reply;
            stamp_source[k] = row.stamp_source;
            (at, v4, target) = (row.at, now, low);
        }
    }
}

/// Writes the columns that seldom vary, gathering only those that do.
struct Rare<'a> {
    rows: &'a [Outcome],
    order: &'a [u64],
    wide: &'a mut Vec<u64>,
    delta: &'a mut Vec<i64>,
    raw: &'a mut Buffer,
}

impl Rare<'_> {
    fn column(&mut self, varies: u64, value: impl Fn(&Outcome) -> u64) {
        if varies == 0 {
            return self.raw.put_array(&[value(&self.rows[0])]);
        }
        self.wide.clear();
        self.wide.extend(self.order.iter().map(|&entry| value(&self.rows[sort::index(entry)])));
        self.raw.put_array(self.wide);
    }

    /// The differences between one row and the next; few, where no row differs from the first.
    fn deltas(&mut self, varies: u64, value: impl Fn(usize) -> u64) {
        let rows = if varies == 0 { self.order.len().min(2) } else { self.order.len() };
        let mut before = 0;
        self.delta.clear();
        self.delta.extend(self.order[..rows].iter().map(|&entry| {
            let now = value(sort::index(entry));
            now.wrapping_sub(std::mem::replace(&mut before, now)).cast_signed()
        }));
        self.raw.put_array(self.delta);
    }

    /// The targets, of which `low` has the differences in 32 bits: enough where all share the bits above, and those are
    /// zero.
    fn targets(&mut self, survey: &Survey, low: &[u32]) {
        let fits = self.rows.first().is_some_and(|row| row.target >> 32 == 0) && survey.target >> 32 == 0;
        if fits {
            self.raw.put_array(low);
        } else {
            let rows = self.rows;
            self.deltas(survey.target, |i| rows[i].target);
        }
    }

    /// The destination: family, IPv4 and both halves of IPv6, each zero in the rows of the other family.
    fn destinations(&mut self, survey: &Survey, v4: &[i32], v6: &mut V6) {
        if !survey.any_v6 {
            self.raw.put_array(&[4u8]);
            self.raw.put_array(v4);
            self.raw.put_array(&[0i64]);
            return self.raw.put_array(&[0i64]);
        }
        let n = self.rows.len();
        v6.family.resize(n, 0);
        v6.hi.resize(n, 0);
        v6.lo.resize(n, 0);
        v6.destinations.clear();
        v6.destinations.extend(self.rows.iter().map(|row| row.destination));
        let (mut hi, mut lo) = (0u64, 0u64);
        for (k, &entry) in self.order.iter().enumerate() {
            let address = v6.destinations[sort::index(entry)];
            let bits = address.to_bits();
            let is_v4 = address.is_v4();
            let (now_hi, now_lo) = if is_v4 { (hi, lo) } else { ((bits >> 64) as u64, bits as u64) };
            v6.family[k] = if is_v4 { 4 } else { 6 };
            v6.hi[k] = now_hi.wrapping_sub(hi).cast_signed();
            v6.lo[k] = now_lo.wrapping_sub(lo).cast_signed();
            (hi, lo) = (now_hi, now_lo);
        }
        self.raw.put_array(&v6.family);
        self.raw.put_array(v4);
        self.raw.put_array(&v6.hi);
        self.raw.put_array(&v6.lo);
    }

    /// Responders minus destinations, upper halves and lower halves.
    fn responders(&mut self, survey: &Survey) {
        let halves: [fn(u128) -> u64; 2] = [|bits| (bits >> 64) as u64, |bits| bits as u64];
        for half in halves {
            self.delta.clear();
            if survey.responder == 0 {
                self.delta.push(0);
            } else {
                self.delta.extend(self.order.iter().map(|&entry| {
                    let row = &self.rows[sort::index(entry)];
                    let (from, to) = (row.destination.to_bits(), row.responder.to_bits());
                    half(to).wrapping_sub(half(from)).cast_signed()
                }));
            }
            self.raw.put_array(self.delta);
        }
    }
}
