//! Batches of rows, outcomes above all, and the seats in them.
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

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use megaping_probe::Outcome;

/// Rows in a batch.
pub const BATCH_ROWS: usize = 1024;
/// Full batches that wait until the store thread is woken: to wake it costs as much as a few dozen rows.
const WAKE_BATCHES: usize = 4;

/// A box of rows of one shard.
#[derive(Debug)]
pub struct Batch<T = Outcome> {
    /// The shard that filled it.
    pub shard: u16,
    /// Add this to a row's time to have nanoseconds since the Unix epoch.
    pub unix_offset_ns: u64,
    /// The rows; never more than [`BATCH_ROWS`].
    pub rows: Vec<T>,
}

/// The two queues between one shard and the store thread. Both hold every batch there is, so neither is
/// ever full.
#[derive(Debug)]
pub struct Lane<T = Outcome> {
    full: ArrayQueue<Box<Batch<T>>>,
    empty: ArrayQueue<Box<Batch<T>>>,
    produced: AtomicU64,
    shedding: AtomicBool,
    reader: OnceLock<Thread>,
}

/// The shard's end of a [`Lane`].
#[expect(clippy::vec_box, reason = "the boxes are what travels; they must not move into the stack")]
#[derive(Debug)]
pub struct Desk<T = Outcome> {
    lane: Arc<Lane<T>>,
    current: Box<Batch<T>>,
    // A stack, not a queue: the batch that came back last is the one still in the cache, and batches that a
    // quiet run never needs are never touched.
    free: Vec<Box<Batch<T>>>,
    unix_offset_ns: u64,
}

/// A lane with room for `seats` rows at least, and the shard's end of it.
#[must_use]
pub fn lane<T>(shard: u16, seats: usize) -> (Desk<T>, Arc<Lane<T>>) {
    let batches = seats.div_ceil(BATCH_ROWS) + 2;
    let new = || Box::new(Batch { shard, unix_offset_ns: 0, rows: Vec::with_capacity(BATCH_ROWS) });
    let lane = Arc::new(Lane {
        full: ArrayQueue::new(batches),
        empty: ArrayQueue::new(batches),
        produced: AtomicU64::new(0),
        shedding: AtomicBool::new(false),
        reader: OnceLock::new(),
    });
    let free = (1..batches).map(|_| new()).collect();
    (Desk { lane: Arc::clone(&lane), current: new(), free, unix_offset_ns: 0 }, lane)
}

impl<T> Desk<T> {
    /// Rows that are free: in the current batch and in the empty ones.
    #[inline]
    #[must_use]
    pub fn seats(&self) -> usize {
        BATCH_ROWS.saturating_sub(self.current.rows.len()) + self.free.len() * BATCH_ROWS
    }

    /// Takes back the batches that the store thread has emptied.
    #[inline]
    pub fn reclaim(&mut self) {
        while let Some(batch) = self.lane.empty.pop() {
            self.free.push(batch);
        }
    }

    /// What was set by [`Desk::set_unix_offset`].
    #[must_use]
    pub fn unix_offset_ns(&self) -> u64 {
        self.unix_offset_ns
    }

    /// Sets what later rows need to have Unix times.
    pub fn set_unix_offset(&mut self, unix_offset_ns: u64) {
        if self.unix_offset_ns != unix_offset_ns {
            self.unix_offset_ns = unix_offset_ns;
            // A batch has one offset; rows that are waiting keep theirs.
            self.hand_over();
        }
    }

    /// Whether the store has room for the outcomes under way alone: see [`Lane::shed`].
    #[must_use]
    pub fn is_shedding(&self) -> bool {
        self.lane.shedding.load(Ordering::Relaxed)
    }

    /// Seats one row. A caller that counts [`Desk::seats`] always finds room; for one that does not, the
    /// current batch grows: slower, and nothing is lost.
    #[inline]
    pub fn seat(&mut self, row: T) {
        if self.current.rows.len() >= BATCH_ROWS {
            self.hand_over();
        }
        debug_assert!(self.current.rows.len() < BATCH_ROWS, "a row without a seat");
        if self.current.rows.is_empty() {
            self.current.unix_offset_ns = self.unix_offset_ns;
        }
        self.current.rows.push(row);
    }

    /// Rows that wait in the current batch.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.current.rows.len()
    }

    /// Hands the current batch over, full or not, unless it is empty or no other is free.
    pub fn hand_over(&mut self) {
        if self.current.rows.is_empty() {
            return;
        }
        if let Some(next) = self.free.pop() {
            self.push_and_take(next);
        }
    }

    /// Hands the last batch over, whether another is free or not: nothing is seated after this.
    pub fn close(&mut self) {
        if !self.current.rows.is_empty() {
            let (shard, unix_offset_ns) = (self.current.shard, self.unix_offset_ns);
            self.push_and_take(Box::new(Batch { shard, unix_offset_ns, rows: Vec::new() }));
        }
    }

    fn push_and_take(&mut self, next: Box<Batch<T>>) {
        let batch = std::mem::replace(&mut self.current, next);
        self.lane.produced.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
        // Who hands over what is not full has waited long enough; and so has who soon has none left.
        let urgent = batch.rows.len() < BATCH_ROWS || self.free.len() < WAKE_BATCHES;
        let refused = self.lane.full.push(batch);
        debug_assert!(refused.is_ok(), "the queue holds every batch there is");
        if !urgent && self.lane.full.len() < WAKE_BATCHES {
            return;
        }
        if let Some(reader) = self.lane.reader.get() {
            reader.unpark();
        }
    }
}

impl<T> Lane<T> {
    /// Names the calling thread as the one to wake when a batch is handed over.
    pub fn read_here(&self) {
        // A second reader would be a mistake of the caller's; the first one keeps being woken.
        let _first = self.reader.set(std::thread::current());
    }

    /// The oldest batch that waits.
    #[must_use]
    pub fn take(&self) -> Option<Box<Batch<T>>> {
        self.full.pop()
    }

    /// Gives a batch back to its shard, emptied.
    pub fn give_back(&self, mut batch: Box<Batch<T>>) {
        batch.rows.clear();
        let refused = self.empty.push(batch);
        debug_assert!(refused.is_ok(), "the queue holds every batch there is");
    }

    /// Tells the shard that there is room for what is under way and no more, or that there is again.
    pub fn shed(&self, shedding: bool) {
        self.shedding.store(shedding, Ordering::Relaxed);
    }

    /// Rows handed over so far.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use megaping_probe::{Marks, Nanos, StampSource, Verdict};
    use megaping_wire::Addr;

    fn row(target: u64) -> Outcome {
        Outcome {
            at: Nanos(target),
            rtt_ns: 0,
            target,
            destination: Addr::UNSPECIFIED,
            responder: Addr::UNSPECIFIED,
            seq: 0,
            error_ns: 0,
            size: 0,
            flow: 0,
            verdict: Verdict::Lost,
            hop_limit: 0,
            reply_hop_limit: 0,
            stamp_source: StampSource::User,
            marks: Marks::default(),
        }
    }

    #[test]
    fn every_row_comes_through_once_and_in_order_whatever_the_batches() {
        let (mut desk, lane) = lane(3, 4 * BATCH_ROWS);
        let (mut sent, mut came) = (0u64, 0u64);
        for step in 0..10_000usize {
            for _ in 0..(step * 7 % 501).min(desk.seats()) {
                desk.seat(row(sent));
                sent += 1;
            }
            if step % 5 == 0 {
                desk.hand_over();
            }
            if step % 3 == 0 {
                while let Some(batch) = lane.take() {
                    assert_eq!(batch.shard, 3);
                    for row in &batch.rows {
                        assert_eq!(row.target, came);
                        came += 1;
                    }
                    lane.give_back(batch);
                }
                desk.reclaim();
            }
        }
        assert!(sent > 100_000, "the test moved {sent} rows only");
        assert_eq!(came + desk.waiting() as u64 + lane.take().map_or(0, |b| b.rows.len() as u64), sent);
    }

    #[test]
    fn seats_fall_with_every_row_and_come_back_with_the_batch() {
        let (mut desk, lane) = lane(0, BATCH_ROWS);
        let all = desk.seats();
        for _ in 0..all {
            desk.seat(row(0));
        }
        assert_eq!(desk.seats(), 0);
        while let Some(batch) = lane.take() {
            lane.give_back(batch);
        }
        desk.reclaim();
        desk.hand_over();
        assert_eq!(desk.seats() + desk.waiting(), all - BATCH_ROWS + desk.waiting());
    }

    #[test]
    fn a_batch_has_one_unix_offset() {
        let (mut desk, lane) = lane(0, BATCH_ROWS);
        desk.set_unix_offset(5);
        desk.seat(row(0));
        desk.set_unix_offset(7);
        desk.seat(row(1));
        desk.hand_over();
        let offsets: Vec<u64> =
            std::iter::from_fn(|| lane.take()).map(|batch| batch.unix_offset_ns).collect();
        assert_eq!(offsets, [5, 7]);
    }
}
