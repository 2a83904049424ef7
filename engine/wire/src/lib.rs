//! Views over packet bytes: what megaping says on the wire and understands from it.
//!
//! A view (`Frame<T>`, `Packet<T>`, `Message<T>`) wraps a buffer and names its fields; it owns nothing,
//! copies nothing and allocates nothing. Bytes that came in pass a checked constructor first, which holds
//! every length in a header against the bytes that are there, and from then on no accessor can panic. Bytes
//! that go out are written through an unchecked one, over a buffer that the caller made long enough.
//!
//! A `Repr` is what a header means, as plain data: `parse` reads one from a view, `emit` writes one through a
//! view, and parsing what was emitted gives the same again. It refuses what it has no word for (options,
//! fragments) rather than forgetting it.
//!
//! ```text
//! ethernet (+ vlan) -> ipv4 | ipv6 (+ headers) -> icmp: icmpv4 | icmpv6 -> answer: reply | quote + extension
//! ```
//!
//! [`checksum`] serves all of them. Whoever receives needs three steps: the IP view, its message
//! ([`icmpv4::message`], [`icmpv6::message`]), and the [`Answer`] in that; a socket that strips the IP header
//! starts at the second. Checksums are checked where the caller asks, since a corrupt answer is a finding
//! of its own.
//!
//! Every parser takes any bytes, and every walk (VLAN tags, extension headers, objects, labels) is bounded
//! by a count or takes bytes off what is left with each step. What cannot be read is an [`Error`] of one
//! byte, to be counted.
//!
//! # A router that answers with its MPLS labels
//!
//! ```
//! use megaping_wire::extension::Structure;
//! use megaping_wire::{Addr, Answer, Error, icmpv4, ipv4};
//!
//! # fn main() -> Result<(), Error> {
//! // The request that died: 198.51.100.7 was pinged with a TTL too small for it.
//! let mut quoted = [0; 128];
//! quoted[..4].copy_from_slice(&[0x45, 0, 0, 28]);
//! quoted[8..10].copy_from_slice(&[1, 1]); // TTL, ICMP
//! quoted[12..20].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 7]);
//! quoted[20..28].copy_from_slice(&[8, 0, 0, 0, 0x12, 0x34, 0, 5]);
//!
//! // The router's answer: a quote of 32 times four bytes, then one label stack object.
//! let mut bytes = vec![0x45, 0, 0, 168, 0, 0, 0, 0, 61, 1, 0x7f, 0x4a, 203, 0, 113, 9, 192, 0, 2, 1];
//! bytes.extend([11, 0, 0xa8, 0x4c, 0, 32, 0, 0]);
//! bytes.extend(quoted);
//! bytes.extend([0x20, 0, 0xc6, 0x19, 0, 8, 1, 1, 0x05, 0xdc, 0x13, 0x01]);
//!
//! let packet = ipv4::Packet::new_checked(&bytes)?;
//! let message = icmpv4::message(&packet)?;
//! assert!(packet.verify_checksum() && icmpv4::verify_checksum(&message));
//!
//! let Answer::Failure { message_type, quote, extensions, .. } = Answer::from_icmpv4(&message)? else {
//!     panic!("not an error");
//! };
//! assert_eq!((message_type, packet.source()), (icmpv4::TIME_EXCEEDED, Addr::v4([203, 0, 113, 9])));
//! assert_eq!(quote.destination, Addr::v4([198, 51, 100, 7]));
//! assert_eq!((quote.identifier, quote.sequence), (0x1234, 5));
//!
//! let label = Structure::new_checked(extensions)?.mpls().next().unwrap();
//! assert_eq!((label.label, label.traffic_class, label.bottom, label.ttl), (24_001, 1, true, 1));
//! # Ok(())
//! # }
//! ```

pub mod answer;
pub mod checksum;
pub mod ethernet;
pub mod extension;
pub mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod names;
pub mod protocol;
pub mod quote;
pub mod vlan;

mod addr;
mod error;
mod field;

pub use addr::Addr;
pub use answer::Answer;
pub use error::Error;
