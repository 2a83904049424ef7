//! What the simulated Internet saw and did.

use std::ops::Sub;

use crate::abi::{FAMILIES, WORLD_COUNTERS};

/// The family of the frame that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
    /// Neither: ARP and the like, passed to the kernel.
    Other = 2,
}

/// One counter of a family, with the index of `enum mp_world_counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Well-formed echo requests that were judged.
    Requests = 0,
    /// Good echo replies sent.
    Replies = 1,
    /// Requests lost by the random draw.
    Dropped = 2,
    /// Requests to a dead host.
    Dead = 3,
    /// Replies sent with a spoiled bit.
    Corrupted = 4,
    /// Those of the good replies that came from another address.
    OtherAddress = 5,
    /// "Host unreachable" errors sent.
    Unreachable = 6,
    /// "Time exceeded" errors sent.
    TimeExceeded = 7,
    /// Those of the errors that carried a label stack.
    Mpls = 8,
    /// Requests with a bad checksum, dropped; counted only when the world verifies.
    Malformed = 9,
    /// Frames that are not the world's business, handed to the kernel.
    Passed = 10,
    /// Requests dropped for want of room in the frame; stays 0.
    Failed = 11,
    /// Errors that a silent router did not send.
    Silent = 12,
    /// Errors that a rate-limited router did not send.
    Limited = 13,
}

impl Counter {
    /// Every counter, in the order of the ABI.
    pub const ALL: [Counter; WORLD_COUNTERS] = [
        Counter::Requests,
        Counter::Replies,
        Counter::Dropped,
        Counter::Dead,
        Counter::Corrupted,
        Counter::OtherAddress,
        Counter::Unreachable,
        Counter::TimeExceeded,
        Counter::Mpls,
        Counter::Malformed,
        Counter::Passed,
        Counter::Failed,
        Counter::Silent,
        Counter::Limited,
    ];

    /// The counter's name in text and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Counter::Requests => "requests",
            Counter::Replies => "replies",
            Counter::Dropped => "dropped",
            Counter::Dead => "dead",
            Counter::Corrupted => "corrupted",
            Counter::OtherAddress => "other_address",
            Counter::Unreachable => "unreachable",
            Counter::TimeExceeded => "time_exceeded",
            Counter::Mpls => "mpls",
            Counter::Malformed => "malformed",
            Counter::Passed => "passed",
            Counter::Failed => "failed",
            Counter::Silent => "silent",
            Counter::Limited => "limited",
        }
    }
}

/// All counters at one moment, summed over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    counts: [[u64; WORLD_COUNTERS]; FAMILIES],
}

impl Counters {
    /// One counter of one family.
    #[must_use]
    pub fn get(&self, family: Family, counter: Counter) -> u64 {
        self.counts[family as usize][counter as usize]
    }

    /// One counter over all families.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts.iter().map(|family| family[counter as usize]).sum()
    }

    /// The law, family by family: requests = replies + dropped + dead + corrupted + unreachable +
    /// `time_exceeded` + silent + limited. Holds whenever no packet is on its way through the program.
    #[must_use]
    pub fn balanced(&self) -> bool {
        const OUTCOMES: [Counter; 8] = [
            Counter::Replies,
            Counter::Dropped,
            Counter::Dead,
            Counter::Corrupted,
            Counter::Unreachable,
            Counter::TimeExceeded,
            Counter::Silent,
            Counter::Limited,
        ];
        self.counts.iter().all(|family| {
            OUTCOMES.iter().map(|c| family[*c as usize]).sum::<u64>() == family[Counter::Requests as usize]
        })
    }

    /// Adds one CPU's record, as the map holds it; `None` when it has another size.
    pub(super) fn add(&mut self, record: &[u8]) -> Option<()> {
        let (words, rest) = record.as_chunks::<8>();
        if !rest.is_empty() || words.len() != FAMILIES * WORLD_COUNTERS {
            return None;
        }
        for (sum, word) in self.counts.iter_mut().flatten().zip(words) {
            *sum += u64::from_ne_bytes(*word);
        }
        Some(())
    }
}

impl Sub for Counters {
    type Output = Counters;

    /// What was counted between two readings (0 where a reset came between them).
    fn sub(mut self, earlier: Counters) -> Counters {
        for (now, then) in self.counts.iter_mut().flatten().zip(earlier.counts.iter().flatten()) {
            *now = now.saturating_sub(*then);
        }
        self
    }
}
