//! Paths as they are stored, and their blocks.
//!
//! A segment whose header says `paths` holds blocks like any other, but a block is one `MessagePack` value after the
//! other: a path, or a change of one, is a row, and a row is these:
//!
//! | # | name | holds |
//! | --- | --- | --- |
//! | 1 | `kind` | 0: a path, 1: a change |
//! | 2 | `ts` | when the last probe of the path ended, Unix nanoseconds |
//! | 3, 4 | `hi`, `lo` | the destination's halves; IPv4 as `::ffff:a.b.c.d` |
//! | 5 | `flow` | ECMP path explored |
//! | 6 | `round` | round of the run |
//! | 7 | `flags` | bit 0: the destination was reached, 1: all was asked that should be |
//! | 8 | `length` | the hop at which it ends; 0 where that was not found |
//! | 9 | `path_id` | hash of its responders and their places |
//! | 10 | `probes` | probes that left for it |
//! | 11 | `first_hop` | of a change: the first hop that differs; else 0 |
//! | 12 | `before_id` | of a change: the id of the path before; else 0 |
//! | 13 | `ttl` | array: hop limits, rising |
//! | 14, 15 | `rhi`, `rlo` | arrays: responders; zero where nobody answered |
//! | 16 | `rtt_ns` | array: shortest round trips |
//! | 17, 18 | `sent`, `received` | arrays: probes, and those that were answered |
//! | 19 | `icmp` | array: ICMP type * 256 + code of the first answer |
//! | 20 | `reply` | array: TTL or hop limit of the first answer |
//! | 21 | `class` | array: traffic class as quoted |
//! | 22 | `marks` | array: bit set of [`megaping_probe::trace::HopMarks`], and [`SHARED`] |
//! | 23, 24 | `label_ttl`, `label` | arrays: MPLS label stack entries (RFC 3032), top first, and the hop of each |
//! | 25, 26 | `bhi`, `blo` | arrays: of a change: the responders before, from hop 1 on |

mod decode;
mod encode;
mod read;
#[cfg(test)]
mod tests;

use megaping_probe::trace::HopMarks;
use megaping_wire::Addr;

pub use decode::PathDecoder;
pub use encode::PathEncoder;
pub use read::{PATHS, are_in, read, spool_of};

/// Beside the marks of a hop: it was not asked, since many other paths agree about it.
pub const SHARED: u8 = 0x80;

/// A path, or a change of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPath {
    /// When the last of its probes ended, Unix nanoseconds.
    pub unix_ns: u64,
    /// Where it leads.
    pub destination: Addr,
    /// The flow.
    pub flow: u16,
    /// The round.
    pub round: u32,
    /// Whether the destination was reached.
    pub reached: bool,
    /// Whether all was asked that the rules demand.
    pub complete: bool,
    /// The hop at which it ends; zero where none was found.
    pub length: u8,
    /// The hash of its responders and their places.
    pub id: u64,
    /// Probes that left for it.
    pub probes: u32,
    /// Its hops, in the order of their hop limits.
    pub hops: Vec<StoredHop>,
    /// What it was before, where this is a change.
    pub before: Option<Before>,
}

/// What a path was before it changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Before {
    /// The first hop that differs.
    pub first_hop: u8,
    /// Its id.
    pub id: u64,
    /// Who answered, from hop 1 on.
    pub route: Vec<Option<Addr>>,
}

/// One hop of a path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredHop {
    /// Its hop limit.
    pub ttl: u8,
    /// Who answered, if anybody.
    pub responder: Option<Addr>,
    /// The shortest round trip in nanoseconds; zero where there was no answer.
    pub rtt_ns: u64,
    /// Probes that left.
    pub sent: u16,
    /// Those that were answered.
    pub received: u16,
    /// ICMP or ICMPv6 type and code of the first answer.
    pub icmp: (u8, u8),
    /// TTL or hop limit that the first answer arrived with.
    pub reply_hop_limit: u8,
    /// TOS or traffic class that the probe had there, as quoted.
    pub traffic_class: u8,
    /// Marks of all answers.
    pub marks: HopMarks,
    /// Whether it was not asked.
    pub shared: bool,
    /// The MPLS label stack, top first, as on the wire.
    pub labels: Vec<u32>,
}
