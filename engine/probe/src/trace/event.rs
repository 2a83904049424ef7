//! What became of one probe towards one hop: the plain type that statistics, screens and paths are made of.

use megaping_wire::Addr;
use megaping_wire::extension::Label;

use crate::outcome::Unsent;
use crate::time::Nanos;

/// One probe with a chosen hop limit has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HopEvent {
    /// When the probe left, or was due when it did not; the shard's clock.
    pub at: Nanos,
    /// The target's index in the run's target set.
    pub target: u32,
    /// The flow (ECMP path) that was explored.
    pub flow: u16,
    /// Which round of the target, from zero.
    pub round: u32,
    /// The hop limit that the probe left with: the number of the hop.
    pub ttl: u8,
    /// How it ended.
    pub end: HopEnd,
    /// Who answered; the target where nobody did.
    pub responder: Addr,
    /// Round trip in nanoseconds; zero where nobody answered.
    pub rtt_ns: u64,
    /// TTL or hop limit that the answer arrived with: how long the way back is. Zero where there was none.
    pub reply_hop_limit: u8,
    /// TTL or hop limit that the probe had left where it ended, as quoted; zero where nothing was quoted.
    pub quoted_hop_limit: u8,
    /// TOS or traffic class that the probe had where it ended, as quoted; that of the probe where nothing was.
    pub quoted_traffic_class: u8,
    /// What else the quote tells.
    pub marks: HopMarks,
    /// The MPLS label stack that the router saw on the probe (RFC 4950).
    pub labels: Labels,
}

/// The ends of a probe towards a hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HopEnd {
    /// The target (or someone in its name) echoed the probe.
    Reached,
    /// A router took the last of its hop limit.
    TimeExceeded,
    /// The path ends there: ICMP type 3 or ICMPv6 type 1, as on the wire.
    Unreachable {
        /// ICMP or ICMPv6 type, by the family of the target.
        icmp_type: u8,
        /// Its code.
        code: u8,
    },
    /// Another ICMP error.
    Other {
        /// ICMP or ICMPv6 type, by the family of the target.
        icmp_type: u8,
        /// Its code.
        code: u8,
    },
    /// Nothing valid came in time.
    Lost,
    /// It never left.
    Unsent(Unsent),
}

/// Marks of a hop event, as a bit set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct HopMarks(pub u8);

impl HopMarks {
    /// The quote shows another source than the probe left with: a NAT before this hop.
    pub const NAT_SOURCE: HopMarks = HopMarks(1);
    /// The quote shows another destination than the probe went to.
    pub const NAT_DESTINATION: HopMarks = HopMarks(2);
    /// The quote shows another DSCP than the probe left with.
    pub const DSCP_REWRITTEN: HopMarks = HopMarks(4);
    /// The quote shows another ECN field than the probe left with.
    pub const ECN_REWRITTEN: HopMarks = HopMarks(8);
    /// Extensions came whose lengths contradict each other; what is read of them ends there.
    pub const EXTENSIONS_MALFORMED: HopMarks = HopMarks(16);
    /// The quote ends before the engine's own header: the probe was found by its identity, without the MAC.
    pub const SHORT_QUOTE: HopMarks = HopMarks(32);

    /// Both sets together.
    #[inline]
    #[must_use]
    pub const fn with(self, other: HopMarks) -> HopMarks {
        HopMarks(self.0 | other.0)
    }

    /// `marks` where it is so, and none where not.
    #[inline]
    #[must_use]
    pub const fn when(is_so: bool, marks: HopMarks) -> HopMarks {
        if is_so { marks } else { HopMarks(0) }
    }

    /// Whether every mark of `other` is set.
    #[inline]
    #[must_use]
    pub const fn has(self, other: HopMarks) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Label stack entries that an event has room for; deeper stacks are cut.
pub const LABELS_MAX: usize = 8;

/// An MPLS label stack, top first (RFC 3032 section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Labels {
    entries: [u32; LABELS_MAX],
    len: u8,
}

impl Labels {
    /// No label.
    pub const NONE: Labels = Labels { entries: [0; LABELS_MAX], len: 0 };

    /// Adds an entry below those that are there; what is beyond [`LABELS_MAX`] is left out.
    #[inline]
    pub fn push(&mut self, label: Label) {
        if let Some(place) = self.entries.get_mut(usize::from(self.len)) {
            *place = label.to_bits();
            self.len += 1;
        }
    }

    /// How many entries there are.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries as label, traffic class (EXP), bottom of stack (S) and TTL, top first.
    pub fn iter(&self) -> impl Iterator<Item = Label> + '_ {
        self.bits().iter().map(|bits| Label::from_bits(*bits))
    }

    /// The entries as the 32 bits that were on the wire, top first.
    #[inline]
    #[must_use]
    pub fn bits(&self) -> &[u32] {
        self.entries.get(..self.len()).unwrap_or_default()
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(entries: I) -> Labels {
        let mut labels = Labels::NONE;
        entries.into_iter().take(LABELS_MAX).for_each(|entry| labels.push(entry));
        labels
    }
}

const _: () = assert!(size_of::<HopEvent>() == 88, "an event is 88 bytes: queues of them are sized by it");

#[cfg(test)]
mod tests {
    use super::*;

    fn label(number: u32) -> Label {
        Label { label: number, traffic_class: (number % 8) as u8, bottom: number == 7, ttl: number as u8 }
    }

    #[test]
    fn labels_keep_their_order_and_their_bound() {
        let labels: Labels = (0..20).map(label).collect();
        assert_eq!(labels.len(), LABELS_MAX);
        assert!(labels.iter().eq((0..8).map(label)));
        assert!(Labels::NONE.is_empty() && Labels::NONE.iter().next().is_none());
        let two: Labels = [label(1), label(7)].into_iter().collect();
        assert_eq!(two.bits(), [label(1).to_bits(), label(7).to_bits()]);
    }

    #[test]
    fn marks_are_sets() {
        let marks = HopMarks::when(true, HopMarks::NAT_SOURCE)
            .with(HopMarks::when(false, HopMarks::SHORT_QUOTE))
            .with(HopMarks::ECN_REWRITTEN);
        assert!(marks.has(HopMarks::NAT_SOURCE) && marks.has(HopMarks::ECN_REWRITTEN));
        assert!(!marks.has(HopMarks::SHORT_QUOTE) && !marks.has(HopMarks::DSCP_REWRITTEN));
    }
}
