//! What ICMP (RFC 792) and ICMPv6 (RFC 4443) messages have in common: eight bytes of header, then a body.
//!
//! Types and checksums differ between the two: [`crate::icmpv4`] and [`crate::icmpv6`].

use crate::Error;
use crate::field::{put, u16_at, u32_at};

/// Bytes of every message's header, the four that depend on the type included.
pub const HEADER_LEN: usize = 8;

/// A view of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Message<T> {
    /// A view of a buffer of at least [`HEADER_LEN`] bytes, whatever they say: for messages to be written.
    /// The accessors panic on a shorter one.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Message<T> {
        Message { buffer }
    }

    /// A view of a received message. The checksum is left to [`crate::icmpv4::verify_checksum`] and
    /// [`crate::icmpv6::verify_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is not whole.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Message<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN { Err(Error::Truncated) } else { Ok(Message { buffer }) }
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// The whole message.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// What kind of message.
    #[inline]
    #[must_use]
    pub fn message_type(&self) -> u8 {
        self.buffer.as_ref()[0]
    }

    /// Which of that kind.
    #[inline]
    #[must_use]
    pub fn code(&self) -> u8 {
        self.buffer.as_ref()[1]
    }

    /// The checksum field.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 2)
    }

    /// An echo message's identifier.
    #[inline]
    #[must_use]
    pub fn identifier(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 4)
    }

    /// An echo message's sequence number.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 6)
    }

    /// The four bytes that depend on the type, as one number: of a "packet too big", the MTU.
    #[inline]
    #[must_use]
    pub fn type_specific(&self) -> u32 {
        u32_at(self.buffer.as_ref(), 4)
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Message<&'a T> {
    /// Everything behind the header: an echo's data, an error's quote and extensions.
    #[inline]
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.buffer.as_ref().get(HEADER_LEN..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Message<T> {
    /// Sets what kind of message.
    #[inline]
    pub fn set_message_type(&mut self, message_type: u8) {
        self.buffer.as_mut()[0] = message_type;
    }

    /// Sets which of that kind.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.buffer.as_mut()[1] = code;
    }

    /// Sets the checksum field.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put(self.buffer.as_mut(), 2, checksum.to_be_bytes());
    }

    /// Sets an echo message's identifier.
    #[inline]
    pub fn set_identifier(&mut self, identifier: u16) {
        put(self.buffer.as_mut(), 4, identifier.to_be_bytes());
    }

    /// Sets an echo message's sequence number.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u16) {
        put(self.buffer.as_mut(), 6, sequence.to_be_bytes());
    }

    /// Sets the four bytes that depend on the type.
    #[inline]
    pub fn set_type_specific(&mut self, value: u32) {
        put(self.buffer.as_mut(), 4, value.to_be_bytes());
    }

    /// Everything behind the header, to be written.
    #[inline]
    pub fn body_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().get_mut(HEADER_LEN..).unwrap_or_default()
    }
}

/// What an echo request or reply carries, in both families.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo<'a> {
    /// Tells one sender's echoes from another's.
    pub identifier: u16,
    /// Tells one echo from the next.
    pub sequence: u16,
    /// The data, which a reply brings back as it was.
    pub payload: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Bytes of the whole message.
    #[inline]
    #[must_use]
    pub const fn message_len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// The echo in a message of an echo type.
    #[inline]
    pub(crate) fn read<T: AsRef<[u8]> + ?Sized>(message: &Message<&'a T>) -> Echo<'a> {
        Echo { identifier: message.identifier(), sequence: message.sequence(), payload: message.body() }
    }

    /// Writes everything but the checksum, which it sets to zero.
    #[inline]
    pub(crate) fn write<T: AsRef<[u8]> + AsMut<[u8]>>(&self, message_type: u8, message: &mut Message<T>) {
        message.set_message_type(message_type);
        message.set_code(0);
        message.set_checksum(0);
        message.set_identifier(self.identifier);
        message.set_sequence(self.sequence);
        message.body_mut().copy_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_where_the_standard_says() {
        let bytes = [11, 1, 0xab, 0xcd, 0x12, 0x34, 0x56, 0x78, 9];
        let message = Message::new_checked(&bytes).unwrap();
        assert_eq!((message.message_type(), message.code(), message.checksum()), (11, 1, 0xabcd));
        assert_eq!((message.identifier(), message.sequence()), (0x1234, 0x5678));
        assert_eq!((message.type_specific(), message.body()), (0x1234_5678, &[9][..]));

        let mut written = [0; 9];
        let mut message = Message::new_unchecked(&mut written);
        message.set_message_type(11);
        message.set_code(1);
        message.set_checksum(0xabcd);
        message.set_type_specific(0x1234_5678);
        message.body_mut()[0] = 9;
        assert_eq!(written, bytes);
    }

    #[test]
    fn a_short_message_is_refused() {
        for length in 0..HEADER_LEN {
            assert_eq!(Message::new_checked(&[0; HEADER_LEN][..length]), Err(Error::Truncated));
        }
    }
}
