//! What a capture holds, in numbers.

use std::fmt;

use serde::Serialize;

use crate::{Class, Sighting};

/// Counts of packets: `packets = requests + replies + errors + other + malformed`, and beside them those that
/// have a wrong checksum, and those that were cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    /// All of them.
    pub packets: u64,
    /// Echo requests.
    pub requests: u64,
    /// Echo replies.
    pub replies: u64,
    /// ICMP and ICMPv6 errors.
    pub errors: u64,
    /// Other ICMP, other protocols.
    pub other: u64,
    /// Packets that contradict themselves.
    pub malformed: u64,
    /// Packets with a wrong checksum, of whichever class.
    pub bad_checksum: u64,
    /// Packets that were captured in part and could not be checked, of whichever class.
    pub cut: u64,
}

impl Summary {
    /// Counts a packet.
    pub fn count(&mut self, sighting: &Sighting) {
        self.packets += 1;
        *match sighting.class {
            Class::Request => &mut self.requests,
            Class::Reply => &mut self.replies,
            Class::Error => &mut self.errors,
            Class::Other => &mut self.other,
            Class::Malformed => &mut self.malformed,
        } += 1;
        self.bad_checksum += u64::from(!sighting.bad_checksum.is_empty());
        self.cut += u64::from(sighting.cut.is_some());
    }

    /// Whether anything was wrong.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        self.malformed > 0 || self.bad_checksum > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { packets, requests, replies, errors, other, malformed, bad_checksum, cut } = self;
        write!(
            f,
            "packets {packets}: requests {requests}, replies {replies}, errors {errors}, other {other}, \
             malformed {malformed}; bad checksum {bad_checksum}, cut {cut}"
        )
    }
}
