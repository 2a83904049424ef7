//! From the end of a probe to its [`HopEvent`]: what the quote and its extensions tell.

use megaping_wire::extension::interface::Role;
use megaping_wire::extension::{Object, Structure};
use megaping_wire::{Addr, icmpv4, icmpv6};

use super::event::{HopEnd, HopEvent, HopMarks, Labels};
use crate::border::{Arrival, Kind};
use crate::outcome::{Outcome, Verdict};

/// Objects of one extension structure that are looked at; a longer one counts as malformed.
const OBJECTS_MAX: usize = 16;

const ECN_MASK: u8 = 3;

/// What a reader of quotes has to know of the probes.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// This machine's addresses, sorted; where there are none, a NAT of the source is not looked for.
    pub own: Box<[Addr]>,
    /// TOS or traffic class octet of every probe.
    pub traffic_class: u8,
}

/// The interface by which a probe came into a router, where the router tells (RFC 5837).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CameIn {
    /// ifIndex; zero where it is not told.
    pub index: u32,
    /// MTU in bytes; zero where it is not told.
    pub mtu: u32,
}

impl Reader {
    /// The event of one ended probe, and the interface that its answer names.
    #[inline]
    #[must_use]
    pub fn read(&self, outcome: &Outcome, answer: Option<&Arrival<'_>>) -> (HopEvent, CameIn) {
        let mut event = HopEvent {
            at: outcome.at,
            target: outcome.target as u32,
            flow: outcome.flow,
            round: outcome.seq,
            ttl: outcome.hop_limit,
            end: end_of(outcome),
            responder: outcome.responder,
            rtt_ns: outcome.rtt_ns,
            reply_hop_limit: outcome.reply_hop_limit,
            quoted_hop_limit: 0,
            quoted_traffic_class: self.traffic_class,
            marks: HopMarks::default(),
            labels: Labels::NONE,
        };
        let mut came_in = CameIn::default();
        if let Some(arrival) = answer
            && let Kind::Error { .. } = arrival.kind
        {
            let quoted = &arrival.quoted;
            event.quoted_hop_limit = quoted.hop_limit;
            event.quoted_traffic_class = quoted.traffic_class;
            event.marks = self.marks(outcome, arrival);
            if !quoted.extensions.is_empty() {
                came_in = read_extensions(quoted.extensions, &mut event);
            }
        }
        (event, came_in)
    }

    #[inline]
    fn marks(&self, outcome: &Outcome, arrival: &Arrival<'_>) -> HopMarks {
        let quoted = &arrival.quoted;
        let changed = quoted.traffic_class ^ self.traffic_class;
        let is_ours = self.own.is_empty() || self.own.binary_search(&quoted.source).is_ok();
        HopMarks::when(!is_ours, HopMarks::NAT_SOURCE)
            .with(HopMarks::when(arrival.destination != outcome.destination, HopMarks::NAT_DESTINATION))
            .with(HopMarks::when(changed & !ECN_MASK != 0, HopMarks::DSCP_REWRITTEN))
            .with(HopMarks::when(changed & ECN_MASK != 0, HopMarks::ECN_REWRITTEN))
            .with(HopMarks::when(arrival.evidence.is_none(), HopMarks::SHORT_QUOTE))
    }
}

#[inline]
fn end_of(outcome: &Outcome) -> HopEnd {
    match outcome.verdict {
        Verdict::Answered => HopEnd::Reached,
        Verdict::Lost => HopEnd::Lost,
        Verdict::Unsent(reason) => HopEnd::Unsent(reason),
        Verdict::Error { icmp_type, code } => {
            let (exceeded, unreachable) = if outcome.destination.is_v4() {
                (icmpv4::TIME_EXCEEDED, icmpv4::DESTINATION_UNREACHABLE)
            } else {
                (icmpv6::TIME_EXCEEDED, icmpv6::DESTINATION_UNREACHABLE)
            };
            match icmp_type {
                // Code 1 is a fragment that waited too long for its siblings: the probe had arrived.
                _ if icmp_type == exceeded && code == 0 => HopEnd::TimeExceeded,
                _ if icmp_type == unreachable => HopEnd::Unreachable { icmp_type, code },
                _ => HopEnd::Other { icmp_type, code },
            }
        }
    }
}

/// Reads what is there up to the first length that cannot be true, which is marked.
fn read_extensions(bytes: &[u8], event: &mut HopEvent) -> CameIn {
    let mut came_in = CameIn::default();
    let Ok(structure) = Structure::new_checked(bytes) else {
        event.marks = event.marks.with(HopMarks::EXTENSIONS_MALFORMED);
        return came_in;
    };
    for (number, object) in structure.objects().enumerate() {
        let Some(object) = object.ok().filter(|_| number < OBJECTS_MAX) else {
            event.marks = event.marks.with(HopMarks::EXTENSIONS_MALFORMED);
            break;
        };
        if let Some(labels) = object.mpls() {
            if event.labels.is_empty() {
                event.labels = labels.collect();
            }
        } else if object.class == Object::CLASS_INTERFACE {
            match object.interface() {
                Some(interface) if interface.role == Role::Incoming => {
                    let told = |number: Option<u32>| number.unwrap_or_default();
                    came_in = CameIn { index: told(interface.index), mtu: told(interface.mtu) };
                }
                Some(_) => {}
                None => event.marks = event.marks.with(HopMarks::EXTENSIONS_MALFORMED),
            }
        }
    }
    came_in
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::border::{Evidence, Integrity, Quoted, Stamp};
    use crate::outcome::{Marks, StampSource};
    use crate::time::Nanos;
    use megaping_wire::extension::Label;
    use proptest::prelude::*;

    const US: Addr = Addr::v4([192, 0, 2, 1]);
    const TARGET: Addr = Addr::v4([198, 51, 100, 7]);
    const ROUTER: Addr = Addr::v4([203, 0, 113, 9]);

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            at: Nanos(5),
            rtt_ns: 1000,
            target: 3,
            destination: TARGET,
            responder: ROUTER,
            seq: 2,
            error_ns: 0,
            size: 32,
            flow: 1,
            verdict,
            hop_limit: 4,
            reply_hop_limit: 252,
            stamp_source: StampSource::Kernel,
            marks: Marks::default(),
        }
    }

    fn arrival(quoted: Quoted<'_>) -> Arrival<'_> {
        Arrival {
            kind: Kind::Error { icmp_type: 11, code: 0 },
            responder: ROUTER,
            destination: TARGET,
            identifier: 0,
            sequence: 0,
            evidence: Some(Evidence { key: 0, ordered_at: Nanos(0), mac: 1 }),
            integrity: Integrity::Good,
            hop_limit: 252,
            traffic_class: 0xc0,
            stamp: Stamp::default(),
            quoted,
            packet: &[],
        }
    }

    fn read(arrival: &Arrival<'_>) -> (HopEvent, CameIn) {
        let reader = Reader { own: Box::new([US]), traffic_class: 0x2a };
        reader.read(&outcome(Verdict::Error { icmp_type: 11, code: 0 }), Some(arrival))
    }

    fn plain() -> Quoted<'static> {
        Quoted { hop_limit: 1, traffic_class: 0x2a, source: US, extensions: &[] }
    }

    #[test]
    fn each_rewriting_has_its_mark_and_nothing_else_has_one() {
        assert_eq!(read(&arrival(plain())).0.marks, HopMarks::default());
        for (arrival, mark) in [
            (arrival(Quoted { source: ROUTER, ..plain() }), HopMarks::NAT_SOURCE),
            (Arrival { destination: US, ..arrival(plain()) }, HopMarks::NAT_DESTINATION),
            (arrival(Quoted { traffic_class: 0x02, ..plain() }), HopMarks::DSCP_REWRITTEN),
            (arrival(Quoted { traffic_class: 0x2b, ..plain() }), HopMarks::ECN_REWRITTEN),
            (Arrival { evidence: None, ..arrival(plain()) }, HopMarks::SHORT_QUOTE),
            (
                arrival(Quoted { extensions: &[0x20, 0, 0, 0, 0, 3, 1, 1], ..plain() }),
                HopMarks::EXTENSIONS_MALFORMED,
            ),
        ] {
            assert_eq!(read(&arrival).0.marks, mark, "{arrival:?}");
        }
    }

    #[test]
    fn ends_are_told_apart_in_both_families() {
        let v6 = Addr([0x20; 16]);
        let end = |icmp_type, code, destination| {
            end_of(&Outcome { destination, ..outcome(Verdict::Error { icmp_type, code }) })
        };
        assert_eq!(end(11, 0, TARGET), HopEnd::TimeExceeded);
        assert_eq!(end(3, 0, v6), HopEnd::TimeExceeded);
        assert_eq!(end(3, 1, TARGET), HopEnd::Unreachable { icmp_type: 3, code: 1 });
        assert_eq!(end(1, 3, v6), HopEnd::Unreachable { icmp_type: 1, code: 3 });
        assert_eq!(end(11, 1, TARGET), HopEnd::Other { icmp_type: 11, code: 1 });
        assert_eq!(end(2, 0, v6), HopEnd::Other { icmp_type: 2, code: 0 });
        assert_eq!(end_of(&outcome(Verdict::Answered)), HopEnd::Reached);
    }

    #[test]
    fn labels_and_the_incoming_interface_are_read() {
        let bytes = [
            &[0x20, 0, 0, 0][..],
            &[0, 12, 2, 0x49, 0, 0, 0, 9, 0, 0, 5, 0xdc],
            &[0, 12, 2, 0x09, 0, 0, 0, 7, 0, 0, 5, 0xdc],
            &[0, 8, 1, 1, 0, 1, 0x01, 0x01],
        ]
        .concat();
        let (event, came_in) = read(&arrival(Quoted { extensions: &bytes, ..plain() }));
        assert_eq!(came_in, CameIn { index: 7, mtu: 1500 });
        assert_eq!(event.labels.iter().collect::<Vec<_>>(), [Label::from_bits(0x0001_0101)]);
        assert_eq!(event.marks, HopMarks::default());
    }

    #[test]
    fn a_structure_without_end_is_cut() {
        let looping = [&[0x20, 0, 0, 0][..], &[0, 4, 9, 9].repeat(300)].concat();
        let (event, _) = read(&arrival(Quoted { extensions: &looping, ..plain() }));
        assert_eq!(event.marks, HopMarks::EXTENSIONS_MALFORMED);
    }

    proptest! {
        /// Truncated, lying or looping: no panic, no more labels than there is room for, and whatever contradicts
        /// itself is marked.
        #[test]
        fn any_extension_is_harmless(bytes in prop::collection::vec(any::<u8>(), 1..300), sound: bool) {
            let mut bytes = bytes;
            if sound && bytes.len() >= 4 {
                (bytes[0], bytes[2], bytes[3]) = (0x20, 0, 0);
            }
            let (event, _) = read(&arrival(Quoted { extensions: &bytes, ..plain() }));
            prop_assert!(event.labels.len() <= super::super::event::LABELS_MAX);
            let objects = Structure::new_checked(&bytes).map(|s| s.objects().all(|object| object.is_ok()));
            if objects != Ok(true) {
                prop_assert!(event.marks.has(HopMarks::EXTENSIONS_MALFORMED));
            }
        }

        /// A sound structure cut anywhere, or with one length changed, never yields what was not in it.
        #[test]
        fn a_lie_in_a_sound_structure_yields_no_other_labels(cut in 0usize..20, lie: u16, at in 0usize..2) {
            let sound = [0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x01, 0x01, 0, 8, 9, 9, 1, 2, 3, 4];
            let mut bytes = sound[..cut].to_vec();
            if let Some(place) = bytes.get_mut(4 + 8 * at..6 + 8 * at) {
                place.copy_from_slice(&lie.to_be_bytes());
            }
            let (event, _) = read(&arrival(Quoted { extensions: &bytes, ..plain() }));
            if let Some(label) = event.labels.bits().first() {
                prop_assert_eq!(*label, 0x0001_0101);
            }
        }
    }
}
