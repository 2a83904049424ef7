//! What an IPv4 header without options means.

use super::{HEADER_LEN, Packet};
use crate::{Addr, Error};

/// The header of a whole datagram without options: what this engine sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Who sends it: an address in mapped form.
    pub source: Addr,
    /// Who it is for: an address in mapped form.
    pub destination: Addr,
    /// What it carries.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Identification: of no meaning with `dont_fragment` (RFC 6864).
    pub identification: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Bytes behind the header, at most 65,515.
    pub payload_len: u16,
}

impl Repr {
    /// Reads a packet's header.
    ///
    /// # Errors
    /// [`Error::Checksum`] when it is wrong, [`Error::Unsupported`] for a header with options and for a
    /// fragment, [`Error::Malformed`] when the total length is less than the header's.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Repr, Error> {
        if !packet.verify_checksum() {
            return Err(Error::Checksum);
        }
        if packet.header_len() != HEADER_LEN || packet.more_fragments() || packet.fragment_offset() != 0 {
            return Err(Error::Unsupported);
        }
        Ok(Repr {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol(),
            ttl: packet.ttl(),
            traffic_class: packet.traffic_class(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            payload_len: packet.total_len().checked_sub(HEADER_LEN as u16).ok_or(Error::Malformed)?,
        })
    }

    /// Writes a packet's header, checksum included. A payload longer than IPv4 can carry is the caller's
    /// mistake; its length saturates.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_and_header_len(HEADER_LEN);
        packet.set_traffic_class(self.traffic_class);
        packet.set_total_len(self.payload_len.saturating_add(HEADER_LEN as u16));
        packet.set_identification(self.identification);
        packet.set_unfragmented(self.dont_fragment);
        packet.set_ttl(self.ttl);
        packet.set_protocol(self.protocol);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
        packet.fill_checksum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;

    fn header() -> [u8; 24] {
        let repr = Repr {
            source: Addr::v4([192, 0, 2, 1]),
            destination: Addr::v4([198, 51, 100, 7]),
            protocol: protocol::ICMP,
            ttl: 61,
            traffic_class: 0xb8,
            identification: 0x1234,
            dont_fragment: true,
            payload_len: 3,
        };
        let mut bytes = [0xee; 24];
        repr.emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr));
        bytes
    }

    #[test]
    fn the_fields_stand_where_the_standard_says() {
        let bytes = header();
        assert_eq!(bytes[..10], [0x45, 0xb8, 0, 23, 0x12, 0x34, 0x40, 0, 61, 1]);
        assert_eq!(bytes[12..20], [192, 0, 2, 1, 198, 51, 100, 7]);
        let packet = Packet::new_checked(&bytes).unwrap();
        assert!(packet.verify_checksum());
        // One byte behind the total length is padding.
        assert_eq!(
            (packet.payload(), packet.rest(), packet.options()),
            (&[0xee; 3][..], &[0xee; 4][..], &[][..])
        );
    }

    #[test]
    fn lengths_that_cannot_be_true_are_refused() {
        let good = header();
        for length in 0..23 {
            assert_eq!(Packet::new_checked(&good[..length]), Err(Error::Truncated), "length {length}");
        }
        assert_eq!(Packet::new_quoted(&good[..20]).unwrap().payload(), []);
        assert_eq!(Packet::new_quoted(&good[..22]).unwrap().payload(), [0xee; 2]);
        for (at, value, error) in [
            (0, 0x65, Error::Malformed), // IPv6
            (0, 0x44, Error::Malformed), // header of 16 bytes
            (0, 0x47, Error::Truncated), // header of 28 bytes
            (0, 0x46, Error::Malformed), // header of 24 bytes, packet of 23
            (3, 19, Error::Malformed),
            (3, 25, Error::Truncated),
        ] {
            let mut bytes = good;
            bytes[at] = value;
            assert_eq!(Packet::new_checked(&bytes), Err(error), "byte {at} = {value:#x}");
        }
    }

    #[test]
    fn options_belong_to_the_header() {
        let mut bytes = header();
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_version_and_header_len(24);
        packet.set_total_len(24);
        packet.fill_checksum();
        let packet = Packet::new_checked(&bytes).unwrap();
        assert!(packet.verify_checksum());
        assert_eq!((packet.options(), packet.payload()), (&[0xee; 4][..], &[][..]));
        assert_eq!(Repr::parse(&packet), Err(Error::Unsupported));
    }

    #[test]
    fn fragments_are_told_apart() {
        let mut bytes = header();
        bytes[6..8].copy_from_slice(&0x2005_u16.to_be_bytes());
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(
            (packet.more_fragments(), packet.dont_fragment(), packet.fragment_offset()),
            (true, false, 40)
        );
        assert_eq!(Repr::parse(&packet), Err(Error::Checksum));
        Packet::new_unchecked(&mut bytes).fill_checksum();
        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Err(Error::Unsupported));
    }
}
