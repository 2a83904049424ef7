//! What an ICMP error quotes of the packet that caused it (RFC 792, RFC 1812 section 4.3.2.3, RFC 4443
//! section 3).
//!
//! A quote is the beginning of somebody's packet as the router saw it, and never more than that can be
//! relied on: lengths in it describe the whole packet, checksums cannot be checked, and middleboxes rewrite
//! its fields. Only eight bytes past the IP header are sure to be there.

use crate::ipv6::Fragment;
use crate::{Addr, Error, icmp, icmpv4, icmpv6, ipv4, ipv6, protocol};

/// An echo request as an error quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote<'a> {
    /// The request's source as it was seen there: behind a NAT, not what was sent.
    pub source: Addr,
    /// Where the request was going.
    pub destination: Addr,
    /// TTL or hop limit that it had left.
    pub hop_limit: u8,
    /// TOS or traffic class octet that it had there.
    pub traffic_class: u8,
    /// Its ICMP identifier.
    pub identifier: u16,
    /// Its ICMP sequence.
    pub sequence: u16,
    /// What came back of its payload, from its first byte: maybe nothing, and maybe zeros that the router
    /// padded with (RFC 4884 section 3).
    pub payload: &'a [u8],
}

/// Reads what an ICMP error quotes, from the bytes behind its header up to its extensions
/// ([`crate::extension::split`]).
///
/// # Errors
/// [`Error::Truncated`] when less than eight bytes past the IP header came back, [`Error::Malformed`] when
/// it is no IPv4 header, [`Error::Unsupported`] when it is not an echo request's, or a later fragment's.
#[inline]
pub fn parse_v4(quote: &[u8]) -> Result<Quote<'_>, Error> {
    let packet = ipv4::Packet::new_quoted(quote)?;
    if packet.protocol() != protocol::ICMP || packet.fragment_offset() != 0 {
        return Err(Error::Unsupported);
    }
    let bytes = plausible(packet.payload(), packet.rest());
    let message = icmp::Message::new_checked(bytes)?;
    if message.message_type() != icmpv4::ECHO_REQUEST {
        return Err(Error::Unsupported);
    }
    Ok(Quote {
        source: packet.source(),
        destination: packet.destination(),
        hop_limit: packet.ttl(),
        traffic_class: packet.traffic_class(),
        identifier: message.identifier(),
        sequence: message.sequence(),
        payload: message.body(),
    })
}

/// Reads what an ICMPv6 error quotes, from the bytes behind its header up to its extensions
/// ([`crate::extension::split`]); the echo request may stand behind extension headers.
///
/// # Errors
/// [`Error::Truncated`] when the quote ends before the eight bytes of the ICMPv6 header, [`Error::Malformed`]
/// when it is no IPv6 header, [`Error::Unsupported`] when it is not an echo request's, or a later fragment's.
#[inline]
pub fn parse_v6(quote: &[u8]) -> Result<Quote<'_>, Error> {
    let packet = ipv6::Packet::new_quoted(quote)?;
    let upper = ipv6::walk(packet.next_header(), packet.rest())?;
    if upper.next_header != protocol::ICMPV6 || upper.fragment == Fragment::Later {
        return Err(Error::Unsupported);
    }
    let behind = |bytes: &'_ [u8]| bytes.len().saturating_sub(upper.offset);
    let whole = packet.rest().get(upper.offset..).ok_or(Error::Truncated)?;
    let bytes = plausible(&whole[..behind(packet.payload())], whole);
    let message = icmp::Message::new_checked(bytes)?;
    if message.message_type() != icmpv6::ECHO_REQUEST {
        return Err(Error::Unsupported);
    }
    Ok(Quote {
        source: packet.source(),
        destination: packet.destination(),
        hop_limit: packet.hop_limit(),
        traffic_class: packet.traffic_class(),
        identifier: message.identifier(),
        sequence: message.sequence(),
        payload: message.body(),
    })
}

/// The quoted length is believed, so that padding is cut off, unless it leaves no room for the eight bytes
/// that the standards promise: then it was mangled, and what came back is taken as it came.
#[inline]
fn plausible<'a>(by_length: &'a [u8], all: &'a [u8]) -> &'a [u8] {
    if by_length.len() < icmp::HEADER_LEN { all } else { by_length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_v4() -> Vec<u8> {
        let mut bytes = vec![0; 20 + 8 + 4];
        let header = ipv4::Repr {
            source: Addr::v4([192, 0, 2, 1]),
            destination: Addr::v4([198, 51, 100, 7]),
            protocol: protocol::ICMP,
            ttl: 1,
            traffic_class: 0x28,
            identification: 0,
            dont_fragment: true,
            payload_len: 12,
        };
        header.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
        let echo = icmp::Echo { identifier: 0xabcd, sequence: 7, payload: &[1, 2, 3, 4] };
        icmpv4::Repr::EchoRequest(echo).emit(&mut icmp::Message::new_unchecked(&mut bytes[20..]));
        bytes
    }

    fn request_v6(extension_headers: usize) -> Vec<u8> {
        let offset = 40 + 8 * extension_headers;
        let mut bytes = vec![0; offset + 8 + 4];
        let (source, destination) = (Addr([0x20; 16]), Addr([0x21; 16]));
        let mut next = |at: usize, index: usize| {
            bytes[at] = if index < extension_headers { protocol::HOP_BY_HOP } else { protocol::ICMPV6 };
        };
        next(6, 0);
        (0..extension_headers).for_each(|index| next(40 + 8 * index, index + 1));
        let header = ipv6::Repr {
            source,
            destination,
            next_header: bytes[6],
            hop_limit: 1,
            traffic_class: 0x28,
            flow_label: 5,
            payload_len: bytes.len() as u16 - 40,
        };
        header.emit(&mut ipv6::Packet::new_unchecked(&mut bytes));
        let echo = icmp::Echo { identifier: 0xabcd, sequence: 7, payload: &[1, 2, 3, 4] };
        let mut message = icmp::Message::new_unchecked(&mut bytes[offset..]);
        icmpv6::Repr::EchoRequest(echo).emit(&mut message, source, destination);
        bytes
    }

    #[test]
    fn an_ipv4_request_is_recognised_from_28_bytes_on() {
        let bytes = request_v4();
        for length in 0..28 {
            assert_eq!(parse_v4(&bytes[..length]), Err(Error::Truncated), "length {length}");
        }
        for length in 28..=bytes.len() {
            let expected = Quote {
                source: Addr::v4([192, 0, 2, 1]),
                destination: Addr::v4([198, 51, 100, 7]),
                hop_limit: 1,
                traffic_class: 0x28,
                identifier: 0xabcd,
                sequence: 7,
                payload: &[1, 2, 3, 4][..length - 28],
            };
            assert_eq!(parse_v4(&bytes[..length]), Ok(expected));
        }
    }

    #[test]
    fn an_ipv6_request_is_recognised_behind_extension_headers() {
        for count in 0..3 {
            let bytes = request_v6(count);
            let least = 48 + 8 * count;
            for length in 0..least {
                assert_eq!(parse_v6(&bytes[..length]), Err(Error::Truncated), "length {length}");
            }
            let quote = parse_v6(&bytes).unwrap();
            assert_eq!((quote.source, quote.destination), (Addr([0x20; 16]), Addr([0x21; 16])));
            assert_eq!((quote.hop_limit, quote.traffic_class), (1, 0x28));
            assert_eq!((quote.identifier, quote.sequence, quote.payload), (0xabcd, 7, &[1, 2, 3, 4][..]));
            assert!(parse_v6(&bytes[..least]).unwrap().payload.is_empty());
        }
    }

    #[test]
    fn padding_is_cut_off_and_mangled_lengths_are_ignored() {
        let mut v4 = request_v4();
        v4.resize(128, 0);
        assert_eq!(parse_v4(&v4).unwrap().payload, [1, 2, 3, 4]);
        for mangled in [0_u16, 12, 27, u16::MAX] {
            v4[2..4].copy_from_slice(&mangled.to_be_bytes());
            assert_eq!(parse_v4(&v4).unwrap().payload.len(), 100, "total length {mangled}");
        }
        let mut v6 = request_v6(1);
        v6.resize(128, 0);
        assert_eq!(parse_v6(&v6).unwrap().payload, [1, 2, 3, 4]);
        for mangled in [0_u16, 7, 15, u16::MAX] {
            v6[4..6].copy_from_slice(&mangled.to_be_bytes());
            assert_eq!(parse_v6(&v6).unwrap().payload.len(), 72, "payload length {mangled}");
        }
    }

    #[test]
    fn what_is_no_echo_request_is_refused() {
        for (at, value) in [(9, protocol::UDP), (20, icmpv4::ECHO_REPLY), (7, 1)] {
            let mut bytes = request_v4();
            bytes[at] = value;
            assert_eq!(parse_v4(&bytes), Err(Error::Unsupported), "byte {at}");
        }
        for (at, value) in [(6, protocol::UDP), (40, icmpv6::ECHO_REPLY)] {
            let mut bytes = request_v6(0);
            bytes[at] = value;
            assert_eq!(parse_v6(&bytes), Err(Error::Unsupported), "byte {at}");
        }
        let mut later = request_v6(1);
        later[6] = protocol::FRAGMENT;
        later[43] = 8;
        assert_eq!(parse_v6(&later), Err(Error::Unsupported));
        assert_eq!(parse_v4(&request_v6(0)), Err(Error::Malformed));
        assert_eq!(parse_v6(&[request_v4(), vec![0; 8]].concat()), Err(Error::Malformed));
    }
}
