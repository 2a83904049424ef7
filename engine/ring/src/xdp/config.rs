//! What an AF_XDP ring is asked to be, and every way in which opening one can fail.

use std::io;

/// Frames of a UMEM, in bytes: the smallest that the kernel takes.
pub(super) const FRAME_SIZE: u32 = 2048;
/// Bytes at the beginning of a frame that the kernel keeps for XDP programs (`XDP_PACKET_HEADROOM`).
const HEADROOM: u32 = 256;
/// The longest packet, from the IP header on, that a frame has room for.
pub(super) const MAX_MTU: u16 = (FRAME_SIZE - HEADROOM - super::ether::HEADER as u32) as u16;

/// What to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XdpConfig {
    /// The interface; it must run the steering program before replies come.
    pub interface: String,
    /// The receive queues that this ring serves, each by a socket of its own. What is sent leaves by the first.
    pub queues: Vec<u32>,
    /// The interface's own address.
    pub source_mac: [u8; 6],
    /// Longest packet, from the IP header on, in bytes: 68 to 1778.
    pub mtu: u16,
    /// Entries of each of the four rings of a queue, a power of two from 64 to 16384. Also the packets that may
    /// be on their way out, and the arrivals that the kernel can keep for us while we are away.
    pub ring_size: u32,
    /// Packets that are handed to the kernel at a time, 1 to 32, which is what it takes in one call. A departure's stamp
    /// is known within the time of its batch.
    pub send_batch: u16,
    /// Try zero-copy before copy mode.
    pub zero_copy: bool,
    /// Try huge pages for the UMEM before plain ones.
    pub huge_pages: bool,
    /// Have the kernel do the driver's work when we look for arrivals, rather than on interrupts
    /// (`SO_PREFER_BUSY_POLL`). It takes effect where the interface's `napi_defer_hard_irqs` and `gro_flush_timeout`
    /// are set (Linux, Documentation/networking/napi.rst).
    pub busy_poll: bool,
}

impl Default for XdpConfig {
    /// Names no interface: that must be set.
    fn default() -> Self {
        Self {
            interface: String::new(),
            queues: vec![0],
            source_mac: [0; 6],
            mtu: 1500,
            ring_size: 2048,
            send_batch: 8,
            zero_copy: true,
            huge_pages: true,
            busy_poll: false,
        }
    }
}

impl XdpConfig {
    pub(super) fn check(&self) -> Result<(), XdpOpenError> {
        if self.queues.is_empty() {
            return Err(XdpOpenError::NoQueue);
        }
        if !(68..=MAX_MTU).contains(&self.mtu) {
            let value = self.mtu.into();
            return Err(XdpOpenError::OutOfRange { field: "mtu", value, range: "68 to 1778" });
        }
        if !(1..=32).contains(&self.send_batch) {
            let value = self.send_batch.into();
            return Err(XdpOpenError::OutOfRange { field: "send_batch", value, range: "1 to 32" });
        }
        if !self.ring_size.is_power_of_two() || !(64..=16384).contains(&self.ring_size) {
            let (value, range) = (self.ring_size, "a power of two from 64 to 16384");
            return Err(XdpOpenError::OutOfRange { field: "ring_size", value, range });
        }
        Ok(())
    }
}

/// How a queue's socket was bound, and what was refused on the way.
#[derive(Debug)]
pub struct Binding {
    /// The receive queue.
    pub queue: u32,
    /// The driver moves frames without copying them.
    pub zero_copy: bool,
    /// Why it does not, where zero-copy was asked for.
    pub refusal: Option<io::Error>,
    /// The UMEM lies in huge pages.
    pub huge_pages: bool,
}

/// Why an AF_XDP ring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum XdpOpenError {
    /// No receive queue was named.
    #[error("no receive queue is named: an AF_XDP ring needs at least one, and replies come on all of them")]
    NoQueue,
    /// A number that the ring cannot work with.
    #[error("{field} is {value}: it must be {range}")]
    OutOfRange {
        /// The field of [`XdpConfig`].
        field: &'static str,
        /// What it was.
        value: u32,
        /// What it may be.
        range: &'static str,
    },
    /// The process may not open AF_XDP sockets.
    #[error("AF_XDP sockets need CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` the program")]
    NoPrivilege {
        /// EPERM or EACCES.
        source: io::Error,
    },
    /// The kernel has no AF_XDP.
    #[error("this kernel has no AF_XDP sockets: it needs CONFIG_XDP_SOCKETS, and Linux 5.11 or newer")]
    Unsupported {
        /// EAFNOSUPPORT.
        source: io::Error,
    },
    /// The frames could not be allocated or registered.
    #[error(
        "cannot register {bytes} bytes of frames: raise the memory lock limit (`ulimit -l`), or give the program \
         CAP_IPC_LOCK; a smaller ring needs less"
    )]
    Umem {
        /// How much was asked for.
        bytes: u64,
        /// ENOBUFS where the limit is the reason, ENOMEM.
        source: io::Error,
    },
    /// The kernel refuses preferred busy polling.
    #[error(
        "preferred busy polling needs Linux 5.11 and CAP_NET_ADMIN: run as root, or leave --busy-poll out"
    )]
    BusyPoll {
        /// ENOPROTOOPT, EPERM.
        source: io::Error,
    },
    /// There is no such interface.
    #[error("there is no interface {name:?}: `ip link` lists those there are")]
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// ENODEV, or EINVAL for a name that cannot be one.
        source: io::Error,
    },
    /// The socket could not be bound.
    #[error(
        "cannot bind an AF_XDP socket to queue {queue} of {name:?}: `ethtool -l` shows how many queues there are; \
         EBUSY means that another program holds it"
    )]
    Bind {
        /// The interface.
        name: String,
        /// The receive queue.
        queue: u32,
        /// The kernel's objection.
        source: io::Error,
    },
}
