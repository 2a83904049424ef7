//! VLAN tags between an Ethernet header and what it carries (IEEE 802.1Q, and 802.1ad for two of them).

use crate::Error;
use crate::ethernet::{self, EtherType, Frame};
use crate::field::u16_at;

/// Bytes that a tag adds to a frame.
pub const TAG_LEN: usize = 4;
/// Tags that the walk follows: a service and a customer tag.
pub const MAX_TAGS: usize = 2;

/// A tag's control information.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tag {
    /// Priority code point, 0 to 7.
    pub priority: u8,
    /// Whether the frame may be dropped first.
    pub drop_eligible: bool,
    /// VLAN identifier, 0 (priority only) to 4095.
    pub vlan: u16,
}

impl Tag {
    /// The tag of a control information field.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u16) -> Tag {
        Tag { priority: (bits >> 13) as u8, drop_eligible: bits & 0x1000 != 0, vlan: bits & 0x0fff }
    }

    /// The control information field; what is too large for its bits is cut.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        (self.priority as u16) << 13 | (self.drop_eligible as u16) << 12 | self.vlan & 0x0fff
    }
}

/// What stands behind a frame's tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner {
    /// What the frame carries; never a tag.
    pub ethertype: EtherType,
    /// Where that begins, in bytes from the start of the frame.
    pub offset: usize,
    /// The tags, outermost first.
    pub tags: [Option<Tag>; MAX_TAGS],
}

/// Walks over up to [`MAX_TAGS`] tags of a frame.
///
/// # Errors
/// [`Error::Truncated`] when the header or a tag is not whole, [`Error::Unsupported`] for more tags.
#[inline]
pub fn walk(frame: &[u8]) -> Result<Inner, Error> {
    let ethertype = Frame::new_checked(frame)?.ethertype();
    let mut inner = Inner { ethertype, offset: ethernet::HEADER_LEN, tags: [None; MAX_TAGS] };
    for slot in 0..MAX_TAGS {
        if !inner.ethertype.is_vlan() {
            return Ok(inner);
        }
        let tag = frame.get(inner.offset..inner.offset + TAG_LEN).ok_or(Error::Truncated)?;
        inner.tags[slot] = Some(Tag::from_bits(u16_at(tag, 0)));
        inner.ethertype = EtherType(u16_at(tag, 2));
        inner.offset += TAG_LEN;
    }
    if inner.ethertype.is_vlan() { Err(Error::Unsupported) } else { Ok(inner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(words: &[u16]) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        bytes
    }

    #[test]
    fn none_one_and_two_tags() {
        let plain = walk(&frame(&[0x0800])).unwrap();
        assert_eq!(plain, Inner { ethertype: EtherType::IPV4, offset: 14, tags: [None; 2] });

        let one = walk(&frame(&[0x8100, 0xb123, 0x86dd])).unwrap();
        let tag = Tag { priority: 5, drop_eligible: true, vlan: 0x123 };
        assert_eq!(one, Inner { ethertype: EtherType::IPV6, offset: 18, tags: [Some(tag), None] });

        let two = walk(&frame(&[0x88a8, 1, 0x8100, 2, 0x0800])).unwrap();
        assert_eq!((two.ethertype, two.offset), (EtherType::IPV4, 22));
        assert_eq!(two.tags.map(|tag| tag.unwrap().vlan), [1, 2]);
    }

    #[test]
    fn a_third_tag_is_left_alone_and_a_torn_one_refused() {
        let three = frame(&[0x88a8, 1, 0x8100, 2, 0x8100, 3, 0x0800]);
        assert_eq!(walk(&three), Err(Error::Unsupported));
        let two = frame(&[0x88a8, 1, 0x8100, 2, 0x0800]);
        for length in 0..two.len() {
            assert_eq!(walk(&two[..length]), Err(Error::Truncated), "length {length}");
        }
    }

    #[test]
    fn a_tag_is_its_sixteen_bits() {
        for bits in 0..=u16::MAX {
            assert_eq!(Tag::from_bits(bits).to_bits(), bits);
        }
    }
}
