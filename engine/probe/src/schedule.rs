//! When each probe is due: periodic, evenly spread, and computed rather than stored.
//!
//! A run has `n` targets and a round of `round_ns`. The target whose turn is `i` is due in every round at
//! `i / n` of it, so the load is flat and a range of any size needs no memory. A shard owns the turns
//! `shard, shard + shards, shard + 2 * shards, ...` and with them its targets, for all rounds.

use megaping_wire::Addr;

use crate::time::Nanos;

/// The targets of a run, in the order of their turns.
pub trait Targets {
    /// How many there are.
    fn len(&self) -> u64;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Which target's turn it is, as an index into the run's target set.
    fn index(&self, turn: u64) -> u64;
    /// The address of the target with this index.
    fn address(&self, index: u64) -> Addr;
}

/// What a schedule is made of.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a round takes, in nanoseconds: every target is probed once in it. Longer than any run, where a
    /// few probes a second sample an enormous range.
    pub round_ns: u128,
    /// Rounds in all; `None` for as many as the time allows.
    pub rounds: Option<u32>,
    /// No probe is due so long after the start, or later; `None` for no end.
    pub length_ns: Option<u64>,
    /// Probes later than this are skipped; `None` where every target shall have its turn, however late.
    pub late_max_ns: Option<u64>,
}

/// A gap between two breaths that is longer than this is a stall: what came due in it is skipped.
pub const STALL_NS: u64 = 500_000_000;

/// A schedule without a limit of lateness that has a length is over so long after its end, whatever is left.
const GRACE_NS: u64 = 1_000_000_000;

/// One probe that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Whose turn it is, among all targets of the run.
    pub turn: u64,
    /// Which round.
    pub round: u32,
    /// When it is due.
    pub due: Nanos,
}

/// The schedule of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    timing: Timing,
    shard: u64,
    shards: u64,
    turns: u64,
    // Offsets from the round's start in 1/2^32 ns.
    first: u128,
    step: u128,
    offset: u128,
    start: Nanos,
    round_start: Nanos,
    turn: u64,
    round: u32,
    breathed: Option<Nanos>,
    // What was due after the first and before the second is not worth sending any more.
    skip: (Nanos, Nanos),
}

impl Schedule {
    /// The schedule of `shard` among `shards` for `targets` targets in all; it starts at zero, until
    /// [`Schedule::begin`] says otherwise.
    #[must_use]
    pub fn new(timing: Timing, targets: u64, shard: u64, shards: u64) -> Schedule {
        let turns = targets.saturating_sub(shard).div_ceil(shards.max(1));
        let spacing = (timing.round_ns << 32) / u128::from(targets.max(1));
        let first = spacing * u128::from(shard);
        Schedule {
            timing,
            shard,
            shards,
            turns,
            first,
            step: spacing * u128::from(shards),
            offset: first,
            start: Nanos(0),
            round_start: Nanos(0),
            turn: 0,
            round: 0,
            breathed: None,
            skip: (Nanos(0), Nanos(0)),
        }
    }

    /// Says when the first round begins; before anything was taken.
    pub fn begin(&mut self, start: Nanos) {
        self.start = start;
        self.round_start = start;
    }

    /// Tells the schedule the time, once a breath. A gap in which the shard did not run is a stall, and what
    /// came due in it is overdue; so is, where lateness has a limit, what is later than that. Then a quarter of
    /// the limit is kept, lest the next probe be at the limit again.
    #[inline]
    pub fn breathe(&mut self, now: Nanos) {
        if let Some(before) = self.breathed
            && now.since(before) > STALL_NS
        {
            self.skip = (before, now);
        }
        self.breathed = Some(now);
        let grace_ns = self.timing.late_max_ns.unwrap_or(GRACE_NS);
        if self
            .timing
            .length_ns
            .is_some_and(|length_ns| now.since(self.start) > length_ns.saturating_add(grace_ns))
        {
            self.stop();
        }
        if let Some(late_max_ns) = self.timing.late_max_ns
            && let Some(due) = self.due()
            && now.since(due) > late_max_ns
        {
            self.skip = (due - 1, now - late_max_ns / 4);
        }
    }

    /// When the next probe is due; `None` when the schedule is at its end.
    #[inline]
    #[must_use]
    pub fn due(&self) -> Option<Nanos> {
        if self.turns == 0 || self.timing.rounds.is_some_and(|rounds| self.round >= rounds) {
            return None;
        }
        let due = self.round_start + (self.offset >> 32) as u64;
        match self.timing.length_ns {
            Some(length_ns) if due.since(self.start) >= length_ns => None,
            _ => Some(due),
        }
    }

    /// Whether a probe that was due at `due` is not worth sending any more.
    #[inline]
    #[must_use]
    pub fn is_overdue(&self, due: Nanos) -> bool {
        self.skip.0 < due && due < self.skip.1
    }

    /// Takes the next probe off the schedule.
    #[inline]
    pub fn take(&mut self) -> Option<Slot> {
        let due = self.due()?;
        let slot = Slot { turn: self.turn * self.shards + self.shard, round: self.round, due };
        self.turn += 1;
        self.offset += self.step;
        if self.turn == self.turns {
            self.turn = 0;
            self.round += 1;
            self.offset = self.first;
            self.round_start = self.round_start + u64::try_from(self.timing.round_ns).unwrap_or(u64::MAX);
        }
        Some(slot)
    }

    /// Ends the schedule: nothing is due any more.
    pub fn stop(&mut self) {
        self.turns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timing(round_ns: u128, rounds: u32) -> Timing {
        Timing { round_ns, rounds: Some(rounds), length_ns: None, late_max_ns: None }
    }

    #[test]
    fn phases_are_even_and_rounds_keep_them() {
        let mut schedule = Schedule::new(timing(1_000_000, 2), 10, 0, 1);
        let dues: Vec<u64> = std::iter::from_fn(|| schedule.take()).map(|slot| slot.due.0).collect();
        let expected: Vec<u64> = (0..20).map(|k| k * 100_000).collect();
        for (due, expected) in dues.iter().zip(&expected) {
            assert!(due.abs_diff(*expected) <= 1, "{due} is not {expected}");
        }
        assert_eq!(dues.len(), 20);
    }

    #[test]
    fn until_ends_it_and_stop_too() {
        let length_ns = Some(550);
        let mut schedule = Schedule::new(Timing { length_ns, rounds: None, ..timing(1000, 0) }, 10, 0, 1);
        schedule.begin(Nanos(7000));
        assert_eq!(schedule.due(), Some(Nanos(7000)));
        assert_eq!(std::iter::from_fn(|| schedule.take()).count(), 6);
        let mut schedule = Schedule::new(timing(1000, 5), 10, 0, 1);
        schedule.take();
        schedule.stop();
        assert_eq!(schedule.take(), None);
    }

    #[test]
    fn what_is_left_long_after_the_end_is_given_up() {
        let timing =
            Timing { length_ns: Some(5000), late_max_ns: Some(700), rounds: None, ..timing(1000, 0) };
        let mut schedule = Schedule::new(timing, 10, 0, 1);
        schedule.begin(Nanos(100));
        schedule.breathe(Nanos(5800));
        assert!(schedule.due().is_some());
        schedule.breathe(Nanos(5801));
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_round_may_be_longer_than_any_run() {
        let timing = Timing { rounds: None, ..timing(1 << 70, 0) };
        let mut schedule = Schedule::new(timing, 1 << 48, 1, 2);
        let dues: Vec<u64> = (0..3).filter_map(|_| schedule.take()).map(|slot| slot.due.0).collect();
        assert_eq!(dues, [1 << 22, 3 << 22, 5 << 22]);
    }

    #[test]
    fn what_came_due_in_a_stall_is_overdue_and_the_rest_is_not() {
        let mut schedule = Schedule::new(timing(1_000_000_000, 60), 1, 0, 1);
        schedule.breathe(Nanos(1_000_000_000));
        schedule.breathe(Nanos(1_100_000_000));
        assert!(!schedule.is_overdue(Nanos(1_050_000_000)));
        schedule.breathe(Nanos(5_000_000_000));
        assert!(schedule.is_overdue(Nanos(2_000_000_000)));
        assert!(!schedule.is_overdue(Nanos(1_000_000_000)), "due before the stall");
        assert!(!schedule.is_overdue(Nanos(5_000_000_000)));
    }

    #[test]
    fn a_periodic_schedule_skips_what_is_too_late_and_some_more() {
        let timing = Timing { late_max_ns: Some(400), ..timing(1000, 5) };
        let mut schedule = Schedule::new(timing, 10, 0, 1);
        schedule.breathe(Nanos(400));
        assert!(!schedule.is_overdue(Nanos(0)));
        schedule.breathe(Nanos(401));
        let skipped = (0..50).map(|tenth| tenth * 10).filter(|&due| schedule.is_overdue(Nanos(due))).count();
        assert_eq!(skipped, 30, "what was due before 301 is given up");
    }

    proptest! {
        /// Every target has its turn in every round exactly once, whatever the number of shards, and no
        /// shard's schedule goes back in time.
        #[test]
        fn shards_share_the_turns(targets in 1u64..300, shards in 1u64..9, rounds in 1u32..4, round_ns in 1u128..1_000_000) {
            let mut seen = vec![0u32; targets as usize * rounds as usize];
            for shard in 0..shards {
                let mut schedule = Schedule::new(timing(round_ns, rounds), targets, shard, shards);
                let mut last = Nanos(0);
                while let Some(slot) = schedule.take() {
                    prop_assert!(slot.due >= last);
                    last = slot.due;
                    prop_assert_eq!(slot.turn % shards, shard);
                    seen[(u64::from(slot.round) * targets + slot.turn) as usize] += 1;
                }
            }
            prop_assert!(seen.iter().all(|&count| count == 1));
        }
    }
}
