//! What the property tests share: packets built byte by byte, without the crate under test where it matters.
#![allow(dead_code, reason = "each test binary uses its own share of this")]

use megaping_wire::Addr;
use megaping_wire::icmp::{Echo, HEADER_LEN, Message};
use megaping_wire::{icmpv4, icmpv6, ipv4, ipv6, protocol};
use proptest::prelude::*;

/// The checksum as RFC 1071 describes it: sixteen bits at a time.
pub fn reference(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

pub fn v4() -> impl Strategy<Value = Addr> {
    any::<[u8; 4]>().prop_map(Addr::v4)
}

pub fn v6() -> impl Strategy<Value = Addr> {
    any::<[u8; 16]>().prop_map(Addr)
}

pub fn bytes(up_to: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=up_to)
}

pub const FROM_V4: Addr = Addr::v4([192, 0, 2, 1]);
pub const TO_V4: Addr = Addr::v4([198, 51, 100, 7]);
pub const FROM_V6: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
pub const TO_V6: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);

/// A whole IPv4 packet around `payload`.
pub fn packet_v4(source: Addr, destination: Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ipv4::HEADER_LEN];
    bytes.extend(payload);
    let header = ipv4::Repr {
        source,
        destination,
        protocol: protocol::ICMP,
        ttl: 3,
        traffic_class: 0x28,
        identification: 0,
        dont_fragment: true,
        payload_len: payload.len() as u16,
    };
    header.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
    bytes
}

/// A whole IPv6 packet around `payload`.
pub fn packet_v6(source: Addr, destination: Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ipv6::HEADER_LEN];
    bytes.extend(payload);
    let header = ipv6::Repr {
        source,
        destination,
        next_header: protocol::ICMPV6,
        hop_limit: 3,
        traffic_class: 0x28,
        flow_label: 0x12345,
        payload_len: payload.len() as u16,
    };
    header.emit(&mut ipv6::Packet::new_unchecked(&mut bytes));
    bytes
}

/// The echo request that the errors below quote.
pub fn request(is_v6: bool, payload: &[u8]) -> Vec<u8> {
    let echo = Echo { identifier: 0x1234, sequence: 0x5678, payload };
    let mut bytes = vec![0; HEADER_LEN + payload.len()];
    let mut message = Message::new_unchecked(&mut bytes);
    if is_v6 {
        icmpv6::Repr::EchoRequest(echo).emit(&mut message, FROM_V6, TO_V6);
        packet_v6(FROM_V6, TO_V6, &bytes)
    } else {
        icmpv4::Repr::EchoRequest(echo).emit(&mut message);
        packet_v4(FROM_V4, TO_V4, &bytes)
    }
}

/// An extension structure with one MPLS label stack.
pub fn extension() -> Vec<u8> {
    let mut bytes = vec![0x20, 0, 0, 0, 0, 12, 1, 1, 0x05, 0xdc, 0x10, 0x01, 0x05, 0xdc, 0x21, 0x01];
    let check = reference(&bytes);
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    bytes
}

/// A "time exceeded" message that quotes [`request`], padded to 128 bytes, with [`extension`] behind it and
/// the length attribute set or, as old senders do, not.
pub fn time_exceeded(is_v6: bool, payload: &[u8], with_length: bool) -> Vec<u8> {
    let mut quote = request(is_v6, payload);
    quote.resize(128, 0);
    let mut bytes = vec![if is_v6 { 3 } else { 11 }, 0, 0, 0, 0, 0, 0, 0];
    if with_length {
        bytes[if is_v6 { 4 } else { 5 }] = if is_v6 { 16 } else { 32 };
    }
    bytes.extend(quote);
    bytes.extend(extension());
    let mut message = Message::new_unchecked(&mut bytes);
    if is_v6 {
        icmpv6::fill_checksum(&mut message, TO_V6, FROM_V6);
    } else {
        icmpv4::fill_checksum(&mut message);
    }
    bytes
}
