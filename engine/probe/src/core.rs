//! The probing core of one shard: what to send next, and what became of it.

use crate::border::{Arrival, Integrity, Kind, Order, Sent, Stamp};
use crate::identity::Identity;
use crate::inflight::{Entry, InFlight, State};
use crate::ledger::Ledger;
use crate::outcome::{Marks, Outcome, StampSource, Unsent, Verdict};
use crate::pace::Pace;
use crate::schedule::{Schedule, Slot, Targets, Timing};
use crate::time::Nanos;
use megaping_wire::Addr;

/// What one shard shall do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// When probes are due.
    pub timing: Timing,
    /// Which shard this is.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// Probes a second that this shard may send at most, catching up included.
    pub pace_pps: f64,
    /// How long a probe waits for its answer, in nanoseconds.
    pub timeout_ns: u64,
    /// Probes that can be in flight at once.
    pub in_flight_max: usize,
    /// Source addresses by family, IPv4 first; [`Addr::UNSPECIFIED`] lets the kernel choose.
    pub sources: [Addr; 2],
    /// Payload bytes.
    pub payload_len: u16,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class octet.
    pub traffic_class: u8,
    /// The flow that is explored.
    pub flow: u16,
}

/// The core: pure, without clock, socket or thread, and without allocation after [`Core::new`].
#[derive(Debug)]
pub struct Core<T> {
    plan: Plan,
    targets: T,
    identity: Identity,
    schedule: Schedule,
    pace: Pace,
    table: InFlight,
    ledger: Ledger,
    // Whether the last probe that was due had to wait for a seat: why it is late, should it be skipped.
    starved: bool,
    stopping: bool,
    rtt_max_ns: u64,
    dropped_at: Nanos,
}

impl<T: Targets> Core<T> {
    /// The core of a shard; allocates everything it will ever need.
    #[must_use]
    pub fn new(plan: Plan, targets: T, identity: Identity) -> Core<T> {
        let schedule =
            Schedule::new(plan.timing, targets.len(), u64::from(plan.shard), u64::from(plan.shards));
        Core {
            schedule,
            pace: Pace::new(plan.pace_pps),
            table: InFlight::new(plan.in_flight_max),
            ledger: Ledger::default(),
            starved: false,
            stopping: false,
            rtt_max_ns: 0,
            dropped_at: Nanos(0),
            plan,
            targets,
            identity,
        }
    }

    /// Says when the first round begins; before the first order.
    pub fn begin(&mut self, start: Nanos) {
        self.schedule.begin(start);
    }

    /// The next probe that is due, allowed, and sure of a seat for its outcome. `seats` counts the outcomes
    /// that storage has room for, those in flight included.
    #[inline]
    pub fn next_order(&mut self, now: Nanos, seats: usize) -> Option<Order> {
        let due = self.schedule.due()?;
        if due > now || self.schedule.is_overdue(due, now) {
            return None;
        }
        if self.ledger.in_flight as usize >= seats {
            self.starved = true;
            return None;
        }
        if self.table.is_full() || !self.pace.take(now) {
            return None;
        }
        self.starved = false;
        let slot = self.schedule.take()?;
        self.ledger.lateness.record(now.since(due));
        Some(self.order(slot, now))
    }

    #[inline]
    fn order(&mut self, slot: Slot, now: Nanos) -> Order {
        let (target, destination) = self.targets.at(slot.turn);
        let identifier = self.identity.identifier(&destination);
        let Plan { payload_len, flow, hop_limit, traffic_class, sources, .. } = self.plan;
        let key = self.table.push(Entry {
            destination,
            at: now,
            target,
            seq: slot.round,
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
            source: sources[usize::from(!destination.is_v4())],
            identifier,
            sequence,
            payload_len,
            flow,
            hop_limit,
            traffic_class,
        }
    }

    /// Takes the ring's word on an order; an outcome where the probe did not leave.
    #[inline]
    pub fn on_sent(&mut self, sent: Sent) -> Option<Outcome> {
        let entry = self.table.get(sent.key)?;
        match sent.result {
            Ok(stamp) => {
                self.ledger.sent += 1;
                self.ledger.last_sent = stamp.at;
                // An answer that overtook this report has closed the entry already.
                if entry.state == State::Ordered {
                    entry.at = stamp.at;
                    entry.error_ns = stamp.error_ns;
                    entry.state = State::Flying;
                }
                None
            }
            Err(reason) if entry.state == State::Ordered => {
                let reason = match reason {
                    // The ring gives up only when told to: for the end of the run, or because it was full
                    // for as long as a probe lives.
                    Unsent::Stopped if !self.stopping => Unsent::RingFull,
                    other => other,
                };
                entry.state = State::Unsent;
                let outcome = outcome(entry, Verdict::Unsent(reason));
                self.ledger.close(outcome.verdict);
                Some(outcome)
            }
            Err(_) => None,
        }
    }

    /// Matches what came; an outcome where it is the first valid answer of a probe under way.
    #[inline]
    pub fn on_arrival(&mut self, arrival: &Arrival<'_>) -> Option<Outcome> {
        if arrival.integrity == Integrity::BadChecksum {
            self.ledger.invalid += 1;
            return None;
        }
        let Some(position) = self.locate(arrival) else {
            self.file_unmatched(arrival);
            return None;
        };
        // Present: `locate` has just looked at it.
        let entry = self.table.get(position)?;
        match entry.state {
            State::Flying | State::Ordered => {}
            State::Answered => {
                self.ledger.duplicates += 1;
                return None;
            }
            State::Lost => {
                self.ledger.late += 1;
                return None;
            }
            State::Unsent | State::Empty => {
                self.ledger.invalid += 1;
                return None;
            }
        }
        if arrival.stamp.at.since(entry.at) > self.plan.timeout_ns {
            // Its time was over before it came, and only the tick that says so is still to come.
            self.ledger.late += 1;
            return None;
        }
        let answered = answer(entry, arrival);
        entry.state = State::Answered;
        self.rtt_max_ns = self.rtt_max_ns.max(answered.rtt_ns);
        self.ledger.other_responder +=
            u64::from(arrival.kind == Kind::EchoReply && answered.marks.has(Marks::OTHER_RESPONDER));
        self.ledger.close(answered.verdict);
        Some(answered)
    }

    /// The position of the probe that an arrival proves to answer.
    #[inline]
    fn locate(&mut self, arrival: &Arrival<'_>) -> Option<u64> {
        let Some(evidence) = &arrival.evidence else {
            // A reply echoes our whole payload; only an error may quote less (RFC 792: eight bytes).
            return match arrival.kind {
                Kind::EchoReply => None,
                Kind::Error { .. } => {
                    self.table.find(arrival.identifier, arrival.sequence, &arrival.destination)
                }
            };
        };
        let entry = self.table.get(evidence.key)?;
        let destination = entry.destination;
        self.identity
            .verify(&destination, arrival.identifier, arrival.sequence, evidence)
            .then_some(evidence.key)
    }

    /// Files what answers no probe that the table remembers: late, forged, or somebody else's.
    #[cold]
    fn file_unmatched(&mut self, arrival: &Arrival<'_>) {
        let Arrival { identifier, sequence, destination, evidence, .. } = arrival;
        let forgotten = evidence
            .as_ref()
            .is_some_and(|proof| self.identity.verify(destination, *identifier, *sequence, proof));
        if forgotten {
            self.ledger.late += 1;
        } else if self.table.find(*identifier, *sequence, destination).is_some() {
            self.ledger.invalid += 1;
        } else {
            self.ledger.foreign += 1;
        }
    }

    /// Lets time pass: ends what nobody answered, and skips what is overdue. Makes at most `quota` outcomes,
    /// and skips no more than the `seats` allow.
    #[inline]
    pub fn on_tick(&mut self, now: Nanos, seats: usize, quota: u32, mut emit: impl FnMut(Outcome)) {
        self.schedule.breathe(now);
        let mut left = quota;
        while left > 0 {
            let Some(entry) = self.table.oldest() else { break };
            if entry.state == State::Ordered || now.since(entry.at) <= self.plan.timeout_ns {
                break;
            }
            if entry.state == State::Flying {
                entry.state = State::Lost;
                let mut lost = outcome(entry, Verdict::Lost);
                if self.dropped_at >= lost.at && self.dropped_at > Nanos(0) {
                    lost.marks = lost.marks.with(Marks::SELF_INFLICTED);
                }
                self.ledger.close(Verdict::Lost);
                emit(lost);
                left -= 1;
            }
            self.table.pass_oldest();
        }
        self.skip_overdue(now, seats, left, emit);
    }

    fn skip_overdue(&mut self, now: Nanos, seats: usize, quota: u32, mut emit: impl FnMut(Outcome)) {
        let free = (seats as u64).saturating_sub(self.ledger.in_flight);
        for _ in 0..free.min(u64::from(quota)) {
            match self.schedule.due() {
                Some(due) if due <= now && self.schedule.is_overdue(due, now) => {}
                _ => return,
            }
            let Some(slot) = self.schedule.take() else { return };
            let reason = if self.starved { Unsent::Backpressure } else { Unsent::Overdue };
            let (target, destination) = self.targets.at(slot.turn);
            let skipped = Entry {
                destination,
                at: slot.due,
                target,
                seq: slot.round,
                flow: self.plan.flow,
                size: self.plan.payload_len,
                hop_limit: self.plan.hop_limit,
                ..Entry::default()
            };
            self.ledger.scheduled += 1;
            self.ledger.unsent[reason as usize] += 1;
            emit(outcome(&skipped, Verdict::Unsent(reason)));
        }
    }

    /// When the core wants to be asked again; `None` when it has nothing to wait for.
    #[inline]
    #[must_use]
    pub fn next_wake(&mut self) -> Option<Nanos> {
        let due = self.schedule.due().map(|due| due.max(self.pace.ready_at()));
        let timeout_ns = self.plan.timeout_ns;
        let expiry = self.table.oldest().map(|entry| entry.at + timeout_ns + 1);
        match (due, expiry) {
            (Some(due), Some(expiry)) => Some(due.min(expiry)),
            (due, expiry) => due.or(expiry),
        }
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

    /// Takes note that this machine itself dropped arrivals just now: losses of probes under way are marked.
    pub fn on_own_drops(&mut self, now: Nanos) {
        self.dropped_at = now;
    }

    /// Orders nothing more; what is in flight is waited for.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.schedule.stop();
    }

    /// Whether nothing is due any more and everything has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ledger.in_flight == 0 && self.schedule.due().is_none()
    }

    /// The longest round trip so far, in nanoseconds: how long a duplicate may still be on its way.
    #[must_use]
    pub fn rtt_max_ns(&self) -> u64 {
        self.rtt_max_ns
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

fn outcome(entry: &Entry, verdict: Verdict) -> Outcome {
    Outcome {
        at: entry.at,
        rtt_ns: 0,
        target: entry.target,
        destination: entry.destination,
        responder: entry.destination,
        seq: entry.seq,
        error_ns: entry.error_ns,
        size: entry.size,
        flow: entry.flow,
        verdict,
        hop_limit: entry.hop_limit,
        reply_hop_limit: 0,
        stamp_source: StampSource::User,
        marks: Marks::default(),
    }
}

fn answer(entry: &Entry, arrival: &Arrival<'_>) -> Outcome {
    let Stamp { at, error_ns, source } = arrival.stamp;
    let left = departure(entry, at);
    let verdict = match arrival.kind {
        Kind::EchoReply => Verdict::Answered,
        Kind::Error { icmp_type, code } => Verdict::Error { icmp_type, code },
    };
    let marks =
        if arrival.responder == entry.destination { Marks::default() } else { Marks::OTHER_RESPONDER };
    Outcome {
        at: left.at,
        rtt_ns: at.since(left.at),
        responder: arrival.responder,
        error_ns: coarse(left.error_ns.saturating_add(error_ns)),
        reply_hop_limit: arrival.hop_limit,
        stamp_source: source,
        marks,
        ..outcome(entry, verdict)
    }
}

/// A bound rounded up to three significant bits: as honest, at most a quarter wider, and a column of them
/// compresses well.
#[inline]
const fn coarse(error_ns: u32) -> u32 {
    let extra = (32 - error_ns.leading_zeros()).saturating_sub(3);
    match error_ns.checked_add((1 << extra) - 1) {
        Some(sum) => sum >> extra << extra,
        None => u32::MAX,
    }
}

/// When an answered probe left. No answer comes before its probe has left: one that seems to narrows the
/// departure down to the time before it, and the middle of that is the best guess.
#[inline]
fn departure(entry: &Entry, answered: Nanos) -> Stamp {
    if answered > entry.at {
        return Stamp { at: entry.at, error_ns: entry.error_ns, source: StampSource::User };
    }
    let earliest = entry.at - u64::from(entry.error_ns);
    let half = answered.since(earliest) / 2;
    Stamp { at: earliest + half, error_ns: half as u32, source: StampSource::User }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
