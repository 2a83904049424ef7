//! The store thread: takes batches from every shard, prints them, and spools them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use megaping_probe::{Outcome, Verdict};
use megaping_store::StoreError;
use megaping_store::batch::{Batch, Lane};
use megaping_wire::Addr;

use crate::keeper::{Keep, Kept};
use crate::output::Printer;
use crate::summary::{StoreSummary, UploadSummary};
use crate::targets::TargetSet;

/// How long the thread sleeps when no shard wakes it: the spool's own deadlines are coarser.
const NAP: Duration = Duration::from_millis(100);
/// Round trips are told apart from a nanosecond up to a minute, to three digits.
const RTT_NS_MAX: u64 = 60_000_000_000;

/// What the store thread and the main thread share.
#[derive(Debug, Default)]
pub struct SinkBoard {
    /// Set when every shard has ended: what is queued now is all there is.
    pub drain: AtomicBool,
    /// Set by the store thread when it has failed: nothing more should be scheduled.
    pub failed: AtomicBool,
}

/// What the store thread hands back at its end.
#[derive(Debug)]
pub struct SinkEnd {
    /// Round trips of answered probes, in nanoseconds.
    pub rtt_ns: Histogram<u64>,
    /// ICMP errors by name and how many.
    pub errors: ErrorKinds,
    /// Where the rows are, where they are kept.
    pub store: Option<StoreSummary>,
    /// What became of those that were to be sent.
    pub upload: Option<UploadSummary>,
    /// Outcomes that were taken from the queues.
    pub taken: u64,
    /// Why it stopped printing, if it did: a reader that has seen enough, for one.
    pub output_error: Option<io::Error>,
    /// Why it stopped spooling, if it did.
    pub store_error: Option<StoreError>,
}

/// How many ICMP errors of each type and code, by family.
pub type ErrorKinds = std::collections::BTreeMap<(bool, u8, u8), u64>;

/// The store thread's work; consumed by [`Sink::run`].
pub struct Sink<W: Write> {
    /// The shards' queues.
    pub lanes: Vec<Arc<Lane>>,
    /// Shared with the main thread.
    pub board: Arc<SinkBoard>,
    /// One line an outcome.
    pub printer: Printer<W>,
    /// Where outcomes are kept, if they are.
    pub keeper: Option<Box<dyn Keep>>,
    /// Knows the names that targets were given by.
    pub targets: Arc<TargetSet>,
}

impl SinkBoard {
    /// Tells the store thread that every shard has ended.
    pub fn finish<T>(&self, store: &ScopedJoinHandle<'_, T>) {
        self.drain.store(true, Ordering::Release);
        store.thread().unpark();
    }

    /// Notes why output or spool failed, and tells the main thread.
    fn fail<E>(&self, place: &mut Option<E>, error: E) {
        *place = Some(error);
        self.failed.store(true, Ordering::Release);
    }
}

impl<W: Write> Sink<W> {
    /// Runs until told to drain and everything is drained. When output or spool fail, the board says so and the
    /// other one goes on: what is in flight still ends up wherever it can.
    pub fn run(mut self) -> SinkEnd {
        for lane in &self.lanes {
            lane.read_here();
        }
        let mut end = SinkEnd {
            rtt_ns: histogram(),
            errors: ErrorKinds::new(),
            store: None,
            upload: None,
            taken: 0,
            output_error: None,
            store_error: None,
        };
        loop {
            // Read before the queues: what was handed over before the flag was set is found below.
            let draining = self.board.drain.load(Ordering::Acquire);
            let took = self.take_all(&mut end);
            self.tick(&mut end);
            if !took {
                if draining {
                    break;
                }
                std::thread::park_timeout(NAP);
            }
        }
        self.close(end)
    }

    fn take_all(&mut self, end: &mut SinkEnd) -> bool {
        let mut took = false;
        for index in 0..self.lanes.len() {
            while let Some(batch) = self.lanes[index].take() {
                took = true;
                end.taken += batch.rows.len() as u64;
                count(&batch.rows, end);
                self.keep(&batch, end);
                self.print(&batch, end);
                self.lanes[index].give_back(batch);
            }
        }
        took
    }

    fn keep(&mut self, batch: &Batch, end: &mut SinkEnd) {
        let Some(keeper) = &mut self.keeper else { return };
        if end.store_error.is_some() {
            keeper.refuse(&batch.rows);
        } else if let Err(error) = keeper.push(&batch.rows, batch.unix_offset_ns) {
            self.board.fail(&mut end.store_error, error);
        }
    }

    fn print(&mut self, batch: &Batch, end: &mut SinkEnd) {
        if end.output_error.is_some() {
            return;
        }
        let name = |addr: &Addr| self.targets.name(addr);
        if let Err(error) = self.printer.rows(&batch.rows, batch.unix_offset_ns, name) {
            self.board.fail(&mut end.output_error, error);
        }
    }

    fn tick(&mut self, end: &mut SinkEnd) {
        if end.output_error.is_none()
            && let Err(error) = self.printer.flush()
        {
            self.board.fail(&mut end.output_error, error);
        }
        if end.store_error.is_none()
            && let Some(keeper) = &mut self.keeper
        {
            if let Err(error) = keeper.tick(Instant::now()) {
                self.board.fail(&mut end.store_error, error);
            }
            for lane in &self.lanes {
                lane.shed(keeper.is_shedding());
            }
        }
    }

    fn close(mut self, mut end: SinkEnd) -> SinkEnd {
        if let Some(keeper) = self.keeper.take() {
            let (Kept { mut store, upload }, result) = keeper.close();
            end.upload = upload;
            store.produced = self.lanes.iter().map(|lane| lane.produced()).sum();
            store.queued = store.produced - end.taken;
            end.store = Some(store);
            if let Err(error) = result
                && end.store_error.is_none()
            {
                end.store_error = Some(error);
            }
        }
        end
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, RTT_NS_MAX, 3).expect("the bounds are constants that the crate accepts")
}

fn count(rows: &[Outcome], end: &mut SinkEnd) {
    for row in rows {
        match row.verdict {
            Verdict::Answered => end.rtt_ns.saturating_record(row.rtt_ns.max(1)),
            Verdict::Error { icmp_type, code } => {
                *end.errors.entry((row.destination.is_v4(), icmp_type, code)).or_default() += 1;
            }
            Verdict::Lost | Verdict::Unsent(_) => {}
        }
    }
}
