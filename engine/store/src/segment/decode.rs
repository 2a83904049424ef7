//! One record of a segment file back to rows.

use megaping_probe::{Marks, StampSource};
use megaping_wire::Addr;
use zstd::bulk::Decompressor;

use super::header::BlockHeader;
use super::{COLUMNS, Damage, status};
use crate::StoredRow;

/// Decodes blocks; owns all scratch space and one decompression context.
pub struct BlockDecoder {
    decompressor: Decompressor<'static>,
    raw: Vec<u8>,
    columns: [Vec<u64>; COLUMNS],
}

impl BlockDecoder {
    /// A decoder with its decompression context.
    ///
    /// # Errors
    /// zstd's own, when there is no memory.
    pub fn new() -> std::io::Result<BlockDecoder> {
        Ok(BlockDecoder {
            decompressor: Decompressor::new()?,
            raw: Vec::new(),
            columns: std::array::from_fn(|_| Vec::new()),
        })
    }

    /// Appends the rows of one block to `rows`, in their stored order.
    ///
    /// # Errors
    /// [`Damage`] when the bytes are not what the encoder writes; `rows` is then as it was.
    pub fn decode(
        &mut self,
        header: &BlockHeader,
        frame: &[u8],
        rows: &mut Vec<StoredRow>,
    ) -> Result<(), Damage> {
        // The header's bounds were checked when it was read, so that this never asks for more than 10 MB.
        self.raw.resize(header.raw_len as usize, 0);
        let len = self
            .decompressor
            .decompress_to_buffer(frame, &mut self.raw[..])
            .map_err(|_| Damage("a zstd frame that does not decompress"))?;
        if len != self.raw.len() {
            return Err(Damage("a block shorter than its header says"));
        }
        let base = self.read_columns(header).ok_or(Damage("a block that is not the columns it should be"))?;
        let before = rows.len();
        self.assemble(base, header.rows as usize, rows).ok_or_else(|| {
            rows.truncate(before);
            Damage("a value out of its column's range")
        })
    }

    /// Reads every column, extended to the block's length; returns the base time.
    fn read_columns(&mut self, header: &BlockHeader) -> Option<u64> {
        let mut raw = Integers(&self.raw);
        let rows = header.rows as usize;
        if raw.next()? != u64::from(header.rows) {
            return None;
        }
        let base = raw.next()?;
        for column in &mut self.columns {
            let kept = rmp::decode::read_array_len(&mut raw.0).ok()? as usize;
            if kept == 0 || kept > rows {
                return None;
            }
            column.clear();
            for _ in 0..kept {
                column.push(raw.next()?);
            }
            let last = *column.last()?;
            column.resize(rows, last);
        }
        raw.0.is_empty().then_some(base)
    }

    fn assemble(&self, base: u64, n: usize, rows: &mut Vec<StoredRow>) -> Option<()> {
        let [dts, family, v4_step, hi_step, lo_step, responder_hi, responder_lo, target_step, rest @ ..] =
            &self.columns;
        let [seq_step, rtt, error, state, detail, hop_limit, reply, size, flow, stamp, marks] = rest;
        let (mut unix_ns, mut v4, mut hi, mut lo) = (base, 0u32, 0u64, 0u64);
        let (mut target, mut seq) = (0u64, 0u64);
        rows.reserve(n);
        for i in 0..n {
            unix_ns = unix_ns.wrapping_add(dts[i]);
            v4 = v4.wrapping_add(v4_step[i] as u32);
            hi = hi.wrapping_add(hi_step[i]);
            lo = lo.wrapping_add(lo_step[i]);
            target = target.wrapping_add(target_step[i]);
            seq = seq.wrapping_add(seq_step[i]);
            let destination = match family[i] {
                4 => Addr::v4(v4.to_be_bytes()),
                6 => addr(hi, lo),
                _ => return None,
            };
            rows.push(StoredRow {
                unix_ns,
                target,
                destination,
                responder: shifted(destination, responder_hi[i], responder_lo[i]),
                seq: seq.try_into().ok()?,
                rtt_ns: rtt[i],
                error_ns: error[i].try_into().ok()?,
                size: size[i].try_into().ok()?,
                flow: flow[i].try_into().ok()?,
                verdict: status::verdict(state[i].try_into().ok()?, detail[i].try_into().ok()?)?,
                hop_limit: hop_limit[i].try_into().ok()?,
                reply_hop_limit: reply[i].try_into().ok()?,
                stamp_source: StampSource::from_u8(stamp[i].try_into().ok()?),
                marks: Marks(marks[i].try_into().ok()?),
            });
        }
        Some(())
    }
}

fn addr(hi: u64, lo: u64) -> Addr {
    Addr::from_bits(u128::from(hi) << 64 | u128::from(lo))
}

/// The address whose halves are so much more than those of `from`.
fn shifted(from: Addr, hi: u64, lo: u64) -> Addr {
    let bits = from.to_bits();
    addr(((bits >> 64) as u64).wrapping_add(hi), (bits as u64).wrapping_add(lo))
}

/// MessagePack integers from the front of a slice, negative ones as the bits of their `i64`.
struct Integers<'a>(&'a [u8]);

impl Integers<'_> {
    #[inline]
    fn next(&mut self) -> Option<u64> {
        let (&marker, rest) = self.0.split_first()?;
        self.0 = rest;
        match marker {
            0..=0x7f => Some(u64::from(marker)),
            0xe0.. => Some(i64::from(marker.cast_signed()).cast_unsigned()),
            0xcc => self.take().map(|b| u64::from(u8::from_be_bytes(b))),
            0xcd => self.take().map(|b| u64::from(u16::from_be_bytes(b))),
            0xce => self.take().map(|b| u64::from(u32::from_be_bytes(b))),
            0xcf | 0xd3 => self.take().map(u64::from_be_bytes),
            0xd0 => self.take().map(|b| i64::from(i8::from_be_bytes(b)).cast_unsigned()),
            0xd1 => self.take().map(|b| i64::from(i16::from_be_bytes(b)).cast_unsigned()),
            0xd2 => self.take().map(|b| i64::from(i32::from_be_bytes(b)).cast_unsigned()),
            _ => None,
        }
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*value)
    }
}
