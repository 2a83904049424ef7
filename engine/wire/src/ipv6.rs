//! IPv6 packets (RFC 8200).

use crate::field::{array_at, put, put_bits16, u16_at, u32_at};
use crate::{Addr, Error};

mod headers;
mod repr;

pub use headers::{Fragment, MAX_EXTENSION_HEADERS, Upper, walk};
pub use repr::Repr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// A view of a packet. What the buffer holds beyond the packet's payload length is no part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view of a buffer of at least [`HEADER_LEN`] bytes, whatever they say: for packets to be written.
    /// The accessors panic on a shorter one.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Packet<T> {
        Packet { buffer }
    }

    /// A view of a received packet.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the buffer is shorter than the header and the payload length,
    /// [`Error::Malformed`] for another version.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let packet = Packet::new_quoted(buffer)?;
        let end = HEADER_LEN + packet.payload_len() as usize;
        if end > packet.buffer.as_ref().len() { Err(Error::Truncated) } else { Ok(packet) }
    }

    /// A view of the beginning of a packet, as ICMPv6 errors quote it: the fixed header is whole, the
    /// payload may be cut short.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is not whole, [`Error::Malformed`] for another version.
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Packet<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Packet { buffer };
        if packet.version() == 6 { Ok(packet) } else { Err(Error::Malformed) }
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// IP version: 6 in a checked packet.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[0] >> 4
    }

    /// DSCP (RFC 2474) and ECN (RFC 3168).
    #[inline]
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.buffer.as_ref(), 0) >> 4) as u8
    }

    /// The flow label, 20 bits (RFC 6437).
    #[inline]
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        u32_at(self.buffer.as_ref(), 0) & 0x000f_ffff
    }

    /// Bytes behind the fixed header.
    #[inline]
    #[must_use]
    pub fn payload_len(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 4)
    }

    /// What stands behind the fixed header: an extension header, or what the packet carries
    /// ([`Packet::upper`] sees behind the former).
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.buffer.as_ref()[6]
    }

    /// Hops left.
    #[inline]
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.buffer.as_ref()[7]
    }

    /// Who sent the packet.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Addr {
        Addr(array_at(self.buffer.as_ref(), 8))
    }

    /// Who it is for.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Addr {
        Addr(array_at(self.buffer.as_ref(), 24))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// What stands behind the fixed header, as far as the payload length reaches and the buffer holds it.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        let bytes = self.buffer.as_ref();
        let end = bytes.len().min(HEADER_LEN + self.payload_len() as usize);
        bytes.get(HEADER_LEN..end).unwrap_or_default()
    }

    /// Everything in the buffer behind the fixed header, whatever the payload length says.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.buffer.as_ref().get(HEADER_LEN..).unwrap_or_default()
    }

    /// What the packet carries behind its extension headers; the offset counts from the start of
    /// [`Packet::payload`].
    ///
    /// # Errors
    /// As [`walk`].
    #[inline]
    pub fn upper(&self) -> Result<Upper, Error> {
        walk(self.next_header(), self.payload())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets version 6, the traffic class and the lower 20 bits of `flow_label`.
    #[inline]
    pub fn set_version_class_label(&mut self, traffic_class: u8, flow_label: u32) {
        let word = 6 << 28 | (traffic_class as u32) << 20 | flow_label & 0x000f_ffff;
        put(self.buffer.as_mut(), 0, word.to_be_bytes());
    }

    /// Sets the traffic class alone.
    #[inline]
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        put_bits16(self.buffer.as_mut(), 0, 0x0ff0, (traffic_class as u16) << 4);
    }

    /// Sets the bytes behind the fixed header.
    #[inline]
    pub fn set_payload_len(&mut self, payload_len: u16) {
        put(self.buffer.as_mut(), 4, payload_len.to_be_bytes());
    }

    /// Sets what stands behind the fixed header.
    #[inline]
    pub fn set_next_header(&mut self, next_header: u8) {
        self.buffer.as_mut()[6] = next_header;
    }

    /// Sets the hops left.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.buffer.as_mut()[7] = hop_limit;
    }

    /// Sets who sends the packet.
    #[inline]
    pub fn set_source(&mut self, address: Addr) {
        put(self.buffer.as_mut(), 8, address.0);
    }

    /// Sets who it is for.
    #[inline]
    pub fn set_destination(&mut self, address: Addr) {
        put(self.buffer.as_mut(), 24, address.0);
    }

    /// Everything behind the fixed header, to be written.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().get_mut(HEADER_LEN..).unwrap_or_default()
    }
}
