//! What becomes of a packet that the kernel, or already the ring, does not take.

use std::io;
use std::net::IpAddr;

use crate::packet::Outgoing;

/// How soon to try again when the kernel had no memory for a packet, in nanoseconds.
pub(crate) const MEMORY_RETRY_NS: u64 = 1_000_000;

/// Why the rest of a batch waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocked {
    /// It does not.
    No,
    /// The socket's buffer is full: it becomes writable.
    Buffer,
    /// The kernel is short of memory: nothing tells when that is over.
    Memory,
}

/// What an errno of sending means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The packet waits.
    Wait(Blocked),
    /// For this packet alone.
    Refuse(i32),
    /// For the ring.
    Down,
}

/// Sorts the errors of `send(2)`, `ip(7)` and `ipv6(7)`.
pub(crate) fn judge(error: &io::Error) -> Verdict {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Verdict::Wait(Blocked::Buffer),
        Some(libc::ENOBUFS | libc::ENOMEM) => Verdict::Wait(Blocked::Memory),
        Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::ENOSYS | libc::EOPNOTSUPP) | None => {
            Verdict::Down
        }
        Some(errno) => Verdict::Refuse(errno),
    }
}

/// Whether an error of receiving kills the ring; any other was left on the socket, and the call that told of it
/// has cleared it (`socket(7)`, `SO_ERROR`).
pub(crate) fn is_fatal_to_receive(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
            | None
    )
}

/// Index of a packet's family among the sockets: IPv4, IPv6.
#[inline]
pub(crate) const fn family_of(packet: &Outgoing) -> usize {
    match packet.destination {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 1,
    }
}

/// The errno for a packet that no socket can carry; `open` says whether its family's socket is.
#[inline]
pub(crate) fn misfit(packet: &Outgoing, open: bool, mtu: usize) -> Option<i32> {
    let shortest = if family_of(packet) == 0 { 20 } else { 40 };
    let len = usize::from(packet.len);
    match open {
        false => Some(libc::EAFNOSUPPORT),
        true if len > mtu => Some(libc::EMSGSIZE),
        true if len < shortest => Some(libc::EINVAL),
        true => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_belong_to_the_packet_unless_they_pass_or_kill() {
        let verdict = |errno| judge(&io::Error::from_raw_os_error(errno));
        for errno in [
            libc::EMSGSIZE,
            libc::ENETUNREACH,
            libc::EHOSTUNREACH,
            libc::EACCES,
            libc::EPERM,
            libc::EINVAL,
            libc::EADDRNOTAVAIL,
            libc::ENETDOWN,
            libc::EAFNOSUPPORT,
            libc::ENXIO,
        ] {
            assert_eq!(verdict(errno), Verdict::Refuse(errno));
        }
        assert_eq!(verdict(libc::EAGAIN), Verdict::Wait(Blocked::Buffer));
        assert_eq!(verdict(libc::ENOBUFS), Verdict::Wait(Blocked::Memory));
        assert_eq!(verdict(libc::EBADF), Verdict::Down);
        assert_eq!(verdict(libc::ENOTSOCK), Verdict::Down);
    }
}
