use super::ending::coarse;
use super::*;
use crate::border::{Arrival, Evidence, Integrity, Kind, Quoted, Sent, Stamp};
use crate::outcome::StampSource;
use crate::outcome::{Marks, Unsent, Verdict};
use crate::ping::{Ping, PingPlan};
use crate::schedule::{Targets, Timing};

pub(super) const TIMEOUT_NS: u64 = 1_000_000_000;
pub(super) const SEATS: usize = 1 << 20;

/// Targets 10.0.0.0, 10.0.0.1, ... in order.
struct Line(u64);

impl Targets for Line {
    fn len(&self) -> u64 {
        self.0
    }
    fn index(&self, turn: u64) -> u64 {
        turn
    }
    fn turn(&self, index: u64) -> u64 {
        index
    }
    fn address(&self, index: u64) -> Addr {
        Addr::v4((0x0a00_0000 + index as u32).to_be_bytes())
    }
}

fn core_for(targets: u64, rounds: u32, late_max_ns: Option<u64>) -> Core<Ping<Line>> {
    let timing = Timing { round_ns: 1_000_000_000, rounds: Some(rounds), length_ns: None, late_max_ns };
    let ping = PingPlan { timing, shard: 0, shards: 1, movable: false, hop_limit: 64, flow: 0 };
    Core::new(plan(), Ping::new(&ping, Line(targets)), Identity::new(1, 0, [9; 16]))
}

pub(super) fn plan() -> Plan {
    Plan {
        pace_pps: 1e9,
        burst_max: 256,
        timeout_ns: TIMEOUT_NS,
        in_flight_max: 4096,
        sources: [Addr::UNSPECIFIED; 2],
        payload_len: 32,
        traffic_class: 0,
    }
}

pub(super) fn left<W: Work>(core: &mut Core<W>, order: &Order, at: u64) {
    let stamp = Stamp { at: Nanos(at), error_ns: 10, source: StampSource::User };
    assert_eq!(core.on_sent(Sent { key: order.key, result: Ok(stamp) }), None);
}

pub(super) fn reply(order: &Order, at: u64) -> Arrival<'static> {
    Arrival {
        kind: Kind::EchoReply,
        responder: order.destination,
        destination: order.destination,
        identifier: order.identifier,
        sequence: order.sequence,
        evidence: Some(Evidence { key: order.key, ordered_at: order.ordered_at, mac: order.mac }),
        integrity: Integrity::Good,
        hop_limit: 60,
        traffic_class: 0,
        stamp: Stamp { at: Nanos(at), error_ns: 5, source: StampSource::Kernel },
        quoted: Quoted::default(),
        packet: &[],
    }
}

/// A core with one probe under way that left at 1000.
fn one_in_flight() -> (Core<Ping<Line>>, Order) {
    let mut core = core_for(1, 1, None);
    let order = core.next_order(Nanos(500), SEATS).expect("the first probe is due at once");
    left(&mut core, &order, 1000);
    (core, order)
}

pub(super) fn tick<W: Work>(core: &mut Core<W>, now: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    core.breathe(Nanos(now));
    let made = core.on_tick(Nanos(now), SEATS, 256, |outcome| outcomes.push(outcome));
    assert_eq!(made as usize, outcomes.len());
    assert!(core.ledger().balances());
    outcomes
}

#[test]
fn a_reply_answers_its_probe_once() {
    let (mut core, order) = one_in_flight();
    let outcome = core.on_arrival(&reply(&order, 3500)).expect("the first reply ends the probe");
    assert_eq!(outcome.verdict, Verdict::Answered);
    // 10 of the departure and 5 of the arrival, rounded up.
    assert_eq!((outcome.rtt_ns, outcome.error_ns, outcome.reply_hop_limit), (2500, 16, 60));
    assert_eq!((outcome.at, outcome.stamp_source), (Nanos(1000), StampSource::Kernel));
    assert_eq!(core.on_arrival(&reply(&order, 3600)), None);
    let ledger = core.ledger();
    assert_eq!((ledger.answered, ledger.duplicates, ledger.in_flight), (1, 1, 0));
    assert!(ledger.balances() && core.is_done());
    assert_eq!(tick(&mut core, 10 * TIMEOUT_NS), []);
}

#[test]
fn silence_is_loss_and_what_comes_after_is_late() {
    let (mut core, order) = one_in_flight();
    assert_eq!(tick(&mut core, 1000 + TIMEOUT_NS), []);
    let lost = tick(&mut core, 1001 + TIMEOUT_NS);
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].verdict, lost[0].rtt_ns), (Verdict::Lost, 0));
    assert_eq!(core.on_arrival(&reply(&order, 2000 + TIMEOUT_NS)), None);
    assert_eq!((core.ledger().lost, core.ledger().late), (1, 1));
}

#[test]
fn a_reply_stamped_past_the_deadline_is_late_even_before_the_tick() {
    let (mut core, order) = one_in_flight();
    assert_eq!(core.on_arrival(&reply(&order, 1001 + TIMEOUT_NS)), None);
    assert_eq!((core.ledger().late, core.ledger().in_flight), (1, 1));
    assert_eq!(tick(&mut core, 1002 + TIMEOUT_NS).len(), 1);
}

#[test]
fn corrupt_and_forged_replies_are_invalid_and_never_a_result() {
    let (mut core, order) = one_in_flight();
    let good = reply(&order, 2000);
    core.on_arrival(&Arrival { integrity: Integrity::BadChecksum, ..good });
    let evidence = good.evidence.unwrap();
    for forged in [
        Evidence { mac: evidence.mac ^ 1, ..evidence },
        Evidence { ordered_at: Nanos(1), ..evidence },
        Evidence { key: evidence.key + 1, ..evidence },
    ] {
        assert_eq!(core.on_arrival(&Arrival { evidence: Some(forged), ..good }), None);
    }
    // A reply that is too short to carry our header proves nothing either.
    assert_eq!(core.on_arrival(&Arrival { evidence: None, ..good }), None);
    assert_eq!((core.ledger().invalid, core.ledger().in_flight), (5, 1));
    assert!(core.on_arrival(&good).is_some(), "and the probe can still be answered");
}

#[test]
fn what_leads_to_no_probe_is_foreign() {
    let (mut core, order) = one_in_flight();
    let stranger = Addr::v4([203, 0, 113, 1]);
    let other = Arrival { responder: stranger, destination: stranger, evidence: None, ..reply(&order, 2000) };
    assert_eq!(core.on_arrival(&other), None);
    let wrong = Some(Evidence { key: order.key, ordered_at: Nanos(3), mac: 4 });
    assert_eq!(core.on_arrival(&Arrival { evidence: wrong, ..other }), None);
    assert_eq!((core.ledger().foreign, core.ledger().invalid), (2, 0));
}

#[test]
fn a_reply_from_another_address_counts_and_is_marked() {
    let (mut core, order) = one_in_flight();
    let elsewhere = Addr::v4([203, 0, 113, 1]);
    let arrival = Arrival { responder: elsewhere, destination: elsewhere, ..reply(&order, 2000) };
    let outcome = core.on_arrival(&arrival).expect("the MAC proves it");
    assert_eq!((outcome.responder, outcome.destination), (elsewhere, order.destination));
    assert!(outcome.marks.has(Marks::OTHER_RESPONDER));
    assert_eq!(core.ledger().other_responder, 1);
}

#[test]
fn errors_end_a_probe_with_a_long_quote_and_with_eight_bytes() {
    let router = Addr::v4([203, 0, 113, 1]);
    for long in [true, false] {
        let (mut core, order) = one_in_flight();
        let kind = Kind::Error { icmp_type: 11, code: 0 };
        let whole = Arrival { kind, responder: router, ..reply(&order, 2000) };
        let arrival = Arrival { evidence: whole.evidence.filter(|_| long), ..whole };
        let outcome = core.on_arrival(&arrival).expect("the quote names the probe");
        assert_eq!(outcome.verdict, Verdict::Error { icmp_type: 11, code: 0 });
        assert_eq!((outcome.responder, outcome.rtt_ns), (router, 1000));
        assert_eq!((core.ledger().errors, core.ledger().other_responder), (1, 0));
        // A long quote with a wrong MAC is forged; an unknown short one is foreign.
        let forged = whole.evidence.map(|proof| Evidence { mac: 0, ..proof });
        core.on_arrival(&Arrival { evidence: forged, ..whole });
        core.on_arrival(&Arrival { evidence: None, sequence: order.sequence ^ 9, ..whole });
        assert_eq!((core.ledger().invalid, core.ledger().foreign), (1, 1));
    }
}

#[test]
fn a_refused_probe_is_unsent_with_its_reason() {
    let mut core = core_for(3, 1, None);
    let now = Nanos(2_000_000_000);
    core.breathe(now);
    let orders: Vec<Order> = std::iter::from_fn(|| core.next_order(now, SEATS)).collect();
    assert_eq!(orders.len(), 3);
    let refuse = |reason, key| Sent { key, result: Err(reason) };
    let verdict = |outcome: Option<Outcome>| outcome.map(|outcome| outcome.verdict);
    assert_eq!(
        verdict(core.on_sent(refuse(Unsent::NoRoute, orders[0].key))),
        Some(Verdict::Unsent(Unsent::NoRoute))
    );
    assert!(core.is_stuck(now + TIMEOUT_NS + 1) || core.ledger().in_flight == 2);
    // Given up while the run goes on: the ring was full. Given up at the end: stopped.
    assert_eq!(
        verdict(core.on_sent(refuse(Unsent::Stopped, orders[1].key))),
        Some(Verdict::Unsent(Unsent::RingFull))
    );
    core.stop();
    assert_eq!(
        verdict(core.on_sent(refuse(Unsent::Stopped, orders[2].key))),
        Some(Verdict::Unsent(Unsent::Stopped))
    );
    assert!(core.is_done() && core.ledger().balances());
    assert_eq!(core.ledger().sent, 0);
}

#[test]
fn an_answer_that_overtakes_the_report_of_sending_counts_once() {
    let mut core = core_for(1, 1, None);
    let order = core.next_order(Nanos(500), SEATS).unwrap();
    assert!(core.on_arrival(&reply(&order, 1500)).is_some());
    left(&mut core, &order, 1000);
    let ledger = core.ledger();
    assert_eq!((ledger.sent, ledger.answered, ledger.in_flight), (1, 1, 0));
    assert!(ledger.balances());
}

#[test]
fn no_probe_leaves_without_a_seat_and_those_skipped_for_it_say_so() {
    let mut core = core_for(1000, 3, Some(100_000_000));
    let now = Nanos(50_000_000);
    tick(&mut core, now.0);
    for _ in 0..7 {
        assert!(core.next_order(now, 7).is_some());
    }
    assert_eq!(core.next_order(now, 7), None);
    // Later the seats are back, and what is too late by then was late for want of a seat.
    let skipped = tick(&mut core, 300_000_000);
    assert!(skipped.len() > 100);
    assert!(skipped.iter().all(|outcome| outcome.verdict == Verdict::Unsent(Unsent::Backpressure)));
}

#[test]
fn what_falls_due_while_there_is_no_room_for_results_is_shed() {
    let mut core = core_for(1000, 3, None);
    core.shed(true);
    assert_eq!(core.next_order(Nanos(50_000_000), SEATS), None);
    let shed = tick(&mut core, 50_000_000);
    assert!(shed.len() > 30, "{}", shed.len());
    assert!(shed.iter().all(|outcome| outcome.verdict == Verdict::Unsent(Unsent::Shed)));
    assert_eq!(core.ledger().unsent[Unsent::Shed as usize], shed.len() as u64);
    core.shed(false);
    assert!(tick(&mut core, 60_000_000).is_empty());
    assert!(core.next_order(Nanos(60_000_000), SEATS).is_some());
    assert!(core.ledger().balances());
}

#[test]
fn after_a_stall_the_overdue_are_skipped_and_nothing_bursts() {
    let mut core = core_for(1000, 10, Some(100_000_000));
    for now in (0..100u64).map(|step| step * 1_000_000) {
        tick(&mut core, now);
        while core.next_order(Nanos(now), SEATS).is_some() {}
    }
    let before = core.ledger().scheduled;
    let mut skipped = 0;
    loop {
        let now = tick(&mut core, 3_000_000_000);
        if now.is_empty() {
            break;
        }
        skipped += now.len();
        assert!(now.iter().all(|outcome| outcome.verdict == Verdict::Unsent(Unsent::Overdue)));
    }
    assert!((2790..=2910).contains(&skipped), "{skipped} skipped of 2,900 that came due");
    assert_eq!(core.ledger().scheduled, before + skipped as u64);
    let at_once = std::iter::from_fn(|| core.next_order(Nanos(3_000_000_000), SEATS)).count();
    assert!(at_once <= 101, "{at_once} probes left at once after the stall");
}

#[test]
fn own_drops_mark_the_losses_of_that_time() {
    let (mut core, _) = one_in_flight();
    core.on_own_drops(Nanos(5000));
    assert!(tick(&mut core, 2 * TIMEOUT_NS)[0].marks.has(Marks::SELF_INFLICTED));
    let (mut core, _) = one_in_flight();
    core.on_own_drops(Nanos(900));
    assert!(!tick(&mut core, 2 * TIMEOUT_NS)[0].marks.has(Marks::SELF_INFLICTED));
}

#[test]
fn the_core_wakes_for_the_next_probe_or_the_next_expiry() {
    let mut core = core_for(2, 1, None);
    assert_eq!(core.next_wake(), Some(Nanos(0)));
    let order = core.next_order(Nanos(0), SEATS).unwrap();
    left(&mut core, &order, 100);
    assert_eq!(core.next_wake(), Some(Nanos(500_000_000)));
    let second = core.next_order(Nanos(500_000_000), SEATS).unwrap();
    left(&mut core, &second, 500_000_100);
    assert_eq!(core.next_wake(), Some(Nanos(100 + TIMEOUT_NS + 1)));
    tick(&mut core, 3 * TIMEOUT_NS);
    assert_eq!(core.next_wake(), None);
    assert!(core.is_done());
}

#[test]
fn an_answer_that_seems_to_precede_its_probe_narrows_the_departure() {
    let mut core = core_for(1, 1, None);
    let order = core.next_order(Nanos(500), SEATS).unwrap();
    let stamp = Stamp { at: Nanos(5000), error_ns: 3000, source: StampSource::User };
    core.on_sent(Sent { key: order.key, result: Ok(stamp) });
    // It left within 2000 to 8000, and the answer was here at 4000.
    let outcome = core.on_arrival(&reply(&order, 4000)).unwrap();
    assert_eq!((outcome.at, outcome.rtt_ns, outcome.error_ns), (Nanos(3000), 1000, 1024));
}

#[test]
fn a_coarse_bound_is_never_narrower_and_at_most_a_quarter_wider() {
    for error_ns in (0..100_000).chain([u32::MAX / 2, u32::MAX - 1, u32::MAX]) {
        let coarse = coarse(error_ns);
        assert!(coarse >= error_ns && u64::from(coarse) * 4 <= u64::from(error_ns) * 5 + 4, "{error_ns}");
    }
}

#[test]
fn losses_take_their_own_seats_and_skipped_probes_only_free_ones() {
    let mut core = core_for(1000, 9, Some(100_000_000));
    let mut now = 0;
    let (mut seats, mut rows) = (1500usize, 0usize);
    for _ in 0..40 {
        core.breathe(Nanos(now));
        core.on_tick(Nanos(now), seats - rows, 256, |_| rows += 1);
        assert!(rows + core.ledger().in_flight as usize <= seats, "an outcome without a seat");
        while let Some(order) = core.next_order(Nanos(now), seats - rows) {
            left(&mut core, &order, now);
        }
        assert!(rows + core.ledger().in_flight as usize <= seats && core.ledger().balances());
        now += 300_000_000;
    }
    assert_eq!(core.ledger().ended() as usize, rows);
    seats -= rows + core.ledger().in_flight as usize;
    assert_eq!(seats, 0, "every seat was used, and none twice");
}
