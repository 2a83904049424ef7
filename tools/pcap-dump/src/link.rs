//! Link layers: from a captured frame to the IP packet in it.

use megaping_wire::ethernet::EtherType;
use megaping_wire::{Error, vlan};

/// What the packets of an interface begin with (registry of link-layer header types at tcpdump.org).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkType {
    /// Ethernet, with or without VLAN tags.
    Ethernet,
    /// An IP packet of either family.
    Raw,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// Linux cooked capture, as of the `any` device: 16 bytes, the last two name the protocol.
    LinuxSll,
    /// Its second version: 20 bytes, the first two name the protocol.
    LinuxSll2,
}

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Network<'a> {
    pub family: Family,
    /// From the IP header to the end of the frame, padding included.
    pub bytes: &'a [u8],
    pub tags: [Option<vlan::Tag>; vlan::MAX_TAGS],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
    /// Neither, or behind more tags than the walk follows.
    Other,
}

impl LinkType {
    /// The link type of a number in a capture.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<LinkType> {
        match number {
            1 => Some(LinkType::Ethernet),
            101 => Some(LinkType::Raw),
            113 => Some(LinkType::LinuxSll),
            228 => Some(LinkType::Ipv4),
            229 => Some(LinkType::Ipv6),
            276 => Some(LinkType::LinuxSll2),
            _ => None,
        }
    }

    /// Takes the link layer's header off a frame.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the frame is too short for it, [`Error::Malformed`] for a raw IP packet of
    /// neither version.
    pub(crate) fn strip(self, frame: &[u8]) -> Result<Network<'_>, Error> {
        let raw = |family| Ok(Network { family, bytes: frame, tags: [None; vlan::MAX_TAGS] });
        match self {
            LinkType::Ipv4 => raw(Family::V4),
            LinkType::Ipv6 => raw(Family::V6),
            LinkType::Raw => match frame.first().ok_or(Error::Truncated)? >> 4 {
                4 => raw(Family::V4),
                6 => raw(Family::V6),
                _ => Err(Error::Malformed),
            },
            LinkType::Ethernet => match vlan::walk(frame) {
                Ok(inner) => behind(frame, inner.offset, inner.ethertype, inner.tags),
                Err(Error::Unsupported) => raw(Family::Other),
                Err(error) => Err(error),
            },
            LinkType::LinuxSll => cooked(frame, 14, 16),
            LinkType::LinuxSll2 => cooked(frame, 0, 20),
        }
    }

    /// The header's name, for messages.
    pub(crate) const fn header_name(self) -> &'static str {
        match self {
            LinkType::Ethernet => "Ethernet header",
            LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => "IP header (version)",
            LinkType::LinuxSll | LinkType::LinuxSll2 => "cooked capture header",
        }
    }
}

fn cooked(frame: &[u8], protocol_at: usize, header_len: usize) -> Result<Network<'_>, Error> {
    let header = frame.get(..header_len).ok_or(Error::Truncated)?;
    let ethertype = EtherType(u16::from_be_bytes([header[protocol_at], header[protocol_at + 1]]));
    behind(frame, header_len, ethertype, [None; vlan::MAX_TAGS])
}

fn behind(
    frame: &[u8],
    offset: usize,
    ethertype: EtherType,
    tags: [Option<vlan::Tag>; vlan::MAX_TAGS],
) -> Result<Network<'_>, Error> {
    let family = match ethertype {
        EtherType::IPV4 => Family::V4,
        EtherType::IPV6 => Family::V6,
        _ => Family::Other,
    };
    Ok(Network { family, bytes: frame.get(offset..).ok_or(Error::Truncated)?, tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_type_finds_its_packet() {
        let packet = [0x45, 1, 2, 3];
        for (number, header) in [
            (1, [vec![0; 12], vec![8, 0]].concat()),
            (1, [vec![0; 12], vec![0x81, 0, 0, 7, 8, 0]].concat()),
            (101, vec![]),
            (113, [vec![0; 14], vec![8, 0]].concat()),
            (228, vec![]),
            (276, [vec![8, 0], vec![0; 18]].concat()),
        ] {
            let link = LinkType::from_number(number).unwrap();
            let frame = [&header[..], &packet].concat();
            let network = link.strip(&frame).unwrap();
            assert_eq!((network.family, network.bytes), (Family::V4, &packet[..]), "link type {number}");
            for length in 0..header.len() {
                assert_eq!(link.strip(&frame[..length]), Err(Error::Truncated), "{number}, length {length}");
            }
        }
        assert_eq!(LinkType::Ipv6.strip(&[]).unwrap().family, Family::V6);
        assert_eq!(LinkType::Raw.strip(&[0x60]).unwrap().family, Family::V6);
        assert_eq!(LinkType::Raw.strip(&[0x50]), Err(Error::Malformed));
        assert_eq!(LinkType::Raw.strip(&[]), Err(Error::Truncated));
    }

    #[test]
    fn what_is_no_ip_is_left_alone() {
        let arp = [[0; 12].as_slice(), &[8, 6, 0, 1]].concat();
        assert_eq!(LinkType::Ethernet.strip(&arp).unwrap().family, Family::Other);
        let three_tags =
            [[0; 12].as_slice(), &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0]].concat();
        assert_eq!(LinkType::Ethernet.strip(&three_tags).unwrap().family, Family::Other);
        assert_eq!(LinkType::from_number(147), None);
    }
}
