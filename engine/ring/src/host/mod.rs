//! What the kernel says of an interface and of its own abilities. Nothing here changes anything, and nothing
//! needs a privilege: for `megaping doctor`, and for the choice of a backend.
//!
//! System calls: `socket`, `close`; `ioctl` with `SIOCGIFFLAGS`, `SIOCGIFMTU` (`netdevice(7)`) and `SIOCETHTOOL`
//! (`<linux/ethtool.h>`: `GDRVINFO`, `GCHANNELS`, `GRINGPARAM`, `GET_TS_INFO`, `GSTRINGS`, `GSTATS`).

mod device;
mod ethtool;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

pub use device::{Device, Flags};
pub use ethtool::{Channels, Driver, RingSizes, Stamping};

/// Makes an AF_XDP socket and closes it again: whether the kernel has them, and gives us one.
///
/// # Errors
/// `EAFNOSUPPORT` where the kernel was built without, `EPERM` where it has them and we lack `CAP_NET_RAW`.
pub fn af_xdp() -> io::Result<()> {
    socket(libc::AF_XDP, libc::SOCK_RAW).map(drop)
}

fn socket(domain: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests;
