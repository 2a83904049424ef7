//! Reads packet bytes into an [`Arrival`].

use megaping_wire::icmp::Message;
use megaping_wire::{
    Addr, Answer, Error, icmpv4, icmpv6 as icmpv6_view, ipv4 as ipv4_view, ipv6 as ipv6_view,
};

use crate::border::{Arrival, Evidence, HEADER_LEN, Integrity, Kind, Quoted, Stamp};
use crate::time::Nanos;

/// What the IP header said, where the kernel kept the header for itself.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// Source address.
    pub responder: Addr,
    /// TTL or hop limit on arrival.
    pub hop_limit: u8,
    /// TOS or traffic class on arrival.
    pub traffic_class: u8,
}

/// Reads an IPv4 packet, from its header on.
///
/// # Errors
/// When it is no whole ICMP message, or neither an echo reply nor an error that quotes an echo request.
#[inline]
pub fn ipv4(bytes: &[u8], stamp: Stamp) -> Result<Arrival<'_>, Error> {
    let packet = ipv4_view::Packet::new_checked(bytes)?;
    let message = icmpv4::message(&packet)?;
    let outer =
        Outer { responder: packet.source(), hop_limit: packet.ttl(), traffic_class: packet.traffic_class() };
    let sound = icmpv4::verify_checksum(&message);
    Ok(arrival(&Answer::from_icmpv4(&message)?, &outer, sound, stamp, bytes))
}

/// Reads an IPv6 packet, from its header on.
///
/// # Errors
/// As [`ipv4`].
#[inline]
pub fn ipv6(bytes: &[u8], stamp: Stamp) -> Result<Arrival<'_>, Error> {
    let packet = ipv6_view::Packet::new_checked(bytes)?;
    let message = icmpv6_view::message(&packet)?;
    let outer = Outer {
        responder: packet.source(),
        hop_limit: packet.hop_limit(),
        traffic_class: packet.traffic_class(),
    };
    let sound = icmpv6_view::verify_checksum(&message, packet.source(), packet.destination());
    Ok(arrival(&Answer::from_icmpv6(&message)?, &outer, sound, stamp, bytes))
}

/// Reads an ICMPv6 message whose checksum the kernel has verified.
///
/// # Errors
/// As [`ipv4`].
#[inline]
pub fn icmpv6<'a>(message: &'a [u8], outer: &Outer, stamp: Stamp) -> Result<Arrival<'a>, Error> {
    Ok(arrival(&Answer::from_icmpv6(&Message::new_checked(message)?)?, outer, true, stamp, message))
}

#[inline]
fn arrival<'a>(
    answer: &Answer<'a>,
    outer: &Outer,
    sound: bool,
    stamp: Stamp,
    packet: &'a [u8],
) -> Arrival<'a> {
    let integrity = if sound { Integrity::Good } else { Integrity::BadChecksum };
    let Outer { responder, hop_limit, traffic_class } = *outer;
    match *answer {
        Answer::Reply(echo) => Arrival {
            kind: Kind::EchoReply,
            responder,
            destination: responder,
            identifier: echo.identifier,
            sequence: echo.sequence,
            evidence: evidence_in(echo.payload),
            integrity,
            hop_limit,
            traffic_class,
            stamp,
            quoted: Quoted::default(),
            packet,
        },
        Answer::Failure { message_type, code, quote, extensions } => Arrival {
            kind: Kind::Error { icmp_type: message_type, code },
            responder,
            destination: quote.destination,
            identifier: quote.identifier,
            sequence: quote.sequence,
            // Routers pad short quotes with zeros (RFC 4884 section 3): a MAC of zeros is none.
            evidence: evidence_in(quote.payload).filter(|evidence| evidence.mac != 0),
            integrity,
            hop_limit,
            traffic_class,
            stamp,
            quoted: Quoted {
                hop_limit: quote.hop_limit,
                traffic_class: quote.traffic_class,
                source: quote.source,
                extensions,
            },
            packet,
        },
    }
}

/// Our header at the front of a payload, where all of it came back; [`crate::craft`] has the layout.
#[inline]
fn evidence_in(payload: &[u8]) -> Option<Evidence> {
    let header: &[u8; HEADER_LEN] = payload.first_chunk()?;
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
    Some(Evidence { key: word(0) >> 16, ordered_at: Nanos(word(8)), mac: word(16) })
}
