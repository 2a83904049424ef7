//! What may stand before the ICMP header: VLAN tags, IPv4 options, IPv6 extension headers, and fragments.

use megaping_loader::{Family, SteerCounter};

use crate::frames::{Frame, Ip, OURS, extension, fragment_header, request};
use crate::{assert_judged, judged, load};

#[test]
fn root_up_to_two_vlan_tags_are_looked_behind() {
    let steer = load();
    for ip in Ip::BOTH {
        for (frame, expected) in [
            (Frame::reply(ip, OURS), SteerCounter::Replies),
            (Frame::error(ip, 3, &request(ip, OURS)), SteerCounter::Errors),
        ] {
            let tags: [&[u16]; 6] =
                [&[], &[0x8100], &[0x88a8], &[0x8100, 0x8100], &[0x88a8, 0x8100], &[0x88a8, 0x88a8]];
            for tags in tags {
                assert_judged(&steer, &frame.clone().tags(tags), expected);
            }
            for tags in [[0x8100; 3], [0x88a8; 3]] {
                let deep = frame.clone().tags(&tags).bytes();
                assert_eq!(judged(&steer, &deep), (Family::Other, SteerCounter::TooDeep));
            }
            // An old vendor's tag is another protocol.
            let old = frame.clone().tags(&[0x9100]).bytes();
            assert_eq!(judged(&steer, &old), (Family::Other, SteerCounter::NotIcmp));
        }
    }
}

#[test]
fn root_ipv4_options_of_every_length_are_skipped() {
    let steer = load();
    for options in (0..=40).step_by(4) {
        assert_judged(&steer, &Frame::reply(Ip::V4, OURS).options(options), SteerCounter::Replies);
        for quoted in (0..=40).step_by(4) {
            let request = Frame::echo(Ip::V4, 8, OURS).options(quoted).packet();
            for quote in [&request[..], &request[..28 + quoted]] {
                let frame = Frame::error(Ip::V4, 11, quote).options(options);
                assert_judged(&steer, &frame, SteerCounter::Errors);
            }
            let frame = Frame::error(Ip::V4, 11, &request[..27 + quoted]).options(options);
            assert_judged(&steer, &frame, SteerCounter::Malformed);
        }
    }
    for words in 0..5u8 {
        let mut bytes = Frame::reply(Ip::V4, OURS).bytes();
        bytes[14] = 0x40 | words;
        assert_eq!(judged(&steer, &bytes), (Family::V4, SteerCounter::Malformed), "header of {words} words");
        let mut quote = request(Ip::V4, OURS);
        quote[0] = 0x40 | words;
        assert_judged(&steer, &Frame::error(Ip::V4, 3, &quote), SteerCounter::Malformed);
    }
}

const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

#[test]
fn root_extension_headers_are_walked_over_in_any_order_up_to_eight() {
    let steer = load();
    let frames = [
        (Frame::reply(Ip::V6, OURS), SteerCounter::Replies),
        (Frame::error(Ip::V6, 2, &request(Ip::V6, OURS)), SteerCounter::Errors),
    ];
    for (frame, expected) in frames {
        for first in EXTENSIONS {
            for second in EXTENSIONS {
                for units in [0, 1, 2, 7, 30] {
                    let chain = [extension(first, units), extension(second, 1)];
                    assert_judged(&steer, &frame.clone().headers(&chain), expected);
                    assert_judged(&steer, &frame.clone().tags(&[0x88a8, 0x8100]).headers(&chain), expected);
                }
            }
        }
        // The longest header that there is.
        assert_judged(&steer, &frame.clone().headers(&[extension(60, 255)]), expected);
        for protocol in EXTENSIONS {
            for count in 0..12 {
                let chain = vec![extension(protocol, 0); count];
                let expected = if count <= 8 { expected } else { SteerCounter::TooDeep };
                assert_judged(&steer, &frame.clone().headers(&chain), expected);
            }
        }
    }
}

#[test]
fn root_extension_headers_that_are_odd_go_to_the_kernel() {
    let steer = load();
    for protocol in EXTENSIONS.into_iter().filter(|protocol| *protocol != 44) {
        // Longer than the packet, by one unit and by as much as can be said.
        let whole = Frame::reply(Ip::V6, OURS).headers(&[extension(protocol, 2)]);
        let unit = if protocol == 51 { 4 } else { 8 };
        let room = (whole.payload.len() / unit) as u8;
        for units in [2 + room + 1, 255] {
            let mut bytes = whole.bytes();
            bytes[54 + 1] = units;
            assert_eq!(judged(&steer, &bytes), (Family::V6, SteerCounter::Malformed), "{protocol}, {units}");
        }
        // It ends where the packet does: no room for ICMP.
        let mut bytes = whole.bytes();
        bytes[54 + 1] = 2 + room;
        assert_eq!(judged(&steer, &bytes), (Family::V6, SteerCounter::Malformed));
    }
    // ESP hides what it carries; "no next header" carries nothing; mobility and HIP carry no ICMP of ours.
    for protocol in [50, 59, 135, 139, 140, 253] {
        let frame = Frame::reply(Ip::V6, OURS).headers(&[extension(60, 0), (protocol, vec![0; 8])]);
        assert_judged(&steer, &frame, SteerCounter::NotIcmp);
    }
    // IPv4's ICMP has no business in IPv6, nor the other way round.
    assert_judged(&steer, &Frame { protocol: 1, ..Frame::reply(Ip::V6, OURS) }, SteerCounter::NotIcmp);
    assert_judged(&steer, &Frame { protocol: 58, ..Frame::reply(Ip::V4, OURS) }, SteerCounter::NotIcmp);
}

#[test]
fn root_first_fragments_are_ours_and_later_ones_the_kernels() {
    let steer = load();
    for ip in Ip::BOTH {
        for (frame, expected) in [
            (Frame::reply(ip, OURS), SteerCounter::Replies),
            (Frame::error(ip, 3, &request(ip, OURS)), SteerCounter::Errors),
        ] {
            let fragment = |offset: u16, more: bool| match ip {
                Ip::V4 => frame.clone().fragment((offset / 8) | (u16::from(more) << 13)),
                Ip::V6 => frame.clone().headers(&[fragment_header(offset, more)]),
            };
            assert_judged(&steer, &fragment(0, false), expected);
            assert_judged(&steer, &fragment(0, true), expected);
            for offset in (0..13).map(|bit| 8 << bit) {
                for more in [false, true] {
                    assert_judged(&steer, &fragment(offset, more), SteerCounter::LaterFragments);
                }
            }
        }
    }
}
