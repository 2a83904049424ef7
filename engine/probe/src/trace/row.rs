//! What a trace tells, probe by probe and path by path, and who hears it.

use megaping_wire::Addr;

use super::event::HopEvent;
use super::read::CameIn;
use crate::time::Nanos;

/// One thing that a trace has learnt. Rows of one path carry its slot, which is another path's after its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathRow {
    /// A probe has ended. Probes beyond the end of a path are reached as well: the least hop limit counts.
    Hop {
        /// The path's slot.
        slot: u32,
        /// The interface that the router names.
        came_in: CameIn,
        /// All else.
        event: HopEvent,
    },
    /// A hop that was not asked: many paths that came together there agree about it.
    Shared {
        /// The path's slot.
        slot: u32,
        /// The hop.
        ttl: u8,
        /// Its router; none where it is silent.
        responder: Option<Addr>,
    },
    /// A path is complete, or was given up.
    End(PathEnd),
}

/// The end of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathEnd {
    /// The path's slot.
    pub slot: u32,
    /// The target's index in the run's target set.
    pub target: u32,
    /// Where it leads.
    pub destination: Addr,
    /// The flow.
    pub flow: u16,
    /// The round.
    pub round: u32,
    /// The hop at which it ends: that of the target or of the router that refuses; zero where none was found.
    pub length: u8,
    /// Whether the target was reached.
    pub reached: bool,
    /// Whether all was asked that the rules demand: false when the run was stopped.
    pub complete: bool,
    /// When the last of its probes ended; the shard's clock.
    pub at: Nanos,
}

const _: () = assert!(size_of::<PathRow>() == 104, "a row is 104 bytes: batches of them are sized by it");

/// Who hears what a trace has learnt.
pub trait Witness {
    /// Rows that can be taken before the next breath.
    fn room(&self) -> usize;

    /// Takes a row.
    fn see(&mut self, row: PathRow);

    /// Hears the time, once a breath: to pass on what has waited long.
    fn breathe(&mut self, _now: Nanos) {}
}

#[cfg(test)]
impl Witness for Vec<PathRow> {
    fn room(&self) -> usize {
        usize::MAX
    }

    fn see(&mut self, row: PathRow) {
        self.push(row);
    }
}
