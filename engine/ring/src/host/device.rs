//! An interface of the calling thread's network namespace, and what `netdevice(7)` tells of it.

use std::ffi::{c_char, c_ulong};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::socket;

/// An interface to ask about.
#[derive(Debug)]
pub struct Device {
    socket: OwnedFd,
    name: [c_char; libc::IFNAMSIZ],
}

/// `IFF_*` of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags {
    /// Switched on.
    pub up: bool,
    /// Has a carrier.
    pub running: bool,
    /// The loopback.
    pub loopback: bool,
}

impl Device {
    /// Opens a socket to ask through, and sees whether the interface is there.
    ///
    /// # Errors
    /// `ENODEV` where there is no such interface, `EINVAL` for what cannot be a name.
    pub fn open(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut bytes = [0; libc::IFNAMSIZ];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        let device = Self { socket: socket(libc::AF_INET, libc::SOCK_DGRAM)?, name: bytes };
        device.flags().map(|_| device)
    }

    /// Whether it is up, and what it is.
    ///
    /// # Errors
    /// `ENODEV` once it is gone.
    pub fn flags(&self) -> io::Result<Flags> {
        let request = self.ask(libc::SIOCGIFFLAGS, libc::__c_anonymous_ifr_ifru { ifru_flags: 0 })?;
        // SAFETY: for SIOCGIFFLAGS the kernel writes this variant, and any number is one.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        let has = |flag| flags & flag != 0;
        Ok(Flags {
            up: has(libc::IFF_UP),
            running: has(libc::IFF_RUNNING),
            loopback: has(libc::IFF_LOOPBACK),
        })
    }

    /// Longest packet, from the IP header on, in bytes.
    ///
    /// # Errors
    /// `ENODEV` once it is gone.
    pub fn mtu(&self) -> io::Result<u32> {
        let request = self.ask(libc::SIOCGIFMTU, libc::__c_anonymous_ifr_ifru { ifru_mtu: 0 })?;
        // SAFETY: for SIOCGIFMTU the kernel writes this variant, and any number is one.
        Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
    }

    /// `SIOCETHTOOL`.
    ///
    /// # Safety
    /// `data` points to what the command in its first four bytes reads and writes, at its full length.
    pub(super) unsafe fn ethtool(&self, data: *mut c_char) -> io::Result<()> {
        self.ask(libc::SIOCETHTOOL, libc::__c_anonymous_ifr_ifru { ifru_data: data }).map(drop)
    }

    fn ask(&self, request: c_ulong, ifr_ifru: libc::__c_anonymous_ifr_ifru) -> io::Result<libc::ifreq> {
        let mut ifreq = libc::ifreq { ifr_name: self.name, ifr_ifru };
        // SAFETY: `ifreq` is live and of the size that these requests read and write; a pointer in it is only
        // followed for SIOCETHTOOL, whose caller vouches for it.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), request as _, &raw mut ifreq) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(ifreq) }
    }
}
