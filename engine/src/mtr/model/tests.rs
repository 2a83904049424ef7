//! The model against events whose truth is known.

use megaping_probe::trace::{HopEnd, HopEvent, HopMarks, Labels};
use megaping_probe::{Nanos, Unsent};
use megaping_wire::Addr;
use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn destination() -> Addr {
    Addr::v4([192, 0, 2, 99])
}

fn router(ttl: u8) -> Addr {
    Addr::v4([10, 0, ttl, 1])
}

fn event(round: u32, ttl: u8, end: HopEnd, responder: Addr) -> HopEvent {
    let answered = !matches!(end, HopEnd::Lost | HopEnd::Unsent(_));
    HopEvent {
        at: Nanos(u64::from(round) * 1_000 * MS + u64::from(ttl)),
        target: 0,
        flow: 0,
        round,
        ttl,
        end,
        responder,
        rtt_ns: if answered { u64::from(ttl) * 2 * MS } else { 0 },
        reply_hop_limit: 0,
        quoted_hop_limit: 1,
        quoted_traffic_class: 0,
        marks: HopMarks::default(),
        labels: Labels::NONE,
    }
}

/// One round over a path of `length` hops, the last of which is the destination.
fn round(round: u32, length: u8) -> Vec<HopEvent> {
    let hop = |ttl| match ttl {
        ttl if ttl < length => event(round, ttl, HopEnd::TimeExceeded, router(ttl)),
        ttl => event(round, ttl, HopEnd::Reached, destination()),
    };
    (1..=length).map(hop).collect()
}

fn lost(of: HopEvent) -> HopEvent {
    HopEvent { end: HopEnd::Lost, responder: destination(), rtt_ns: 0, ..of }
}

fn model(events: impl IntoIterator<Item = HopEvent>) -> Model {
    let mut model = Model::new([destination()], 1);
    events.into_iter().for_each(|event| model.take(&event));
    model
}

fn path(model: &Model) -> &Path {
    model.targets()[0].path(None)
}

#[test]
fn the_path_ends_at_the_nearest_answer_of_the_destination() {
    let beyond = (0..3).flat_map(|n| (5..9).map(move |ttl| event(n, ttl, HopEnd::Reached, destination())));
    let model = model((0..3).flat_map(|n| round(n, 5)).chain(beyond));
    let path = path(&model);
    assert_eq!(path.end(), Some(End { ttl: 5, reached: true }));
    assert_eq!(path.hops().map(|(ttl, _)| ttl).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let expected: Vec<_> = (1..5).map(router).chain([destination()]).map(Some).collect();
    assert_eq!(path.route(), expected);
    // The fifth hop's three rounds came twice.
    assert_eq!(model.left_out(), (3, 0));
}

#[test]
fn an_end_that_is_refuted_or_forgotten_is_none() {
    let longer = model((0..5).flat_map(|n| round(n, 5)).chain((5..9).flat_map(|n| round(n, 6))));
    assert_eq!(path(&longer).end(), Some(End { ttl: 6, reached: true }));
    let shorter = model((0..5).flat_map(|n| round(n, 6)).chain((5..9).flat_map(|n| round(n, 5))));
    assert_eq!(path(&shorter).end(), Some(End { ttl: 5, reached: true }));
    // The new router of hop five is silent.
    let silent = (5..20).flat_map(|n| round(n, 6)).map(|e| if e.ttl == 5 { lost(e) } else { e });
    let silent = model((0..5).flat_map(|n| round(n, 5)).chain(silent));
    assert_eq!(path(&silent).end(), Some(End { ttl: 6, reached: true }));
}

#[test]
fn an_unreachable_ends_the_path_and_silence_does_not() {
    let unreachable = HopEnd::Unreachable { icmp_type: 3, code: 1 };
    let mut events = round(0, 3);
    events[2] = event(0, 3, unreachable, router(2));
    let model_unreachable = model(events);
    assert_eq!(path(&model_unreachable).end(), Some(End { ttl: 3, reached: false }));
    let events = round(0, 30).into_iter().map(|e| if e.ttl > 3 { lost(e) } else { e });
    let silent = model(events);
    assert_eq!(path(&silent).end(), None);
    assert_eq!(path(&silent).hops().count(), 4);
}

#[test]
fn what_never_left_is_not_lost_and_what_nobody_knows_is_counted() {
    let unsent =
        HopEvent { end: HopEnd::Unsent(Unsent::NoRoute), ..event(0, 1, HopEnd::Lost, destination()) };
    let mut model = model([unsent, unsent]);
    model.take(&HopEvent { target: 7, ..unsent });
    model.take(&HopEvent { flow: 7, ..unsent });
    model.take(&HopEvent { ttl: 0, ..unsent });
    let hop = path(&model).hop(1).unwrap();
    assert_eq!((hop.sent, hop.received, hop.unsent), (0, 0, 2));
    assert_eq!(model.left_out(), (0, 3));
}

#[test]
fn a_change_is_noted_once_with_both_paths() {
    let other = |ttl: u8| Addr::v4([10, 9, ttl, 1]);
    let after = (50..80).flat_map(|n| round(n, 7)).map(|e| match e.ttl {
        3..=5 => HopEvent { responder: other(e.ttl), ..e },
        _ => e,
    });
    // A hop that answers every other round proves the change later.
    let after = after.map(|e| if e.ttl == 4 && e.round % 2 == 0 { lost(e) } else { e });
    let model = model((0..50).flat_map(|n| round(n, 6)).chain(after));
    let path = path(&model);
    assert_eq!(path.changes().total(), 1);
    let change = path.changes().iter().next().unwrap();
    assert_eq!((change.round, change.first_hop), (50, 3));
    let before: Route = (1..6).map(router).chain([destination()]).map(Some).collect();
    let after: Route =
        [router(1), router(2), other(3), other(4), other(5), router(6), destination()].map(Some).to_vec();
    assert_eq!((&change.before, &change.after), (&before, &after));
    assert_eq!(path.id(), path_id(&after));
    assert_ne!(path_id(&before), path_id(&after));
}

#[test]
fn flows_keep_their_paths_and_are_seen_together() {
    let mut model = Model::new([destination()], 4);
    for flow in 0..4u16 {
        for n in 0..10 {
            for e in round(n, 5) {
                let split = e.ttl == 2 || e.ttl == 3;
                let responder = if split { Addr::v4([10, 0, e.ttl, flow as u8 % 2]) } else { e.responder };
                model.take(&HopEvent { flow, responder, ..e });
            }
        }
    }
    let target = &model.targets()[0];
    assert_eq!(target.changes_total(), 0);
    assert_eq!(target.path(Some(0)).id(), target.path(Some(2)).id());
    assert_ne!(target.path(Some(0)).id(), target.path(Some(1)).id());
    let hop = target.path(None).hop(2).unwrap();
    assert_eq!((hop.sent, hop.received), (40, 40));
    let shares: Vec<u64> = hop.ranked().iter().map(|responder| responder.received).collect();
    assert_eq!(shares, [20, 20]);
    assert_eq!(target.path(None).end(), Some(End { ttl: 5, reached: true }));
}

#[test]
fn a_limit_is_told_from_loss_and_loss_from_its_beginning() {
    let lossy = |e: HopEvent| match (e.ttl, e.round % 10) {
        (2, 0..=4) | (4.., 3) => lost(e),
        _ => e,
    };
    let model = model((0..200).flat_map(|n| round(n, 6)).map(lossy));
    let findings = Findings::on(path(&model));
    assert!(matches!(findings.verdict(2), Verdict::Limited { confidence } if confidence > 0.999));
    assert_eq!(findings.verdict(1), Verdict::Clean);
    assert_eq!(findings.verdict(4), Verdict::Lossy);
    assert_eq!(findings.loss_begins.map(|onset| onset.ttl), Some(4));
    // Three probes prove nothing.
    let few = self::model((0..3).flat_map(|n| round(n, 6)).map(lossy));
    let findings = Findings::on(path(&few));
    assert_eq!((findings.verdict(2), findings.loss_begins), (Verdict::Silent, None));
}

#[test]
fn a_delay_begins_where_later_hops_share_it() {
    let slow = |e: HopEvent| match e.ttl {
        // A router that answers slowly and forwards fast.
        2 => HopEvent { rtt_ns: 90 * MS, ..e },
        4.. => HopEvent { rtt_ns: 40 * MS + e.rtt_ns, ..e },
        _ => e,
    };
    let model = model((0..20).flat_map(|n| round(n, 6)).map(slow));
    let delay = Findings::on(path(&model)).delay_begins.unwrap();
    assert_eq!(delay.ttl, 4);
    assert!(delay.added_ns.abs_diff(42 * MS) < MS, "{delay:?}");
}

#[test]
fn memory_is_bounded() {
    let mut model = Model::new([destination()], 1);
    for n in 0..5_000u32 {
        let responder = Addr::v4([10, 1, (n >> 8) as u8, n as u8]);
        model.take(&event(n, 1, HopEnd::TimeExceeded, responder));
        let steady = Addr::v4([10, 2, 0, (n / 10 % 2) as u8]);
        model.take(&event(n, 2, HopEnd::TimeExceeded, steady));
    }
    let hop = path(&model).hop(1).unwrap();
    assert_eq!(hop.responders.len(), hop::RESPONDERS_MAX);
    assert_eq!(hop.others + hop.responders.iter().map(|r| r.received).sum::<u64>(), 5_000);
    assert!(path(&model).changes().iter().count() <= change::CHANGES_MAX);
}

proptest! {
    /// Any order, with duplicates, at any place of the rounds' circle: the counts are the same.
    #[test]
    fn order_and_duplicates_change_no_count(
        start in prop::num::u32::ANY,
        seed in any::<u64>(),
        fates in prop::collection::vec(0u8..4, 8 * 30),
    ) {
        let mut events = Vec::new();
        for n in 0..30u32 {
            for e in round(n, 8) {
                let e = HopEvent { round: start.wrapping_add(n), ..e };
                let fate = fates[n as usize * 8 + usize::from(e.ttl) - 1];
                let e = if fate == 0 { lost(e) } else { e };
                events.push(e);
                if fate == 1 {
                    events.push(e);
                }
            }
        }
        let in_order = model(events.clone());
        let mut state = seed | 1;
        for last in (1..events.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            events.swap(last, (state >> 33) as usize % (last + 1));
        }
        let shuffled = model(events);
        prop_assert_eq!(in_order.left_out(), shuffled.left_out());
        let (a, b) = (path(&in_order), path(&shuffled));
        prop_assert_eq!(a.end(), b.end());
        for ttl in 1..=8 {
            let (Some(a), Some(b)) = (a.hop(ttl), b.hop(ttl)) else { continue };
            prop_assert_eq!((a.sent, a.received, a.lost()), (b.sent, b.received, b.lost()));
            prop_assert_eq!((a.rtt.best_ns(), a.rtt.worst_ns()), (b.rtt.best_ns(), b.rtt.worst_ns()));
            prop_assert_eq!(a.rtt.quantile_ns(0.99), b.rtt.quantile_ns(0.99));
            prop_assert!((a.rtt.mean_ns() - b.rtt.mean_ns()).abs() < 1.0);
            for n in 0..30 {
                let round = start.wrapping_add(n);
                prop_assert_eq!(a.history.get(round), b.history.get(round));
            }
        }
    }
}
