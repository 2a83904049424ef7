//! A shard's side of a capture: what it hands over of the packets that somebody wants to see.
//!
//! While nobody looks, a shard pays one relaxed load a breath. While somebody does, it copies what the filter wants into
//! buffers of a pool, and where none is free, or nobody takes them, it counts what is missing and goes on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use megaping_capture::{Direction, Facts, Filter, Verdict};
use megaping_probe::{
    Arrival, Core, Evidence, Integrity, Kind, Ledger, Nanos, Order, Outcome, Sent, Stamp, Work,
};
use megaping_wire::Addr;

/// Packets that may wait between a shard and the tap's thread.
const EVENTS: usize = 4096;
/// Bytes of a packet that are kept, at most: an ICMPv6 error is not longer (RFC 4443 section 2.4).
const KEPT: usize = 2048;

/// What a shard and the tap's thread share.
#[derive(Debug)]
pub struct Link {
    generation: AtomicU64,
    filter: Mutex<Option<Arc<Filter>>>,
    full: ArrayQueue<Box<Event>>,
    free: ArrayQueue<Box<Event>>,
    dropped: AtomicU64,
}

impl Link {
    /// With its pool.
    #[must_use]
    pub fn new() -> Arc<Link> {
        let link = Link {
            generation: AtomicU64::new(0),
            filter: Mutex::new(None),
            full: ArrayQueue::new(EVENTS),
            free: ArrayQueue::new(EVENTS),
            dropped: AtomicU64::new(0),
        };
        while link.free.push(Box::default()).is_ok() {}
        Arc::new(link)
    }

    /// From now on the shard hands over what `filter` wants; nothing without one.
    pub fn watch(&self, filter: Option<Arc<Filter>>) {
        *self.filter.lock().unwrap_or_else(PoisonError::into_inner) = filter;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The next packet.
    pub fn take(&self) -> Option<Box<Event>> {
        self.full.pop()
    }

    /// Its buffer goes back.
    pub fn give_back(&self, event: Box<Event>) {
        // As many as came out of it fit into it.
        let _fits = self.free.push(event);
    }

    /// Packets that were wanted and that there was no room for, since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One packet, as the shard knew it.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Unix nanoseconds of its departure or arrival.
    pub time_ns: u64,
    /// How far off that may be.
    pub error_ns: u32,
    /// What was made of it.
    pub verdict: Option<Verdict>,
    /// Target and round of its probe, where that is known.
    pub probe: Option<(u64, u32)>,
    /// The probe's number in its shard, or what is nearest to it.
    pub key: u64,
    /// The round trip, of a first answer.
    pub rtt_ns: Option<u64>,
    /// The probe's destination.
    pub destination: Option<Addr>,
    /// Of what left.
    pub order: Option<Order>,
    /// Of what arrived.
    pub answer: Option<Answer>,
    /// The bytes, as far as the ring moves any.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub original_len: usize,
}

/// What is known of an arrival, should its bytes have to be put together.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Echo reply, or which error.
    pub kind: Kind,
    /// Who sent it.
    pub responder: Addr,
    /// The probe's identifier.
    pub identifier: u16,
    /// Its sequence.
    pub sequence: u16,
    /// Our header, where it came back.
    pub evidence: Option<Evidence>,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
}

/// The shard's end.
#[derive(Debug)]
pub struct Tap {
    link: Arc<Link>,
    generation: u64,
    filter: Option<Arc<Filter>>,
    // Of the filter, so that what is not in the sample costs next to nothing.
    sample_most: u32,
    // Those that the ring has, of which somebody wants to know when they leave.
    orders: HashMap<u64, Order>,
}

impl Tap {
    /// Hands over through `link`.
    #[must_use]
    pub fn new(link: Arc<Link>) -> Tap {
        Tap { link, generation: 0, filter: None, sample_most: u32::MAX, orders: HashMap::new() }
    }

    /// Itself, while somebody looks.
    #[inline]
    pub fn watched(&mut self) -> Option<&mut Tap> {
        if self.link.generation.load(Ordering::Relaxed) != self.generation {
            self.look();
        }
        self.filter.is_some().then_some(self)
    }

    #[cold]
    fn look(&mut self) {
        self.generation = self.link.generation.load(Ordering::Acquire);
        self.filter.clone_from(&self.link.filter.lock().unwrap_or_else(PoisonError::into_inner));
        self.sample_most = self.filter.as_ref().map_or(u32::MAX, |filter| filter.sample_most());
        self.orders = HashMap::new();
    }

    fn wants(&self, facts: &Facts) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.wants(facts))
    }

    /// A probe is given to the ring.
    #[inline]
    pub fn ordered(&mut self, order: &Order) {
        if Filter::samples(order.key, self.sample_most) {
            self.ordered_sample(order);
        }
    }

    fn ordered_sample(&mut self, order: &Order) {
        let echo = if order.destination.is_v4() { 8 } else { 128 };
        let facts = Facts {
            direction: Direction::Out,
            verdict: Verdict::Sent,
            destination: order.destination,
            icmp_type: Some(echo),
            key: order.key,
        };
        if self.wants(&facts) {
            self.orders.insert(order.key, *order);
        }
    }

    /// The ring says what became of it.
    pub fn sent<W: Work>(&mut self, sent: &Sent, core: &mut Core<W>, unix_offset_ns: u64) {
        if !Filter::samples(sent.key, self.sample_most) {
            return;
        }
        let Some(order) = self.orders.remove(&sent.key) else { return };
        let Ok(stamp) = sent.result else { return };
        let probe = core.probe_of(sent.key);
        self.hand_over(unix_offset_ns, stamp, |event| {
            event.verdict = Some(Verdict::Sent);
            (event.probe, event.key, event.rtt_ns) = (probe, order.key, None);
            event.destination = Some(order.destination);
            (event.order, event.answer) = (Some(order), None);
            event.bytes.clear();
        });
    }

    /// Has the core match an arrival, and hands over what it made of it.
    pub fn matched<W: Work>(
        &mut self,
        arrival: &Arrival<'_>,
        core: &mut Core<W>,
        unix_offset_ns: u64,
    ) -> Option<Outcome> {
        if !Filter::samples(key_of(arrival), self.sample_most) {
            return core.on_arrival(arrival);
        }
        let before = *core.ledger();
        let outcome = core.on_arrival(arrival);
        let verdict = verdict(arrival, outcome.as_ref(), &before, core.ledger());
        let known = match (&outcome, &arrival.evidence) {
            (Some(outcome), _) => Some((outcome.target, outcome.seq)),
            (None, Some(evidence)) if verdict != Verdict::Foreign => core.probe_of(evidence.key),
            (None, _) => None,
        };
        self.arrived(arrival, verdict, known, outcome.as_ref().map(|outcome| outcome.rtt_ns), unix_offset_ns);
        outcome
    }

    /// An arrival that goes to a sibling.
    pub fn handed_over(&mut self, arrival: &Arrival<'_>, unix_offset_ns: u64) {
        self.arrived(arrival, Verdict::HandedOver, None, None, unix_offset_ns);
    }

    fn arrived(
        &mut self,
        arrival: &Arrival<'_>,
        verdict: Verdict,
        probe: Option<(u64, u32)>,
        rtt_ns: Option<u64>,
        unix_offset_ns: u64,
    ) {
        let key = key_of(arrival);
        let icmp_type = match arrival.kind {
            Kind::EchoReply if arrival.responder.is_v4() => 0,
            Kind::EchoReply => 129,
            Kind::Error { icmp_type, .. } => icmp_type,
        };
        let facts = Facts {
            direction: Direction::In,
            verdict,
            destination: arrival.destination,
            icmp_type: Some(icmp_type),
            key,
        };
        if !self.wants(&facts) {
            return;
        }
        let Arrival { kind, responder, identifier, sequence, evidence, hop_limit, traffic_class, .. } =
            *arrival;
        self.hand_over(unix_offset_ns, arrival.stamp, |event| {
            event.verdict = Some(verdict);
            (event.probe, event.key, event.rtt_ns) = (probe, key, rtt_ns);
            event.destination = Some(arrival.destination);
            event.order = None;
            event.answer =
                Some(Answer { kind, responder, identifier, sequence, evidence, hop_limit, traffic_class });
            event.bytes.clear();
            event.bytes.extend_from_slice(&arrival.packet[..arrival.packet.len().min(KEPT)]);
            event.original_len = arrival.packet.len();
        });
    }

    fn hand_over(&self, unix_offset_ns: u64, stamp: Stamp, fill: impl FnOnce(&mut Event)) {
        let Some(mut event) = self.link.free.pop() else {
            self.link.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Stamp { at: Nanos(at), error_ns, .. } = stamp;
        (event.time_ns, event.error_ns) = (at.wrapping_add(unix_offset_ns), error_ns);
        fill(&mut event);
        if let Err(event) = self.link.full.push(event) {
            self.link.dropped.fetch_add(1, Ordering::Relaxed);
            self.link.give_back(event);
        }
    }
}

/// The probe's number, or what is nearest to it.
fn key_of(arrival: &Arrival<'_>) -> u64 {
    arrival.evidence.as_ref().map_or(u64::from(arrival.sequence), |evidence| evidence.key)
}

/// What the core made of an arrival, by what it counted.
fn verdict(arrival: &Arrival<'_>, outcome: Option<&Outcome>, before: &Ledger, after: &Ledger) -> Verdict {
    match (outcome, arrival.kind) {
        (Some(_), Kind::EchoReply) => Verdict::Matched,
        (Some(_), Kind::Error { .. }) => Verdict::Error,
        _ if arrival.integrity == Integrity::BadChecksum => Verdict::Corrupt,
        _ if after.duplicates > before.duplicates => Verdict::Duplicate,
        _ if after.late > before.late => Verdict::Late,
        _ if after.invalid > before.invalid => Verdict::InvalidMac,
        _ => Verdict::Foreign,
    }
}
