//! Extensions behind the quote of an ICMP error (RFC 4884): the MPLS label stack (RFC 4950) and, in
//! [`interface`], interface information (RFC 5837) among them.
//!
//! ```text
//! ICMP header | quote, zero padded | extension header | object | object ...
//!             |<-- quote length -->|<------ extension structure -------->|
//! ```

use crate::Error;
use crate::checksum::verify;
use crate::field::{u16_at, u32_at};

/// Bytes of the structure's header.
pub const HEADER_LEN: usize = 4;
/// Bytes of an object's header.
pub const OBJECT_HEADER_LEN: usize = 4;
/// Where senders older than the length attribute put the structure (RFC 4884 section 5.5).
pub const LEGACY_QUOTE_LEN: usize = 128;

const VERSION: u8 = 2;

pub mod interface;

/// Parts an error's body into quote and extension structure (header included); the latter is empty where
/// there is none. `quote_len` is the length attribute in bytes ([`crate::icmpv4::quote_len`],
/// [`crate::icmpv6::quote_len`]), zero where the sender does not say.
///
/// Only for types that may carry extensions ([`crate::icmpv4::carries_extensions`],
/// [`crate::icmpv6::carries_extensions`]). The attribute is believed where a structure with the right version
/// and checksum stands at its end. The byte was unused before RFC 4884 and need not mean anything; where it
/// misleads, the whole body is the quote, so that a lie costs the extensions and not the answer.
#[inline]
#[must_use]
pub fn split(body: &[u8], quote_len: usize) -> (&[u8], &[u8]) {
    let at = if quote_len == 0 { LEGACY_QUOTE_LEN } else { quote_len };
    let Some((quote, extension)) = body.split_at_checked(at) else { return (body, &[]) };
    match Structure::new_checked(extension) {
        // Without a checksum the version's four bits are thin evidence: the lengths have to fit as well.
        Ok(structure) if structure.checksum() != 0 || structure.is_consistent() => (quote, extension),
        _ => (body, &[]),
    }
}

/// An extension structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Structure<'a> {
    bytes: &'a [u8],
}

impl<'a> Structure<'a> {
    /// A view of a received structure.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is not whole, [`Error::Malformed`] for another version than 2,
    /// [`Error::Checksum`] when it is wrong; zero means that there is none (RFC 4884 section 7).
    #[inline]
    pub fn new_checked(bytes: &'a [u8]) -> Result<Structure<'a>, Error> {
        if bytes.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let structure = Structure { bytes };
        if bytes[0] >> 4 != VERSION {
            return Err(Error::Malformed);
        }
        if structure.checksum() == 0 || verify(bytes) { Ok(structure) } else { Err(Error::Checksum) }
    }

    /// The checksum field: zero where the sender did not fill it.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16_at(self.bytes, 2)
    }

    /// The objects, in their order.
    #[inline]
    #[must_use]
    pub fn objects(&self) -> Objects<'a> {
        Objects { rest: self.bytes.get(HEADER_LEN..).unwrap_or_default() }
    }

    /// Whether there are objects and every length among them can be true.
    fn is_consistent(&self) -> bool {
        self.bytes.len() > HEADER_LEN && self.objects().all(|object| object.is_ok())
    }

    /// The labels of the first MPLS label stack object, top first; none where there is no such object.
    #[inline]
    #[must_use]
    pub fn mpls(&self) -> Labels<'a> {
        let stack = self.objects().map_while(Result::ok).find_map(|object| object.mpls());
        stack.unwrap_or(Labels { rest: &[] })
    }
}

/// One object of an extension structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Object<'a> {
    /// What the object is about (IANA "ICMP Extension Object Classes").
    pub class: u8,
    /// Its sub-type.
    pub c_type: u8,
    /// What stands behind its header: a multiple of four bytes.
    pub data: &'a [u8],
}

impl<'a> Object<'a> {
    /// The class of the MPLS label stack (RFC 4950 section 3).
    pub const CLASS_MPLS: u8 = 1;
    /// Its sub-type: the stack that the packet came in with.
    pub const C_TYPE_INCOMING_STACK: u8 = 1;

    /// The labels of an MPLS label stack object.
    #[inline]
    #[must_use]
    pub fn mpls(&self) -> Option<Labels<'a>> {
        let is_stack = self.class == Self::CLASS_MPLS && self.c_type == Self::C_TYPE_INCOMING_STACK;
        is_stack.then_some(Labels { rest: self.data })
    }
}

/// The objects of an extension structure. Each step takes four bytes or more off what is left, and an error
/// is the last item: the walk ends on any bytes.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Object<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (object, rest) = match first_object(self.rest) {
            Ok((object, rest)) => (Ok(object), rest),
            Err(error) => (Err(error), &[][..]),
        };
        self.rest = rest;
        Some(object)
    }
}

/// RFC 4884 section 7.1: the length counts the object's header, and is a multiple of four.
#[inline]
fn first_object(bytes: &[u8]) -> Result<(Object<'_>, &[u8]), Error> {
    if bytes.len() < OBJECT_HEADER_LEN {
        return Err(Error::Truncated);
    }
    let length = u16_at(bytes, 0) as usize;
    if length < OBJECT_HEADER_LEN || !length.is_multiple_of(4) {
        return Err(Error::Malformed);
    }
    let (object, rest) = bytes.split_at_checked(length).ok_or(Error::Truncated)?;
    Ok((Object { class: object[2], c_type: object[3], data: &object[OBJECT_HEADER_LEN..] }, rest))
}

/// One entry of an MPLS label stack (RFC 3032 section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// The label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits (RFC 5462; "EXP" before).
    pub traffic_class: u8,
    /// Whether it is the last of the stack.
    pub bottom: bool,
    /// Its time to live.
    pub ttl: u8,
}

impl Label {
    /// The entry of four bytes.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Label {
        Label {
            label: bits >> 12,
            traffic_class: (bits >> 9) as u8 & 7,
            bottom: bits & 0x100 != 0,
            ttl: bits as u8,
        }
    }

    /// The entry's four bytes; what is too large for its bits is cut.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.label << 12 | (self.traffic_class as u32 & 7) << 9 | (self.bottom as u32) << 8 | self.ttl as u32
    }
}

/// The entries of an MPLS label stack object, top first, to the end of the object; bytes that make no whole
/// entry are left out.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl Iterator for Labels<'_> {
    type Item = Label;

    #[inline]
    fn next(&mut self) -> Option<Label> {
        let (entry, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        Some(Label::from_bits(u32_at(entry, 0)))
    }
}

#[cfg(test)]
mod tests;
