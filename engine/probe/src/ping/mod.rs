//! The work of `ping`: every target once a round, with one hop limit and one flow.

mod ahead;

use ahead::Ahead;

use crate::outcome::Outcome;
use crate::schedule::{Appointment, Schedule, Targets, Timing};
use crate::time::Nanos;
use crate::work::{Task, Work};

/// What one shard's part of a ping is.
#[derive(Clone, Copy, Debug)]
pub struct PingPlan {
    /// When probes are due.
    pub timing: Timing,
    /// Which shard this is.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// Whether targets may move from shard to shard: takes a bit for each target of the run.
    pub movable: bool,
    /// TTL or hop limit of every probe.
    pub hop_limit: u8,
    /// The flow that is explored.
    pub flow: u16,
}

/// Targets, and the schedule of their rounds.
#[derive(Debug)]
pub struct Ping<T> {
    targets: T,
    schedule: Schedule,
    ahead: Ahead,
    turns_at_first: u64,
    hop_limit: u8,
    flow: u16,
}

impl<T: Targets> Ping<T> {
    /// The part of one shard in pinging `targets`.
    #[must_use]
    pub fn new(plan: &PingPlan, targets: T) -> Ping<T> {
        let (shard, shards) = (u64::from(plan.shard), u64::from(plan.shards));
        let make = if plan.movable { Schedule::movable } else { Schedule::new };
        let schedule = make(plan.timing, targets.len(), shard, shards);
        Ping {
            ahead: Ahead::new(),
            turns_at_first: schedule.turns(),
            schedule,
            targets,
            hop_limit: plan.hop_limit,
            flow: plan.flow,
        }
    }
}

impl<T: Targets> Work for Ping<T> {
    fn begin(&mut self, start: Nanos) {
        self.schedule.begin(start);
    }

    #[inline]
    fn breathe(&mut self, now: Nanos) {
        self.schedule.breathe(now);
    }

    #[inline]
    fn due(&self) -> Option<Nanos> {
        self.schedule.due()
    }

    #[inline]
    fn is_overdue(&self, due: Nanos) -> bool {
        self.schedule.is_overdue(due)
    }

    #[inline]
    fn take(&mut self) -> Option<Task> {
        let slot = self.schedule.take()?;
        let (target, destination) = if slot.stray {
            let index = self.targets.index(slot.turn);
            (index, self.targets.address(index))
        } else {
            self.ahead.target(&self.targets, &self.schedule, slot.turn)
        };
        let Ping { flow, hop_limit, .. } = *self;
        Some(Task { due: slot.due, target, destination, seq: slot.round, flow, hop_limit })
    }

    fn give(&mut self, outcome: &Outcome) -> Option<Appointment> {
        self.schedule.give(self.targets.turn(outcome.target))
    }

    fn adopt(&mut self, at: Appointment) -> bool {
        self.schedule.adopt(at)
    }

    fn interval_ns(&self) -> u64 {
        self.schedule.interval_ns()
    }

    fn share(&self) -> f64 {
        self.schedule.turns() as f64 / self.turns_at_first.max(1) as f64
    }

    fn stop(&mut self) {
        self.schedule.stop();
    }
}
