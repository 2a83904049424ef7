//! Ethernet II frames (IEEE 802.3 clause 3), without preamble and frame check sequence.

use std::fmt;

use crate::Error;
use crate::field::{array_at, put, u16_at};

/// Bytes of a frame's header, without VLAN tags.
pub const HEADER_LEN: usize = 14;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);

    /// Whether the frame goes to a group: multicast or broadcast.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a frame carries (IANA IEEE 802 numbers).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: EtherType = EtherType(0x0800);
    /// IPv6.
    pub const IPV6: EtherType = EtherType(0x86dd);
    /// A customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: EtherType = EtherType(0x8100);
    /// A service VLAN tag, the outer one of two (IEEE 802.1ad).
    pub const SERVICE_VLAN: EtherType = EtherType(0x88a8);

    /// Whether a VLAN tag follows.
    #[inline]
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, EtherType::VLAN | EtherType::SERVICE_VLAN)
    }
}

/// A view of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Frame<T> {
    /// A view of a buffer of at least [`HEADER_LEN`] bytes, whatever they say: for frames to be written.
    /// The accessors panic on a shorter one.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Frame<T> {
        Frame { buffer }
    }

    /// A view of a received frame.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is not whole.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Frame<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN { Err(Error::Truncated) } else { Ok(Frame { buffer }) }
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Who the frame is for.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> MacAddr {
        MacAddr(array_at(self.buffer.as_ref(), 0))
    }

    /// Who sent it.
    #[inline]
    #[must_use]
    pub fn source(&self) -> MacAddr {
        MacAddr(array_at(self.buffer.as_ref(), 6))
    }

    /// What follows the header: a VLAN tag where there is one ([`crate::vlan::walk`] sees behind it).
    #[inline]
    #[must_use]
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16_at(self.buffer.as_ref(), 12))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Frame<&'a T> {
    /// Everything behind the header, padding included.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.buffer.as_ref().get(HEADER_LEN..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Frame<T> {
    /// Sets who the frame is for.
    #[inline]
    pub fn set_destination(&mut self, address: MacAddr) {
        put(self.buffer.as_mut(), 0, address.0);
    }

    /// Sets who sends it.
    #[inline]
    pub fn set_source(&mut self, address: MacAddr) {
        put(self.buffer.as_mut(), 6, address.0);
    }

    /// Sets what follows the header.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        put(self.buffer.as_mut(), 12, ethertype.0.to_be_bytes());
    }

    /// Everything behind the header, to be written.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().get_mut(HEADER_LEN..).unwrap_or_default()
    }
}

/// What a frame's header means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Who the frame is for.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What it carries.
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads a frame's header.
    #[inline]
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(frame: &Frame<T>) -> Repr {
        Repr { destination: frame.destination(), source: frame.source(), ethertype: frame.ethertype() }
    }

    /// Writes a frame's header.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, frame: &mut Frame<T>) {
        frame.set_destination(self.destination);
        frame.set_source(self.source);
        frame.set_ethertype(self.ethertype);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_where_the_standard_says() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x86, 0xdd, 0x60];
        let frame = Frame::new_checked(&bytes).unwrap();
        assert_eq!(frame.destination(), MacAddr([1, 2, 3, 4, 5, 6]));
        assert_eq!(frame.source().to_string(), "07:08:09:0a:0b:0c");
        assert_eq!(frame.ethertype(), EtherType::IPV6);
        assert_eq!(frame.payload(), [0x60]);
        assert!(frame.destination().is_group() && !MacAddr([2; 6]).is_group());

        let mut copy = [0; 15];
        let mut written = Frame::new_unchecked(&mut copy);
        Repr::parse(&frame).emit(&mut written);
        written.payload_mut()[0] = 0x60;
        assert_eq!(copy, bytes);
    }

    #[test]
    fn a_short_frame_is_refused() {
        for length in 0..HEADER_LEN {
            assert_eq!(Frame::new_checked(&[0; HEADER_LEN][..length]), Err(Error::Truncated));
        }
    }
}
