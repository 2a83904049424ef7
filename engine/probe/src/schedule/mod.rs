//! When each probe is due: periodic, evenly spread, and computed rather than stored.
//!
//! A run has `n` targets and a round of `round_ns`. The target whose turn is `i` is due in every round at
//! `i / n` of it, so the load is flat and a range of any size needs no memory. A shard owns the turns
//! `shard, shard + shards, shard + 2 * shards, ...` and with them its targets, for all rounds; or, where turns may
//! move between shards, those that `owned` keeps a bit for.

mod owned;
#[cfg(test)]
mod tests;

use megaping_wire::Addr;
use owned::Owned;

use crate::time::Nanos;

pub use owned::Appointment;

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
    /// The turn of the target with this index: the inverse of [`Targets::index`].
    fn turn(&self, index: u64) -> u64;
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
    /// Whether the turn was taken over and comes out of line: no guess would have found it.
    pub stray: bool,
}

/// The schedule of one shard.
#[derive(Clone, Debug)]
pub struct Schedule {
    timing: Timing,
    targets: u64,
    // In 1/2^32 ns.
    spacing: u128,
    start: Nanos,
    turns: Turns,
    // When the next probe is due: asked for more often than it changes.
    next: Option<Nanos>,
    breathed: Option<Nanos>,
    // What was due after the first and before the second is not worth sending any more.
    skip: (Nanos, Nanos),
}

/// Whose turns are this shard's.
#[derive(Clone, Debug)]
enum Turns {
    /// `first, first + step, ...`, for good.
    Every(Every),
    /// Those with a bit.
    Owned(Owned),
    /// Nobody's any more.
    Stopped,
}

/// Turns at even distances, of which `at` is the next.
#[derive(Clone, Copy, Debug)]
struct Every {
    at: Appointment,
    first: u64,
    step: u64,
    round_start: Nanos,
    // From the round's start, where that begins, and how much more for the next, in 1/2^32 ns.
    offset: u128,
    first_offset: u128,
    spacing: u128,
}

impl Schedule {
    /// The schedule of `shard` among `shards` for `targets` targets in all; it starts at zero, until
    /// [`Schedule::begin`] says otherwise.
    #[must_use]
    pub fn new(timing: Timing, targets: u64, shard: u64, shards: u64) -> Schedule {
        let spacing = spacing(&timing, targets);
        let every = Every {
            at: Appointment { round: 0, turn: shard },
            first: shard,
            step: shards.max(1),
            round_start: Nanos(0),
            offset: spacing * u128::from(shard),
            first_offset: spacing * u128::from(shard),
            spacing: spacing * u128::from(shards.max(1)),
        };
        Schedule::with(timing, targets, if shard < targets { Turns::Every(every) } else { Turns::Stopped })
    }

    /// The same, from which turns can be given away: a bit for each target of the run.
    #[must_use]
    pub fn movable(timing: Timing, targets: u64, shard: u64, shards: u64) -> Schedule {
        Schedule::with(timing, targets, Turns::Owned(Owned::every(targets, shard, shards.max(1))))
    }

    fn with(timing: Timing, targets: u64, turns: Turns) -> Schedule {
        let spacing = spacing(&timing, targets);
        let skip = (Nanos(0), Nanos(0));
        let (start, next, breathed) = (Nanos(0), None, None);
        let mut schedule = Schedule { timing, targets, spacing, start, turns, next, breathed, skip };
        schedule.next = schedule.look();
        schedule
    }

    /// Says when the first round begins; before anything was taken.
    pub fn begin(&mut self, start: Nanos) {
        self.start = start;
        if let Turns::Every(every) = &mut self.turns {
            every.round_start = start;
        }
        self.next = self.look();
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
        self.next
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
        let due = self.next?;
        let (Appointment { round, turn }, stray) = match &mut self.turns {
            Turns::Every(every) => {
                let at = every.at;
                every.pass(self.targets, &self.timing);
                (at, false)
            }
            Turns::Owned(owned) => {
                let next = owned.next()?;
                owned.pass();
                next
            }
            Turns::Stopped => return None,
        };
        self.next = self.look();
        Some(Slot { turn, round, due, stray })
    }

    #[inline]
    fn look(&self) -> Option<Nanos> {
        let (round, round_start, offset) = match &self.turns {
            Turns::Every(every) => (every.at.round, every.round_start, every.offset),
            Turns::Owned(owned) => {
                let (at, _) = owned.next()?;
                let past_ns = self.timing.round_ns.saturating_mul(u128::from(at.round));
                let round_start = self.start + u64::try_from(past_ns).unwrap_or(u64::MAX);
                (at.round, round_start, self.spacing * u128::from(at.turn))
            }
            Turns::Stopped => return None,
        };
        if self.timing.rounds.is_some_and(|rounds| round >= rounds) {
            return None;
        }
        let due = round_start + (offset >> 32) as u64;
        match self.timing.length_ns {
            Some(length_ns) if due.since(self.start) >= length_ns => None,
            _ => Some(due),
        }
    }

    /// The turn of this shard after `turn`; after the last one comes the first.
    #[inline]
    #[must_use]
    pub fn following(&self, turn: u64) -> u64 {
        match &self.turns {
            Turns::Every(every) => {
                let next = turn + every.step;
                if next < self.targets { next } else { every.first }
            }
            Turns::Owned(owned) => owned.following(turn),
            Turns::Stopped => turn,
        }
    }

    /// Gives a turn away for good, together with the next round that is due of it. `None` where it is not this
    /// shard's to give, or is over.
    pub fn give(&mut self, turn: u64) -> Option<Appointment> {
        let Turns::Owned(owned) = &mut self.turns else { return None };
        let given = owned.give(turn, self.timing.rounds)?;
        self.next = self.look();
        Some(given)
    }

    /// Takes over a turn that another shard gave away. False while too many have come at once: nothing has
    /// happened then.
    pub fn adopt(&mut self, at: Appointment) -> bool {
        match &mut self.turns {
            Turns::Owned(owned) => {
                let adopted = owned.adopt(at);
                self.next = self.look();
                adopted
            }
            Turns::Every(_) => false,
            // Nothing is due any more, this neither.
            Turns::Stopped => true,
        }
    }

    /// The time between two turns of one target, in nanoseconds.
    #[must_use]
    pub fn interval_ns(&self) -> u64 {
        u64::try_from(self.timing.round_ns).unwrap_or(u64::MAX)
    }

    /// How many turns are this shard's.
    #[must_use]
    pub fn turns(&self) -> u64 {
        match &self.turns {
            Turns::Every(every) => self.targets.saturating_sub(every.first).div_ceil(every.step),
            Turns::Owned(owned) => owned.len(),
            Turns::Stopped => 0,
        }
    }

    /// Ends the schedule: nothing is due any more.
    pub fn stop(&mut self) {
        self.turns = Turns::Stopped;
        self.next = None;
    }
}

impl Every {
    #[inline]
    fn pass(&mut self, targets: u64, timing: &Timing) {
        self.at.turn += self.step;
        self.offset += self.spacing;
        if self.at.turn >= targets {
            self.at = Appointment { round: self.at.round + 1, turn: self.first };
            self.offset = self.first_offset;
            self.round_start = self.round_start + u64::try_from(timing.round_ns).unwrap_or(u64::MAX);
        }
    }
}

/// From one turn to the next, in 1/2^32 ns.
fn spacing(timing: &Timing, targets: u64) -> u128 {
    (timing.round_ns << 32) / u128::from(targets.max(1))
}
