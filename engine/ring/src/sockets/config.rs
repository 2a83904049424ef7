//! What a raw ring is asked to be, and every way in which opening one can fail.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::filter::IdentifierMatch;

/// What to open. The default opens nothing: set [`RawConfig::ipv4`], [`RawConfig::ipv6`] or both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawConfig {
    /// Open a socket for IPv4.
    pub ipv4: bool,
    /// Open a socket for IPv6.
    pub ipv6: bool,
    /// Which replies are ours; all others never leave the kernel.
    pub identifiers: IdentifierMatch,
    /// Send and receive through this interface alone.
    pub interface: Option<String>,
    /// Send from this address, receive what is sent to it.
    pub source_v4: Option<Ipv4Addr>,
    /// Likewise for IPv6.
    pub source_v6: Option<Ipv6Addr>,
    /// IPv6 hop limit of most packets: one that has it (and the traffic class below) saves a control message.
    pub hop_limit: u8,
    /// IPv6 traffic class of most packets.
    pub traffic_class: u8,
    /// Longest packet, from the IP header on, in bytes: the size of every buffer.
    pub mtu: u16,
    /// Packets a `sendmmsg`, 1 to 1024. A departure's stamp is known within the time of its batch: the
    /// default costs a few per cent more a packet than the largest (see the `ring_cost` example), and is four
    /// times as sharp as 64.
    pub send_batch: u16,
    /// Packets a `recvmmsg`, 1 to 1024.
    pub receive_batch: u16,
    /// Packets that may be taken and not yet reaped; rounded up to a power of two.
    pub queue: u32,
    /// Bytes of arrivals that the kernel keeps for each socket while we are away. Above
    /// `net.core.rmem_max` it takes `CAP_NET_ADMIN`; see [`crate::RawRing::receive_buffer_bytes`].
    pub receive_buffer_bytes: u32,
    /// Bytes of departures that the kernel queues for each socket before it tells us to wait. Small on
    /// purpose: a queueing discipline holds 1,000 packets by default (`txqueuelen`), and what it drops for want
    /// of room the kernel reports to no raw socket (`raw_send_hdrinc` hides `ENOBUFS`). The socket has to be
    /// full first.
    pub send_buffer_bytes: u32,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            ipv4: false,
            ipv6: false,
            identifiers: IdentifierMatch::default(),
            interface: None,
            source_v4: None,
            source_v6: None,
            hop_limit: 64,
            traffic_class: 0,
            mtu: 1500,
            send_batch: 16,
            receive_batch: 64,
            queue: 512,
            receive_buffer_bytes: 64 << 20,
            send_buffer_bytes: 256 << 10,
        }
    }
}

impl RawConfig {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if !self.ipv4 && !self.ipv6 {
            return Err(OpenError::NoFamily);
        }
        for (field, value) in [("send_batch", self.send_batch), ("receive_batch", self.receive_batch)] {
            if !(1..=1024).contains(&value) {
                return Err(OpenError::OutOfRange { field, value: value.into(), range: "1 to 1024" });
            }
        }
        if self.mtu < 68 {
            return Err(OpenError::OutOfRange { field: "mtu", value: self.mtu.into(), range: "68 to 65535" });
        }
        if !(1..=1 << 20).contains(&self.queue) {
            return Err(OpenError::OutOfRange { field: "queue", value: self.queue, range: "1 to 1048576" });
        }
        Ok(())
    }
}

/// An address family, as people write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// Why a raw ring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither family was asked for.
    #[error("neither IPv4 nor IPv6 is asked for: a raw ring needs at least one of them")]
    NoFamily,
    /// A number that the ring cannot work with.
    #[error("{field} is {value}: it must be {range}")]
    OutOfRange {
        /// The field of [`RawConfig`].
        field: &'static str,
        /// What it was.
        value: u32,
        /// What it may be.
        range: &'static str,
    },
    /// The process may not open raw sockets.
    #[error("raw sockets need CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` the program")]
    NoPrivilege {
        /// EPERM or EACCES.
        source: io::Error,
    },
    /// The machine does not speak this family.
    #[error(
        "{family} is not available on this machine: leave it out, or enable it (sysctl, kernel command line)"
    )]
    FamilyUnavailable {
        /// Which.
        family: Family,
        /// EAFNOSUPPORT and the like.
        source: io::Error,
    },
    /// The socket could not be made.
    #[error("cannot open a raw {family} socket: {source}")]
    Socket {
        /// Which family.
        family: Family,
        /// EMFILE, ENOMEM and the like.
        source: io::Error,
    },
    /// The kernel did not take the filter.
    #[error("cannot attach the BPF filter to the raw {family} socket: {source}")]
    Filter {
        /// Which family.
        family: Family,
        /// The kernel's objection.
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
    /// The interface exists and yet cannot be bound to.
    #[error("cannot bind the raw {family} socket to interface {name:?}: {source}")]
    Interface {
        /// Which family.
        family: Family,
        /// The name asked for.
        name: String,
        /// The kernel's objection.
        source: io::Error,
    },
    /// The source is nobody here.
    #[error("{address} is no address of this machine: `ip address` lists those there are")]
    SourceNotHere {
        /// The address asked for.
        address: IpAddr,
        /// EADDRNOTAVAIL.
        source: io::Error,
    },
    /// The source is here and yet cannot be bound to.
    #[error("cannot send from {address}: {source}")]
    Source {
        /// The address asked for.
        address: IpAddr,
        /// The kernel's objection.
        source: io::Error,
    },
    /// A socket option that the ring cannot do without.
    #[error("cannot set {option} on the raw {family} socket: {source}")]
    Option {
        /// Which family.
        family: Family,
        /// Its name in the manual.
        option: &'static str,
        /// The kernel's objection.
        source: io::Error,
    },
}
