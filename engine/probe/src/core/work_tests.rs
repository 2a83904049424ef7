//! The core with work that decides by answers, and what the quotes of errors tell.

use super::tests::{SEATS, TIMEOUT_NS, left, plan, reply, tick};
use super::*;
use crate::border::{Arrival, Evidence, Kind, Quoted, Sent};
use crate::outcome::{Marks, Unsent, Verdict};

const DESTINATION: Addr = Addr::v4([198, 51, 100, 9]);
const ROUTER: Addr = Addr::v4([203, 0, 113, 1]);
const TIME_EXCEEDED: Kind = Kind::Error { icmp_type: 11, code: 0 };

/// One hop limit after the other, each when the one before has ended, until the destination answers.
#[derive(Default)]
struct Climb {
    next: Option<u8>,
    ends: Vec<(u8, Verdict)>,
    stopped: bool,
}

impl Work for Climb {
    fn begin(&mut self, _start: Nanos) {
        self.next = Some(1);
    }
    fn breathe(&mut self, _now: Nanos) {}
    fn due(&self) -> Option<Nanos> {
        self.next.filter(|_| !self.stopped).map(|_| Nanos(0))
    }
    fn is_overdue(&self, _due: Nanos) -> bool {
        self.next == Some(7)
    }
    fn take(&mut self) -> Option<Task> {
        let hop_limit = self.next.take()?;
        let due = Nanos(0);
        Some(Task { due, target: 5, destination: DESTINATION, seq: 0, flow: 3, hop_limit })
    }
    fn on_end(&mut self, outcome: &Outcome, answer: Option<&Arrival<'_>>) {
        assert_eq!(answer.is_some(), matches!(outcome.verdict, Verdict::Answered | Verdict::Error { .. }));
        self.ends.push((outcome.hop_limit, outcome.verdict));
        if outcome.verdict != Verdict::Answered {
            self.next = Some(outcome.hop_limit + 1);
        }
    }
    fn stop(&mut self) {
        self.stopped = true;
    }
}

fn climbing() -> Core<Climb> {
    let mut core = Core::new(plan(), Climb::default(), Identity::new(1, 0, [9; 16]));
    core.begin(Nanos(0));
    core
}

fn next(core: &mut Core<Climb>, now: u64) -> Order {
    core.breathe(Nanos(now));
    let order = core.next_order(Nanos(now), SEATS).expect("a probe is due");
    assert_eq!(core.next_order(Nanos(now), SEATS), None, "the next one waits for this one's end");
    order
}

fn error(order: &Order, at: u64) -> Arrival<'static> {
    let quoted = Quoted { hop_limit: 1, source: Addr::v4([192, 0, 2, 1]), ..Quoted::default() };
    Arrival { kind: TIME_EXCEEDED, responder: ROUTER, quoted, ..reply(order, at) }
}

#[test]
fn work_hears_of_each_end_once_and_what_is_due_may_follow_from_it() {
    let mut core = climbing();
    // Answered by a router, lost, not sent, skipped, and in the end answered.
    let order = next(&mut core, 0);
    left(&mut core, &order, 10);
    assert_eq!((order.hop_limit, order.flow), (1, 3));
    assert!(core.on_arrival(&error(&order, 20)).is_some());
    assert_eq!(core.on_arrival(&error(&order, 30)), None, "a duplicate is no end");

    let order = next(&mut core, 100);
    left(&mut core, &order, 110);
    assert!(!core.is_done(), "nothing is due, but something is in flight");
    assert_eq!(tick(&mut core, 120), []);
    assert_eq!(core.next_wake(), Some(Nanos(111 + TIMEOUT_NS)), "nobody wakes for the one that was answered");
    let now = 200 + TIMEOUT_NS;
    assert_eq!(tick(&mut core, now).len(), 1);
    assert_eq!(core.on_arrival(&reply(&order, now)), None, "a late answer is no end");

    for hop_limit in 3..7 {
        let order = next(&mut core, now);
        assert_eq!(order.hop_limit, hop_limit);
        core.on_sent(Sent { key: order.key, result: Err(Unsent::NoRoute) });
    }
    assert_eq!(tick(&mut core, now).len(), 1, "the seventh is overdue");
    let order = next(&mut core, now);
    left(&mut core, &order, now);
    assert!(core.on_arrival(&reply(&order, now + 5)).is_some());

    assert!(core.is_done() && core.ledger().balances());
    let unsent = |hop_limit, reason| (hop_limit, Verdict::Unsent(reason));
    let expected = [
        (1, Verdict::Error { icmp_type: 11, code: 0 }),
        (2, Verdict::Lost),
        unsent(3, Unsent::NoRoute),
        unsent(4, Unsent::NoRoute),
        unsent(5, Unsent::NoRoute),
        unsent(6, Unsent::NoRoute),
        unsent(7, Unsent::Overdue),
        (8, Verdict::Answered),
    ];
    assert_eq!(core.work().ends, expected);
}

#[test]
fn stopped_work_is_done_when_nothing_is_in_flight() {
    let mut core = climbing();
    let order = next(&mut core, 0);
    left(&mut core, &order, 0);
    core.stop();
    assert!(!core.is_done());
    core.on_arrival(&error(&order, 5));
    assert!(core.is_done());
}

#[test]
fn what_a_quote_shows_to_be_rewritten_is_marked_and_the_probe_is_found() {
    let sources = [Addr::v4([192, 0, 2, 1]), Addr::UNSPECIFIED];
    let ours = error(&next(&mut climbing(), 0), 20);
    let elsewhere = Addr::v4([10, 9, 8, 7]);
    for (change, mark) in [
        (ours, Marks::default()),
        (Arrival { destination: elsewhere, ..ours }, Marks::QUOTED_DESTINATION),
        (Arrival { quoted: Quoted { source: elsewhere, ..ours.quoted }, ..ours }, Marks::QUOTED_SOURCE),
        (Arrival { quoted: Quoted { traffic_class: 4, ..ours.quoted }, ..ours }, Marks::QUOTED_CLASS),
    ] {
        let plan = Plan { sources, ..plan() };
        let mut core = Core::new(plan, Climb::default(), Identity::new(1, 0, [9; 16]));
        core.begin(Nanos(0));
        let order = next(&mut core, 0);
        left(&mut core, &order, 10);
        let outcome = core.on_arrival(&change).expect("key and MAC name the probe");
        assert_eq!(outcome.marks, mark.with(Marks::OTHER_RESPONDER));
        assert_eq!(outcome.destination, DESTINATION);
    }
}

#[test]
fn eight_quoted_bytes_need_the_identity_and_a_forged_long_quote_is_invalid() {
    let mut core = climbing();
    let order = next(&mut core, 0);
    left(&mut core, &order, 10);
    let whole = error(&order, 20);
    let other = Arrival { evidence: None, identifier: whole.identifier ^ 1, ..whole };
    assert_eq!(core.on_arrival(&other), None);
    let forged = whole.evidence.map(|proof| Evidence { mac: proof.mac ^ 1, ..proof });
    assert_eq!(core.on_arrival(&Arrival { evidence: forged, ..whole }), None);
    assert_eq!((core.ledger().foreign, core.ledger().invalid, core.ledger().in_flight), (1, 1, 1));
    // Behind a NAT: it is marked.
    let elsewhere = Addr::v4([10, 9, 8, 7]);
    let outcome = core.on_arrival(&Arrival { evidence: None, destination: elsewhere, ..whole });
    let marks = outcome.expect("one probe alone can be meant").marks;
    assert!(marks.has(Marks::QUOTED_DESTINATION));
    assert_eq!(core.on_arrival(&Arrival { evidence: None, ..whole }), None);
    assert_eq!(core.ledger().duplicates, 1);
}
