//! The border between the probing core and the ways to the wire.
//!
//! The core yields [`Order`]s and takes [`Sent`]s and [`Arrival`]s; it never sees a socket or a packet byte.
//! A ring that moves bytes sits behind an adapter that renders orders ([`crate::craft`]) and reads arrivals
//! ([`crate::parse`]); a ring that renders elsewhere (in the kernel) implements [`Ring`] without either.

use megaping_wire::Addr;

use crate::outcome::{StampSource, Unsent};
use crate::time::Nanos;

/// Bytes of every probe's payload that the engine itself fills (see [`crate::craft`] for the layout).
pub const HEADER_LEN: usize = 24;

/// What to send: one echo request, as meaning. Whoever renders it needs nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The position of the probe in its shard's in-flight table: slot and generation in one number, 48 bits
    /// of which travel in the payload.
    pub key: u64,
    /// When the core gave the order; travels in the payload, under the MAC.
    pub ordered_at: Nanos,
    /// SipHash over key, identity, destination and time: what a reply must bring back.
    pub mac: u64,
    /// Where to.
    pub destination: Addr,
    /// Where from; [`Addr::UNSPECIFIED`] lets the kernel choose by its routes.
    pub source: Addr,
    /// ICMP identifier: stable for a (instance, shard, target).
    pub identifier: u16,
    /// ICMP sequence: the low 16 bits of `key`.
    pub sequence: u16,
    /// Payload bytes behind the eight of the ICMP header; at least [`HEADER_LEN`].
    pub payload_len: u16,
    /// Which of a target's ECMP paths to explore: decides the ICMP checksum and the IPv6 flow label.
    pub flow: u16,
    /// TTL (IPv4) or hop limit (IPv6) that the probe starts with.
    pub hop_limit: u8,
    /// The IPv4 TOS or IPv6 traffic class octet: DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
}

/// What became of an order: it left, at a time known within a bound, or it did not, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The order's key.
    pub key: u64,
    /// The departure, or the reason why there was none.
    pub result: Result<Stamp, Unsent>,
}

/// A point in time and how far off it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp {
    /// The shard's clock.
    pub at: Nanos,
    /// The true time is within this many nanoseconds of `at`.
    pub error_ns: u32,
    /// Who took the stamp.
    pub source: StampSource,
}

/// What came: one ICMP message that claims to answer a probe of this shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival<'a> {
    /// Echo reply, or which error.
    pub kind: Kind,
    /// Who sent it.
    pub responder: Addr,
    /// The probe's destination: as quoted by an error, the responder itself for a reply.
    pub destination: Addr,
    /// The probe's identifier (quoted by an error).
    pub identifier: u16,
    /// The probe's sequence (quoted by an error).
    pub sequence: u16,
    /// The payload header, where as much came back: always for a whole reply, by the router's grace for an
    /// error (RFC 792 asks for eight bytes past the IP header, which end before it).
    pub evidence: Option<Evidence>,
    /// Whether the bytes came through unharmed as far as their checksums tell.
    pub integrity: Integrity,
    /// TTL or hop limit that the answer arrived with.
    pub hop_limit: u8,
    /// TOS or traffic class that the answer arrived with.
    pub traffic_class: u8,
    /// When it reached this machine.
    pub stamp: Stamp,
    /// What the error tells of the probe as it was seen there.
    pub quoted: Quoted<'a>,
    /// The bytes that it was read from, for those who look on: from the IP header on, or from the ICMPv6 header where a
    /// socket has taken that off; empty where the ring moves none.
    pub packet: &'a [u8],
}

/// What kind of answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The destination (or someone in its name) echoed the probe.
    EchoReply,
    /// An ICMP or ICMPv6 error quotes the probe; type and code as on the wire.
    Error {
        /// ICMP or ICMPv6 type, by the family of the destination.
        icmp_type: u8,
        /// Its code.
        code: u8,
    },
}

/// The engine's own payload header as it came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Low 48 bits of the order's key.
    pub key: u64,
    /// The order's time.
    pub ordered_at: Nanos,
    /// The order's MAC.
    pub mac: u64,
}

/// What the checksums said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Integrity {
    /// The ICMP checksum is right (checked by us or by the kernel).
    Good,
    /// The ICMP checksum is wrong: the bytes were changed on the way.
    BadChecksum,
}

/// What an ICMP error tells of the probe that it quotes; all zero for a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quoted<'a> {
    /// TTL or hop limit that the quoted probe had left.
    pub hop_limit: u8,
    /// TOS or traffic class of the quoted probe: differs from what was sent where somebody rewrote it.
    pub traffic_class: u8,
    /// The source that the quote shows: differs from ours behind a NAT.
    pub source: Addr,
    /// The RFC 4884 extension structure, header included, unparsed; empty where there is none.
    pub extensions: &'a [u8],
}

/// A way to the wire that takes orders and gives arrivals.
///
/// Statically dispatched: the shard loop is compiled once per ring. No call blocks but [`Ring::park`]; every
/// call stops at its quota; none allocates. [`Down`] is fatal for the ring, a passing `EAGAIN` is `Ok(0)`.
pub trait Ring {
    /// Whether what arrives on a shard's ring is that shard's alone (by a filter, say). Where it is not, the shard
    /// looks at each identifier and hands over what is a sibling's.
    const SORTED: bool = false;

    /// Reads the clock that this ring's stamps belong to: once a breath.
    fn now(&mut self) -> Nanos;

    /// Takes up to `quota` orders from `next` and sends them; returns how many orders it took. Each order
    /// taken comes back through [`Ring::reap`] exactly once.
    ///
    /// # Errors
    /// [`Down`] when the ring can carry nothing any more.
    fn send(&mut self, quota: u32, next: impl FnMut() -> Option<Order>) -> Result<u32, Down>;

    /// Hands out what became of orders that were taken, oldest first.
    ///
    /// # Errors
    /// [`Down`] when the ring can carry nothing any more.
    fn reap(&mut self, quota: u32, each: impl FnMut(Sent)) -> Result<u32, Down>;

    /// Hands out what came.
    ///
    /// # Errors
    /// [`Down`] when the ring can carry nothing any more.
    fn recv(&mut self, quota: u32, each: impl FnMut(&Arrival<'_>)) -> Result<u32, Down>;

    /// Sleeps in the kernel until `until`, or, where `wake_on_arrival`, until something may have come.
    ///
    /// # Errors
    /// [`Down`] when the ring can carry nothing any more.
    fn park(&mut self, until: Nanos, wake_on_arrival: bool) -> Result<(), Down>;

    /// Gives up what was taken and has not left: each comes back through [`Ring::reap`] as
    /// [`Unsent::Stopped`].
    fn abandon(&mut self);

    /// What the ring counted beside the probes.
    fn counters(&self) -> RingCounters;
}

/// What a ring counts beside the probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RingCounters {
    /// Messages that arrived and that we, or the kernel on our behalf, dropped for want of room: loss that
    /// is our own doing.
    pub rx_dropped: u64,
    /// Messages that came through the filter and were not what it promised: truncated or not for us.
    pub rx_malformed: u64,
    /// Times that the way out was full and the rest of a batch had to wait.
    pub tx_full: u64,
    /// Packets that the interface dropped on their way out, ours or others', and times that it went down under them: a
    /// probe that is lost meanwhile may be lost by us. Zero where that is not watched.
    pub tx_dropped: u64,
}

/// The ring is dead; the operating system's error says why.
#[derive(Debug)]
pub struct Down {
    /// The operation that failed, as the manual names it.
    pub operation: &'static str,
    /// Its error.
    pub source: std::io::Error,
}

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed", self.operation)
    }
}

impl std::error::Error for Down {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
