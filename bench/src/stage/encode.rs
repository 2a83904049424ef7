//! `encode`: from outcomes to compressed blocks, in memory.

use megaping::run::Walk;
use megaping_probe::{Marks, Nanos, Outcome, StampSource, Targets, Verdict};
use megaping_store::SpoolOptions;
use megaping_store::segment::BlockEncoder;

use super::StageArgs;
use super::internet::Internet;
use crate::Result;
use crate::load::{self, PAYLOAD_LEN, Random, SECOND};
use crate::meter::Meter;

/// What turns virtual times into Unix times: any point in time will do.
pub const UNIX_OFFSET_NS: u64 = 1_750_000_000 * SECOND;

/// Gathers rows and encodes them, block by block, as the spool does, without its file.
pub struct Blocks {
    encoder: BlockEncoder,
    rows: Vec<Outcome>,
    block_rows: usize,
    sequence: u64,
    bytes: u64,
}

impl Blocks {
    pub fn new() -> Result<Blocks> {
        let block_rows = SpoolOptions::default().block_rows;
        let (encoder, rows) = (BlockEncoder::new()?, Vec::with_capacity(block_rows));
        Ok(Blocks { encoder, rows, block_rows, sequence: 0, bytes: 0 })
    }

    /// Rows of a block.
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// Compressed bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes rows; the spool, too, copies them and adds the offset.
    pub fn push(&mut self, rows: &[Outcome]) {
        let unix = |row: &Outcome| Outcome { at: row.at + UNIX_OFFSET_NS, ..*row };
        self.rows.extend(rows.iter().map(unix));
    }

    /// Encodes what was pushed; returns how many rows it was.
    pub fn encode(&mut self) -> Result<u64> {
        let rows = self.rows.len() as u64;
        if rows > 0 {
            self.bytes += self.encoder.encode(&self.rows, self.sequence)?.len() as u64;
            self.sequence += 1;
            self.rows.clear();
        }
        Ok(rows)
    }
}

pub fn run(args: &StageArgs, meter: &mut Meter) -> Result<u64> {
    let walk = load::walk(args.family, args.targets)?;
    let mut rows = one_round(&walk);
    let mut blocks = Blocks::new()?;
    // The first block makes the encoder's buffers; it is not on the meter.
    let block_rows = blocks.block_rows();
    blocks.push(&rows[..rows.len().min(block_rows)]);
    blocks.encode()?;
    let before = blocks.bytes();
    while meter.probes() < args.probes {
        for block in rows.chunks(block_rows) {
            if meter.probes() >= args.probes {
                break;
            }
            let mut result = Ok(0);
            meter.run(|| {
                for batch in block.chunks(megaping_store::batch::BATCH_ROWS) {
                    blocks.push(batch);
                }
                result = blocks.encode();
                block.len() as u64
            });
            result?;
        }
        for row in &mut rows {
            (row.at, row.seq) = (row.at + SECOND, row.seq + 1);
        }
    }
    Ok(blocks.bytes() - before)
}

/// One round of all targets, in the order in which their probes end.
pub fn one_round(walk: &Walk) -> Vec<Outcome> {
    let (mut internet, mut random) = (Internet::new(walk.len()), Random(5));
    let step_ns = SECOND / walk.len();
    let mut rows: Vec<(u64, Outcome)> = (0..walk.len())
        .map(|turn| {
            let target = walk.index(turn);
            let destination = walk.address(target);
            let mut row = Outcome {
                at: Nanos(SECOND + turn * step_ns + random.bits() % 200),
                rtt_ns: 0,
                target,
                destination,
                responder: destination,
                seq: 0,
                error_ns: 0,
                size: PAYLOAD_LEN,
                flow: 0,
                verdict: Verdict::Answered,
                hop_limit: 64,
                reply_hop_limit: 0,
                stamp_source: StampSource::Kernel,
                marks: Marks::default(),
            };
            internet.suffer(&mut row);
            let wait_ns = if row.verdict == Verdict::Lost { SECOND } else { row.rtt_ns };
            (row.at.0 + wait_ns, row)
        })
        .collect();
    rows.sort_by_key(|(end, _)| *end);
    rows.into_iter().map(|(_, row)| row).collect()
}
