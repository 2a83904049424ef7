//! What an ICMP or ICMPv6 message tells one who sends echo requests: the views of this crate in the order in
//! which a receiver needs them.

use crate::icmp::{Echo, Message};
use crate::quote::{self, Quote};
use crate::{Error, extension, icmpv4, icmpv6};

/// A message that may answer an echo request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<'a> {
    /// An echo reply.
    Reply(Echo<'a>),
    /// An error that quotes an echo request.
    Failure {
        /// ICMP or ICMPv6 type.
        message_type: u8,
        /// Its code.
        code: u8,
        /// The echo request.
        quote: Quote<'a>,
        /// The extension structure, header included ([`extension::Structure::new_checked`] reads it); empty
        /// where there is none.
        extensions: &'a [u8],
    },
}

impl<'a> Answer<'a> {
    /// Reads an ICMP message. The checksum is the caller's to check, who decides what a wrong one means.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for any other type and for errors that quote something else than an echo
    /// request; [`Error::Truncated`] and [`Error::Malformed`] for quotes that cannot be read.
    #[inline]
    pub fn from_icmpv4<T: AsRef<[u8]> + ?Sized>(message: &Message<&'a T>) -> Result<Answer<'a>, Error> {
        let message_type = message.message_type();
        if message_type == icmpv4::ECHO_REPLY {
            return Ok(Answer::Reply(Echo::read(message)));
        }
        // A redirect and a source quench quote as well, but they end nothing: the request went on its way.
        let ends = !matches!(message_type, icmpv4::REDIRECT | icmpv4::SOURCE_QUENCH);
        if !ends || !icmpv4::carries_quote(message_type) {
            return Err(Error::Unsupported);
        }
        let (quote, extensions) = if icmpv4::carries_extensions(message_type) {
            extension::split(message.body(), icmpv4::quote_len(message))
        } else {
            (message.body(), &[][..])
        };
        let quote = quote::parse_v4(quote)?;
        Ok(Answer::Failure { message_type, code: message.code(), quote, extensions })
    }

    /// Reads an ICMPv6 message. The checksum is the caller's to check, who decides what a wrong one means.
    ///
    /// # Errors
    /// As [`Answer::from_icmpv4`].
    #[inline]
    pub fn from_icmpv6<T: AsRef<[u8]> + ?Sized>(message: &Message<&'a T>) -> Result<Answer<'a>, Error> {
        let message_type = message.message_type();
        if message_type == icmpv6::ECHO_REPLY {
            return Ok(Answer::Reply(Echo::read(message)));
        }
        if !icmpv6::carries_quote(message_type) {
            return Err(Error::Unsupported);
        }
        let (quote, extensions) = if icmpv6::carries_extensions(message_type) {
            extension::split(message.body(), icmpv6::quote_len(message))
        } else {
            (message.body(), &[][..])
        };
        let quote = quote::parse_v6(quote)?;
        Ok(Answer::Failure { message_type, code: message.code(), quote, extensions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of this type that quotes an IPv4 or IPv6 echo request of identifier 0x1234 and sequence 5,
    /// padded to 136 bytes, with an extension structure without objects and its length attribute at `at`.
    fn error(message_type: u8, v6: bool, at: usize, length: u8) -> Vec<u8> {
        let mut bytes = vec![0; 8 + 136];
        (bytes[0], bytes[1], bytes[at]) = (message_type, 1, length);
        let echo = if v6 {
            bytes[8] = 0x60;
            (bytes[8 + 5], bytes[8 + 6]) = (8, 58);
            bytes[8 + 40] = 128;
            8 + 40
        } else {
            bytes[8] = 0x45;
            (bytes[8 + 3], bytes[8 + 9]) = (28, 1);
            bytes[8 + 20] = 8;
            8 + 20
        };
        bytes[echo + 4..echo + 8].copy_from_slice(&[0x12, 0x34, 0, 5]);
        bytes.extend([0x20, 0, 0xdf, 0xff]);
        bytes
    }

    fn identity(answer: Answer<'_>) -> (u8, u16, u16, usize) {
        match answer {
            Answer::Reply(echo) => (0, echo.identifier, echo.sequence, 0),
            Answer::Failure { message_type, quote, extensions, .. } => {
                (message_type, quote.identifier, quote.sequence, extensions.len())
            }
        }
    }

    #[test]
    fn every_type_is_what_the_standards_say() {
        for message_type in 0..=255 {
            let bytes = error(message_type, false, 5, 34);
            let answer = Answer::from_icmpv4(&Message::new_checked(&bytes).unwrap()).map(identity);
            match message_type {
                0 => assert_eq!(answer, Ok((0, 34, 0, 0))),
                3 | 11 | 12 => assert_eq!(answer, Ok((message_type, 0x1234, 5, 4))),
                _ => assert_eq!(answer, Err(Error::Unsupported)),
            }
            let bytes = error(message_type, true, 4, 17);
            let answer = Answer::from_icmpv6(&Message::new_checked(&bytes).unwrap()).map(identity);
            match message_type {
                129 => assert_eq!(answer, Ok((0, 17 << 8, 0, 0))),
                1 | 3 => assert_eq!(answer, Ok((message_type, 0x1234, 5, 4))),
                2 | 4 => assert_eq!(answer, Ok((message_type, 0x1234, 5, 0))),
                _ => assert_eq!(answer, Err(Error::Unsupported)),
            }
        }
    }

    #[test]
    fn families_do_not_mix() {
        let (v4, v6) = (error(3, false, 5, 34), error(3, true, 4, 17));
        assert_eq!(Answer::from_icmpv4(&Message::new_checked(&v6).unwrap()), Err(Error::Malformed));
        assert_eq!(Answer::from_icmpv6(&Message::new_checked(&v4).unwrap()), Err(Error::Malformed));
    }
}
