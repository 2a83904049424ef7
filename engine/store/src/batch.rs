//! Batches of outcomes and the seats in them.
//!
//! ```text
//!   shard                                     store thread
//!   desk: current batch ──── full / old ────> queue ───> print, encode, spool
//!     ^                                                      │
//!     └──────────── returns <──── emptied batch ─────────────┘
//! ```
//!
//! Batches travel by pointer and are allocated once. A probe may leave only while there is a seat for its
//! outcome: [`Desk::seats`] counts the rows that are still free, and the shard sends no more than that minus
//! what is in flight already.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use megaping_probe::Outcome;

/// Rows in a batch.
pub const BATCH_ROWS: usize = 1024;

/// A box of outcomes of one shard.
#[derive(Debug)]
pub struct Batch {
    /// The shard that filled it.
    pub shard: u16,
    /// Add this to a row's time to have nanoseconds since the Unix epoch.
    pub unix_offset_ns: u64,
    /// The rows; never more than [`BATCH_ROWS`].
    pub rows: Vec<Outcome>,
}

/// The two queues between one shard and the store thread. Both hold every batch there is, so neither is
/// ever full.
#[derive(Debug)]
pub struct Lane {
    full: ArrayQueue<Box<Batch>>,
    empty: ArrayQueue<Box<Batch>>,
    produced: AtomicU64,
}

/// The shard's end of a [`Lane`].
#[derive(Debug)]
pub struct Desk {
    lane: Arc<Lane>,
    current: Box<Batch>,
    // A stack, not a queue: the batch that came back last is the one still in the cache, and batches that a
    // quiet run never needs are never touched.
    free: Vec<Box<Batch>>,
}

/// A lane with room for `seats` outcomes at least, and the shard's end of it.
#[must_use]
pub fn lane(shard: u16, seats: usize) -> (Desk, Arc<Lane>) {
    let batches = seats.div_ceil(BATCH_ROWS) + 2;
    let new = || Box::new(Batch { shard, unix_offset_ns: 0, rows: Vec::with_capacity(BATCH_ROWS) });
    let lane = Arc::new(Lane {
        full: ArrayQueue::new(batches),
        empty: ArrayQueue::new(batches),
        produced: AtomicU64::new(0),
    });
    let desk =
        Desk { lane: Arc::clone(&lane), current: new(), free: (1..batches).map(|_| new()).collect() };
    (desk, lane)
}

impl Desk {
    /// Rows that are free: in the current batch and in the empty ones.
    #[inline]
    #[must_use]
    pub fn seats(&self) -> usize {
        (BATCH_ROWS - self.current.rows.len()) + self.free.len() * BATCH_ROWS
    }

    /// Takes back the batches that the store thread has emptied.
    #[inline]
    pub fn reclaim(&mut self) {
        while let Some(batch) = self.lane.empty.pop() {
            self.free.push(batch);
        }
    }

    /// Seats one outcome. False, and nothing happens, when there is no seat: a caller that counts
    /// [`Desk::seats`] never sees it.
    #[inline]
    #[must_use]
    pub fn seat(&mut self, outcome: Outcome, unix_offset_ns: u64) -> bool {
        if self.current.rows.len() == BATCH_ROWS && !self.hand_over() {
            return false;
        }
        if self.current.rows.is_empty() {
            self.current.unix_offset_ns = unix_offset_ns;
        }
        self.current.rows.push(outcome);
        true
    }

    /// Rows that wait in the current batch.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.current.rows.len()
    }

    /// Hands the current batch over, full or not, unless it is empty or no other is free; says whether the
    /// current batch has room afterwards.
    pub fn hand_over(&mut self) -> bool {
        if self.current.rows.is_empty() {
            return true;
        }
        let Some(next) = self.free.pop() else {
            return self.current.rows.len() < BATCH_ROWS;
        };
        let batch = std::mem::replace(&mut self.current, next);
        self.lane.produced.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
        let refused = self.lane.full.push(batch);
        debug_assert!(refused.is_ok(), "the queue holds every batch there is");
        true
    }
}

impl Lane {
    /// The oldest batch that waits.
    #[must_use]
    pub fn take(&self) -> Option<Box<Batch>> {
        self.full.pop()
    }

    /// Gives a batch back to its shard, emptied.
    pub fn give_back(&self, mut batch: Box<Batch>) {
        batch.rows.clear();
        let refused = self.empty.push(batch);
        debug_assert!(refused.is_ok(), "the queue holds every batch there is");
    }

    /// Outcomes handed over so far.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }
}
