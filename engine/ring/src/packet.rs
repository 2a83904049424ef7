//! The trait of every ring that moves packet bytes.

use std::net::IpAddr;

/// One packet on its way out: bytes from the IP header on, and what a socket must know of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The caller's name for the packet; comes back in [`Departure`].
    pub token: u64,
    /// Where to: the destination address of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit of the IP header.
    pub hop_limit: u8,
    /// TOS or traffic class of the IP header.
    pub traffic_class: u8,
    /// Length of the packet, from the IP header on, in bytes.
    pub len: u16,
}

/// What became of a packet that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    /// The packet's name.
    pub token: u64,
    /// It left (or was handed to the kernel) at this time, or it did not.
    pub result: Result<TimeStamp, Refused>,
}

/// Why a packet did not leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The operating system's errno for this packet.
    Errno(i32),
    /// The ring was told to abandon it.
    Abandoned,
}

/// A time and its error bound, nanoseconds of the ring's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeStamp {
    /// Nanoseconds on [`PacketRing::now_ns`]'s clock.
    pub at_ns: u64,
    /// The true time is within this many nanoseconds of `at_ns`.
    pub error_ns: u32,
    /// Who took it.
    pub taken_by: TakenBy,
}

/// Who took a stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TakenBy {
    /// User space, around the system call.
    #[default]
    User,
    /// The kernel's network stack.
    Kernel,
    /// A program in the kernel, before its network stack.
    Xdp,
    /// The network interface itself.
    Hardware,
    /// A simulation's virtual clock.
    Virtual,
}

/// One packet that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incoming<'a> {
    /// The bytes, from where [`Incoming::layer`] says.
    pub bytes: &'a [u8],
    /// What the bytes begin with.
    pub layer: Layer,
    /// When it reached this machine.
    pub stamp: TimeStamp,
}

/// What the bytes of an arrival begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// An ICMPv6 message whose IPv6 header the kernel kept and whose checksum it verified.
    Icmpv6 {
        /// Source address of the packet.
        source: [u8; 16],
        /// Hop limit it arrived with.
        hop_limit: u8,
        /// Traffic class it arrived with.
        traffic_class: u8,
    },
}

/// A ring that moves packet bytes; the shard's adapter renders into it and parses out of it.
///
/// No call blocks but [`PacketRing::park`]; none allocates; a passing `EAGAIN` is `Ok(0)`.
pub trait PacketRing {
    /// Whether what arrives on a shard's ring is that shard's alone (by a filter, say): where it is not, a ring
    /// also hands out what its siblings wait for.
    const SORTED: bool = false;

    /// Reads the ring's clock, in nanoseconds.
    fn now_ns(&mut self) -> u64;

    /// Takes packets until `quota`, until `fill` returns `None`, or until the ring is full; returns how many
    /// it took. `fill` writes one packet into the buffer that it is lent (at least [`PacketRing::mtu`] bytes).
    ///
    /// # Errors
    /// [`RingDown`] when the ring can carry nothing any more.
    fn send(&mut self, quota: u32, fill: impl FnMut(&mut [u8]) -> Option<Outgoing>) -> Result<u32, RingDown>;

    /// Hands out what became of packets that were taken, in the order in which they were taken.
    ///
    /// # Errors
    /// [`RingDown`] when the ring can carry nothing any more.
    fn reap(&mut self, quota: u32, each: impl FnMut(Departure)) -> Result<u32, RingDown>;

    /// Hands out what came.
    ///
    /// # Errors
    /// [`RingDown`] when the ring can carry nothing any more.
    fn recv(&mut self, quota: u32, each: impl FnMut(&Incoming<'_>)) -> Result<u32, RingDown>;

    /// Sleeps in the kernel until `until_ns` of the ring's clock, or, where `wake_on_arrival`, until something
    /// may have come. What waits to leave ends the sleep as soon as it can.
    ///
    /// # Errors
    /// [`RingDown`] when the ring can carry nothing any more.
    fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown>;

    /// Gives up what was taken and has not left; each comes back through [`PacketRing::reap`] as
    /// [`Refused::Abandoned`].
    fn abandon(&mut self);

    /// Longest packet, from the IP header on, that a buffer holds.
    fn mtu(&self) -> usize;

    /// What the ring counted.
    fn counters(&self) -> Counters;
}

/// What a ring counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Arrivals dropped for want of room, by us or by the kernel on our behalf.
    pub rx_dropped: u64,
    /// Arrivals longer than a buffer.
    pub rx_truncated: u64,
    /// Times the way out was full and the rest of a batch had to wait.
    pub tx_full: u64,
    /// Packets that the interface dropped on their way out, ours or others'; zero where that is not watched.
    pub tx_dropped: u64,
    /// System calls made.
    pub syscalls: u64,
}

/// The ring is dead.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct RingDown {
    /// The operation that failed, as the manual names it.
    pub operation: &'static str,
    /// The operating system's error.
    pub source: std::io::Error,
}
