//! Interface information objects (RFC 5837): which interface of a router a packet came in or would leave by.

use crate::Addr;
use crate::field::{u16_at, u32_at};

use super::Object;

/// One interface of the router that sent the error, as far as the object tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface<'a> {
    /// What the packet had to do with it.
    pub role: Role,
    /// Its ifIndex (RFC 2863).
    pub index: Option<u32>,
    /// One of its addresses.
    pub address: Option<Addr>,
    /// Its ifName, at most 63 bytes that ought to be UTF-8.
    pub name: Option<&'a [u8]>,
    /// Its MTU in bytes.
    pub mtu: Option<u32>,
}

/// The two upper bits of the object's type (RFC 5837 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The packet came in by it.
    Incoming,
    /// A part of it: the member of a bundle that the packet came in by.
    IncomingComponent,
    /// The packet would have left by it.
    Outgoing,
    /// The address of the next hop behind it.
    NextHop,
}

const HAS_INDEX: u8 = 0x08;
const HAS_ADDRESS: u8 = 0x04;
const HAS_NAME: u8 = 0x02;
const HAS_MTU: u8 = 0x01;
/// Address family numbers (IANA).
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;
/// A name takes at most so many bytes, its length byte included (RFC 5837 section 4.3).
const NAME_MAX: usize = 64;

impl<'a> Object<'a> {
    /// The class of interface information (RFC 5837 section 4).
    pub const CLASS_INTERFACE: u8 = 2;

    /// What an interface information object says; `None` for any other object, and for one whose parts do not
    /// fit into it.
    #[must_use]
    pub fn interface(&self) -> Option<Interface<'a>> {
        if self.class != Self::CLASS_INTERFACE {
            return None;
        }
        let role = match self.c_type >> 6 {
            0 => Role::Incoming,
            1 => Role::IncomingComponent,
            2 => Role::Outgoing,
            _ => Role::NextHop,
        };
        let mut rest = self.data;
        let mut interface = Interface { role, index: None, address: None, name: None, mtu: None };
        // In this order, whichever are there (RFC 5837 section 4.2).
        if self.c_type & HAS_INDEX != 0 {
            interface.index = Some(u32_at(take(&mut rest, 4)?, 0));
        }
        if self.c_type & HAS_ADDRESS != 0 {
            interface.address = Some(address(&mut rest)?);
        }
        if self.c_type & HAS_NAME != 0 {
            interface.name = Some(name(&mut rest)?);
        }
        if self.c_type & HAS_MTU != 0 {
            interface.mtu = Some(u32_at(take(&mut rest, 4)?, 0));
        }
        Some(interface)
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (part, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(part)
}

/// RFC 5837 section 4.2: family, two reserved bytes, address.
fn address(rest: &mut &[u8]) -> Option<Addr> {
    match u16_at(take(rest, 4)?, 0) {
        FAMILY_V4 => take(rest, 4)?.first_chunk().copied().map(Addr::v4),
        FAMILY_V6 => take(rest, 16)?.first_chunk().copied().map(Addr),
        _ => None,
    }
}

/// RFC 5837 section 4.3: a length that counts itself, the name, and zeros up to a multiple of four.
fn name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(*rest.first()?);
    if len == 0 || len > NAME_MAX || !len.is_multiple_of(4) {
        return None;
    }
    let padded = take(rest, len)?.get(1..)?;
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
    padded.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(c_type: u8, data: &[u8]) -> Object<'_> {
        Object { class: Object::CLASS_INTERFACE, c_type, data }
    }

    #[test]
    fn every_part_is_read_in_its_order() {
        let data = [
            &[0, 0, 0, 7][..],
            &[0, 1, 0, 0, 192, 0, 2, 1],
            &[8, b'e', b't', b'h', b'0', 0, 0, 0],
            &[0, 0, 5, 0xdc],
        ]
        .concat();
        let whole = object(0x8f, &data).interface().unwrap();
        assert_eq!(whole.role, Role::Outgoing);
        assert_eq!((whole.index, whole.mtu, whole.name), (Some(7), Some(1500), Some(&b"eth0"[..])));
        assert_eq!(whole.address, Some(Addr::v4([192, 0, 2, 1])));
        for len in 0..data.len() {
            assert_eq!(object(0x8f, &data[..len]).interface(), None, "cut at {len}");
        }
        let v6 = [&[0, 2, 0, 0][..], &[0x20; 16]].concat();
        assert_eq!(object(0x04, &v6).interface().unwrap().address, Some(Addr([0x20; 16])));
        assert_eq!(Object { class: 1, ..object(0x8f, &data) }.interface(), None);
    }

    #[test]
    fn lies_are_no_interface() {
        assert_eq!(object(0x04, &[0, 3, 0, 0, 1, 2, 3, 4]).interface(), None, "an unknown family");
        for len in [0, 3, 5, 12, 68, 255] {
            assert_eq!(object(0x02, &[len, b'a', 0, 0]).interface(), None, "a name of {len} bytes");
        }
        let full = [&[64][..], &[b'x'; 63]].concat();
        assert_eq!(object(0x02, &full).interface().unwrap().name.map(<[u8]>::len), Some(63));
        assert_eq!(object(0x02, &[4, 0, 0, 0]).interface().unwrap().name, Some(&[][..]));
    }

    proptest! {
        /// Any bytes: no panic, and nothing that is not in them.
        #[test]
        fn any_bytes_are_read_or_refused(c_type: u8, data in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(Interface { name: Some(name), .. }) = object(c_type, &data).interface() {
                prop_assert!(name.len() < NAME_MAX);
            }
        }
    }
}
