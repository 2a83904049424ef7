//! The walk over IPv6 extension headers (RFC 8200 section 4).

use crate::field::u16_at;
use crate::{Error, protocol};

/// Extension headers that the walk follows before it gives up. RFC 8200 section 4.1 recommends an order in
/// which seven can follow one another.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// What stands behind the extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upper {
    /// What the packet carries: the first next header value that is no extension header, or the fragment
    /// header's own in a later fragment, whose bytes begin anywhere.
    pub next_header: u8,
    /// Where it begins, in bytes from the end of the fixed header.
    pub offset: usize,
    /// Whether the packet is whole.
    pub fragment: Fragment,
}

impl Upper {
    /// Whether the bytes at the offset are the middle of something rather than its header.
    #[inline]
    #[must_use]
    pub const fn is_non_first_fragment(&self) -> bool {
        matches!(self.fragment, Fragment::Later)
    }
}

/// Which part of a datagram a packet holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// All of it: no fragment header, or one that says so (RFC 6946).
    Whole,
    /// The beginning; more follows in other packets.
    First,
    /// Not the beginning.
    Later,
}

/// Walks from the fixed header's `next_header` over the extension headers in `payload`, the bytes behind the
/// fixed header, to what the packet carries.
///
/// Hop-by-hop, routing, destination options, fragment and authentication headers are walked over in any
/// order and number up to the bound; any other value (ESP and "no next header" among them) ends the walk.
///
/// # Errors
/// [`Error::Truncated`] when a header reaches beyond the payload, [`Error::Unsupported`] when more than
/// [`MAX_EXTENSION_HEADERS`] follow each other.
#[inline]
pub fn walk(next_header: u8, payload: &[u8]) -> Result<Upper, Error> {
    let mut upper = Upper { next_header, offset: 0, fragment: Fragment::Whole };
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let rest = payload.get(upper.offset..).ok_or(Error::Truncated)?;
        let length = match upper.next_header {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                8 * (1 + *rest.get(1).ok_or(Error::Truncated)? as usize)
            }
            // RFC 4302 section 2.2: in units of four bytes, less two.
            protocol::AUTHENTICATION => 4 * (2 + *rest.get(1).ok_or(Error::Truncated)? as usize),
            protocol::FRAGMENT => 8,
            _ => return Ok(upper),
        };
        let header = rest.get(..length).ok_or(Error::Truncated)?;
        if upper.next_header == protocol::FRAGMENT {
            let offset_and_more = u16_at(header, 2);
            if offset_and_more & 0xfff8 != 0 {
                upper.fragment = Fragment::Later;
            } else if offset_and_more & 1 != 0 {
                upper.fragment = Fragment::First;
            }
        }
        upper.next_header = header[0];
        upper.offset += length;
        if upper.is_non_first_fragment() {
            return Ok(upper);
        }
    }
    Err(Error::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An extension header of `length` bytes whose length field is `units`.
    fn header(next_header: u8, units: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[0] = next_header;
        bytes[1] = units;
        bytes
    }

    #[test]
    fn every_kind_is_walked_over() {
        let mut bytes = header(protocol::DESTINATION_OPTIONS, 0, 8); // hop-by-hop
        bytes.extend(header(protocol::ROUTING, 1, 16)); // destination options
        bytes.extend(header(protocol::FRAGMENT, 2, 24)); // routing
        bytes.extend(header(protocol::AUTHENTICATION, 0, 8)); // fragment, offset zero, no more
        bytes.extend(header(protocol::ICMPV6, 4, 24)); // authentication
        let all = Upper { next_header: protocol::ICMPV6, offset: 80, fragment: Fragment::Whole };
        assert_eq!(walk(protocol::HOP_BY_HOP, &bytes), Ok(all));
        for length in 0..bytes.len() {
            assert_eq!(walk(protocol::HOP_BY_HOP, &bytes[..length]), Err(Error::Truncated), "{length}");
        }
    }

    #[test]
    fn no_extension_header_needs_no_byte() {
        for next_header in [protocol::ICMPV6, protocol::NO_NEXT_HEADER, protocol::UDP, 50, 255] {
            let upper = Upper { next_header, offset: 0, fragment: Fragment::Whole };
            assert_eq!(walk(next_header, &[]), Ok(upper));
        }
    }

    #[test]
    fn a_later_fragment_ends_the_walk() {
        let mut bytes = header(protocol::DESTINATION_OPTIONS, 0, 8);
        bytes[3] = 1;
        bytes.extend(header(protocol::ICMPV6, 0, 8));
        let first = walk(protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!(
            (first.next_header, first.offset, first.fragment),
            (protocol::ICMPV6, 16, Fragment::First)
        );
        assert!(!first.is_non_first_fragment());

        bytes[3] = 8;
        let later = walk(protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!((later.next_header, later.offset), (protocol::DESTINATION_OPTIONS, 8));
        assert!(later.is_non_first_fragment());
    }

    #[test]
    fn the_chain_is_bounded() {
        let mut bytes: Vec<u8> = (1..MAX_EXTENSION_HEADERS).flat_map(|_| header(60, 0, 8)).collect();
        bytes.extend(header(protocol::ICMPV6, 0, 8));
        assert_eq!(walk(60, &bytes).unwrap().offset, 8 * MAX_EXTENSION_HEADERS);
        let more: Vec<u8> = [header(60, 0, 8), bytes].concat();
        assert_eq!(walk(60, &more), Err(Error::Unsupported));
    }
}
