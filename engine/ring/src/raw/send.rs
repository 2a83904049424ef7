//! The way out of one family: batches through `sendmmsg`.
//!
//! System calls: `sendmmsg`, never blocking.
//!
//! The kernel reports an error only for the first packet of a call (`sendmmsg(2)`): when one in the middle fails,
//! the call returns how many went before it, and the next call begins with the culprit. So every refusal has
//! its packet, and costs one more call.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use super::control::DepartureControl;
use super::outbox::Outbox;
use super::socket::{ipv4_name, ipv6_name};
use super::stamps;
use crate::clock::monotonic_ns;
use crate::packet::{Counters, Refused, RingDown};

/// Bytes of an IPv6 header, which the kernel builds itself.
const IPV6_HEADER: usize = 40;

/// A socket address of either family; which one, the sender's family says.
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Why the rest of a batch waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blocked {
    /// It does not.
    No,
    /// The socket's buffer is full: it becomes writable.
    Buffer,
    /// The kernel is short of memory: nothing tells when that is over.
    Memory,
}

/// What an errno of `sendmmsg` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Wait(Blocked),
    /// For this packet alone.
    Refuse(i32),
    /// For the ring.
    Down,
}

/// One family's packets on their way to the kernel.
pub(super) struct Sender {
    /// Slots of the outbox, oldest first.
    pending: VecDeque<u32>,
    blocked: Blocked,
    /// Hop limit and traffic class that the socket itself puts on an IPv6 packet.
    defaults: (u8, u8),
    headers: Box<[libc::mmsghdr]>,
    pieces: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[DepartureControl]>,
}

// SAFETY: the raw pointers in `headers` and `pieces` are written anew before each system call (`point`), from
// borrows that outlive it, and mean nothing between calls; all else is plain data.
unsafe impl Send for Sender {}

impl Sender {
    pub(super) fn new(batch: u16, slots: usize, hop_limit: u8, traffic_class: u8) -> Self {
        let batch = usize::from(batch);
        // SAFETY: all zeros is a value of every C struct here: null pointers, zero lengths, AF_UNSPEC.
        let (header, name) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let piece = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            pending: VecDeque::with_capacity(slots),
            blocked: Blocked::No,
            defaults: (hop_limit, traffic_class),
            headers: vec![header; batch].into_boxed_slice(),
            pieces: vec![piece; batch].into_boxed_slice(),
            names: vec![name; batch].into_boxed_slice(),
            controls: vec![DepartureControl::new(hop_limit, traffic_class); batch].into_boxed_slice(),
        }
    }

    /// Whether the last [`Sender::flush`] left something behind, and why.
    pub(super) const fn blocked(&self) -> Blocked {
        self.blocked
    }

    /// Queues a packet of this family; there is room for every slot of the outbox.
    #[inline]
    pub(super) fn push(&mut self, slot: u32) {
        self.pending.push_back(slot);
    }

    /// Sends all that is pending, or until the kernel wants us to wait; each packet that leaves or is refused
    /// is settled in the outbox.
    pub(super) fn flush(
        &mut self,
        socket: &OwnedFd,
        outbox: &mut Outbox,
        counters: &mut Counters,
    ) -> Result<(), RingDown> {
        self.blocked = Blocked::No;
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut before_ns = monotonic_ns();
        while !self.pending.is_empty() {
            let count = self.point(outbox);
            let mut done = 0;
            while done < count {
                counters.syscalls += 1;
                let sent = sendmmsg(socket, &mut self.headers[done..count]);
                let after_ns = monotonic_ns();
                match sent.map_err(|error| (judge(&error), error)) {
                    Ok(sent) => {
                        for (index, slot) in (0..sent).zip(self.pending.drain(..sent as usize)) {
                            outbox.settle(slot, Ok(stamps::departure(before_ns, after_ns, index, sent)));
                        }
                        done += sent as usize;
                    }
                    Err((Verdict::Refuse(errno), _)) => {
                        if let Some(slot) = self.pending.pop_front() {
                            outbox.settle(slot, Err(Refused::Errno(errno)));
                        }
                        done += 1;
                    }
                    Err((Verdict::Wait(blocked), _)) => {
                        self.blocked = blocked;
                        counters.tx_full += 1;
                        return Ok(());
                    }
                    Err((Verdict::Down, source)) => return Err(RingDown { operation: "sendmmsg", source }),
                }
                before_ns = after_ns;
            }
        }
        Ok(())
    }

    /// Gives up what is pending.
    pub(super) fn abandon(&mut self, outbox: &mut Outbox) {
        self.blocked = Blocked::No;
        self.pending.drain(..).for_each(|slot| outbox.settle(slot, Err(Refused::Abandoned)));
    }

    /// Points the headers at the oldest pending packets; returns how many.
    #[inline]
    fn point(&mut self, outbox: &Outbox) -> usize {
        let count = self.pending.len().min(self.headers.len());
        let parts =
            self.headers.iter_mut().zip(&mut self.pieces).zip(&mut self.names).zip(&mut self.controls);
        for ((((header, piece), name), control), &slot) in parts.zip(&self.pending) {
            let packet = outbox.packet(slot);
            let bytes = outbox.bytes(slot);
            let header = &mut header.msg_hdr;
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
            let bytes = match packet.destination {
                IpAddr::V4(address) => {
                    name.v4 = ipv4_name(address);
                    header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                    bytes
                }
                IpAddr::V6(address) => {
                    name.v6 = ipv6_destination(address, bytes);
                    header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                    if (packet.hop_limit, packet.traffic_class) != self.defaults {
                        *control = DepartureControl::new(packet.hop_limit, packet.traffic_class);
                        header.msg_control = std::ptr::from_mut(control).cast();
                        header.msg_controllen = DepartureControl::LEN;
                    }
                    bytes.get(IPV6_HEADER..).unwrap_or_default()
                }
            };
            piece.iov_base = bytes.as_ptr().cast_mut().cast();
            piece.iov_len = bytes.len();
            header.msg_name = std::ptr::from_mut(name).cast();
            header.msg_iov = std::ptr::from_mut(piece);
            header.msg_iovlen = 1;
        }
        count
    }
}

/// The name of an IPv6 destination with the flow label of the packet's own header (RFC 8200 section 3), which
/// the kernel copies into the header it builds. The kernel takes any label unless some process of the machine
/// holds an exclusive lease on one (`IPV6_FLOWLABEL_MGR`): then it refuses with `EINVAL` all but zero.
#[inline]
fn ipv6_destination(address: Ipv6Addr, bytes: &[u8]) -> libc::sockaddr_in6 {
    let label = bytes.first_chunk().map_or(0, |first: &[u8; 4]| u32::from_be_bytes(*first) & 0x000f_ffff);
    ipv6_name(address, label)
}

#[inline]
fn sendmmsg(socket: &OwnedFd, headers: &mut [libc::mmsghdr]) -> io::Result<u32> {
    // SAFETY: `point` wrote every pointer of `headers` just before, from borrows of the outbox's buffers and of
    // the sender's own arrays, none of which has moved or been freed since: `flush` holds both exclusively. The
    // kernel reads through them and writes only `msg_len`, and keeps none after it returns.
    let sent = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as u32, flags)
    };
    match u32::try_from(sent) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        Ok(sent) => Ok(sent),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Sorts the errors of `send(2)`, `ip(7)` and `ipv6(7)`.
fn judge(error: &io::Error) -> Verdict {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Verdict::Wait(Blocked::Buffer),
        Some(libc::ENOBUFS | libc::ENOMEM) => Verdict::Wait(Blocked::Memory),
        Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::ENOSYS | libc::EOPNOTSUPP) | None => {
            Verdict::Down
        }
        Some(errno) => Verdict::Refuse(errno),
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
