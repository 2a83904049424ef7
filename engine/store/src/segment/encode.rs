//! Rows to one record of a segment file.

use std::io;

use megaping_probe::Outcome;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::header::{BLOCK_RECORD, BlockHeader};
use super::msgpack::Buffer;
use super::sort::Sorter;
use super::{MAX_BLOCK_ROWS, status};

/// zstd's level: the fastest that still entropy-codes.
const LEVEL: i32 = 1;

/// Encodes blocks of rows; owns all scratch space and one compression context, so that after the first full
/// block nothing is allocated.
pub struct BlockEncoder {
    sorter: Sorter,
    hot: Hot,
    v6: V6,
    wide: Vec<u64>,
    delta: Vec<i64>,
    raw: Buffer,
    compressor: Compressor<'static>,
    record: Vec<u8>,
}

/// The columns that differ from row to row in nearly every block, gathered in one pass over the rows.
#[derive(Default)]
struct Hot {
    dts: Vec<i64>,
    v4: Vec<i64>,
    target: Vec<i64>,
    rtt: Vec<u64>,
    error: Vec<u32>,
    status: Vec<u8>,
    reply: Vec<u8>,
    seq: Vec<i64>,
    stamp_source: Vec<u8>,
}

/// The columns of a block with IPv6 destinations in it.
#[derive(Default)]
struct V6 {
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
        let survey = Survey::new(rows);
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
        let order = self.sorter.sort(rows);
        self.hot.gather(rows, order.clone(), survey.first_ns);
        let raw = &mut self.raw;
        raw.clear();
        raw.put(rows.len() as u32);
        raw.put(survey.first_ns);
        raw.put_array(&self.hot.dts);
        let mut rare = Rare { rows, order, wide: &mut self.wide, delta: &mut self.delta, raw };
        rare.destinations(survey, &self.hot.v4, &mut self.v6);
        rare.responders(survey);
        rare.raw.put_array(&self.hot.target);
        rare.raw.put_array(&self.hot.seq);
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
    detail: u64,
    hop_limit: u64,
    size: u64,
    flow: u64,
    marks: u64,
}

impl Survey {
    fn new(rows: &[Outcome]) -> Survey {
        let first = &rows[0];
        let first_detail = status::detail(first.verdict);
        let mut s = Survey { first_ns: u64::MAX, ..Survey::default() };
        for row in rows {
            s.first_ns = s.first_ns.min(row.at.0);
            s.last_ns = s.last_ns.max(row.at.0);
            s.any_v6 |= !row.destination.is_v4();
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

impl Hot {
    fn gather(&mut self, rows: &[Outcome], order: impl Iterator<Item = usize>, base: u64) {
        let n = rows.len();
        self.dts.resize(n, 0);
        self.v4.resize(n, 0);
        self.target.resize(n, 0);
        self.rtt.resize(n, 0);
        self.error.resize(n, 0);
        self.status.resize(n, 0);
        self.reply.resize(n, 0);
        self.seq.resize(n, 0);
        self.stamp_source.resize(n, 0);
        let (mut at, mut v4, mut target, mut seq) = (base, 0u32, 0u64, 0u32);
        for (k, i) in order.enumerate() {
            let row = &rows[i];
            let now =
                if row.destination.is_v4() { u32::from_be_bytes(row.destination.v4_octets()) } else { v4 };
            self.dts[k] = row.at.0.wrapping_sub(at).cast_signed();
            self.v4[k] = i64::from(now.wrapping_sub(v4).cast_signed());
            self.target[k] = row.target.wrapping_sub(target).cast_signed();
            self.rtt[k] = row.rtt_ns;
            self.error[k] = row.error_ns;
            self.status[k] = status::number(row.verdict);
            self.reply[k] = row.reply_hop_limit;
            self.seq[k] = i64::from(row.seq) - i64::from(seq);
            self.stamp_source[k] = row.stamp_source as u8;
            (at, v4, target, seq) = (row.at.0, now, row.target, row.seq);
        }
    }
}

/// Writes the columns that seldom vary, gathering only those that do.
struct Rare<'a, O> {
    rows: &'a [Outcome],
    order: O,
    wide: &'a mut Vec<u64>,
    delta: &'a mut Vec<i64>,
    raw: &'a mut Buffer,
}

impl<O: Iterator<Item = usize> + Clone> Rare<'_, O> {
    fn column(&mut self, varies: u64, value: impl Fn(&Outcome) -> u64) {
        if varies == 0 {
            return self.raw.put_array(&[value(&self.rows[0])]);
        }
        self.wide.clear();
        self.wide.extend(self.order.clone().map(|i| value(&self.rows[i])));
        self.raw.put_array(self.wide);
    }

    /// The destination: family, IPv4 and both halves of IPv6, each zero in the rows of the other family.
    fn destinations(&mut self, survey: &Survey, v4: &[i64], v6: &mut V6) {
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
        let (mut hi, mut lo) = (0u64, 0u64);
        for (k, i) in self.order.clone().enumerate() {
            let address = self.rows[i].destination;
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
                self.delta.extend(self.order.clone().map(|i| {
                    let row = &self.rows[i];
                    let (from, to) = (row.destination.to_bits(), row.responder.to_bits());
                    half(to).wrapping_sub(half(from)).cast_signed()
                }));
            }
            self.raw.put_array(self.delta);
        }
    }
}
