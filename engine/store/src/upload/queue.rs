//! Segments that wait to be sent, and when to stop.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From which end a worker takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// What was sealed last.
    Newest,
    /// What has waited longest.
    Oldest,
}

/// The queue of one uploader.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PathBuf>,
    /// Segments that workers have taken and not yet brought to an end.
    taken: usize,
    /// Nothing is begun, and nothing is waited for, after this.
    deadline: Option<Instant>,
}

impl State {
    fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a segment.
    pub fn push(&self, path: PathBuf) {
        self.lock().waiting.push_back(path);
        self.changed.notify_all();
    }

    /// Takes a segment, waiting for one if need be; none when there will be no more, or the time is over.
    pub fn take(&self, end: End) -> Option<PathBuf> {
        let mut state = self.lock();
        loop {
            if state.is_over(Instant::now()) {
                return None;
            }
            let next = match end {
                End::Newest => state.waiting.pop_back(),
                End::Oldest => state.waiting.pop_front(),
            };
            if let Some(path) = next {
                state.taken += 1;
                return Some(path);
            }
            if state.deadline.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A segment that was taken has come to its end.
    pub fn done(&self) {
        self.lock().taken -= 1;
        self.changed.notify_all();
    }

    /// Puts a segment back to where it was: another may be luckier, or the next process.
    pub fn put_back(&self, path: PathBuf, end: End) {
        let mut state = self.lock();
        match end {
            End::Newest => state.waiting.push_back(path),
            End::Oldest => state.waiting.push_front(path),
        }
        state.taken -= 1;
        self.changed.notify_all();
    }

    /// Waits for `pause`, or until the queue is told to close: a new situation is worth a new attempt.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        let was_closing = state.deadline.is_some();
        loop {
            let now = Instant::now();
            if now >= until || state.is_over(now) || state.deadline.is_some() != was_closing {
                return;
            }
            let rest = until.min(state.deadline.unwrap_or(until)) - now;
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the workers finish what waits, for `within` at most, and waits for them. What they are doing after
    /// that must have no effect any more: see [`Queue::is_over`].
    pub fn close(&self, within: Duration) {
        let now = Instant::now();
        let deadline = now.checked_add(within).unwrap_or_else(|| now + Duration::from_hours(24 * 365));
        let mut state = self.lock();
        state.deadline = Some(deadline);
        self.changed.notify_all();
        while !(state.waiting.is_empty() && state.taken == 0) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Runs `effect` unless the time is over; while it runs, the time is not over.
    pub fn in_time<T>(&self, effect: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        (!state.is_over(Instant::now())).then(effect)
    }
}
