//! IPv4 packets (RFC 791).

use crate::checksum::{checksum, verify};
use crate::field::{array_at, put, put_bits16, u16_at};
use crate::{Addr, Error};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// A view of a packet. What the buffer holds beyond the packet's total length (an Ethernet frame's padding)
/// is no part of it.
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

    /// A view of a received packet. The header checksum is left to [`Packet::verify_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] when the buffer is shorter than the header or the total length,
    /// [`Error::Malformed`] when version, header length and total length cannot be true.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let packet = Packet::new_quoted(buffer)?;
        let total_len = packet.total_len() as usize;
        if total_len < packet.header_len() {
            return Err(Error::Malformed);
        }
        if total_len > packet.buffer.as_ref().len() { Err(Error::Truncated) } else { Ok(packet) }
    }

    /// A view of the beginning of a packet, as ICMP errors quote it: the header is whole, the total length
    /// may say anything, since stacks quote it cut short, byte-swapped or without the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is not whole, [`Error::Malformed`] when version or header length
    /// cannot be true.
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Packet<T>, Error> {
        let bytes = buffer.as_ref();
        if bytes.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Packet { buffer };
        if packet.version() != 4 || packet.header_len() < HEADER_LEN {
            return Err(Error::Malformed);
        }
        if packet.header_len() > packet.buffer.as_ref().len() { Err(Error::Truncated) } else { Ok(packet) }
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// IP version: 4 in a checked packet.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[0] >> 4
    }

    /// Bytes of the header, options included.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        (self.buffer.as_ref()[0] & 0x0f) as usize * 4
    }

    /// The type of service octet: DSCP (RFC 2474) and ECN (RFC 3168).
    #[inline]
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.buffer.as_ref()[1]
    }

    /// Bytes of the packet, header included.
    #[inline]
    #[must_use]
    pub fn total_len(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 2)
    }

    /// Which datagram a fragment belongs to.
    #[inline]
    #[must_use]
    pub fn identification(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 4)
    }

    /// Whether routers must not fragment the packet.
    #[inline]
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        u16_at(self.buffer.as_ref(), 6) & DONT_FRAGMENT != 0
    }

    /// Whether more fragments of the datagram follow this one.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        u16_at(self.buffer.as_ref(), 6) & MORE_FRAGMENTS != 0
    }

    /// Where this fragment begins in the datagram's payload, in bytes: zero for a whole datagram and for a
    /// first fragment.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (u16_at(self.buffer.as_ref(), 6) & FRAGMENT_OFFSET) * 8
    }

    /// Time to live: hops left.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.buffer.as_ref()[8]
    }

    /// What the packet carries ([`crate::protocol`]).
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.buffer.as_ref()[9]
    }

    /// The header checksum field.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), 10)
    }

    /// Whether the header's checksum is right.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        self.buffer.as_ref().get(..self.header_len()).is_some_and(verify)
    }

    /// Who sent the packet.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Addr {
        Addr::v4(array_at(self.buffer.as_ref(), 12))
    }

    /// Who it is for.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Addr {
        Addr::v4(array_at(self.buffer.as_ref(), 16))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// The header's options, padding included.
    #[inline]
    #[must_use]
    pub fn options(&self) -> &'a [u8] {
        self.buffer.as_ref().get(HEADER_LEN..self.header_len()).unwrap_or_default()
    }

    /// What the header stands in front of, as far as the total length reaches and the buffer holds it.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        let bytes = self.buffer.as_ref();
        let end = bytes.len().min(self.total_len() as usize);
        bytes.get(self.header_len()..end).unwrap_or_default()
    }

    /// Everything in the buffer behind the header, whatever the total length says.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.buffer.as_ref().get(self.header_len()..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets version 4 and the header's length in bytes, a multiple of four up to 60.
    #[inline]
    pub fn set_version_and_header_len(&mut self, header_len: usize) {
        self.buffer.as_mut()[0] = 0x40 | (header_len / 4) as u8 & 0x0f;
    }

    /// Sets the type of service octet.
    #[inline]
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        self.buffer.as_mut()[1] = traffic_class;
    }

    /// Sets the bytes of the packet, header included.
    #[inline]
    pub fn set_total_len(&mut self, total_len: u16) {
        put(self.buffer.as_mut(), 2, total_len.to_be_bytes());
    }

    /// Sets the datagram's identification.
    #[inline]
    pub fn set_identification(&mut self, identification: u16) {
        put(self.buffer.as_mut(), 4, identification.to_be_bytes());
    }

    /// Makes the packet a whole datagram, which routers may fragment or not.
    #[inline]
    pub fn set_unfragmented(&mut self, dont_fragment: bool) {
        put_bits16(self.buffer.as_mut(), 6, u16::MAX, if dont_fragment { DONT_FRAGMENT } else { 0 });
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.buffer.as_mut()[8] = ttl;
    }

    /// Sets what the packet carries.
    #[inline]
    pub fn set_protocol(&mut self, protocol: u8) {
        self.buffer.as_mut()[9] = protocol;
    }

    /// Sets the header checksum field.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put(self.buffer.as_mut(), 10, checksum.to_be_bytes());
    }

    /// Sets who sends the packet: the last four bytes of the address.
    #[inline]
    pub fn set_source(&mut self, address: Addr) {
        put(self.buffer.as_mut(), 12, address.v4_octets());
    }

    /// Sets who it is for: the last four bytes of the address.
    #[inline]
    pub fn set_destination(&mut self, address: Addr) {
        put(self.buffer.as_mut(), 16, address.v4_octets());
    }

    /// Computes and sets the header checksum.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let header_len = self.header_len();
        let value = checksum(self.buffer.as_ref().get(..header_len).unwrap_or_default());
        self.set_checksum(value);
    }

    /// Everything behind the header, to be written.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let header_len = self.header_len();
        self.buffer.as_mut().get_mut(header_len..).unwrap_or_default()
    }
}

mod repr;
pub use repr::Repr;
