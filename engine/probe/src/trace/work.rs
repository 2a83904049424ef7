//! The work of a trace: which path's turn it is, and what its next probe is.

use std::collections::VecDeque;

use super::event::{HopEnd, HopEvent};
use super::path::{Path, Remembered, Rules};
use super::read::Reader;
use super::routers::Routers;
use super::row::{PathEnd, PathRow, Witness};
use super::slots::{Slot, Slots};
use crate::border::Arrival;
use crate::outcome::Outcome;
use crate::schedule::{Schedule, Targets, Timing};
use crate::time::Nanos;
use crate::work::{Task, Work};

/// What one shard's part of a trace is.
#[derive(Clone, Copy, Debug)]
pub struct TracePlan {
    /// When paths are due: a turn is a path, a round is each of them once.
    pub timing: Timing,
    /// Which shard this is.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// Flows of each target; at least one.
    pub flows: u16,
    /// What is asked of a path.
    pub rules: Rules,
    /// Paths under way at once.
    pub active_max: usize,
    /// Routers to remember, so that hops before them need not be asked again; zero for none.
    pub routers: usize,
}

/// One path in so many is asked to its first hop, whatever is known: so that a change there is noticed.
const SAMPLE: u32 = 64;
/// Rows that one breath may make beside those of the probes under way.
const ROOM: usize = 4096;
/// How long to wait for whoever hears the rows, when there is no room for them.
const NO_ROOM_NS: u64 = 1_000_000;
/// Where the search for an end begins when nothing is known, until other paths tell; in sixteenths of a hop.
const TYPICAL: u32 = 12 * 16;

/// Targets and flows, and the paths to them that are under way.
#[derive(Debug)]
pub struct Trace<T, W> {
    plan: TracePlan,
    targets: T,
    schedule: Schedule,
    reader: Reader,
    slots: Slots,
    // Paths with something to ask, each once, and since when.
    queue: VecDeque<(u32, Nanos)>,
    routers: Routers,
    // Of each path of this shard, where there is another round.
    remembered: Box<[Remembered]>,
    typical: u32,
    begun: u32,
    under_way: usize,
    now: Nanos,
    stopping: bool,
    witness: W,
}

impl<T: Targets, W: Witness> Trace<T, W> {
    /// The part of one shard in tracing `targets`; allocates everything it will ever need.
    #[must_use]
    pub fn new(plan: &TracePlan, targets: T, reader: Reader, witness: W) -> Trace<T, W> {
        let (shard, shards) = (u64::from(plan.shard), u64::from(plan.shards.max(1)));
        let paths = targets.len() * u64::from(plan.flows);
        let own = paths.saturating_sub(shard).div_ceil(shards) as usize;
        let active = plan.active_max.clamp(1, own.max(1));
        let kept = if plan.timing.rounds == Some(1) { 0 } else { own };
        Trace {
            schedule: Schedule::new(plan.timing, paths, shard, shards),
            slots: Slots::new(active, plan.rules.max_hops),
            queue: VecDeque::with_capacity(active + 1),
            routers: Routers::new(plan.routers),
            remembered: vec![Remembered::default(); kept].into_boxed_slice(),
            typical: TYPICAL,
            begun: 0,
            under_way: 0,
            now: Nanos(0),
            stopping: false,
            plan: *plan,
            targets,
            reader,
            witness,
        }
    }

    /// Whoever hears the rows.
    #[must_use]
    pub fn witness(&self) -> &W {
        &self.witness
    }

    /// Bytes that paths, routers and memory of lengths take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.routers.bytes() + size_of_val(&*self.remembered)
    }

    /// The probe that the next path in the queue has to send.
    fn take_queued(&mut self) -> Option<Task> {
        while let Some((number, since)) = self.queue.pop_front() {
            if let Some(slot) = self.slots.get(number) {
                slot.queued = false;
                if let Some(task) = self.probe(number, since) {
                    return Some(task);
                }
                // What made it stand in line has been answered by another probe.
                self.settle(number);
            }
        }
        None
    }

    /// The first probe of the next path whose turn has come.
    fn take_new(&mut self) -> Option<Task> {
        if !self.slots.has_free() || self.schedule.due()? > self.now {
            return None;
        }
        let turn = self.schedule.take()?;
        let targets = self.targets.len().max(1);
        let index = self.targets.index(turn.turn % targets);
        let number = (turn.turn / u64::from(self.plan.shards.max(1))) as u32;
        let remembered = self.remembered.get(number as usize).copied().unwrap_or_default();
        self.begun = self.begun.wrapping_add(1);
        let slot = self.slots.seat(Slot {
            path: Path::new(&self.plan.rules, remembered),
            destination: self.targets.address(index),
            target: index as u32,
            round: turn.round,
            number,
            flow: (turn.turn / targets) as u16,
            shares: self.plan.routers > 0 && !self.begun.is_multiple_of(SAMPLE),
            ..Slot::default()
        })?;
        self.probe(slot, turn.due)
    }

    fn probe(&mut self, number: u32, due: Nanos) -> Option<Task> {
        let rules = &self.plan.rules;
        let slot = self.slots.get(number)?;
        let hop_limit = slot.path.next(rules)?;
        slot.path.ask(rules, hop_limit);
        let Slot { target, destination, round, flow, .. } = *slot;
        self.slots.leaves(number, hop_limit);
        self.under_way += 1;
        self.enqueue(number);
        Some(Task { due, target: target.into(), destination, seq: round, flow, hop_limit })
    }

    /// Puts a path in line that has something to ask.
    fn enqueue(&mut self, number: u32) -> bool {
        let Some(slot) = self.slots.get(number) else { return false };
        if self.stopping || slot.path.next(&self.plan.rules).is_none() {
            return false;
        }
        if !slot.queued {
            slot.queued = true;
            self.queue.push_back((number, self.now));
        }
        true
    }

    /// After something has changed for a path: it asks on, waits, or ends.
    fn settle(&mut self, number: u32) {
        if self.enqueue(number) {
            return;
        }
        let Some(slot) = self.slots.get(number).filter(|slot| slot.path.is_idle()) else { return };
        let Slot { target, destination, flow, round, path, number: own, .. } = *slot;
        let complete = path.next(&self.plan.rules).is_none();
        let (length, reached) = (path.length(), path.is_reached());
        self.slots.release(number);
        if let Some(remembered) = self.remembered.get_mut(own as usize)
            && complete
        {
            *remembered = path.remember();
        }
        if reached {
            self.typical = (self.typical * 15).div_ceil(16) + u32::from(length);
        }
        let at = self.now;
        let end = PathEnd { slot: number, target, destination, flow, round, length, reached, complete, at };
        self.witness.see(PathRow::End(end));
    }

    /// Files who stands before whom, and takes from memory what can be taken.
    fn learn(&mut self, number: u32, event: &HopEvent) {
        let ttl = event.ttl;
        let Some(slot) = self.slots.get(number) else { return };
        let (path, shares) = (slot.path, slot.shares);
        let id = match event.end {
            HopEnd::TimeExceeded => self.routers.answered(ttl, event.responder),
            _ if path.is_silent(ttl) => {
                self.routers.silent(ttl, self.slots.router(number, ttl.saturating_add(1)))
            }
            _ => return,
        };
        // Another answer of a hop that has its router: who balances by packet is nobody to rely on.
        if id == 0 || self.slots.router(number, ttl) == id {
            return;
        }
        self.slots.set_router(number, ttl, id);
        self.routers.link(self.slots.router(number, ttl.saturating_add(1)), id);
        let (mut above, mut below) = (id, ttl.saturating_sub(1));
        while below > 0 && self.slots.router(number, below) == 0 && path.is_silent(below) {
            let silent = self.routers.silent(below, above);
            self.slots.set_router(number, below, silent);
            self.routers.link(above, silent);
            (above, below) = (silent, below - 1);
        }
        self.routers.link(above, self.slots.router(number, below));
        if !shares || !path.is_front(ttl) {
            return;
        }
        let Trace { routers, witness, plan, .. } = self;
        let known = routers.before(id, plan.rules.first_hop, |ttl, responder| {
            witness.see(PathRow::Shared { slot: number, ttl, responder });
        });
        if known && let Some(slot) = self.slots.get(number) {
            slot.path.share(ttl);
        }
    }
}

impl<T: Targets, W: Witness> Work for Trace<T, W> {
    fn begin(&mut self, start: Nanos) {
        self.schedule.begin(start);
    }

    fn breathe(&mut self, now: Nanos) {
        self.now = now;
        self.schedule.breathe(now);
        self.witness.breathe(now);
    }

    #[inline]
    fn due(&self) -> Option<Nanos> {
        let due = match self.queue.front() {
            Some(&(_, since)) => since,
            None if self.slots.has_free() => self.schedule.due()?,
            None => return None,
        };
        let has_room = self.witness.room() >= self.under_way + ROOM;
        Some(if has_room { due } else { due.max(self.now + NO_ROOM_NS) })
    }

    /// Never: a path is late as a whole, and then its hops are asked all the same.
    fn is_overdue(&self, _due: Nanos) -> bool {
        false
    }

    fn take(&mut self) -> Option<Task> {
        self.take_queued().or_else(|| self.take_new())
    }

    fn on_end(&mut self, outcome: &Outcome, answer: Option<&Arrival<'_>>) {
        let Some(number) = self.slots.find(outcome.target as u32, outcome.flow, outcome.seq) else { return };
        let (event, came_in) = self.reader.read(outcome, answer);
        self.under_way = self.under_way.saturating_sub(1);
        self.witness.see(PathRow::Hop { slot: number, came_in, event });
        let left = self.slots.ended(number, event.ttl);
        let Some(slot) = self.slots.get(number) else { return };
        let is_last = left == 0 && !slot.path.will_repeat(event.ttl);
        slot.path.on_end(&self.plan.rules, &event, is_last);
        slot.path.guess((self.typical / 16) as u8);
        if self.plan.routers > 0 {
            self.learn(number, &event);
        }
        self.settle(number);
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.schedule.stop();
        while let Some((number, _)) = self.queue.pop_front() {
            if let Some(slot) = self.slots.get(number) {
                slot.queued = false;
            }
            self.settle(number);
        }
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
