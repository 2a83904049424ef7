//! The ways to the wire. The only room of the engine with `unsafe`.
//!
//! A ring moves packet bytes and stamps them; it knows nothing of ICMP but what the filter on its socket needs.
//! [`PacketRing`] is the trait, [`MemoryRing`] the one for tests and for measuring our own code, [`RawRing`] the
//! one that runs wherever raw sockets may be opened, [`UringRing`] the one that drives the same sockets through
//! `io_uring`, [`XdpRing`] the one that goes past the network stack, [`KernelRing`] the one whose packets never leave
//! the kernel (it has its own face, since it moves no bytes). [`host`] asks what the machine has.

mod clock;
mod hops;
pub mod host;
pub mod kernel;
pub mod memory;
mod packet;
pub mod raw;
mod sockets;
pub mod uring;
pub mod xdp;

pub use clock::{Clock, Monotonic, Virtual, process_cpu_ns, wake_on_time};
pub use hops::{FixedHops, NextHops};
pub use kernel::{KernelOpenError, KernelOrder, KernelReply, KernelRing, KernelRingConfig, KernelWay};
pub use memory::{FaultCounts, Faults, MemoryConfig, MemoryRing, Responder};
pub use packet::{
    Counters, Departure, Incoming, Layer, Outgoing, PacketRing, Refused, RingDown, TakenBy, TimeStamp,
};
pub use raw::{Family, IdentifierMatch, OpenError, RawConfig, RawRing};
pub use uring::{Feature, TaskWork, UringConfig, UringOpenError, UringRing};
pub use xdp::{XdpConfig, XdpOpenError, XdpRing};
