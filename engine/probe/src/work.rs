//! What a shard probes and when: the part of the core in which ping and trace differ.
//!
//! ```text
//!                due? take ──> Task ──> core: seat, pace, table, MAC ──> Order ==> (a ring)
//!   Work            ^                                                               |
//!                   +──── on_end <──── core: answered, error, lost or unsent <──────+
//! ```
//!
//! The core asks for one task at a time and tells of each end once, so work that decides by answers (how far to
//! trace, whom to ask next) and work that knows everything beforehand (a schedule of rounds) are the same to it.

use megaping_wire::Addr;

use crate::border::Arrival;
use crate::outcome::Outcome;
use crate::schedule::Appointment;
use crate::time::Nanos;

/// One probe whose turn has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Task {
    /// When it was due.
    pub due: Nanos,
    /// The target's index in the run's target set.
    pub target: u64,
    /// Where to.
    pub destination: Addr,
    /// Which round of this target.
    pub seq: u32,
    /// Which of the target's ECMP paths to explore.
    pub flow: u16,
    /// TTL or hop limit to start with.
    pub hop_limit: u8,
}

/// What probes may have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Class {
    /// Payload bytes.
    pub payload_len: u16,
    /// TOS or traffic class octet.
    pub traffic_class: u8,
    /// How long an answer is waited for, in nanoseconds: no longer than the core waits for any.
    pub timeout_ns: u64,
}

/// A source of probes for one shard. Statically dispatched: the core is compiled once for each kind.
///
/// Pure like the core itself: no clock, no socket, no thread, and no allocation once it has begun.
pub trait Work {
    /// Whether this kind of work ever leaves out a probe for somebody's share.
    const SHEDS: bool = false;

    /// Says when the first probe may leave; before anything else.
    fn begin(&mut self, start: Nanos);

    /// Tells the time, once a breath, after what arrived was matched: from the gaps it knows a stall.
    fn breathe(&mut self, now: Nanos);

    /// When the next probe is due. `None` while nothing is, until the end of a probe under way changes that:
    /// with nothing under way, `None` is the end of the work.
    fn due(&self) -> Option<Nanos>;

    /// Whether a probe that was due at `due` is not worth sending any more.
    fn is_overdue(&self, due: Nanos) -> bool;

    /// Whether the next probe is to be left out this time, for whoever asked for it has had its share.
    #[inline]
    fn is_shed(&self) -> bool {
        false
    }

    /// Takes the probe that [`Work::due`] told of.
    fn take(&mut self) -> Option<Task>;

    /// The class of a target's probes, where it is not the one that all have in `common`.
    #[inline]
    fn class(&self, _target: u64, common: Class) -> Class {
        common
    }

    /// Hears of the end of a probe, each exactly once, and of the answer that ended it where one did. What is
    /// due may change with it, even to a time that has passed.
    #[inline]
    fn on_end(&mut self, _outcome: &Outcome, _answer: Option<&Arrival<'_>>) {}

    /// Gives up the target of `outcome`, from its next turn on, for another shard to take over. `None` where it is
    /// not this shard's to give, or has had its last turn, or where this kind of work does not move.
    fn give(&mut self, _outcome: &Outcome) -> Option<Appointment> {
        None
    }

    /// Takes over a target that another shard gave up. False while too many have come at once: nothing has
    /// happened then.
    fn adopt(&mut self, _at: Appointment) -> bool {
        false
    }

    /// The time between two probes of one target, in nanoseconds, where they are to be evenly apart.
    fn interval_ns(&self) -> u64 {
        u64::MAX
    }

    /// How much work this is by now, where it was one at first: its pace follows.
    fn share(&self) -> f64 {
        1.0
    }

    /// Nothing is due any more, for good.
    fn stop(&mut self);
}
