//! ICMPv6 (RFC 4443): types and codes, checksum, echo messages.

use crate::checksum::Sum;
use crate::icmp::{Echo, Message};
use crate::ipv6::Fragment;
use crate::{Addr, Error, ipv6, protocol};

/// The packet cannot be delivered; [`mod@unreachable`] says why.
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// Too big for the next link; the MTU is in the header.
pub const PACKET_TOO_BIG: u8 = 2;
/// The hop limit, or the time for reassembly, is over; [`time_exceeded`] says which.
pub const TIME_EXCEEDED: u8 = 3;
/// A header field is wrong; [`parameter_problem`] says how.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Asks for an echo reply.
pub const ECHO_REQUEST: u8 = 128;
/// Answers an echo request.
pub const ECHO_REPLY: u8 = 129;

/// Codes of [`DESTINATION_UNREACHABLE`] (RFC 4443 section 3.1).
pub mod unreachable {
    /// No route to the destination.
    pub const NO_ROUTE: u8 = 0;
    /// A filter forbids it.
    pub const PROHIBITED: u8 = 1;
    /// The destination lies outside of the source address's scope.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The last router does not find the host.
    pub const ADDRESS: u8 = 3;
    /// Nobody listens.
    pub const PORT: u8 = 4;
    /// A policy forbids the source address.
    pub const SOURCE_POLICY: u8 = 5;
    /// The route rejects packets.
    pub const REJECT_ROUTE: u8 = 6;
}

/// Codes of [`TIME_EXCEEDED`] (RFC 4443 section 3.3).
pub mod time_exceeded {
    /// The hop limit ran out on the way.
    pub const IN_TRANSIT: u8 = 0;
    /// Fragments were missing for too long.
    pub const REASSEMBLY: u8 = 1;
}

/// Codes of [`PARAMETER_PROBLEM`] (RFC 4443 section 3.4).
pub mod parameter_problem {
    /// A header field is wrong.
    pub const HEADER_FIELD: u8 = 0;
    /// A next header value is not known.
    pub const NEXT_HEADER: u8 = 1;
    /// An option is not known.
    pub const OPTION: u8 = 2;
}

/// Whether messages of this type quote the packet that caused them.
#[inline]
#[must_use]
pub const fn carries_quote(message_type: u8) -> bool {
    matches!(message_type, DESTINATION_UNREACHABLE | PACKET_TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

/// Whether messages of this type may carry extensions behind their quote (RFC 4884 section 4).
#[inline]
#[must_use]
pub const fn carries_extensions(message_type: u8) -> bool {
    matches!(message_type, DESTINATION_UNREACHABLE | TIME_EXCEEDED)
}

/// The length attribute of a message that may carry extensions, in bytes of the quote: zero where the sender
/// does not say (RFC 4884 section 4.4: the fifth byte, in units of eight).
#[inline]
#[must_use]
pub fn quote_len<T: AsRef<[u8]>>(message: &Message<T>) -> usize {
    (message.type_specific() >> 24) as usize * 8
}

/// The message in a packet that carries one whole, behind whatever extension headers.
///
/// # Errors
/// [`Error::Unsupported`] for another protocol, for fragments and for too many extension headers,
/// [`Error::Truncated`] when extension headers or the message's header are not whole.
#[inline]
pub fn message<'a, T: AsRef<[u8]> + ?Sized>(
    packet: &ipv6::Packet<&'a T>,
) -> Result<Message<&'a [u8]>, Error> {
    let upper = packet.upper()?;
    if upper.next_header != protocol::ICMPV6 || upper.fragment != Fragment::Whole {
        return Err(Error::Unsupported);
    }
    Message::new_checked(packet.payload().get(upper.offset..).ok_or(Error::Truncated)?)
}

fn sum<T: AsRef<[u8]>>(message: &Message<T>, source: Addr, destination: Addr) -> Sum {
    let bytes = message.bytes();
    // Slices longer than the field reach 4 GiB, which no packet does.
    Sum::pseudo_v6(&source.0, &destination.0, bytes.len() as u32, protocol::ICMPV6).add_bytes(bytes)
}

/// Whether a message's checksum, which covers the addresses it travelled between, is right (RFC 4443
/// section 2.3).
#[inline]
#[must_use]
pub fn verify_checksum<T: AsRef<[u8]>>(message: &Message<T>, source: Addr, destination: Addr) -> bool {
    sum(message, source, destination).is_valid()
}

/// Computes and sets a message's checksum.
#[inline]
pub fn fill_checksum<T: AsRef<[u8]> + AsMut<[u8]>>(
    message: &mut Message<T>,
    source: Addr,
    destination: Addr,
) {
    message.set_checksum(0);
    let value = sum(message, source, destination).checksum();
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
    /// Reads an echo message that came from `source` to `destination`. Receivers ignore the code.
    ///
    /// # Errors
    /// [`Error::Checksum`] when it is wrong, [`Error::Unsupported`] for any other type.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(
        message: &Message<&'a T>,
        source: Addr,
        destination: Addr,
    ) -> Result<Repr<'a>, Error> {
        if !verify_checksum(message, source, destination) {
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
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(
        &self,
        message: &mut Message<T>,
        source: Addr,
        destination: Addr,
    ) {
        match self {
            Repr::EchoRequest(echo) => echo.write(ECHO_REQUEST, message),
            Repr::EchoReply(echo) => echo.write(ECHO_REPLY, message),
        }
        fill_checksum(message, source, destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    const TO: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

    #[test]
    fn the_checksum_covers_the_addresses() {
        let repr = Repr::EchoReply(Echo { identifier: 0x1234, sequence: 1, payload: &[] });
        let mut bytes = [0xff; 8];
        repr.emit(&mut Message::new_unchecked(&mut bytes), FROM, TO);
        // The words of both addresses, the length, the next header, and those of the message.
        let sum: u16 = 2 * (0x2001 + 0x0db8) + 1 + 2 + 8 + 0x3a + 0x8100 + 0x1234 + 1;
        assert_eq!(Message::new_checked(&bytes).unwrap().checksum(), !sum);
        let message = Message::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&message, FROM, TO), Ok(repr));
        assert_eq!(Repr::parse(&message, FROM, FROM), Err(Error::Checksum));
        assert_eq!(repr.buffer_len(), bytes.len());
    }

    #[test]
    fn other_types_are_no_echo() {
        let mut bytes = [PACKET_TOO_BIG, 0, 0, 0, 0, 0, 5, 0];
        fill_checksum(&mut Message::new_unchecked(&mut bytes), FROM, TO);
        let message = Message::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&message, FROM, TO), Err(Error::Unsupported));
        assert_eq!(message.type_specific(), 1280);
    }

    #[test]
    fn errors_and_their_length_attribute() {
        let quoting: Vec<u8> = (0..=255).filter(|&t| carries_quote(t)).collect();
        assert_eq!(quoting, [1, 2, 3, 4]);
        let extensible: Vec<u8> = (0..=255).filter(|&t| carries_extensions(t)).collect();
        assert_eq!(extensible, [1, 3]);
        let message = Message::new_checked([3, 0, 0, 0, 16, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(quote_len(&message), 128);
    }

    #[test]
    fn a_packet_gives_its_message_behind_extension_headers() {
        let mut bytes = [0u8; 40 + 8 + 8];
        let repr = ipv6::Repr {
            source: FROM,
            destination: TO,
            next_header: protocol::DESTINATION_OPTIONS,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: 16,
        };
        repr.emit(&mut ipv6::Packet::new_unchecked(&mut bytes));
        bytes[40] = protocol::ICMPV6;
        bytes[48] = ECHO_REPLY;
        let whole = message(&ipv6::Packet::new_checked(&bytes).unwrap()).unwrap();
        assert_eq!((whole.message_type(), whole.bytes().len()), (ECHO_REPLY, 8));

        bytes[6] = protocol::FRAGMENT;
        bytes[43] = 1; // more fragments
        let packet = ipv6::Packet::new_checked(&bytes).unwrap();
        assert_eq!(message(&packet), Err(Error::Unsupported));
    }
}
