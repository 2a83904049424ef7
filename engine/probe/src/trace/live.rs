//! The work of `mtr`: some paths, watched round by round.
//!
//! ```text
//!   a round of one path:   first ... heard | heard+1 ... heard+gap      the end is not known: as far as the gap
//!                          first ........... end                        it is known: that far and no further
//! ```
//!
//! All hops of a path are asked in each round, a little apart so that no router sees a burst. An answer may extend
//! the round that is under way; the target's answer ends it. Every path has its own length: an end is forgotten
//! when a router answers there, or when nobody does for some rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use megaping_wire::Addr;

use super::event::{HopEnd, HopEvent};
use super::read::Reader;
use crate::border::Arrival;
use crate::outcome::Outcome;
use crate::time::Nanos;
use crate::work::{Task, Work};

/// Two probes of a path are this far apart, or less where the interval is short.
const APART_NS: u64 = 5_000_000;
/// Rounds in a row without an answer from the end, after which it is looked for anew.
const MISSES_MAX: u8 = 3;
/// While probing rests the work looks up this often.
const REST_NS: u64 = 50_000_000;
const NEVER: u64 = u64::MAX;

/// What holds for every path of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LivePlan {
    /// From one round of a path to the next, in nanoseconds.
    pub interval_ns: u64,
    /// Rounds, if limited.
    pub rounds: Option<u32>,
    /// The first hop limit, at least one.
    pub first_hop: u8,
    /// The last hop limit that is ever asked.
    pub max_hops: u8,
    /// Silent hops behind the last answer, after which no more are asked.
    pub gap: u8,
    /// Flows of each target, from zero on.
    pub flows: u16,
}

/// One flow to one target.
#[derive(Clone, Copy, Debug)]
struct Path {
    target: u32,
    flow: u16,
    destination: Addr,
    begins: u64,
    round: u32,
    // The hop limit that is next in this round.
    next: u8,
    // The farthest router that answered.
    heard: u8,
    // The hop at which the target, or an unreachable, was met; zero while that is not known.
    end: u8,
    misses: u8,
}

impl Path {
    fn last(&self, plan: &LivePlan) -> u8 {
        let expected = self.heard.max(plan.first_hop.saturating_sub(1)).saturating_add(plan.gap);
        if self.end > 0 { self.end } else { expected.min(plan.max_hops) }
    }

    /// When its next probe is due; [`NEVER`] when its rounds are over.
    fn due(&self, plan: &LivePlan) -> u64 {
        if self.next <= self.last(plan) {
            let apart = APART_NS.min(plan.interval_ns / (2 * u64::from(plan.max_hops.max(1))));
            return self.begins.saturating_add(u64::from(self.next - plan.first_hop) * apart);
        }
        match plan.rounds {
            Some(rounds) if self.round + 1 >= rounds => NEVER,
            _ => self.begins.saturating_add(plan.interval_ns),
        }
    }

    /// Begins the next round when this one has no more to ask. A round that should have begun long ago begins now:
    /// what was missed is not made up for.
    fn turn(&mut self, plan: &LivePlan, now: u64) {
        if self.next > self.last(plan) {
            self.round = self.round.wrapping_add(1);
            self.begins = self.begins.saturating_add(plan.interval_ns);
            if now.saturating_sub(self.begins) > plan.interval_ns {
                self.begins = now;
            }
            self.next = plan.first_hop;
        }
    }

    fn learn(&mut self, event: &HopEvent) {
        let ttl = event.ttl;
        match event.end {
            HopEnd::Reached | HopEnd::Unreachable { .. } => {
                if self.end == 0 || ttl < self.end {
                    self.end = ttl;
                }
                self.misses = 0;
            }
            HopEnd::TimeExceeded | HopEnd::Other { .. } => {
                if self.end > 0 && ttl >= self.end {
                    self.end = 0;
                }
                self.heard = if self.end > 0 { self.heard } else { self.heard.max(ttl) };
            }
            HopEnd::Lost if self.end > 0 && ttl == self.end => {
                self.misses += 1;
                if self.misses >= MISSES_MAX {
                    (self.end, self.misses) = (0, 0);
                    self.heard = self.heard.max(ttl.saturating_sub(1));
                }
            }
            HopEnd::Lost | HopEnd::Unsent(_) => {}
        }
    }
}

/// The paths of one shard. `each` hears every event; `rests` may be set at any time, and then nothing is asked.
pub struct Live<F> {
    plan: LivePlan,
    reader: Reader,
    each: F,
    rests: Arc<AtomicBool>,
    paths: Vec<Path>,
    // The paths' next dues, close together for the search; and the place and value of the least.
    dues: Vec<u64>,
    soonest: (usize, u64),
    // Index of the first path of a target: targets of one shard are apart by the number of shards.
    first_target: u32,
    shards: u32,
    now: u64,
    stopped: bool,
}

impl<F: FnMut(&HopEvent)> Live<F> {
    /// The part of shard `shard` of `shards` in watching `targets`.
    #[must_use]
    pub fn new(
        plan: LivePlan,
        targets: &[Addr],
        (shard, shards): (u16, u16),
        reader: Reader,
        rests: Arc<AtomicBool>,
        each: F,
    ) -> Live<F> {
        let plan = LivePlan { first_hop: plan.first_hop.max(1), ..plan };
        let (shard, shards) = (u32::from(shard), u32::from(shards.max(1)));
        let ours = (0u32..).zip(targets).skip(shard as usize).step_by(shards as usize);
        let all = targets.len() as u64 * u64::from(plan.flows);
        // Paths take turns, so that the load is flat.
        let path = |target: u32, destination: Addr, flow: u16| Path {
            target,
            flow,
            destination,
            begins: (u64::from(target) * u64::from(plan.flows) + u64::from(flow)) * plan.interval_ns
                / all.max(1),
            round: 0,
            next: plan.first_hop,
            heard: 0,
            end: 0,
            misses: 0,
        };
        let paths: Vec<Path> = ours
            .flat_map(|(target, addr)| (0..plan.flows).map(move |flow| path(target, *addr, flow)))
            .collect();
        let dues = vec![NEVER; paths.len()];
        Live {
            plan,
            reader,
            each,
            rests,
            paths,
            dues,
            soonest: (0, NEVER),
            first_target: shard,
            shards,
            now: 0,
            stopped: false,
        }
    }

    fn refresh(&mut self, place: usize) {
        let due = self.paths.get(place).map_or(NEVER, |path| path.due(&self.plan));
        if let Some(slot) = self.dues.get_mut(place) {
            *slot = due;
        }
        let least = self.dues.iter().enumerate().min_by_key(|(_, due)| **due);
        self.soonest = least.map_or((0, NEVER), |(place, due)| (place, *due));
    }

    fn place(&self, event: &HopEvent) -> usize {
        let nth = event.target.saturating_sub(self.first_target) / self.shards;
        nth as usize * usize::from(self.plan.flows) + usize::from(event.flow)
    }
}

impl<F: FnMut(&HopEvent)> Work for Live<F> {
    fn begin(&mut self, start: Nanos) {
        self.now = start.0;
        for path in &mut self.paths {
            path.begins = path.begins.saturating_add(start.0);
        }
        for place in 0..self.paths.len() {
            self.refresh(place);
        }
    }

    fn breathe(&mut self, now: Nanos) {
        self.now = now.0;
    }

    fn due(&self) -> Option<Nanos> {
        let due = self.soonest.1;
        if self.stopped || due == NEVER {
            return None;
        }
        // Not none: that would be the end.
        let rests = self.rests.load(Ordering::Relaxed);
        Some(Nanos(if rests { due.max(self.now.saturating_add(REST_NS)) } else { due }))
    }

    fn is_overdue(&self, _due: Nanos) -> bool {
        // Rounds slip instead: what is late was not due before.
        false
    }

    fn take(&mut self) -> Option<Task> {
        let (place, due) = self.soonest;
        let (plan, now) = (self.plan, self.now);
        let path = self.paths.get_mut(place).filter(|_| due != NEVER)?;
        path.turn(&plan, now);
        let task = Task {
            due: Nanos(due),
            target: path.target.into(),
            destination: path.destination,
            seq: path.round,
            flow: path.flow,
            hop_limit: path.next,
        };
        path.next = path.next.saturating_add(1);
        self.refresh(place);
        Some(task)
    }

    fn on_end(&mut self, outcome: &Outcome, answer: Option<&Arrival<'_>>) {
        let (event, _) = self.reader.read(outcome, answer);
        let place = self.place(&event);
        if let Some(path) = self.paths.get_mut(place) {
            path.learn(&event);
            self.refresh(place);
        }
        (self.each)(&event);
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
