//! `parse(emit(x)) == x` for every `Repr`, over buffers that held something else before.

mod common;

use common::{bytes, v4, v6};
use megaping_wire::ethernet::{self, EtherType, Frame, MacAddr};
use megaping_wire::extension::Label;
use megaping_wire::icmp::{Echo, Message};
use megaping_wire::vlan::Tag;
use megaping_wire::{icmpv4, icmpv6, ipv4, ipv6};
use proptest::prelude::*;

prop_compose! {
    fn ipv4_repr()(ends in (v4(), v4()), protocol: u8, ttl: u8, traffic_class: u8, identification: u16,
                   dont_fragment: bool, payload_len in 0_u16..200) -> ipv4::Repr {
        let (source, destination) = ends;
        ipv4::Repr {
            source, destination, protocol, ttl, traffic_class, identification, dont_fragment, payload_len,
        }
    }
}

prop_compose! {
    fn ipv6_repr()(source in v6(), destination in v6(), next_header: u8, hop_limit: u8, traffic_class: u8,
                   flow_label in 0_u32..1 << 20, payload_len in 0_u16..200) -> ipv6::Repr {
        ipv6::Repr { source, destination, next_header, hop_limit, traffic_class, flow_label, payload_len }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn ethernet(destination: [u8; 6], source: [u8; 6], ethertype: u16, mut dirt: [u8; 20]) {
        let repr = ethernet::Repr {
            destination: MacAddr(destination), source: MacAddr(source), ethertype: EtherType(ethertype),
        };
        let behind = dirt[14..].to_vec();
        repr.emit(&mut Frame::new_unchecked(&mut dirt));
        let frame = Frame::new_checked(&dirt).unwrap();
        prop_assert_eq!(ethernet::Repr::parse(&frame), repr);
        prop_assert_eq!(frame.payload(), behind);
    }

    #[test]
    fn vlan_tag(priority in 0_u8..8, drop_eligible: bool, vlan in 0_u16..4096) {
        let tag = Tag { priority, drop_eligible, vlan };
        prop_assert_eq!(Tag::from_bits(tag.to_bits()), tag);
    }

    #[test]
    fn mpls_label(label in 0_u32..1 << 20, traffic_class in 0_u8..8, bottom: bool, ttl: u8) {
        let entry = Label { label, traffic_class, bottom, ttl };
        prop_assert_eq!(Label::from_bits(entry.to_bits()), entry);
    }

    #[test]
    fn ipv4(repr in ipv4_repr(), dirt: u8, padding in 0_usize..50) {
        let mut bytes = vec![dirt; ipv4::HEADER_LEN + repr.payload_len as usize + padding];
        repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
        let packet = ipv4::Packet::new_checked(&bytes).unwrap();
        prop_assert_eq!(ipv4::Repr::parse(&packet), Ok(repr));
        prop_assert_eq!(packet.payload().len(), repr.payload_len as usize);
        prop_assert!(packet.payload().iter().all(|&byte| byte == dirt));
    }

    #[test]
    fn ipv6(repr in ipv6_repr(), dirt: u8, padding in 0_usize..50) {
        let mut bytes = vec![dirt; ipv6::HEADER_LEN + repr.payload_len as usize + padding];
        repr.emit(&mut ipv6::Packet::new_unchecked(&mut bytes));
        let packet = ipv6::Packet::new_checked(&bytes).unwrap();
        prop_assert_eq!(ipv6::Repr::parse(&packet), repr);
        prop_assert_eq!(packet.payload().len(), repr.payload_len as usize);
        prop_assert!(packet.payload().iter().all(|&byte| byte == dirt));
    }

    #[test]
    fn icmpv4(identifier: u16, sequence: u16, payload in bytes(100), is_reply: bool, dirt: u8) {
        let echo = Echo { identifier, sequence, payload: &payload };
        let repr = if is_reply { icmpv4::Repr::EchoReply(echo) } else { icmpv4::Repr::EchoRequest(echo) };
        let mut bytes = vec![dirt; repr.buffer_len()];
        repr.emit(&mut Message::new_unchecked(&mut bytes));
        // The one message whose words are all zero has the checksum ffff, and verifies.
        prop_assert_eq!(icmpv4::Repr::parse(&Message::new_checked(&bytes).unwrap()), Ok(repr));
    }

    #[test]
    fn icmpv6(
        identifier: u16, sequence: u16, payload in bytes(100), is_reply: bool, dirt: u8,
        from in v6(), to in v6(),
    ) {
        let echo = Echo { identifier, sequence, payload: &payload };
        let repr = if is_reply { icmpv6::Repr::EchoReply(echo) } else { icmpv6::Repr::EchoRequest(echo) };
        let mut bytes = vec![dirt; repr.buffer_len()];
        repr.emit(&mut Message::new_unchecked(&mut bytes), from, to);
        prop_assert_eq!(icmpv6::Repr::parse(&Message::new_checked(&bytes).unwrap(), from, to), Ok(repr));
    }
}

#[test]
fn the_empty_reply_of_all_zeros() {
    let repr = icmpv4::Repr::EchoReply(Echo { identifier: 0, sequence: 0, payload: &[0; 3] });
    let mut bytes = [1; 11];
    repr.emit(&mut Message::new_unchecked(&mut bytes));
    assert_eq!(bytes, [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(icmpv4::Repr::parse(&Message::new_checked(&bytes).unwrap()), Ok(repr));
}
