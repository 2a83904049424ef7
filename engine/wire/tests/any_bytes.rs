//! No bytes make a parser panic or a walk endless, and harm to a good packet is never misread.

mod common;

use common::{bytes, extension, request, time_exceeded};
use megaping_wire::ethernet::{self, Frame};
use megaping_wire::extension::{LEGACY_QUOTE_LEN, Structure, split};
use megaping_wire::icmp::Message;
use megaping_wire::{Addr, Answer, Error, checksum, icmpv4, icmpv6, ipv4, ipv6, quote, vlan};
use proptest::prelude::*;

/// Calls every parser and every accessor of whatever they accept.
fn read_everything(bytes: &[u8]) {
    if let Ok(frame) = Frame::new_checked(bytes) {
        let _ = (ethernet::Repr::parse(&frame), frame.payload());
    }
    if let Ok(inner) = vlan::walk(bytes) {
        assert!(inner.offset <= bytes.len() && !inner.ethertype.is_vlan());
    }
    for packet in [ipv4::Packet::new_checked(bytes), ipv4::Packet::new_quoted(bytes)].into_iter().flatten() {
        let _ = (ipv4::Repr::parse(&packet), packet.checksum());
        assert!(packet.payload().len() <= packet.rest().len());
        assert_eq!(packet.options().len(), packet.header_len() - ipv4::HEADER_LEN);
        let _ = icmpv4::message(&packet).map(|message| read_message(message.bytes()));
    }
    for packet in [ipv6::Packet::new_checked(bytes), ipv6::Packet::new_quoted(bytes)].into_iter().flatten() {
        let _ = ipv6::Repr::parse(&packet);
        assert!(packet.payload().len() <= packet.rest().len());
        let _ = icmpv6::message(&packet).map(|message| read_message(message.bytes()));
    }
    if let Some((&next_header, rest)) = bytes.split_first()
        && let Ok(upper) = ipv6::walk(next_header, rest)
    {
        assert!(upper.offset <= rest.len());
    }
    let _ = (quote::parse_v4(bytes), quote::parse_v6(bytes), checksum::verify(bytes));
    read_message(bytes);
    read_extension(bytes);
    for quote_len in [0, 4, 28, LEGACY_QUOTE_LEN, bytes.len(), usize::MAX] {
        let (quote, extension) = split(bytes, quote_len);
        assert_eq!([quote, extension].concat(), bytes);
        read_extension(extension);
    }
}

fn read_message(bytes: &[u8]) {
    let Ok(message) = Message::new_checked(bytes) else { return };
    let _ = (icmpv4::Repr::parse(&message), icmpv4::quote_len(&message), icmpv6::quote_len(&message));
    let _ = icmpv6::Repr::parse(&message, Addr::UNSPECIFIED, Addr::UNSPECIFIED);
    for answer in [Answer::from_icmpv4(&message), Answer::from_icmpv6(&message)].into_iter().flatten() {
        match answer {
            Answer::Reply(echo) => assert_eq!(echo.message_len(), bytes.len()),
            Answer::Failure { quote, extensions, .. } => {
                assert!(quote.payload.len() + extensions.len() < bytes.len());
                read_extension(extensions);
            }
        }
    }
}

fn read_extension(bytes: &[u8]) {
    let Ok(structure) = Structure::new_checked(bytes) else { return };
    let (mut items, mut taken) = (0, 4);
    for object in structure.objects() {
        items += 1;
        taken += object.map_or(0, |object| 4 + object.data.len());
    }
    assert!(taken <= bytes.len() && items <= bytes.len() / 4);
    assert!(structure.mpls().count() <= bytes.len() / 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_at_all(bytes in bytes(200)) {
        read_everything(&bytes);
    }

    /// Bytes that get past the first checks: a plausible beginning, then anything.
    #[test]
    fn any_bytes_behind_a_good_beginning(
        beginning in prop::sample::select(vec![
            vec![0x45, 0], vec![0x46, 0, 0, 60],
            vec![0x60], vec![0x60, 0, 0, 0, 0, 80, 0], vec![0x60, 0, 0, 0, 0, 80, 44],
            vec![0x20, 0, 0, 0], vec![0x20, 0, 0, 0, 0, 8, 1, 1],
            vec![60, 60, 0], vec![51, 60, 1],
            vec![11, 0, 0, 0, 0, 32], vec![3, 0, 0, 0, 16],
            vec![11, 0, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 1],
            vec![0; 12].into_iter().chain([0x81, 0, 0, 1, 0x81, 0]).collect(),
        ]),
        rest in bytes(200),
    ) {
        read_everything(&[beginning, rest].concat());
    }

    /// A good error message with a few bytes changed, and cut somewhere.
    #[test]
    fn harmed_errors(
        is_v6: bool,
        with_length: bool,
        harm in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = time_exceeded(is_v6, &[7; 24], with_length);
        for (at, value) in harm {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_everything(&bytes);
        read_everything(&bytes[8..]);
        read_everything(&bytes[..=cut.index(bytes.len())]);
    }

    /// Object lengths that lie, under a checksum that is right.
    #[test]
    fn lying_objects(
        lengths in proptest::collection::vec((prop_oneof![0_u16..32, any::<u16>()], any::<u16>()), 0..20),
    ) {
        let mut bytes = vec![0x20, 0, 0, 0];
        for (length, kind) in lengths {
            bytes.extend(length.to_be_bytes());
            bytes.extend((kind & 0x0303).to_be_bytes());
        }
        let check = common::reference(&bytes);
        bytes[2..4].copy_from_slice(&check.to_be_bytes());
        prop_assert!(Structure::new_checked(&bytes).is_ok());
        read_extension(&bytes);
        read_everything(&[vec![0; 128], bytes].concat());
    }
}

#[test]
fn every_truncation_of_an_error_at_every_byte() {
    let payload: Vec<u8> = (1..=24).collect();
    for (is_v6, with_length) in [(false, false), (false, true), (true, false), (true, true)] {
        let bytes = time_exceeded(is_v6, &payload, with_length);
        let request_len = request(is_v6, &payload).len();
        let (least, whole) = (8 + request_len - payload.len(), 8 + request_len);
        for length in 8..=bytes.len() {
            let message = Message::new_checked(&bytes[..length]).unwrap();
            let answer = if is_v6 { Answer::from_icmpv6(&message) } else { Answer::from_icmpv4(&message) };
            if length < least {
                assert_eq!(answer, Err(Error::Truncated), "length {length}");
                continue;
            }
            let Ok(Answer::Failure { quote, extensions, .. }) = answer else { panic!("length {length}") };
            assert_eq!((quote.identifier, quote.sequence), (0x1234, 0x5678));
            assert_eq!(quote.payload, &payload[..length.min(whole) - least], "length {length}");
            let expected = if length == bytes.len() { extension() } else { Vec::new() };
            assert_eq!(extensions, expected, "length {length}");
        }
    }
}
