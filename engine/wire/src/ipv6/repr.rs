//! What an IPv6 fixed header means.

use super::Packet;
use crate::Addr;

/// The fixed header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Who sends it.
    pub source: Addr,
    /// Who it is for.
    pub destination: Addr,
    /// What stands behind the fixed header.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label: 20 bits, more are cut.
    pub flow_label: u32,
    /// Bytes behind the fixed header.
    pub payload_len: u16,
}

impl Repr {
    /// Reads a packet's fixed header.
    #[inline]
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Repr {
        Repr {
            source: packet.source(),
            destination: packet.destination(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            payload_len: packet.payload_len(),
        }
    }

    /// Writes a packet's fixed header.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_class_label(self.traffic_class, self.flow_label);
        packet.set_payload_len(self.payload_len);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
    }
}

#[cfg(test)]
mod tests {
    use super::super::HEADER_LEN;
    use super::*;
    use crate::{Error, protocol};

    const REPR: Repr = Repr {
        source: Addr([0x20; 16]),
        destination: Addr([0xfe; 16]),
        next_header: protocol::ICMPV6,
        hop_limit: 63,
        traffic_class: 0xa5,
        flow_label: 0x000b_cdef,
        payload_len: 3,
    };

    #[test]
    fn the_fields_stand_where_the_standard_says() {
        let mut bytes = [0xee; HEADER_LEN + 4];
        REPR.emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes[..8], [0x6a, 0x5b, 0xcd, 0xef, 0, 3, 58, 63]);
        assert_eq!((&bytes[8..24], &bytes[24..40]), (&[0x20; 16][..], &[0xfe; 16][..]));
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), REPR);
        assert_eq!((packet.payload(), packet.rest()), (&[0xee; 3][..], &[0xee; 4][..]));

        Packet::new_unchecked(&mut bytes).set_traffic_class(0x3c);
        let changed = Repr::parse(&Packet::new_checked(&bytes).unwrap());
        assert_eq!(changed, Repr { traffic_class: 0x3c, ..REPR });
    }

    #[test]
    fn short_and_foreign_packets_are_refused() {
        let mut bytes = [0; HEADER_LEN + 3];
        REPR.emit(&mut Packet::new_unchecked(&mut bytes));
        for length in 0..bytes.len() {
            assert_eq!(Packet::new_checked(&bytes[..length]), Err(Error::Truncated), "length {length}");
        }
        assert_eq!(Packet::new_quoted(&bytes[..=HEADER_LEN]).unwrap().payload(), [0]);
        bytes[0] = 0x45;
        assert_eq!(Packet::new_checked(&bytes), Err(Error::Malformed));
    }
}
