//! The same packets, built and read by `etherparse`: somebody else's reading of the same standards.

mod common;

use common::{bytes, v4, v6};
use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4HeaderSlice, Ipv6Extensions,
    Ipv6ExtensionsSlice, Ipv6Header, Ipv6HeaderSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
    VlanId,
};
use megaping_wire::ethernet::{EtherType, Frame};
use megaping_wire::icmp::{Echo, Message};
use megaping_wire::ipv6::Fragment;
use megaping_wire::{Addr, icmpv4, icmpv6, ipv4, ipv6, protocol, vlan};
use proptest::prelude::*;

fn built_by_us(source: Addr, destination: Addr, echo: Echo<'_>, hops: u8, label: u32) -> Vec<u8> {
    let payload_len = echo.message_len() as u16;
    if source.is_v4() {
        let mut bytes = vec![0xee; ipv4::HEADER_LEN + echo.message_len()];
        let header = ipv4::Repr {
            source,
            destination,
            protocol: protocol::ICMP,
            ttl: hops,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            payload_len,
        };
        let mut packet = ipv4::Packet::new_unchecked(&mut bytes);
        header.emit(&mut packet);
        icmpv4::Repr::EchoRequest(echo).emit(&mut Message::new_unchecked(packet.payload_mut()));
        bytes
    } else {
        let mut bytes = vec![0xee; ipv6::HEADER_LEN + echo.message_len()];
        let header = ipv6::Repr {
            source,
            destination,
            next_header: protocol::ICMPV6,
            hop_limit: hops,
            traffic_class: 0,
            flow_label: label,
            payload_len,
        };
        let mut packet = ipv6::Packet::new_unchecked(&mut bytes);
        header.emit(&mut packet);
        let mut message = Message::new_unchecked(packet.payload_mut());
        icmpv6::Repr::EchoRequest(echo).emit(&mut message, source, destination);
        bytes
    }
}

/// An echo reply 6, 7 by `etherparse`, behind up to two VLAN tags.
fn reply_through_tags(tags: &[u16], is_v6: bool, payload: &[u8]) -> Vec<u8> {
    let ip = if is_v6 {
        let header = Ipv6Header { source: [3; 16], destination: [4; 16], hop_limit: 5, ..Default::default() };
        IpHeaders::Ipv6(header, Ipv6Extensions::default())
    } else {
        let header = Ipv4Header::new(0, 5, IpNumber::ICMP, [3; 4], [4; 4]).unwrap();
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    };
    let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
    let id = |tag| VlanId::try_new(tag).unwrap();
    let packet = match *tags {
        [outer, inner] => link.double_vlan(id(outer), id(inner)).ip(ip),
        [outer] => link.single_vlan(id(outer)).ip(ip),
        _ => link.ip(ip),
    };
    let mut bytes = Vec::new();
    if is_v6 {
        packet.icmpv6_echo_reply(6, 7).write(&mut bytes, payload).unwrap();
    } else {
        packet.icmpv4_echo_reply(6, 7).write(&mut bytes, payload).unwrap();
    }
    bytes
}

/// Kinds of extension header that both sides walk over, with a length field that both take for true.
fn extension_header() -> impl Strategy<Value = (u8, u8, [u8; 2])> {
    prop_oneof![
        (Just(protocol::ROUTING), 0_u8..4, any::<[u8; 2]>()),
        (Just(protocol::DESTINATION_OPTIONS), 0_u8..4, any::<[u8; 2]>()),
        (Just(protocol::AUTHENTICATION), 1_u8..6, any::<[u8; 2]>()),
        (Just(protocol::FRAGMENT), any::<u8>(), prop::sample::select(vec![[0, 0], [0, 1], [0, 6]])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn ipv4_requests_are_the_same_bytes(
        from: [u8; 4], to: [u8; 4], ttl: u8, id: u16, seq: u16, payload in bytes(64),
    ) {
        let mut theirs = Vec::new();
        let request = PacketBuilder::ipv4(from, to, ttl).icmpv4_echo_request(id, seq);
        request.write(&mut theirs, &payload).unwrap();
        let echo = Echo { identifier: id, sequence: seq, payload: &payload };
        prop_assert_eq!(built_by_us(Addr::v4(from), Addr::v4(to), echo, ttl, 0), theirs);
    }

    #[test]
    fn ipv6_requests_are_the_same_bytes(
        from in v6(), to in v6(), hops: u8, id: u16, seq: u16, payload in bytes(64),
    ) {
        prop_assume!(!from.is_v4());
        let mut theirs = Vec::new();
        let request = PacketBuilder::ipv6(from.0, to.0, hops).icmpv6_echo_request(id, seq);
        request.write(&mut theirs, &payload).unwrap();
        let echo = Echo { identifier: id, sequence: seq, payload: &payload };
        prop_assert_eq!(built_by_us(from, to, echo, hops, 0), theirs);
    }

    #[test]
    fn they_read_what_we_write(
        from in v4(), to in v4(), from6 in v6(), to6 in v6(),
        id: u16, seq: u16, label in 0_u32..1 << 20, payload in bytes(64),
    ) {
        prop_assume!(!from6.is_v4());
        let echo = Echo { identifier: id, sequence: seq, payload: &payload };
        let bytes = built_by_us(from, to, echo, 9, 0);
        let packet = SlicedPacket::from_ip(&bytes).unwrap();
        let Some(TransportSlice::Icmpv4(message)) = packet.transport else { panic!("no ICMP") };
        let Icmpv4Type::EchoRequest(header) = message.icmp_type() else { panic!("no request") };
        prop_assert_eq!((header.id, header.seq, message.payload()), (id, seq, &payload[..]));

        let bytes = built_by_us(from6, to6, echo, 9, label);
        let packet = SlicedPacket::from_ip(&bytes).unwrap();
        let Some(NetSlice::Ipv6(net)) = &packet.net else { panic!("no IPv6") };
        prop_assert_eq!(net.header().flow_label().value(), label);
        let Some(TransportSlice::Icmpv6(message)) = packet.transport else { panic!("no ICMPv6") };
        prop_assert!(message.is_checksum_valid(from6.0, to6.0));
        let Icmpv6Type::EchoRequest(header) = message.icmp_type() else { panic!("no request") };
        prop_assert_eq!((header.id, header.seq, message.payload()), (id, seq, &payload[..]));
    }

    #[test]
    fn we_read_what_they_write_through_tags(
        tags in 0_usize..3, outer in 0_u16..4096, inner in 0_u16..4096, is_v6: bool, payload in bytes(32),
    ) {
        let bytes = reply_through_tags(&[outer, inner][..tags], is_v6, &payload);
        prop_assert_eq!(Frame::new_checked(&bytes).unwrap().source().0, [1; 6]);
        let inside = vlan::walk(&bytes).unwrap();
        let expected = [outer, inner].map(Some);
        prop_assert_eq!(&inside.tags.map(|tag| tag.map(|tag| tag.vlan))[..tags], &expected[..tags]);
        prop_assert!(inside.tags[tags..].iter().all(Option::is_none));
        let echo = Echo { identifier: 6, sequence: 7, payload: &payload };
        if is_v6 {
            prop_assert_eq!(inside.ethertype, EtherType::IPV6);
            let packet = ipv6::Packet::new_checked(&bytes[inside.offset..]).unwrap();
            let message = icmpv6::message(&packet).unwrap();
            let repr = icmpv6::Repr::parse(&message, packet.source(), packet.destination());
            prop_assert_eq!(repr, Ok(icmpv6::Repr::EchoReply(echo)));
        } else {
            prop_assert_eq!(inside.ethertype, EtherType::IPV4);
            let packet = ipv4::Packet::new_checked(&bytes[inside.offset..]).unwrap();
            prop_assert!(packet.verify_checksum());
            let message = icmpv4::message(&packet).unwrap();
            prop_assert_eq!(icmpv4::Repr::parse(&message), Ok(icmpv4::Repr::EchoReply(echo)));
        }
    }

    #[test]
    fn any_ipv4_header_reads_the_same(mut bytes in bytes(80), ihl in 0_u8..16) {
        if let Some(first) = bytes.first_mut() {
            *first = if *first < 8 { *first } else { 0x40 | ihl };
        }
        let (ours, theirs) = (ipv4::Packet::new_quoted(&bytes), Ipv4HeaderSlice::from_slice(&bytes));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.header_len(), theirs.slice().len());
        prop_assert_eq!(ours.traffic_class(), theirs.dcp().value() << 2 | theirs.ecn().value());
        prop_assert_eq!(ours.total_len(), theirs.total_len());
        prop_assert_eq!(ours.identification(), theirs.identification());
        prop_assert_eq!(ours.dont_fragment(), theirs.dont_fragment());
        prop_assert_eq!(ours.more_fragments(), theirs.more_fragments());
        prop_assert_eq!(ours.fragment_offset(), theirs.fragments_offset().value() * 8);
        prop_assert_eq!((ours.ttl(), ours.protocol()), (theirs.ttl(), theirs.protocol().0));
        prop_assert_eq!(ours.checksum(), theirs.header_checksum());
        prop_assert_eq!(ours.source().v4_octets(), theirs.source());
        prop_assert_eq!(ours.destination().v4_octets(), theirs.destination());
        prop_assert_eq!(ours.options(), theirs.options());
        let right = theirs.to_header().calc_header_checksum() == theirs.header_checksum();
        prop_assert_eq!(ours.verify_checksum(), right);
    }

    #[test]
    fn any_ipv6_header_reads_the_same(mut bytes in bytes(60)) {
        if let Some(first) = bytes.first_mut() {
            *first = if *first < 8 { *first } else { 0x60 | *first & 0xf };
        }
        let (ours, theirs) = (ipv6::Packet::new_quoted(&bytes), Ipv6HeaderSlice::from_slice(&bytes));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.traffic_class(), theirs.traffic_class());
        prop_assert_eq!(ours.flow_label(), theirs.flow_label().value());
        prop_assert_eq!(ours.payload_len(), theirs.payload_length());
        prop_assert_eq!(ours.next_header(), theirs.next_header().0);
        prop_assert_eq!(ours.hop_limit(), theirs.hop_limit());
        prop_assert_eq!((ours.source().0, ours.destination().0), (theirs.source(), theirs.destination()));
    }

    #[test]
    fn extension_headers_end_at_the_same_byte(
        hop_by_hop in proptest::option::of(0_u8..3),
        chain in proptest::collection::vec(extension_header(), 0..=7),
        last in prop::sample::select(vec![protocol::ICMPV6, protocol::UDP, protocol::NO_NEXT_HEADER]),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut chain = chain;
        if let Some(units) = hop_by_hop {
            chain.insert(0, (protocol::HOP_BY_HOP, units, [0, 0]));
        }
        let mut bytes = Vec::new();
        for (index, &(kind, units, third_and_fourth)) in chain.iter().enumerate() {
            let length = match kind {
                protocol::FRAGMENT => 8,
                protocol::AUTHENTICATION => 4 * (units as usize + 2),
                _ => 8 * (units as usize + 1),
            };
            let start = bytes.len();
            bytes.resize(start + length, 0);
            bytes[start] = chain.get(index + 1).map_or(last, |next| next.0);
            bytes[start + 1] = units;
            bytes[start + 2..start + 4].copy_from_slice(&third_and_fourth);
        }
        let first = chain.first().map_or(last, |header| header.0);
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len() + 1)]] {
            let ours = ipv6::walk(first, bytes);
            let theirs = Ipv6ExtensionsSlice::from_slice(IpNumber(first), bytes);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            let (Ok(ours), Ok((headers, next, rest))) = (ours, theirs) else { continue };
            prop_assert_eq!((ours.next_header, ours.offset), (next.0, bytes.len() - rest.len()));
            prop_assert_eq!(ours.fragment != Fragment::Whole, headers.is_fragmenting_payload());
        }
    }
}
