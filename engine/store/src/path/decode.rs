//! One record of a segment file back to paths.

use megaping_probe::trace::{HopMarks, MAX_HOPS};
use megaping_wire::Addr;
use zstd::bulk::Decompressor;

use super::{Before, SHARED, StoredHop, StoredPath};
use crate::segment::{BlockHeader, Damage};

/// Label stack entries of a path, at most: as many as all hops can have.
const LABELS_MAX: usize = 8 * MAX_HOPS as usize;
/// Arrays of a row that have an element for each hop.
const COLUMNS: usize = 10;

/// Decodes blocks of paths.
pub struct PathDecoder {
    decompressor: Decompressor<'static>,
    raw: Vec<u8>,
}

impl PathDecoder {
    /// A decoder with its decompression context.
    ///
    /// # Errors
    /// zstd's own, when there is no memory.
    pub fn new() -> std::io::Result<PathDecoder> {
        Ok(PathDecoder { decompressor: Decompressor::new()?, raw: Vec::new() })
    }

    /// Appends the rows of one block to `rows`.
    ///
    /// # Errors
    /// [`Damage`] when the bytes are not what the encoder writes; `rows` is then as it was.
    pub fn decode(
        &mut self,
        header: &BlockHeader,
        frame: &[u8],
        rows: &mut Vec<StoredPath>,
    ) -> Result<(), Damage> {
        // The header's bounds were checked when it was read.
        self.raw.resize(header.raw_len as usize, 0);
        let len = self
            .decompressor
            .decompress_to_buffer(frame, &mut self.raw[..])
            .map_err(|_| Damage("a zstd frame that does not decompress"))?;
        if len != self.raw.len() {
            return Err(Damage("a block shorter than its header says"));
        }
        let (before, mut raw) = (rows.len(), &self.raw[..]);
        for _ in 0..header.rows {
            let Some(path) = path(&mut raw) else {
                rows.truncate(before);
                return Err(Damage("a path that is not as this version writes it"));
            };
            rows.push(path);
        }
        if raw.is_empty() {
            return Ok(());
        }
        rows.truncate(before);
        Err(Damage("a block with more rows than its header says"))
    }
}

fn path(raw: &mut &[u8]) -> Option<StoredPath> {
    let is_change = number(raw)? == 1;
    let unix_ns = number(raw)?;
    let destination = addr(number(raw)?, number(raw)?);
    let (flow, round) = (number(raw)?.try_into().ok()?, number(raw)?.try_into().ok()?);
    let flags = number(raw)?;
    let (length, id) = (number(raw)?.try_into().ok()?, number(raw)?);
    let probes = number(raw)?.try_into().ok()?;
    let (first_hop, before_id) = (number(raw)?.try_into().ok()?, number(raw)?);
    let mut hops = hops(raw)?;
    let (ttls, labels) = (array(raw, LABELS_MAX)?, array(raw, LABELS_MAX)?);
    if ttls.len() != labels.len() {
        return None;
    }
    for (ttl, label) in ttls.iter().zip(labels) {
        let hop = hops.iter_mut().find(|hop| u64::from(hop.ttl) == *ttl)?;
        hop.labels.push(label.try_into().ok()?);
    }
    let (hi, lo) = (array(raw, MAX_HOPS.into())?, array(raw, MAX_HOPS.into())?);
    let route = hi.iter().zip(&lo).map(|(hi, lo)| somebody(*hi, *lo)).collect();
    let before = Before { first_hop, id: before_id, route };
    Some(StoredPath {
        unix_ns,
        destination,
        flow,
        round,
        reached: flags & 1 != 0,
        complete: flags & 2 != 0,
        length,
        id,
        probes,
        hops,
        before: is_change.then_some(before),
    })
}

fn hops(raw: &mut &[u8]) -> Option<Vec<StoredHop>> {
    let mut columns: [Vec<u64>; COLUMNS] = Default::default();
    for column in &mut columns {
        *column = array(raw, MAX_HOPS.into())?;
    }
    let [ttl, hi, lo, rtt, sent, received, icmp, reply, class, marks] = &columns;
    if columns.iter().any(|column| column.len() != ttl.len()) {
        return None;
    }
    let hop = |at: usize| {
        let narrow = |column: &Vec<u64>| u8::try_from(*column.get(at)?).ok();
        let icmp = u16::try_from(*icmp.get(at)?).ok()?.to_be_bytes();
        let marks = narrow(marks)?;
        Some(StoredHop {
            ttl: narrow(ttl)?,
            responder: somebody(*hi.get(at)?, *lo.get(at)?),
            rtt_ns: *rtt.get(at)?,
            sent: (*sent.get(at)?).try_into().ok()?,
            received: (*received.get(at)?).try_into().ok()?,
            icmp: (icmp[0], icmp[1]),
            reply_hop_limit: narrow(reply)?,
            traffic_class: narrow(class)?,
            marks: HopMarks(marks & !SHARED),
            shared: marks & SHARED != 0,
            labels: Vec::new(),
        })
    };
    (0..ttl.len()).map(hop).collect()
}

fn number(raw: &mut &[u8]) -> Option<u64> {
    rmp::decode::read_int(raw).ok()
}

fn array(raw: &mut &[u8], most: usize) -> Option<Vec<u64>> {
    let len = rmp::decode::read_array_len(raw).ok()? as usize;
    if len > most { None } else { (0..len).map(|_| number(raw)).collect() }
}

fn addr(hi: u64, lo: u64) -> Addr {
    Addr::from_bits(u128::from(hi) << 64 | u128::from(lo))
}

fn somebody(hi: u64, lo: u64) -> Option<Addr> {
    (hi | lo != 0).then(|| addr(hi, lo))
}
