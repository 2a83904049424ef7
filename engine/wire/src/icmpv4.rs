//! ICMP for IPv4 (RFC 792): types and codes, checksum, echo messages.

use crate::icmp::{Echo, Message};
use crate::{Error, checksum, ipv4, protocol};

/// Answers an echo request.
pub const ECHO_REPLY: u8 = 0;
/// The packet cannot be delivered; [`mod@unreachable`] says why.
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Slow down (deprecated by RFC 6633, still seen).
pub const SOURCE_QUENCH: u8 = 4;
/// There is a better way to the destination; the packet was forwarded nevertheless.
pub const REDIRECT: u8 = 5;
/// Asks for an echo reply.
pub const ECHO_REQUEST: u8 = 8;
/// The time to live, or the time for reassembly, is over; [`time_exceeded`] says which.
pub const TIME_EXCEEDED: u8 = 11;
/// A header field is wrong.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Codes of [`DESTINATION_UNREACHABLE`] (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1).
pub mod unreachable {
    /// No route to the network.
    pub const NETWORK: u8 = 0;
    /// The last router does not find the host.
    pub const HOST: u8 = 1;
    /// The host does not speak the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody listens.
    pub const PORT: u8 = 3;
    /// Too big for the next link, and must not be fragmented; the MTU is in the header (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// A source route does not lead there.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// There is no such network.
    pub const NETWORK_UNKNOWN: u8 = 6;
    /// There is no such host.
    pub const HOST_UNKNOWN: u8 = 7;
    /// The source may not send at all.
    pub const SOURCE_ISOLATED: u8 = 8;
    /// The network is forbidden.
    pub const NETWORK_PROHIBITED: u8 = 9;
    /// The host is forbidden.
    pub const HOST_PROHIBITED: u8 = 10;
    /// No route to the network for this type of service.
    pub const NETWORK_TOS: u8 = 11;
    /// The host is out of reach for this type of service.
    pub const HOST_TOS: u8 = 12;
    /// A filter forbids it.
    pub const COMMUNICATION_PROHIBITED: u8 = 13;
    /// The precedence is not permitted.
    pub const HOST_PRECEDENCE: u8 = 14;
    /// The precedence is below the network's minimum.
    pub const PRECEDENCE_CUTOFF: u8 = 15;
}

/// Codes of [`TIME_EXCEEDED`].
pub mod time_exceeded {
    /// The time to live ran out on the way.
    pub const IN_TRANSIT: u8 = 0;
    /// Fragments were missing for too long.
    pub const REASSEMBLY: u8 = 1;
}

/// Whether messages of this type quote the packet that caused them.
#[inline]
#[must_use]
pub const fn carries_quote(message_type: u8) -> bool {
    matches!(
        message_type,
        DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// Whether messages of this type may carry extensions behind their quote (RFC 4884 section 4).
#[inline]
#[must_use]
pub const fn carries_extensions(message_type: u8) -> bool {
    matches!(message_type, DESTINATION_UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

/// The length attribute of a message that may carry extensions, in bytes of the quote: zero where the sender
/// does not say (RFC 4884 section 4.1: the sixth byte, in units of four).
#[inline]
#[must_use]
pub fn quote_len<T: AsRef<[u8]>>(message: &Message<T>) -> usize {
    (message.type_specific() >> 16 & 0xff) as usize * 4
}

/// The message in a packet that carries one whole.
///
/// # Errors
/// [`Error::Unsupported`] for another protocol and for fragments, [`Error::Truncated`] when the payload is
/// shorter than a message's header.
#[inline]
pub fn message<'a, T: AsRef<[u8]> + ?Sized>(
    packet: &ipv4::Packet<&'a T>,
) -> Result<Message<&'a [u8]>, Error> {
    if packet.protocol() != protocol::ICMP || packet.more_fragments() || packet.fragment_offset() != 0 {
        return Err(Error::Unsupported);
    }
    Message::new_checked(packet.payload())
}

/// Whether a message's checksum is right.
#[inline]
#[must_use]
pub fn verify_checksum<T: AsRef<[u8]>>(message: &Message<T>) -> bool {
    checksum::verify(message.bytes())
}

/// Computes and sets a message's checksum.
#[inline]
pub fn fill_checksum<T: AsRef<[u8]> + AsMut<[u8]>>(message: &mut Message<T>) {
    message.set_checksum(0);
    let value = checksum::checksum(message.bytes());
    message.set_checksum(value);
}

/// An echo message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repr<'a> {
    /// Asks.
    EchoRequest(Echo<'a>),
    /// Answers.
    EchoReply(Echo<'a>),
}

impl<'a> Repr<'a> {
    /// Reads an echo message. The code is not looked at: RFC 792 knows only zero, and says nothing of
    /// others.
    ///
    /// # Errors
    /// [`Error::Checksum`] when it is wrong, [`Error::Unsupported`] for any other type.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(message: &Message<&'a T>) -> Result<Repr<'a>, Error> {
        if !verify_checksum(message) {
            return Err(Error::Checksum);
        }
        match message.message_type() {
            ECHO_REQUEST => Ok(Repr::EchoRequest(Echo::read(message))),
            ECHO_REPLY => Ok(Repr::EchoReply(Echo::read(message))),
            _ => Err(Error::Unsupported),
        }
    }

    /// Bytes of the whole message.
    #[inline]
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        let (Repr::EchoRequest(echo) | Repr::EchoReply(echo)) = self;
        echo.message_len()
    }

    /// Writes the message, checksum included, over a buffer of exactly [`Repr::buffer_len`] bytes; panics on
    /// any other.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, message: &mut Message<T>) {
        match self {
            Repr::EchoRequest(echo) => echo.write(ECHO_REQUEST, message),
            Repr::EchoReply(echo) => echo.write(ECHO_REPLY, message),
        }
        fill_checksum(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_byte_by_byte() {
        let repr = Repr::EchoRequest(Echo { identifier: 0x1234, sequence: 1, payload: b"abc" });
        let mut bytes = [0xff; 11];
        repr.emit(&mut Message::new_unchecked(&mut bytes));
        // 0800 + 1234 + 0001 + 6162 + 6300 = de97, and its complement is 2168.
        assert_eq!(bytes, [8, 0, 0x21, 0x68, 0x12, 0x34, 0, 1, b'a', b'b', b'c']);
        let message = Message::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&message), Ok(repr));
        assert_eq!(repr.buffer_len(), bytes.len());
    }

    #[test]
    fn what_is_no_echo_or_is_harmed_is_refused() {
        let mut bytes = [0; 8];
        Repr::EchoReply(Echo { identifier: 7, sequence: 9, payload: &[] })
            .emit(&mut Message::new_unchecked(&mut bytes));
        bytes[7] ^= 1;
        assert_eq!(Repr::parse(&Message::new_checked(&bytes).unwrap()), Err(Error::Checksum));
        let mut message = Message::new_unchecked(&mut bytes);
        message.set_message_type(TIME_EXCEEDED);
        fill_checksum(&mut message);
        assert_eq!(Repr::parse(&Message::new_checked(&bytes).unwrap()), Err(Error::Unsupported));
    }

    #[test]
    fn errors_and_their_length_attribute() {
        let quoting: Vec<u8> = (0..=255).filter(|&t| carries_quote(t)).collect();
        assert_eq!(quoting, [3, 4, 5, 11, 12]);
        let extensible: Vec<u8> = (0..=255).filter(|&t| carries_extensions(t)).collect();
        assert_eq!(extensible, [3, 11, 12]);
        let message = Message::new_checked([3, 4, 0, 0, 0xff, 32, 0x05, 0xdc]).unwrap();
        assert_eq!(quote_len(&message), 128);
    }

    #[test]
    fn a_packet_gives_its_message_unless_it_is_a_fragment() {
        let mut bytes = [0u8; 28];
        let repr = ipv4::Repr {
            source: crate::Addr::v4([192, 0, 2, 1]),
            destination: crate::Addr::v4([192, 0, 2, 2]),
            protocol: protocol::ICMP,
            ttl: 64,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            payload_len: 8,
        };
        repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
        assert_eq!(message(&ipv4::Packet::new_checked(&bytes).unwrap()).unwrap().bytes(), [0; 8]);
        for (at, value) in [(9, protocol::UDP), (6, 0x20), (7, 1)] {
            let mut bytes = bytes;
            bytes[at] = value;
            let packet = ipv4::Packet::new_checked(&bytes).unwrap();
            assert_eq!(message(&packet), Err(Error::Unsupported));
        }
    }
}
