//! One measurement's targets on a circle: each at its phase, once a round, round after round.
//!
//! ```text
//!        0                       interval                  phase = hash(measurement, target, flow) / 2^32
//!        |--a----c-------b---d------|--a----c-------b---d------|
//!                ^ cursor: the next one                         rounds are counted from the Unix epoch
//! ```
//!
//! Nothing is stored of when a target was probed last: its phase follows from its name and the wall clock. So a target
//! keeps its phase whatever comes and goes beside it, over a reload and over a restart.

use std::sync::Arc;

use megaping_wire::Addr;

use super::share::Share;
use crate::time::Nanos;
use crate::work::{Class, Task};

/// What a circle is made of.
#[derive(Clone, Debug)]
pub struct CirclePlan {
    /// Which measurement: the upper half of every target number.
    pub slot: u32,
    /// What all its probes have in common.
    pub class: Class,
    /// How long a round takes, in nanoseconds.
    pub interval_ns: u64,
    /// TTL or hop limit of every probe.
    pub hop_limit: u8,
    /// How many ECMP paths of each target are probed, each once a round; at least one.
    pub flows: u16,
    /// Of what is due, how much may leave.
    pub share: Share,
    /// Rounds in all; `None` for as long as it is there.
    pub rounds: Option<u32>,
    /// Where phases come from, beside the addresses: the measurement's name, hashed, so that it is the same after a
    /// restart.
    pub seed: u64,
    /// The targets, by their index.
    pub targets: Arc<[Addr]>,
}

/// One target's flow, at its place on the circle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Member {
    /// In 2^-32 of a round.
    phase: u32,
    /// `target * flows + flow`.
    index: u32,
}

/// One shard's part of a measurement.
#[derive(Clone, Debug)]
pub struct Circle {
    plan: CirclePlan,
    members: Box<[Member]>,
    at: usize,
    round: u64,
    // Wraps below zero for a round that began before the clock did.
    round_start: u64,
    // Turns that are left; a round begins with whoever is next.
    left: u64,
    // What was due before this is not worth sending any more.
    skip_before: Nanos,
}

impl Circle {
    /// The part of `shard` among `shards`; sorts what may be millions, so it is made elsewhere than in the shard.
    #[must_use]
    pub fn new(plan: CirclePlan, shard: u16, shards: u16) -> Circle {
        let flows = u32::from(plan.flows.max(1));
        let all = (plan.targets.len() as u64).saturating_mul(flows.into()).min(u64::from(u32::MAX)) as u32;
        let mine = (u32::from(shard)..all).step_by(usize::from(shards.max(1)));
        let member = |index: u32| {
            let target = &plan.targets[(index / flows) as usize];
            Member { phase: phase(plan.seed, target, (index % flows) as u16), index }
        };
        let mut members: Vec<Member> = mine.map(member).collect();
        members.sort_unstable();
        Circle {
            plan: CirclePlan { flows: flows as u16, interval_ns: plan.interval_ns.max(1), ..plan },
            members: members.into(),
            at: 0,
            round: 0,
            round_start: 0,
            left: 0,
            skip_before: Nanos(0),
        }
    }

    /// Sets the cursor on the first target that is due at or after `now`; the clock is `unix_offset_ns` behind Unix
    /// time.
    pub fn begin(&mut self, now: Nanos, unix_offset_ns: u64) {
        let unix_ns = now.0.saturating_add(unix_offset_ns);
        let interval_ns = self.plan.interval_ns;
        self.round = unix_ns / interval_ns;
        let into_round_ns = unix_ns % interval_ns;
        self.round_start = now.0.wrapping_sub(into_round_ns);
        let turns = |rounds| u64::from(rounds) * self.members.len() as u64;
        self.left = self.plan.rounds.map_or(u64::MAX, turns);
        self.at = self.members.partition_point(|member| offset(interval_ns, member.phase) < into_round_ns);
        if self.at == self.members.len() {
            self.next_round();
        }
    }

    /// Which measurement.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.plan.slot
    }

    /// What all its probes have in common.
    #[must_use]
    pub fn class(&self) -> Class {
        self.plan.class
    }

    /// From now on this much of what is due may leave.
    pub fn set_share(&mut self, share: Share) {
        self.plan.share = share;
    }

    /// When the next target is due; `None` where there is none, or every round is over.
    #[inline]
    #[must_use]
    pub fn due(&self) -> Option<Nanos> {
        let member = self.members.get(self.at)?;
        let due = self.round_start.wrapping_add(offset(self.plan.interval_ns, member.phase));
        (self.left > 0).then_some(Nanos(due))
    }

    /// Takes note that a probe that was due at `due` is still to be sent: later than a round it is not worth it.
    pub fn notice(&mut self, due: Nanos, now: Nanos) {
        let late_max_ns = self.plan.interval_ns.clamp(super::LATE_MAX_NS.0, super::LATE_MAX_NS.1);
        if now.since(due) > late_max_ns {
            self.skip_before = now - late_max_ns / 4;
        }
    }

    /// What was due before this is not worth sending any more.
    #[inline]
    #[must_use]
    pub fn skip_before(&self) -> Nanos {
        self.skip_before
    }

    /// Whether the next target is to be left out this time, for its tenant's share is used up.
    #[inline]
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.members.get(self.at).is_some_and(|member| !self.plan.share.admits(member.index, self.round))
    }

    /// Takes the next target.
    #[inline]
    pub fn take(&mut self) -> Option<Task> {
        let due = self.due()?;
        let Member { index, .. } = *self.members.get(self.at)?;
        let flows = u32::from(self.plan.flows);
        let (target, flow) = if flows == 1 { (index, 0) } else { (index / flows, (index % flows) as u16) };
        let task = Task {
            due,
            target: u64::from(self.plan.slot) << 32 | u64::from(target),
            destination: *self.plan.targets.get(target as usize)?,
            seq: self.round as u32,
            flow,
            hop_limit: self.plan.hop_limit,
        };
        self.left -= 1;
        self.at += 1;
        if self.at == self.members.len() {
            self.next_round();
        }
        Some(task)
    }
}

impl Circle {
    #[inline]
    fn next_round(&mut self) {
        self.at = 0;
        self.round += 1;
        self.round_start = self.round_start.wrapping_add(self.plan.interval_ns);
    }
}

/// How far into a round a phase is, in nanoseconds.
#[inline]
const fn offset(interval_ns: u64, phase: u32) -> u64 {
    ((interval_ns as u128 * phase as u128) >> 32) as u64
}

/// Where on the circle a target's flow is: even over all targets, and the same for ever.
fn phase(seed: u64, target: &Addr, flow: u16) -> u32 {
    let bits = u128::from_be_bytes(target.0);
    let mut hash = seed;
    for word in [(bits >> 64) as u64, bits as u64, u64::from(flow)] {
        hash = mix(hash ^ word);
    }
    (hash >> 32) as u32
}

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
