//! The turns that are one shard's where turns may go over to other shards: a bit each.
//!
//! ```text
//!   bits      . 1 . 1 1 . . 1 . 1 1 . 1      a set bit: this shard takes the turn, in every round from here on
//!                       ^ cursor             the next one to be taken
//!   strays    (round 7, turn 1) ...          taken over, and not where the cursor would come to them: early or late
//! ```
//!
//! A turn that is given away carries its next round with it. Whoever takes it over sets its bit where the cursor
//! comes to it in just that round, and else takes it by itself until it does. So each turn is in exactly one
//! place: one shard's bits, one shard's strays, or on its way; and no round of it is left out or comes twice,
//! however far apart the shards are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The next time that a turn is due. In the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Appointment {
    /// In which round.
    pub round: u32,
    /// Whose turn, among all targets of the run.
    pub turn: u64,
}

/// Turns that were taken over and wait to be joined to the others, at most.
const STRAYS_MAX: usize = 1024;

/// One shard's turns.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    bits: Box<[u64]>,
    set: u64,
    // The next set bit; `None` where none is set.
    cursor: Option<Appointment>,
    strays: BinaryHeap<Reverse<Appointment>>,
}

impl Owned {
    /// Every turn of `0..turns` that is `first` or a multiple of `step` after it.
    pub(super) fn every(turns: u64, first: u64, step: u64) -> Owned {
        let mut bits = vec![0u64; turns.div_ceil(64) as usize].into_boxed_slice();
        let mut set = 0;
        let mut turn = first;
        while turn < turns {
            bits[(turn / 64) as usize] |= 1 << (turn % 64);
            set += 1;
            turn += step;
        }
        let cursor = (set > 0).then_some(Appointment { round: 0, turn: first });
        Owned { bits, set, cursor, strays: BinaryHeap::with_capacity(STRAYS_MAX) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.set + self.strays.len() as u64
    }

    /// The next one in time, and whether it is a stray.
    #[inline]
    pub(super) fn next(&self) -> Option<(Appointment, bool)> {
        let cursor = self.cursor.map(|at| (at, false));
        match self.strays.peek() {
            Some(Reverse(stray)) if self.cursor.is_none_or(|at| *stray < at) => Some((*stray, true)),
            _ => cursor,
        }
    }

    /// Moves on past the next one.
    #[inline]
    pub(super) fn pass(&mut self) {
        match self.next() {
            Some((at, false)) => self.cursor = self.after(at),
            Some((Appointment { round, turn }, true)) => {
                self.strays.pop();
                self.settle(Appointment { round: round + 1, turn });
            }
            None => {}
        }
    }

    /// The turn after `turn` in a round, and in the end the first again; itself where there is no other.
    #[inline]
    pub(super) fn following(&self, turn: u64) -> u64 {
        self.find(turn + 1).or_else(|| self.find(0)).unwrap_or(turn)
    }

    /// Gives a turn away; `None` where it is not here to be given, or where it has had its last round.
    pub(super) fn give(&mut self, turn: u64, rounds: Option<u32>) -> Option<Appointment> {
        let (word, bit) = ((turn / 64) as usize, 1 << (turn % 64));
        let cursor = self.cursor?;
        if *self.bits.get(word)? & bit == 0 {
            return None;
        }
        let next = Appointment { round: cursor.round + u32::from(turn < cursor.turn), turn };
        if rounds.is_some_and(|rounds| next.round >= rounds) {
            return None;
        }
        self.bits[word] &= !bit;
        self.set -= 1;
        if turn == cursor.turn {
            self.cursor = self.after(cursor);
        }
        Some(next)
    }

    /// Takes a turn over; false, and nothing has happened, while too many strays wait.
    pub(super) fn adopt(&mut self, at: Appointment) -> bool {
        if self.strays.len() >= STRAYS_MAX || at.turn / 64 >= self.bits.len() as u64 {
            return false;
        }
        self.settle(at);
        true
    }

    /// Sets the bit where the cursor will come to the turn in its round, and not before it.
    fn settle(&mut self, at: Appointment) {
        let visit = self.cursor.map_or(at.round, |cursor| cursor.round + u32::from(at.turn < cursor.turn));
        if visit == at.round {
            self.bits[(at.turn / 64) as usize] |= 1 << (at.turn % 64);
            self.set += 1;
            self.cursor.get_or_insert(at);
        } else {
            self.strays.push(Reverse(at));
        }
    }

    #[inline]
    fn after(&self, at: Appointment) -> Option<Appointment> {
        match self.find(at.turn + 1) {
            Some(turn) => Some(Appointment { turn, ..at }),
            None => self.find(0).map(|turn| Appointment { round: at.round + 1, turn }),
        }
    }

    /// The first set bit from `turn` on.
    #[inline]
    fn find(&self, turn: u64) -> Option<u64> {
        let mut word = (turn / 64) as usize;
        let mut bits = self.bits.get(word)? & (u64::MAX << (turn % 64));
        while bits == 0 {
            word += 1;
            bits = *self.bits.get(word)?;
        }
        Some(word as u64 * 64 + u64::from(bits.trailing_zeros()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    /// What happens next: by whom, and to which turn.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Take { shard: usize },
        Give { from: usize, to: usize, turn: u64 },
        Adopt { shard: usize },
    }

    fn steps(shards: usize, turns: u64) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..shards).prop_map(|shard| Step::Take { shard }),
            3 => (0..shards, 0..shards, 0..turns).prop_map(|(from, to, turn)| Step::Give { from, to, turn }),
            2 => (0..shards).prop_map(|shard| Step::Adopt { shard }),
        ];
        prop::collection::vec(step, 0..600)
    }

    fn case() -> impl Strategy<Value = (usize, u64, u32, Vec<Step>)> {
        (1usize..5, 1u64..200, 1u32..6).prop_flat_map(|(shards, turns, rounds)| {
            (Just(shards), Just(turns), Just(rounds), steps(shards, turns))
        })
    }

    struct Model {
        shards: Vec<Owned>,
        mail: Vec<VecDeque<Appointment>>,
        rounds: u32,
        // The next round of each turn, by what was taken.
        next: Vec<u32>,
    }

    impl Model {
        /// Takes the next turn of a shard and checks that it is the one its target waits for.
        fn take(&mut self, shard: usize) -> bool {
            let Some((at, _)) = self.shards[shard].next().filter(|(at, _)| at.round < self.rounds) else {
                return false;
            };
            assert_eq!(at.round, self.next[at.turn as usize], "turn {} by shard {shard}", at.turn);
            self.next[at.turn as usize] += 1;
            self.shards[shard].pass();
            true
        }

        fn adopt(&mut self, shard: usize) {
            if let Some(at) = self.mail[shard].pop_front()
                && !self.shards[shard].adopt(at)
            {
                self.mail[shard].push_front(at);
            }
        }

        fn run(&mut self, step: Step) {
            match step {
                Step::Take { shard } => {
                    self.take(shard);
                }
                Step::Give { from, to, turn } => {
                    if let Some(at) = self.shards[from].give(turn, Some(self.rounds)) {
                        assert_eq!(at.round, self.next[turn as usize]);
                        self.mail[to].push_back(at);
                    }
                }
                Step::Adopt { shard } => self.adopt(shard),
            }
        }

        fn len(&self) -> u64 {
            let on_the_way: usize = self.mail.iter().map(VecDeque::len).sum();
            self.shards.iter().map(Owned::len).sum::<u64>() + on_the_way as u64
        }
    }

    proptest! {
        /// However shards run ahead of each other, and whatever they give and take: every turn is in one place,
        /// and comes in every round exactly once, one round after the other.
        #[test]
        fn no_round_of_a_turn_is_lost_or_doubled((shards, turns, rounds, steps) in case()) {
            let every = |shard| Owned::every(turns, shard as u64, shards as u64);
            let mut model = Model {
                shards: (0..shards).map(every).collect(),
                mail: vec![VecDeque::new(); shards],
                rounds,
                next: vec![0; turns as usize],
            };
            for step in steps {
                model.run(step);
                prop_assert_eq!(model.len(), turns);
            }
            loop {
                let mut busy = false;
                for shard in 0..shards {
                    while !model.mail[shard].is_empty() {
                        model.adopt(shard);
                    }
                    busy |= model.take(shard);
                }
                if !busy {
                    break;
                }
            }
            prop_assert!(model.next.iter().all(|&taken| taken == rounds), "{:?}", model.next);
        }

        /// A turn that came as a stray is joined to the others soon: one shard's own pace is all it takes.
        #[test]
        fn strays_settle(early in 0u32..5, turn in 0u64..100, passed in 0usize..200) {
            let mut owned = Owned::every(100, 0, 2);
            (0..passed).for_each(|_| owned.pass());
            let turn = turn | 1;
            let now = owned.next().map_or(0, |(at, _)| at.round);
            let at = Appointment { round: now + early, turn };
            prop_assert!(owned.adopt(at));
            (0..(early as usize + 3) * 51).for_each(|_| owned.pass());
            prop_assert!(owned.strays.is_empty());
            prop_assert_eq!(owned.len(), 51);
        }
    }

    #[test]
    fn a_shard_without_turns_takes_them_up_wherever_they_are() {
        let mut owned = Owned::every(10, 0, 10);
        assert_eq!(owned.give(0, None), Some(Appointment { round: 0, turn: 0 }));
        assert_eq!((owned.next(), owned.len()), (None, 0));
        assert_eq!(owned.give(0, None), None, "it is gone");
        assert!(owned.adopt(Appointment { round: 57, turn: 3 }));
        assert_eq!(owned.next(), Some((Appointment { round: 57, turn: 3 }, false)));
        assert_eq!(owned.following(3), 3);
    }

    #[test]
    fn too_many_strays_wait_outside() {
        let mut owned = Owned::every(1 << 12, 0, 2);
        let far = |turn| Appointment { round: 9, turn };
        let taken = (0..1 << 11).filter(|turn| owned.adopt(far(turn * 2 + 1))).count();
        assert_eq!(taken, STRAYS_MAX);
        assert!(!owned.adopt(Appointment { round: 0, turn: 1 << 40 }), "no such turn");
    }
}
