//! The probing core of one shard: what to send next, and what became of it.
//!
//! Whom to probe and when is a [`Work`]'s to say; pace, identity, in-flight table, matching, expiry and ledger
//! are here, and the same for all. In this file: orders. `matching` takes what the ring reports and what arrives, `passing`
//! ends what time has run out for, `ending` makes outcomes.

mod ending;
mod matching;
mod passing;

use crate::border::Order;
use crate::identity::Identity;
use crate::inflight::{Entry, InFlight, State};
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::pace::Pace;
use crate::schedule::Appointment;
use crate::time::Nanos;
use crate::work::{Class, Task, Work};
use megaping_wire::Addr;

/// What holds for every probe of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Probes a second that this shard may send at most, catching up included.
    pub pace_pps: f64,
    /// Probes that may leave in a row, at most: 1 to [`crate::pace::BURST_MAX`].
    pub burst_max: u32,
    /// How long the slowest answer is waited for, in nanoseconds: probes are given up in the order in which they left.
    pub timeout_ns: u64,
    /// Probes that can be in flight at once.
    pub in_flight_max: usize,
    /// Source addresses by family, IPv4 first; [`Addr::UNSPECIFIED`] lets the kernel choose.
    pub sources: [Addr; 2],
    /// Payload bytes, where the work does not say.
    pub payload_len: u16,
    /// TOS or traffic class octet, where the work does not say.
    pub traffic_class: u8,
}

impl Plan {
    /// What the probes have in common.
    #[inline]
    pub(crate) const fn class(&self) -> Class {
        let Plan { payload_len, traffic_class, timeout_ns, .. } = *self;
        Class { payload_len, traffic_class, timeout_ns }
    }
}

/// The core: pure, without clock, socket or thread, and without allocation after [`Core::new`].
#[derive(Debug)]
pub struct Core<W> {
    plan: Plan,
    work: W,
    identity: Identity,
    pace: Pace,
    table: InFlight,
    ledger: Ledger,
    // Whether the last probe that was due had to wait for a seat: why it is late, should it be skipped.
    starved: bool,
    // Whether what falls due is skipped for want of room for results.
    shedding: bool,
    stopping: bool,
    rtt_max_ns: u64,
    dropped_at: Nanos,
    // Probes that were left out between two orders: their outcomes are made at the next tick.
    left_out: Vec<Outcome>,
}

/// Probes that may be left out between two ticks: some times as many as may leave.
const LEFT_OUT_MAX: usize = 4096;

impl<W: Work> Core<W> {
    /// The core of a shard; allocates everything it will ever need.
    #[must_use]
    pub fn new(plan: Plan, work: W, identity: Identity) -> Core<W> {
        Core {
            pace: Pace::new(plan.pace_pps, plan.burst_max, work.interval_ns()),
            table: InFlight::new(plan.in_flight_max),
            ledger: Ledger::default(),
            starved: false,
            shedding: false,
            stopping: false,
            rtt_max_ns: 0,
            dropped_at: Nanos(0),
            left_out: Vec::with_capacity(if W::SHEDS { LEFT_OUT_MAX } else { 0 }),
            plan,
            work,
            identity,
        }
    }

    /// Says when the first probe may leave; before the first order.
    pub fn begin(&mut self, start: Nanos) {
        self.work.begin(start);
    }

    /// The next probe that is due, allowed, and sure of a seat for its outcome. `seats` counts the outcomes
    /// that storage has room for, those in flight included.
    #[inline]
    pub fn next_order(&mut self, now: Nanos, seats: usize) -> Option<Order> {
        let due = loop {
            let due = self.work.due()?;
            if due > now || self.shedding || self.work.is_overdue(due) {
                return None;
            }
            if self.ledger.in_flight as usize + self.left_out.len() >= seats {
                self.starved = true;
                return None;
            }
            if !(W::SHEDS && self.work.is_shed()) {
                break due;
            }
            self.leave_out()?;
        };
        if self.table.is_full() || !self.pace.take(now) {
            return None;
        }
        self.starved = false;
        let task = self.work.take()?;
        self.ledger.lateness.record(now.since(due));
        Some(self.order(&task, now))
    }

    #[inline]
    fn order(&mut self, task: &Task, now: Nanos) -> Order {
        let Task { target, destination, seq, flow, hop_limit, .. } = *task;
        let identifier = self.identity.identifier(&destination);
        let Class { payload_len, traffic_class, .. } = self.work.class(target, self.plan.class());
        let key = self.table.push(Entry {
            destination,
            at: now,
            target,
            seq,
            error_ns: 0,
            identifier,
            flow,
            size: payload_len,
            hop_limit,
            state: State::Ordered,
        });
        self.ledger.scheduled += 1;
        self.ledger.in_flight += 1;
        let sequence = key as u16;
        Order {
            key,
            ordered_at: now,
            mac: self.identity.mac(&destination, identifier, sequence, key, now.0),
            destination,
            source: self.plan.sources[usize::from(!destination.is_v4())],
            identifier,
            sequence,
            payload_len,
            flow,
            hop_limit,
            traffic_class,
        }
    }

    /// Tells the core the time, at every breath: from the gaps it knows a stall.
    #[inline]
    pub fn breathe(&mut self, now: Nanos) {
        self.work.breathe(now);
    }

    /// When the core wants to be asked again; `None` when it has nothing to wait for.
    #[inline]
    #[must_use]
    pub fn next_wake(&mut self) -> Option<Nanos> {
        let due = self.work.due().map(|due| due.max(self.pace.ready_at()));
        let timeout_ns = self.plan.timeout_ns;
        let expiry = self.table.oldest().map(|entry| entry.at + timeout_ns + 1);
        match (due, expiry) {
            (Some(due), Some(expiry)) => Some(due.min(expiry)),
            (due, expiry) => due.or(expiry),
        }
    }

    /// The pace: how many probes may leave in a row, and how long the shard may sleep meanwhile.
    #[inline]
    #[must_use]
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether the ring has sat on the oldest order for as long as a probe lives.
    #[inline]
    #[must_use]
    pub fn is_stuck(&mut self, now: Nanos) -> bool {
        let timeout_ns = self.plan.timeout_ns;
        self.table
            .oldest()
            .is_some_and(|entry| entry.state == State::Ordered && now.since(entry.at) > timeout_ns)
    }

    /// Which shard of this instance an identifier belongs to; `None` where it is another instance's, or none.
    #[inline]
    #[must_use]
    pub fn owner(&self, identifier: u16) -> Option<u16> {
        self.identity.owner(identifier)
    }

    /// Gives the target of `outcome` to another shard: [`Work::give`]. The pace goes with it.
    pub fn give(&mut self, outcome: &Outcome) -> Option<Appointment> {
        let given = self.work.give(outcome)?;
        self.pace.set_rate(self.plan.pace_pps * self.work.share());
        Some(given)
    }

    /// Takes a target over from another shard: [`Work::adopt`].
    pub fn adopt(&mut self, at: Appointment) -> bool {
        let adopted = self.work.adopt(at);
        self.pace.set_rate(self.plan.pace_pps * self.work.share());
        adopted
    }

    /// Takes note that this machine itself dropped arrivals just now: losses of probes under way are marked.
    pub fn on_own_drops(&mut self, now: Nanos) {
        self.dropped_at = now;
    }

    /// From now on probes are skipped as they fall due, or no more: there is no room for what they would tell.
    pub fn shed(&mut self, shedding: bool) {
        self.shedding = shedding;
    }

    /// Orders nothing more; what is in flight is waited for.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.work.stop();
    }

    /// Whether nothing is due any more and nothing is in flight that could change it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ledger.in_flight == 0 && self.left_out.is_empty() && self.work.due().is_none()
    }

    /// The longest round trip so far, in nanoseconds: how long a duplicate may still be on its way.
    #[must_use]
    pub fn rtt_max_ns(&self) -> u64 {
        self.rtt_max_ns
    }

    /// Target and round of a probe that the table remembers; for those who look on.
    pub fn probe_of(&mut self, key: u64) -> Option<(u64, u32)> {
        self.table.get(key).map(|entry| (entry.target, entry.seq))
    }

    /// The work, for those who read its figures.
    #[must_use]
    pub fn work(&self) -> &W {
        &self.work
    }

    /// The ledger.
    #[inline]
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes that the in-flight table takes.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.table.bytes()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;
