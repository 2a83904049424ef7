//! What the main thread does while the others work: progress, Ctrl-C, failures.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use megaping_probe::{Down, Ledger, Nanos};
use megaping_ring::{Clock, Monotonic};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::RunPlan;
use crate::progress::{Progress, ProgressLine};
use crate::shard::Board;
use crate::sink::{SinkBoard, SinkEnd};

/// How long the main thread looks away: an eighth of the run so far, within these bounds. A short run ends at once, and a
/// long one is not disturbed.
const AWAY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(120));
/// The exit status of a run that was stopped twice: that of a process ended by SIGINT.
const STOPPED_TWICE: i32 = 130;

/// The signals that end a run: the first stops sending, a second leaves at once.
#[derive(Debug)]
pub struct Signals {
    seen: Arc<AtomicBool>,
    leaves: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT and SIGTERM from now on. Where `patient`, no signal leaves at once before
    /// [`Signals::lose_patience`]: something has to be put in order first.
    ///
    /// # Errors
    /// That of sigaction(2).
    pub fn catch(patient: bool) -> io::Result<Signals> {
        let seen = Arc::new(AtomicBool::new(false));
        let leaves = if patient { Arc::new(AtomicBool::new(false)) } else { Arc::clone(&seen) };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag that the first has set.
            flag::register_conditional_shutdown(signal, STOPPED_TWICE, Arc::clone(&leaves))?;
            flag::register(signal, Arc::clone(&seen))?;
        }
        Ok(Signals { seen, leaves })
    }

    /// From now on the next signal leaves at once.
    pub fn lose_patience(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    /// Whether one has come.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

/// All that there is to watch.
pub struct Scene<'a, 't> {
    pub backend: &'static str,
    pub boards: &'a [Arc<Board>],
    pub sink: &'a SinkBoard,
    pub signals: &'a Signals,
    pub threads: &'a [ScopedJoinHandle<'t, Result<(), Down>>],
    pub store: &'a ScopedJoinHandle<'t, SinkEnd>,
    pub start: Nanos,
}

/// Asks every shard to stop.
pub fn stop_all(boards: &[Arc<Board>]) {
    for board in boards {
        board.stop.store(true, Ordering::Relaxed);
    }
}

/// Asks every shard to end at once, whatever is in flight.
pub fn leave_all(boards: &[Arc<Board>]) {
    for board in boards {
        board.leave.store(true, Ordering::Relaxed);
    }
    stop_all(boards);
}

/// The shards' ledgers, added up.
#[must_use]
pub fn total(boards: &[Arc<Board>]) -> Ledger {
    let mut total = Ledger::default();
    for board in boards {
        if let Ok(figures) = board.figures.lock() {
            total.add(&figures.ledger);
        }
    }
    total
}

/// Returns when every shard has ended, and `work` has no more to do: it is asked in each turn whether it has.
/// `draws`: whether a progress line is welcome, if standard error is a terminal.
pub fn until_done(
    scene: &Scene<'_, '_>,
    plan: &RunPlan,
    timeout_ns: u64,
    draws: bool,
    mut work: impl FnMut() -> bool,
) {
    let mut line = draws.then(ProgressLine::on_stderr).flatten();
    let began = Instant::now();
    let mut rate = Rate { at: began, sent: 0, pps: 0 };
    loop {
        // Before the work: what shards hand over as they end is found by it.
        let is_over = scene.is_over();
        let has_more = work();
        if is_over && !has_more {
            break;
        }
        if scene.should_stop() {
            stop_all(scene.boards);
        }
        if let Some(line) = &mut line {
            line.draw(Instant::now(), || scene.progress(&mut rate, plan, timeout_ns));
        }
        if !has_more {
            // Whoever has work for us wakes us.
            std::thread::park_timeout((began.elapsed() / 8).clamp(AWAY.0, AWAY.1));
        }
    }
    if let Some(line) = &mut line {
        line.erase();
    }
}

struct Rate {
    at: Instant,
    sent: u64,
    pps: u64,
}

impl Scene<'_, '_> {
    /// The shards' ledgers, added up, and the arrivals that this machine dropped.
    #[must_use]
    pub fn total(&self) -> (Ledger, u64) {
        let dropped = |board: &Arc<Board>| board.figures.lock().map_or(0, |figures| figures.ring.rx_dropped);
        (total(self.boards), self.boards.iter().map(dropped).sum())
    }

    /// Whether every shard has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(ScopedJoinHandle::is_finished)
    }

    /// Whether a signal or a failure asks for the end.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        // One shard that ends before its time takes the others with it: a run is whole or it is over.
        let broken = self.threads.iter().any(ScopedJoinHandle::is_finished) && self.is_any_down();
        let failed = self.sink.failed.load(Ordering::Acquire) || self.store.is_finished();
        self.signals.interrupted() || failed || broken
    }

    fn is_any_down(&self) -> bool {
        let ended = self.boards.iter().zip(self.threads).filter(|(_, thread)| thread.is_finished());
        ended.into_iter().any(|(board, _)| board.alive.load(Ordering::Relaxed))
    }

    fn progress(&self, rate: &mut Rate, plan: &RunPlan, timeout_ns: u64) -> Progress {
        let ledger = total(self.boards);
        let since = rate.at.elapsed();
        if since >= Duration::from_millis(900) || rate.sent == 0 {
            rate.pps = ((ledger.sent - rate.sent) as f64 / since.as_secs_f64().max(1e-3)) as u64;
            rate.at = Instant::now();
            rate.sent = ledger.sent;
        }
        let elapsed_ns = Nanos(Monotonic.now_ns()).since(self.start);
        Progress {
            sent: ledger.sent,
            answered: ledger.answered,
            errors: ledger.errors,
            lost: ledger.lost,
            in_flight: ledger.in_flight,
            rate_pps: rate.pps,
            elapsed: Duration::from_nanos(elapsed_ns),
            remaining: remaining_ns(plan, timeout_ns, &ledger, elapsed_ns).map(Duration::from_nanos),
        }
    }
}

/// By the plan, or by the pace so far where that is slower.
fn remaining_ns(plan: &RunPlan, timeout_ns: u64, ledger: &Ledger, elapsed_ns: u64) -> Option<u64> {
    let planned_ns = plan.sending_ns()?.saturating_sub(elapsed_ns);
    let by_pace_ns = plan.total().filter(|_| ledger.scheduled > 0).map_or(0, |total| {
        let left = total.saturating_sub(ledger.scheduled) as f64;
        (elapsed_ns as f64 / ledger.scheduled as f64 * left) as u64
    });
    let sending_ns = match plan.duration_ns {
        Some(duration_ns) => by_pace_ns.max(planned_ns).min(duration_ns.saturating_sub(elapsed_ns)),
        None => by_pace_ns.max(planned_ns),
    };
    Some(sending_ns.saturating_add(if ledger.in_flight > 0 { timeout_ns } else { 0 }))
}
