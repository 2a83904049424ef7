//! Preferred busy polling: the kernel does the driver's work in our system calls, and leaves its interrupts alone.
//!
//! System calls: `setsockopt`, `recvfrom`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::Port;
use crate::xdp::config::XdpOpenError;

/// `<asm-generic/socket.h>`.
const SO_BUSY_POLL: libc::c_int = 46;
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

/// How long a call may poll, in microseconds, and how many packets it may take in that time.
const POLL_US: libc::c_int = 20;
const BUDGET: libc::c_int = 64;

/// Turns it on for a socket.
pub(super) fn prefer(socket: BorrowedFd<'_>) -> Result<(), XdpOpenError> {
    for (option, value) in [(SO_PREFER_BUSY_POLL, 1), (SO_BUSY_POLL, POLL_US), (SO_BUSY_POLL_BUDGET, BUDGET)]
    {
        // SAFETY: the value is a live integer, and its size is told.
        let set = unsafe {
            let size = size_of_val(&value) as libc::socklen_t;
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), size)
        };
        if set != 0 {
            return Err(XdpOpenError::BusyPoll { source: io::Error::last_os_error() });
        }
    }
    Ok(())
}

impl Port {
    /// Has the kernel do the driver's work now. That there is nothing to read is no error: packets come by the ring.
    #[inline]
    pub(in crate::xdp) fn poll_driver(&self) {
        // SAFETY: no buffer and no address, both of length zero; the socket is open as long as `self` lives.
        unsafe {
            libc::recvfrom(
                self.fd().as_raw_fd(),
                ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
                ptr::null_mut(),
            );
        }
    }
}
