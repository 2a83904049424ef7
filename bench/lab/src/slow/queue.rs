//! Replies on their way: what becomes of each, and a heap that hands them out when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::echo::mix;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// A reordered reply is held back by at least this much, so that later ones overtake it whatever the delay.
const MIN_HOLD: Duration = Duration::from_millis(1);

/// How the slow world treats a reply; shares are per million.
#[derive(Debug, Clone, Copy)]
pub struct Treatment {
    pub delay: Duration,
    pub jitter: Duration,
    pub reorder_ppm: u32,
    pub duplicate_ppm: u32,
    pub loss_ppm: u32,
    pub seed: u64,
}

/// What becomes of one request: a pure function of the treatment and of the request's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub lost: bool,
    pub delay: Duration,
    pub reordered: bool,
    /// When the second copy leaves, if there is one.
    pub duplicate: Option<Duration>,
}

impl Treatment {
    pub fn plan(&self, hash: u64) -> Plan {
        let draw = |n: u64| mix((hash ^ mix(self.seed)).wrapping_add(n.wrapping_mul(GOLDEN))) >> 32;
        let share = |n: u64, ppm: u32| (draw(n) * 1_000_000) >> 32 < u64::from(ppm);
        let jitter_ns = self.jitter.as_nanos() as u64;
        let jittered = |n: u64| {
            self.delay + Duration::from_nanos(((u128::from(draw(n)) * u128::from(jitter_ns)) >> 32) as u64)
        };
        let reordered = share(1, self.reorder_ppm);
        let hold = if reordered { (self.delay + self.jitter).max(MIN_HOLD) } else { Duration::ZERO };
        Plan {
            lost: share(0, self.loss_ppm),
            delay: jittered(2) + hold,
            reordered,
            duplicate: share(3, self.duplicate_ppm).then(|| jittered(4)),
        }
    }
}

/// A reply that waits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    due: Instant,
    /// Order of arrival, so that equal times leave in it.
    number: u64,
    pub v4: bool,
    pub reordered: bool,
    pub copy: bool,
    pub packet: Vec<u8>,
}

/// A bounded heap of replies by the time when they are due.
#[derive(Debug)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Waiting>>,
    limit: usize,
    next_number: u64,
}

/// The kinds of a reply, for the counters.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub v4: bool,
    pub reordered: bool,
    pub copy: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Queue {
        Queue { heap: BinaryHeap::new(), limit, next_number: 0 }
    }

    /// Takes a reply until it is due; `false` when the queue is full and the reply is lost.
    pub fn push(&mut self, due: Instant, kind: Kind, packet: Vec<u8>) -> bool {
        if self.heap.len() >= self.limit {
            return false;
        }
        let Kind { v4, reordered, copy } = kind;
        self.heap.push(Reverse(Waiting { due, number: self.next_number, v4, reordered, copy, packet }));
        self.next_number += 1;
        true
    }

    /// When the next reply is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(waiting)| waiting.due)
    }

    /// The next reply, if it is due by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Waiting> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(waiting)| waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Kind = Kind { v4: true, reordered: false, copy: false };

    #[test]
    fn replies_leave_when_due_and_equal_times_in_order_of_arrival() {
        let (mut queue, start) = (Queue::new(10), Instant::now());
        for (ms, byte) in [(5, 1), (3, 2), (5, 3), (9, 4)] {
            assert!(queue.push(start + Duration::from_millis(ms), PLAIN, vec![byte]));
        }
        let now = start + Duration::from_millis(5);
        let left: Vec<u8> = std::iter::from_fn(|| queue.pop(now)).map(|w| w.packet[0]).collect();
        assert_eq!(left, [2, 1, 3]);
        assert_eq!(queue.next_due(), Some(start + Duration::from_millis(9)));
    }

    #[test]
    fn a_full_queue_refuses() {
        let (mut queue, now) = (Queue::new(1), Instant::now());
        assert!(queue.push(now, PLAIN, vec![]));
        assert!(!queue.push(now, PLAIN, vec![]));
    }

    #[test]
    fn plans_keep_to_their_shares_and_bounds() {
        let treatment = Treatment {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(4),
            reorder_ppm: 50_000,
            duplicate_ppm: 100_000,
            loss_ppm: 200_000,
            seed: 3,
        };
        let plans: Vec<Plan> = (0..100_000).map(|i| treatment.plan(mix(i))).collect();
        let count = |f: fn(&Plan) -> bool| plans.iter().filter(|p| f(p)).count();
        assert!((4_700..5_300).contains(&count(|p| p.reordered)));
        assert!((9_600..10_400).contains(&count(|p| p.duplicate.is_some())));
        assert!((19_500..20_500).contains(&count(|p| p.lost)));
        for plan in &plans {
            let (low, high) = if plan.reordered { (24, 28) } else { (10, 14) };
            assert!(plan.delay >= Duration::from_millis(low) && plan.delay < Duration::from_millis(high));
        }
    }
}
