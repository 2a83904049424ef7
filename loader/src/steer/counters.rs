//! What the steering program decided.

use std::ops::Sub;

use crate::abi::{FAMILIES, STEER_COUNTERS};
use crate::world::Family;

/// One counter of a family, with the index of `enum mp_steer_counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum SteerCounter {
    /// Echo replies with an identifier of ours.
    Replies = 0,
    /// ICMP errors that quote an echo request with an identifier of ours.
    Errors = 1,
    /// Echo replies and errors about somebody else's packets.
    Foreign = 2,
    /// ICMP of another type.
    OtherIcmp = 3,
    /// Another protocol.
    NotIcmp = 4,
    /// Fragments without a header: of IPv4 those of ICMP, of IPv6 any.
    LaterFragments = 5,
    /// Cut short, or with lengths or versions that contradict each other.
    Malformed = 6,
    /// More VLAN tags or extension headers than are looked behind.
    TooDeep = 7,
    /// Those of the replies and errors that went to the kernel, for want of a socket on their receive queue.
    NoSocket = 8,
    /// Those of the replies and errors that went to a socket without a stamp.
    Unstamped = 9,
}

impl SteerCounter {
    /// Every counter, in the order of the ABI.
    pub const ALL: [SteerCounter; STEER_COUNTERS] = [
        SteerCounter::Replies,
        SteerCounter::Errors,
        SteerCounter::Foreign,
        SteerCounter::OtherIcmp,
        SteerCounter::NotIcmp,
        SteerCounter::LaterFragments,
        SteerCounter::Malformed,
        SteerCounter::TooDeep,
        SteerCounter::NoSocket,
        SteerCounter::Unstamped,
    ];

    /// How many of them are verdicts, of which each frame has exactly one.
    const VERDICTS: usize = 8;

    /// The counter's name in text and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SteerCounter::Replies => "replies",
            SteerCounter::Errors => "errors",
            SteerCounter::Foreign => "foreign",
            SteerCounter::OtherIcmp => "other_icmp",
            SteerCounter::NotIcmp => "not_icmp",
            SteerCounter::LaterFragments => "later_fragments",
            SteerCounter::Malformed => "malformed",
            SteerCounter::TooDeep => "too_deep",
            SteerCounter::NoSocket => "no_socket",
            SteerCounter::Unstamped => "unstamped",
        }
    }
}

/// All counters at one moment, summed over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SteerCounters {
    counts: [[u64; STEER_COUNTERS]; FAMILIES],
}

impl SteerCounters {
    /// One counter of one family.
    #[must_use]
    pub fn get(&self, family: Family, counter: SteerCounter) -> u64 {
        self.counts[family as usize][counter as usize]
    }

    /// One counter over all families.
    #[must_use]
    pub fn total(&self, counter: SteerCounter) -> u64 {
        self.counts.iter().map(|family| family[counter as usize]).sum()
    }

    /// Frames that the program saw.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counts.iter().flat_map(|family| &family[..SteerCounter::VERDICTS]).sum()
    }

    /// Frames that went to a socket; it may have dropped them for want of room, which its own statistics say.
    #[must_use]
    pub fn redirected(&self) -> u64 {
        let ours = self.total(SteerCounter::Replies) + self.total(SteerCounter::Errors);
        ours.saturating_sub(self.total(SteerCounter::NoSocket))
    }

    /// Adds one CPU's record, as the map holds it; `None` when it has another size.
    pub(super) fn add(&mut self, record: &[u8]) -> Option<()> {
        let (words, rest) = record.as_chunks::<8>();
        if !rest.is_empty() || words.len() != FAMILIES * STEER_COUNTERS {
            return None;
        }
        for (sum, word) in self.counts.iter_mut().flatten().zip(words) {
            *sum += u64::from_ne_bytes(*word);
        }
        Some(())
    }
}

impl Sub for SteerCounters {
    type Output = SteerCounters;

    /// What was counted between two readings.
    fn sub(mut self, earlier: SteerCounters) -> SteerCounters {
        for (now, then) in self.counts.iter_mut().flatten().zip(earlier.counts.iter().flatten()) {
            *now = now.saturating_sub(*then);
        }
        self
    }
}
