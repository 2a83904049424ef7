//! Renders an order into packet bytes, from the IP header on.
//!
//! ```text
//!  IPv4 header (20) or IPv6 header (40)
//!  ICMP header (8):    type code checksum identifier sequence
//!  our header  (24):   key (6) balance (2) ordered at (8) MAC (8)      big endian
//!  fill:               payload_len - 24 bytes, the same for every probe of a run
//! ```
//!
//! *Paris*: routers that balance over paths hash the first bytes of the ICMP header, the checksum among them,
//! and the IPv6 flow label (RFC 6438). For one flow both stay the same while sequence and payload change: the
//! checksum is chosen by the flow, and the balance word is what makes it true. Another flow has another
//! checksum and label, and may take another path.

use megaping_wire::Addr;
use megaping_wire::checksum::Sum;

use crate::border::{HEADER_LEN, Order};
use crate::identity::KEY_BITS;

/// Bytes of the IPv4 header that we send (RFC 791 section 3.1, no options).
pub const IPV4_LEN: usize = 20;
/// Bytes of the IPv6 header (RFC 8200 section 3).
pub const IPV6_LEN: usize = 40;
/// Bytes of the ICMP echo header (RFC 792, RFC 4443 section 4.1).
pub const ICMP_LEN: usize = 8;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const DONT_FRAGMENT: u16 = 0x4000;

/// All the arithmetic of an order, as words in the order of the wire: for a renderer elsewhere (in the kernel) that only
/// puts words in their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words {
    /// The first four bytes of the IP header.
    pub first: [u8; 4],
    /// IPv4: time to live, protocol and header checksum; IPv6: payload length, next header and hop limit.
    pub second: [u8; 4],
    /// Checksum of the ICMP message.
    pub checksum: [u8; 2],
    /// Identifier and sequence.
    pub echo: [u8; 4],
    /// Our header: key and balance word, time of the order, MAC.
    pub header: [[u8; 8]; 3],
    /// Length of the packet, from the IP header on, in bytes.
    pub len: u16,
}

/// Renders orders; holds the run's fill.
#[derive(Clone, Debug)]
pub struct Craft {
    fill: Box<[u8]>,
    fill_sum: Sum,
}

impl Craft {
    /// A renderer whose payloads end in `fill`: a payload of `HEADER_LEN + fill.len()` is the fast case, a
    /// shorter one cuts the fill, a longer one repeats it (or zeros, where the fill is empty).
    #[must_use]
    pub fn new(fill: &[u8]) -> Craft {
        Craft { fill: fill.into(), fill_sum: Sum::new().add_bytes(fill) }
    }

    /// Writes the packet into the front of `buffer` and returns its length, or `None` where the buffer is too
    /// short for it or the order's payload is shorter than our header.
    #[inline]
    #[must_use]
    pub fn render(&self, order: &Order, buffer: &mut [u8]) -> Option<usize> {
        let payload_len = usize::from(order.payload_len);
        if payload_len < HEADER_LEN {
            return None;
        }
        let ip_len = if order.destination.is_v4() { IPV4_LEN } else { IPV6_LEN };
        let total = ip_len + ICMP_LEN + payload_len;
        let packet = buffer.get_mut(..total)?;
        let (ip, icmp) = packet.split_at_mut(ip_len);
        let message_len = icmp.len() as u16;
        let mut sum = Sum::new();
        if let Ok(header) = <&mut [u8; IPV4_LEN]>::try_from(&mut *ip) {
            write_ipv4(order, message_len, header);
        } else if let Ok(header) = <&mut [u8; IPV6_LEN]>::try_from(&mut *ip) {
            write_ipv6(order, message_len, header);
            sum = pseudo(order, message_len);
        }
        let (head, fill) = icmp.split_at_mut(ICMP_LEN + HEADER_LEN);
        let sum = if fill.len() == self.fill.len() {
            fill.copy_from_slice(&self.fill);
            sum.add_sum(self.fill_sum)
        } else {
            self.write_fill(fill);
            sum.add_bytes(fill)
        };
        let echo = if ip_len == IPV4_LEN { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
        write_message(order, echo, head.try_into().ok()?, sum);
        Some(total)
    }

    /// The words of an order; with [`Craft::write_fill`] behind them they make the packet that [`Craft::render`] writes.
    /// `None` where the payload is shorter than our header, or the packet longer than can be said.
    #[inline]
    #[must_use]
    pub fn words(&self, order: &Order) -> Option<Words> {
        let fill_len = usize::from(order.payload_len).checked_sub(HEADER_LEN)?;
        let message_len = order.payload_len.checked_add(ICMP_LEN as u16)?;
        let fill_sum = self.fill_sum(fill_len);
        let (ip_len, echo, first, second, sum) = if order.destination.is_v4() {
            let (first, second) = ipv4_words(order, message_len);
            (IPV4_LEN, ECHO_REQUEST, (first >> 32) as u32, second, fill_sum)
        } else {
            let (first, second) = ipv6_words(order, message_len);
            (IPV6_LEN, ECHO_REQUEST_V6, first, second, fill_sum.add_sum(pseudo(order, message_len)))
        };
        let key_balance = key_and_balance(order, echo, sum);
        Some(Words {
            first: first.to_be_bytes(),
            second: second.to_be_bytes(),
            checksum: flow_checksum(order.flow).to_be_bytes(),
            echo: (u32::from(order.identifier) << 16 | u32::from(order.sequence)).to_be_bytes(),
            header: [key_balance, order.ordered_at.0, order.mac].map(u64::to_be_bytes),
            len: message_len.checked_add(ip_len as u16)?,
        })
    }

    /// Writes what stands behind our header in a payload that is longer by `fill.len()`.
    pub fn write_fill(&self, fill: &mut [u8]) {
        if self.fill.is_empty() {
            fill.fill(0);
            return;
        }
        for chunk in fill.chunks_mut(self.fill.len()) {
            let len = chunk.len();
            chunk.copy_from_slice(&self.fill[..len]);
        }
    }

    /// The sum of a fill of that length.
    #[inline]
    fn fill_sum(&self, len: usize) -> Sum {
        if len == self.fill.len() {
            return self.fill_sum;
        }
        if self.fill.is_empty() {
            return Sum::new();
        }
        self.odd_fill_sum(len)
    }

    /// Byte by byte: a fill that is repeated may begin again at an odd offset.
    #[cold]
    fn odd_fill_sum(&self, len: usize) -> Sum {
        let bytes = self.fill.iter().cycle().take(len).enumerate();
        bytes.fold(Sum::new(), |sum, (at, byte)| {
            sum.add_u16(if at.is_multiple_of(2) { u16::from(*byte) << 8 } else { (*byte).into() })
        })
    }
}

/// The ICMP checksum of every probe of a flow: never zero, and spread so that a router's hash sees flows as
/// far apart.
#[inline]
#[must_use]
pub const fn flow_checksum(flow: u16) -> u16 {
    let spread = flow.wrapping_mul(0x9e37).wrapping_add(0x4d50);
    if spread == 0 || spread == 0xffff { 0x5a5a } else { spread }
}

/// The IPv6 flow label of a flow to a target with this identifier (RFC 6437: uniform, and never zero).
#[inline]
#[must_use]
pub const fn flow_label(identifier: u16, flow: u16) -> u32 {
    let mixed = ((identifier as u32) << 16 | flow as u32).wrapping_mul(0x9e37_79b1) >> 12;
    if mixed == 0 { 1 } else { mixed }
}

/// RFC 8200 section 8.1.
#[inline]
fn pseudo(order: &Order, message_len: u16) -> Sum {
    Sum::pseudo_v6(&order.source.0, &order.destination.0, u32::from(message_len), IPPROTO_ICMPV6)
}

/// RFC 791 section 3.1: the first eight bytes and the next four. The identification is zero: with Don't Fragment set
/// it has no meaning (RFC 6864).
#[inline]
fn ipv4_words(order: &Order, message_len: u16) -> (u64, u32) {
    let (source, destination) = (ipv4_source(order), order.destination.v4_octets());
    let total = u64::from(message_len) + IPV4_LEN as u64;
    let first = 0x45 << 56 | u64::from(order.traffic_class) << 48 | total << 32 | u64::from(DONT_FRAGMENT);
    let second = u32::from(order.hop_limit) << 24 | u32::from(IPPROTO_ICMP) << 16;
    // From the values, not from bytes just written: the processor would wait for them.
    let sum = Sum::new().add_u64(first).add_u32(second).add_addr4(source).add_addr4(destination);
    (first, second | u32::from(sum.checksum()))
}

#[inline]
fn ipv4_source(order: &Order) -> [u8; 4] {
    if order.source == Addr::UNSPECIFIED { [0; 4] } else { order.source.v4_octets() }
}

#[inline]
fn write_ipv4(order: &Order, message_len: u16, header: &mut [u8; IPV4_LEN]) {
    let (first, second) = ipv4_words(order, message_len);
    header[..8].copy_from_slice(&first.to_be_bytes());
    header[8..12].copy_from_slice(&second.to_be_bytes());
    header[12..16].copy_from_slice(&ipv4_source(order));
    header[16..20].copy_from_slice(&order.destination.v4_octets());
}

/// RFC 8200 section 3: the first four bytes and the next.
#[inline]
fn ipv6_words(order: &Order, message_len: u16) -> (u32, u32) {
    let label = flow_label(order.identifier, order.flow);
    let first = 6 << 28 | u32::from(order.traffic_class) << 20 | label;
    let second = u32::from(message_len) << 16 | u32::from(IPPROTO_ICMPV6) << 8 | u32::from(order.hop_limit);
    (first, second)
}

#[inline]
fn write_ipv6(order: &Order, message_len: u16, header: &mut [u8; IPV6_LEN]) {
    let (first, second) = ipv6_words(order, message_len);
    header[0..4].copy_from_slice(&first.to_be_bytes());
    header[4..8].copy_from_slice(&second.to_be_bytes());
    header[8..24].copy_from_slice(&order.source.0);
    header[24..40].copy_from_slice(&order.destination.0);
}

/// The first eight bytes of our header; `sum` holds what else the checksum covers.
#[inline]
fn key_and_balance(order: &Order, echo: u8, sum: Sum) -> u64 {
    let key = (order.key & ((1 << KEY_BITS) - 1)) << 16;
    // One's complement: with the balance word, everything together adds up to 0xffff, and the flow's checksum is right.
    let balance = sum
        .add_u16(u16::from(echo) << 8)
        .add_u16(flow_checksum(order.flow))
        .add_u16(order.identifier)
        .add_u16(order.sequence)
        .add_u64(key)
        .add_u64(order.ordered_at.0)
        .add_u64(order.mac)
        .checksum();
    key | u64::from(balance)
}

/// The ICMP header and ours; `sum` holds what else the checksum covers.
#[inline]
fn write_message(order: &Order, echo: u8, head: &mut [u8; ICMP_LEN + HEADER_LEN], sum: Sum) {
    head[0] = echo;
    head[1] = 0;
    head[2..4].copy_from_slice(&flow_checksum(order.flow).to_be_bytes());
    head[4..6].copy_from_slice(&order.identifier.to_be_bytes());
    head[6..8].copy_from_slice(&order.sequence.to_be_bytes());
    head[8..16].copy_from_slice(&key_and_balance(order, echo, sum).to_be_bytes());
    head[16..24].copy_from_slice(&order.ordered_at.0.to_be_bytes());
    head[24..32].copy_from_slice(&order.mac.to_be_bytes());
}

#[cfg(test)]
#[path = "craft_tests.rs"]
mod tests;
