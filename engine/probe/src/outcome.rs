//! The end of a probe: one fixed-size row of plain data.

use megaping_wire::Addr;

use crate::time::Nanos;

/// How one scheduled probe ended. Every scheduled probe becomes exactly one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Outcome {
    /// When the probe left, or was due when it did not; the shard's clock (a batch carries the offset to
    /// Unix time).
    pub at: Nanos,
    /// Round trip in nanoseconds: zero unless there was an answer.
    pub rtt_ns: u64,
    /// The target's index in the run's target set.
    pub target: u64,
    /// Where the probe went.
    pub destination: Addr,
    /// Who answered: the destination itself where nobody did.
    pub responder: Addr,
    /// Which round of this target, from zero.
    pub seq: u32,
    /// The round trip is true within this many nanoseconds.
    pub error_ns: u32,
    /// Payload bytes of the probe.
    pub size: u16,
    /// The flow (ECMP path) that was explored.
    pub flow: u16,
    /// Answered, error, lost or unsent.
    pub verdict: Verdict,
    /// TTL or hop limit that the probe started with.
    pub hop_limit: u8,
    /// TTL or hop limit that the answer arrived with; zero where there was none.
    pub reply_hop_limit: u8,
    /// Who took the arrival stamp.
    pub stamp_source: StampSource,
    /// Loss that we may have caused ourselves in this interval, and other marks.
    pub marks: Marks,
}

const _: () =
    assert!(size_of::<Outcome>() == 80, "an outcome is 80 bytes: batches and seats are sized by it");

/// The four ends of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// An echo reply came in time, whole, and with the right MAC.
    Answered,
    /// An ICMP error that quotes the probe came in time.
    Error {
        /// ICMP or ICMPv6 type, by the family of the destination.
        icmp_type: u8,
        /// Its code.
        code: u8,
    },
    /// Nothing valid came before the time was over.
    Lost,
    /// It never left.
    Unsent(Unsent),
}

/// Why a scheduled probe never left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Unsent {
    /// Its time had passed when the shard came to it: after a stall, or at a rate beyond this machine.
    Overdue = 0,
    /// No seat was free for its outcome: storage or output is slower than the probing.
    Backpressure = 1,
    /// The ring stayed full until the probe was worthless.
    RingFull = 2,
    /// A limit or a fair share left no room for it.
    Shed = 3,
    /// The run was stopped between the order and the departure.
    Stopped = 4,
    /// No route to the destination (ENETUNREACH, EHOSTUNREACH).
    NoRoute = 5,
    /// Longer than the way out allows (EMSGSIZE).
    TooLong = 6,
    /// Not permitted (EACCES, EPERM): a firewall, or a broadcast address.
    Denied = 7,
    /// The interface is down or gone (ENETDOWN, ENODEV, ENXIO).
    InterfaceDown = 8,
    /// The kernel was out of buffers (ENOBUFS, ENOMEM) and stayed so.
    NoBuffers = 9,
    /// The address cannot be used from here (EADDRNOTAVAIL, EINVAL, EAFNOSUPPORT).
    BadAddress = 10,
    /// Any other error of the operating system.
    Os = 11,
}

impl Unsent {
    /// Every reason, in the order of its number.
    pub const ALL: [Unsent; 12] = [
        Unsent::Overdue,
        Unsent::Backpressure,
        Unsent::RingFull,
        Unsent::Shed,
        Unsent::Stopped,
        Unsent::NoRoute,
        Unsent::TooLong,
        Unsent::Denied,
        Unsent::InterfaceDown,
        Unsent::NoBuffers,
        Unsent::BadAddress,
        Unsent::Os,
    ];

    /// The reason's name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Unsent::Overdue => "overdue",
            Unsent::Backpressure => "backpressure",
            Unsent::RingFull => "ring_full",
            Unsent::Shed => "shed",
            Unsent::Stopped => "stopped",
            Unsent::NoRoute => "no_route",
            Unsent::TooLong => "too_long",
            Unsent::Denied => "denied",
            Unsent::InterfaceDown => "interface_down",
            Unsent::NoBuffers => "no_buffers",
            Unsent::BadAddress => "bad_address",
            Unsent::Os => "os_error",
        }
    }
}

/// Who took a stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum StampSource {
    /// Our own clock, read around the system call.
    #[default]
    User = 0,
    /// The kernel's network stack.
    Kernel = 1,
    /// An XDP program, before the stack.
    Xdp = 2,
    /// The network interface itself.
    Hardware = 3,
    /// A simulation's virtual clock.
    Virtual = 4,
}

impl StampSource {
    /// The source's name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StampSource::User => "user",
            StampSource::Kernel => "kernel",
            StampSource::Xdp => "xdp",
            StampSource::Hardware => "hardware",
            StampSource::Virtual => "virtual",
        }
    }

    /// The source of a stored number; [`StampSource::User`], the least trusted, for one that is unknown.
    #[must_use]
    pub const fn from_u8(number: u8) -> StampSource {
        match number {
            1 => StampSource::Kernel,
            2 => StampSource::Xdp,
            3 => StampSource::Hardware,
            4 => StampSource::Virtual,
            _ => StampSource::User,
        }
    }
}

/// Marks on a row, as a bit set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Marks(pub u8);

impl Marks {
    /// The answer came from another address than the probe went to.
    pub const OTHER_RESPONDER: Marks = Marks(1);
    /// In the time this probe was under way, this machine itself dropped arrivals: the loss may be ours.
    pub const SELF_INFLICTED: Marks = Marks(2);
    /// The error quotes another destination than the probe was sent to: a NAT rewrote it on the way.
    pub const QUOTED_DESTINATION: Marks = Marks(4);
    /// The error quotes another source than the probe was sent from: a NAT rewrote it, and did not write it back.
    pub const QUOTED_SOURCE: Marks = Marks(8);
    /// The error quotes another TOS or traffic class octet than was sent: somebody rewrote or bleached it.
    pub const QUOTED_CLASS: Marks = Marks(16);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// This set where it applies, none where it does not.
    #[must_use]
    pub const fn when(self, applies: bool) -> Marks {
        if applies { self } else { Marks(0) }
    }

    /// Whether every mark of `other` is set.
    #[must_use]
    pub const fn has(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }
}
