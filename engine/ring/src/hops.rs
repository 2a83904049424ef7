//! Who a frame goes to on the link: asked by rings that write Ethernet headers, answered by whoever knows the routes.

use std::io;
use std::net::IpAddr;

/// The next hops of a ring's packets.
pub trait NextHops {
    /// Takes note of what has changed: once a batch.
    ///
    /// # Errors
    /// The way out is lost for good, and so is the ring: why.
    fn refresh(&mut self) -> io::Result<()>;

    /// Whether the interface carries packets now.
    fn is_up(&self) -> bool;

    /// The MAC address of the next hop towards `destination`.
    ///
    /// # Errors
    /// The errno that a socket would give: no route, nobody answers, interface down.
    fn mac(&self, destination: IpAddr) -> Result<[u8; 6], i32>;

    /// Packets that the interface is known to have dropped on their way out since the start, without telling who gave them.
    fn tx_dropped(&self) -> u64 {
        0
    }
}

/// Next hops that never change: one a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FixedHops {
    /// Of IPv4 packets.
    pub v4: Option<[u8; 6]>,
    /// Of IPv6 packets.
    pub v6: Option<[u8; 6]>,
}

impl NextHops for FixedHops {
    fn refresh(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_up(&self) -> bool {
        true
    }

    #[inline]
    fn mac(&self, destination: IpAddr) -> Result<[u8; 6], i32> {
        let hop = if destination.is_ipv4() { self.v4 } else { self.v6 };
        hop.ok_or(libc::ENETUNREACH)
    }
}
