//! A shard's desk for what its trace has learnt.

use megaping_probe::Nanos;
use megaping_probe::trace::{PathRow, Witness};
use megaping_store::batch::Desk;

/// A row waits at most this long for others to fill its batch.
const HAND_OVER_NS: u64 = 20_000_000;

/// Seats for rows; what waits is handed over when it is dropped.
#[derive(Debug)]
pub struct PathDesk {
    desk: Desk<PathRow>,
    handed_over: Nanos,
}

impl PathDesk {
    /// A shard's end of a lane.
    #[must_use]
    pub fn new(desk: Desk<PathRow>) -> PathDesk {
        PathDesk { desk, handed_over: Nanos(0) }
    }
}

impl Witness for PathDesk {
    #[inline]
    fn room(&self) -> usize {
        self.desk.seats()
    }

    #[inline]
    fn see(&mut self, row: PathRow) {
        self.desk.seat(row);
    }

    #[inline]
    fn breathe(&mut self, now: Nanos) {
        self.desk.reclaim();
        if self.desk.waiting() == 0 {
            self.handed_over = now;
        } else if now.since(self.handed_over) >= HAND_OVER_NS {
            self.desk.hand_over();
            self.handed_over = now;
        }
    }
}

impl Drop for PathDesk {
    fn drop(&mut self) {
        self.desk.close();
    }
}
