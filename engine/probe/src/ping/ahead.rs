//! Targets read ahead of their turns.
//!
//! The order of turns is random by design, so with a million targets each look-up misses every cache. Looked up
//! one by one, when they are due, the probes would wait for memory one by one; looked up in a row, the misses
//! overlap.

use megaping_wire::Addr;

use crate::schedule::{Schedule, Targets};

/// Turns that are read at once.
const AHEAD: usize = 32;

/// The next turns of one shard, resolved.
#[derive(Debug)]
pub struct Ahead {
    turns: [u64; AHEAD],
    targets: [(u64, Addr); AHEAD],
    at: usize,
}

impl Ahead {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Ahead {
        Ahead { turns: [u64::MAX; AHEAD], targets: [(0, Addr::UNSPECIFIED); AHEAD], at: 0 }
    }

    /// The target whose turn it is. The turns after it are expected to be those that the schedule says follow;
    /// any other is found as well, only slower.
    #[inline]
    pub fn target(&mut self, targets: &impl Targets, schedule: &Schedule, turn: u64) -> (u64, Addr) {
        if self.turns[self.at] != turn {
            self.read(targets, schedule, turn);
        }
        let target = self.targets[self.at];
        self.at = (self.at + 1) % AHEAD;
        target
    }

    fn read(&mut self, targets: &impl Targets, schedule: &Schedule, turn: u64) {
        self.at = 0;
        let mut next = turn;
        for slot in &mut self.turns {
            *slot = next;
            next = schedule.following(next);
        }
        for (target, turn) in self.targets.iter_mut().zip(&self.turns) {
            target.0 = targets.index(*turn);
        }
        // Nothing else in this loop, so that the loads of several targets are under way at once.
        for (index, address) in &mut self.targets {
            *address = targets.address(*index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Timing;
    use proptest::prelude::*;

    struct Numbers(u64);

    impl Targets for Numbers {
        fn len(&self) -> u64 {
            self.0
        }
        fn index(&self, turn: u64) -> u64 {
            assert!(turn < self.0, "turn {turn} of {}", self.0);
            turn * 3
        }
        fn turn(&self, index: u64) -> u64 {
            index / 3
        }
        fn address(&self, index: u64) -> Addr {
            Addr::from_bits(u128::from(index / 3))
        }
    }

    proptest! {
        /// Whatever the schedule takes, the target is that of the turn.
        #[test]
        fn reads_what_is_due(targets in 1u64..200, shards in 1u64..9, taken in 1usize..500, movable: bool) {
            let timing = Timing { round_ns: 1000, rounds: None, length_ns: None, late_max_ns: None };
            for shard in 0..shards.min(targets) {
                let make = if movable { Schedule::movable } else { Schedule::new };
                let mut schedule = make(timing, targets, shard, shards);
                let mut ahead = Ahead::new();
                for step in 0..taken {
                    // Now and then the next turn is gone, and the one after it comes.
                    if step % 7 == 3 && schedule.turns() > 1 {
                        let next = schedule.following(step as u64 % targets);
                        schedule.give(next);
                    }
                    let slot = schedule.take().expect("it has no end");
                    let found = ahead.target(&Numbers(targets), &schedule, slot.turn);
                    prop_assert_eq!(found, (slot.turn * 3, Addr::from_bits(u128::from(slot.turn))));
                }
            }
        }
    }
}
