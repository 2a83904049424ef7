//! One path against a network that is a function of the hop limit.

use proptest::prelude::*;

use super::*;
use crate::time::Nanos;
use crate::trace::event::{HopMarks, Labels};
use megaping_wire::Addr;

const RULES: Rules = Rules { first_hop: 1, max_hops: 30, gap: 5, window: 1, queries: 1 };

/// A network: the hop of the target, whether it answers, and which routers do.
#[derive(Clone, Debug)]
struct Net {
    length: u8,
    alive: bool,
    silent: u64,
    // What the reply's hop limit is off by: the way back is another one.
    skew: i8,
}

impl Net {
    fn plain(length: u8) -> Net {
        Net { length, alive: true, silent: 0, skew: 0 }
    }

    fn answer(&self, ttl: u8) -> HopEvent {
        let end = if ttl >= self.length {
            if self.alive { HopEnd::Reached } else { HopEnd::Lost }
        } else if self.silent & bit(ttl) == 0 {
            HopEnd::TimeExceeded
        } else {
            HopEnd::Lost
        };
        HopEvent {
            at: Nanos(0),
            target: 0,
            flow: 0,
            round: 0,
            ttl,
            end,
            responder: Addr::UNSPECIFIED,
            rtt_ns: 0,
            reply_hop_limit: (64 - i16::from(self.length) + 1 + i16::from(self.skew)).clamp(1, 255) as u8,
            quoted_hop_limit: 1,
            quoted_traffic_class: 0,
            marks: HopMarks::default(),
            labels: Labels::NONE,
        }
    }
}

/// Walks to the end, answers in the order of `pick`; returns the path and the hop limits that were asked.
fn walk(
    rules: Rules,
    net: &Net,
    remembered: Remembered,
    mut pick: impl FnMut(usize) -> usize,
) -> (Path, Vec<u8>) {
    let rules = &rules;
    let mut path = Path::new(rules, remembered);
    let mut under_way: Vec<(u8, bool)> = Vec::new();
    let mut asked = Vec::new();
    loop {
        while let Some(ttl) = path.next(rules) {
            assert!((rules.first_hop..=rules.max_hops).contains(&ttl));
            let more = path.ask(rules, ttl);
            asked.push(ttl);
            under_way.push((ttl, more == 0));
            assert!(asked.len() < 300, "it never ends: {asked:?}");
        }
        if under_way.is_empty() {
            assert!(path.is_idle());
            return (path, asked);
        }
        let (ttl, _) = under_way.remove(pick(under_way.len()) % under_way.len());
        let is_last = path.again_left == 0 && !under_way.iter().any(|(other, _)| *other == ttl);
        path.on_end(rules, &net.answer(ttl), is_last);
        path.guess(8);
    }
}

#[test]
fn a_path_costs_one_probe_a_hop_and_one_to_find_its_end() {
    for length in 1..=29 {
        let (path, asked) = walk(RULES, &Net::plain(length), Remembered::default(), |_| 0);
        assert_eq!((path.length(), path.is_reached()), (length, true));
        assert_eq!(asked.len(), usize::from(length) + 1, "{asked:?}");
        assert_eq!(asked[0], 30);
        let (path, asked) = walk(RULES, &Net::plain(length), path.remember(), |_| 0);
        assert_eq!((path.length(), asked.len()), (length, length.into()), "remembered: {asked:?}");
    }
    let (path, asked) = walk(RULES, &Net::plain(30), Remembered::default(), |_| 0);
    assert_eq!((path.length(), asked.len()), (30, 30));
}

#[test]
fn a_path_longer_than_the_last_hop_is_asked_to_the_last() {
    let (path, mut asked) = walk(RULES, &Net::plain(40), Remembered::default(), |_| 0);
    asked.sort_unstable();
    assert_eq!(asked, (1..=30).collect::<Vec<_>>());
    assert!(!path.is_reached() && path.length() == 0);
}

#[test]
fn a_dead_target_ends_after_the_gap_and_costs_less_when_it_is_known() {
    let net = Net { alive: false, ..Net::plain(12) };
    let (path, asked) = walk(RULES, &net, Remembered::default(), |_| 0);
    assert!(!path.is_reached());
    assert_eq!(asked.iter().filter(|ttl| **ttl >= 12).count(), 1 + 5, "{asked:?}");
    let (path, asked) = walk(RULES, &net, path.remember(), |_| 0);
    assert_eq!(asked.len(), 1 + 11 + 1, "{asked:?}");
    // It comes to life, and dies again.
    let (path, _) = walk(RULES, &Net::plain(12), path.remember(), |_| 0);
    assert_eq!((path.length(), path.is_reached()), (12, true));
    let (path, asked) = walk(RULES, &net, path.remember(), |_| 0);
    assert!(!path.is_reached());
    assert_eq!(asked.len(), 13, "{asked:?}");
}

#[test]
fn a_path_that_has_grown_or_shrunk_is_found() {
    for (before, after) in [(10, 13), (13, 10), (10, 1), (1, 29)] {
        let (path, _) = walk(RULES, &Net::plain(before), Remembered::default(), |_| 0);
        let (path, asked) = walk(RULES, &Net::plain(after), path.remember(), |_| 0);
        assert_eq!((path.length(), path.is_reached()), (after, true), "{asked:?}");
    }
}

#[test]
fn first_hop_is_kept_even_beyond_the_target() {
    let rules = Rules { first_hop: 5, ..RULES };
    let (path, asked) = walk(rules, &Net::plain(3), Remembered::default(), |_| 0);
    assert_eq!((path.length(), asked), (5, vec![30, 5]));
    let (_, mut asked) = walk(rules, &Net::plain(9), Remembered::default(), |_| 0);
    asked.sort_unstable();
    assert_eq!(asked, [5, 6, 7, 8, 9, 30]);
}

#[test]
fn a_lost_answer_is_made_up_for_and_an_end_that_is_known_to_be_there_is_found() {
    let net = Net::plain(9);
    let mut path = Path::new(&RULES, Remembered::default());
    let mut asked = Vec::new();
    while let Some(ttl) = path.next(&RULES) {
        path.ask(&RULES, ttl);
        asked.push(ttl);
        // The first answers of two hops get lost, the target's own among them.
        let is_first = !asked[..asked.len() - 1].contains(&ttl);
        let is_lost = [4, 9].contains(&ttl) && is_first;
        let answer = net.answer(ttl);
        let event = HopEvent { end: if is_lost { HopEnd::Lost } else { answer.end }, ..answer };
        path.on_end(&RULES, &event, true);
    }
    assert_eq!((path.length(), path.is_silent(4)), (9, false), "{asked:?}");
    let tunnel = Net { skew: 6, silent: span(3, 20), ..Net::plain(21) };
    let (path, asked) = walk(RULES, &tunnel, Remembered::default(), |_| 0);
    assert_eq!((path.length(), path.is_reached()), (21, true), "{asked:?}");
}

#[test]
fn what_is_shared_is_not_asked() {
    let mut path = Path::new(&RULES, Remembered::new(10, true));
    for ttl in [10, 9, 8, 7] {
        assert_eq!(path.next(&RULES), Some(ttl));
        path.ask(&RULES, ttl);
        assert_eq!(path.next(&RULES), None);
        path.on_end(&RULES, &Net::plain(10).answer(ttl), true);
        assert!(path.is_front(ttl));
    }
    path.share(7);
    assert_eq!(path.next(&RULES), None);
    assert!(!path.is_front(7));
}

proptest! {
    /// Any network, any window, any order of answers: it ends, every hop before the target is asked as often as was
    /// demanded, and little beyond it.
    #[test]
    fn every_hop_is_asked_and_little_beyond(
        length in 1u8..40, alive: bool, silent: u64, skew in -3i8..4, window in 1u8..31, queries in 1u8..4,
        remembered in 0u8..40, was_reached: bool, order in prop::collection::vec(any::<usize>(), 1..50),
    ) {
        let rules = Rules { window, queries, ..RULES };
        // No five silent hops in a row.
        let silent = silent & 0x7777_7777_7777_7777;
        let net = Net { length, alive, silent, skew };
        let mut turn = 0;
        let (path, asked) = walk(rules, &net, Remembered::new(remembered, was_reached), |_| {
            turn += 1;
            order[turn % order.len()]
        });
        let count = |hop: u8| asked.iter().map(|ttl| usize::from(*ttl == hop)).sum::<usize>();
        prop_assert_eq!(path.is_reached(), alive && length <= 30);
        if path.is_reached() {
            prop_assert_eq!(path.length(), length);
            for hop in 1..length {
                // Silence is doubted once.
                let times = 1 + usize::from(silent & bit(hop) != 0);
                prop_assert_eq!(count(hop), times * usize::from(queries), "hop {} of {:?}", hop, &asked);
            }
        }
        for hop in 1..=30 {
            prop_assert!(count(hop) <= 2 * usize::from(queries) + 1);
        }
    }
}
