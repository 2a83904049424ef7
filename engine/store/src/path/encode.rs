//! Paths to one record of a segment file.

use std::io;

use megaping_wire::Addr;
use rmp::encode::{write_array_len, write_uint};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::{SHARED, StoredHop, StoredPath};
use crate::segment::{BLOCK_RECORD, BlockHeader, MAX_BLOCK_ROWS};

/// zstd's level: the fastest that still entropy-codes.
const LEVEL: i32 = 1;
/// A block of so many bytes is full.
const FULL: usize = 4 << 20;

/// Rows that wait for their block, encoded already.
#[derive(Default)]
pub struct PathEncoder {
    pub(super) raw: Vec<u8>,
    rows: u32,
    first_ns: u64,
    last_ns: u64,
    compressor: Option<Compressor<'static>>,
    record: Vec<u8>,
}

impl PathEncoder {
    /// Rows that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the block should be written before another row comes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.raw.len() >= FULL || self.len() >= MAX_BLOCK_ROWS
    }

    /// Adds a row.
    pub fn push(&mut self, path: &StoredPath) {
        self.first_ns = if self.rows == 0 { path.unix_ns } else { self.first_ns.min(path.unix_ns) };
        self.last_ns = self.last_ns.max(path.unix_ns);
        self.rows += 1;
        put_path(&mut self.raw, path).expect("a vector takes every write");
    }

    /// The block as one record, header and compressed rows. It stays until [`PathEncoder::clear`].
    ///
    /// # Errors
    /// zstd's own, when there is no memory.
    pub fn encode(&mut self, sequence: u64) -> io::Result<&[u8]> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => {
                let mut compressor = Compressor::new(LEVEL)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                none.insert(compressor)
            }
        };
        let room = BLOCK_RECORD + compress_bound(self.raw.len());
        if self.record.len() < room {
            self.record.resize(room, 0);
        }
        let (head, body) = self.record.split_at_mut(BLOCK_RECORD);
        let compressed = compressor.compress_to_buffer(&self.raw[..], body)?;
        let header = BlockHeader {
            rows: self.rows,
            sequence,
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            raw_len: self.raw.len() as u32,
            compressed_len: compressed as u32,
            compressed_crc: crc32fast::hash(&body[..compressed]),
        };
        head.copy_from_slice(&header.to_record());
        Ok(&self.record[..BLOCK_RECORD + compressed])
    }

    /// Forgets the rows, which are durable or given up.
    pub fn clear(&mut self) {
        self.raw.clear();
        (self.rows, self.first_ns, self.last_ns) = (0, 0, 0);
    }
}

fn put_path(raw: &mut Vec<u8>, path: &StoredPath) -> io::Result<()> {
    let (hi, lo) = halves(&path.destination);
    let flags = u64::from(path.reached) | u64::from(path.complete) << 1;
    let (first_hop, before_id) = path.before.as_ref().map_or((0, 0), |before| (before.first_hop, before.id));
    for value in [
        u64::from(path.before.is_some()),
        path.unix_ns,
        hi,
        lo,
        path.flow.into(),
        path.round.into(),
        flags,
        path.length.into(),
        path.id,
        path.probes.into(),
        first_hop.into(),
        before_id,
    ] {
        write_uint(raw, value)?;
    }
    let responder = |hop: &StoredHop| hop.responder.as_ref().map_or((0, 0), halves);
    let columns: [fn(&StoredHop) -> u64; 7] = [
        |hop| hop.rtt_ns,
        |hop| hop.sent.into(),
        |hop| hop.received.into(),
        |hop| u64::from(hop.icmp.0) << 8 | u64::from(hop.icmp.1),
        |hop| hop.reply_hop_limit.into(),
        |hop| hop.traffic_class.into(),
        |hop| u64::from(hop.marks.0 | if hop.shared { SHARED } else { 0 }),
    ];
    let hops = path.hops.iter();
    put_array(raw, hops.clone().map(|hop| hop.ttl.into()))?;
    put_array(raw, hops.clone().map(|hop| responder(hop).0))?;
    put_array(raw, hops.clone().map(|hop| responder(hop).1))?;
    for column in columns {
        put_array(raw, hops.clone().map(column))?;
    }
    let labels: Vec<(u8, u32)> =
        hops.flat_map(|hop| hop.labels.iter().map(|label| (hop.ttl, *label))).collect();
    put_array(raw, labels.iter().map(|(ttl, _)| (*ttl).into()))?;
    put_array(raw, labels.iter().map(|(_, label)| (*label).into()))?;
    let before = path.before.as_ref().map_or(&[][..], |before| &before.route);
    let before = before.iter().map(|hop| hop.as_ref().map_or((0, 0), halves));
    put_array(raw, before.clone().map(|(hi, _)| hi))?;
    put_array(raw, before.map(|(_, lo)| lo))
}

fn put_array(raw: &mut Vec<u8>, values: impl ExactSizeIterator<Item = u64>) -> io::Result<()> {
    write_array_len(raw, values.len() as u32)?;
    for value in values {
        write_uint(raw, value)?;
    }
    Ok(())
}

fn halves(addr: &Addr) -> (u64, u64) {
    let bits = addr.to_bits();
    ((bits >> 64) as u64, bits as u64)
}
