//! The way in of one family: batches through `recvmmsg`.
//!
//! System calls: `recvmmsg`, never blocking. A call that brings fewer messages than it had room for has emptied
//! the socket, so no second one is made to hear `EAGAIN`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::clock::monotonic_ns;
use crate::packet::{Counters, Incoming, RingDown};
use crate::sockets::config::Family;
use crate::sockets::control::ArrivalControl;
use crate::sockets::reception::{Message, Reception};
use crate::sockets::stamps::Offset;
use crate::sockets::verdict::is_fatal_to_receive;

/// One family's arrivals.
pub(super) struct Receiver {
    mtu: usize,
    bytes: Box<[u8]>,
    headers: Box<[libc::mmsghdr]>,
    pieces: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_in6]>,
    controls: Box<[ArrivalControl]>,
    pub(super) reception: Reception,
}

// SAFETY: the raw pointers in `headers` and `pieces` are written anew before each system call (`point`), from
// borrows that outlive it, and mean nothing between calls; all else is plain data.
unsafe impl Send for Receiver {}

/// What one call brought.
pub(super) struct Batch {
    /// Messages handed out.
    pub(super) handed: u32,
    /// Whether the socket is empty now.
    pub(super) emptied: bool,
}

impl Receiver {
    pub(super) fn new(family: Family, batch: u16, mtu: usize) -> Self {
        let batch = usize::from(batch);
        // SAFETY: all zeros is a value of every C struct here: null pointers, zero lengths, AF_UNSPEC.
        let (header, name) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let piece = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            mtu,
            bytes: vec![0; batch * mtu].into_boxed_slice(),
            headers: vec![header; batch].into_boxed_slice(),
            pieces: vec![piece; batch].into_boxed_slice(),
            names: vec![name; batch].into_boxed_slice(),
            controls: vec![ArrivalControl::EMPTY; batch].into_boxed_slice(),
            reception: Reception::new(family),
        }
    }

    /// Takes one batch of at most `limit` messages out of the socket.
    pub(super) fn receive(
        &mut self,
        socket: &OwnedFd,
        limit: u32,
        counters: &mut Counters,
        each: &mut impl FnMut(&Incoming<'_>),
    ) -> Result<Batch, RingDown> {
        let room = self.headers.len().min(limit as usize);
        self.point(room);
        counters.syscalls += 1;
        let began_ns = monotonic_ns();
        let came = match recvmmsg(socket, &mut self.headers[..room]) {
            Ok(came) => came,
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                self.reception.emptied(began_ns);
                return Ok(Batch { handed: 0, emptied: true });
            }
            Err(source) if is_fatal_to_receive(&source) => {
                return Err(RingDown { operation: "recvmmsg", source });
            }
            Err(_) => return Ok(Batch { handed: 0, emptied: true }),
        };
        self.reception.batch(Offset::read());
        let mut handed = 0;
        for index in 0..came {
            handed += u32::from(self.hand_out(index, counters, each));
        }
        if came < room {
            self.reception.emptied(began_ns);
        }
        Ok(Batch { handed, emptied: came < room })
    }

    /// Gives one message to `each`; false when it was cut and is only counted.
    #[inline]
    fn hand_out(
        &mut self,
        index: usize,
        counters: &mut Counters,
        each: &mut impl FnMut(&Incoming<'_>),
    ) -> bool {
        let header = &self.headers[index];
        let start = index * self.mtu;
        let message = Message {
            bytes: &self.bytes[start..start + (header.msg_len as usize).min(self.mtu)],
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            control: self.controls[index].0.get(..header.msg_hdr.msg_controllen).unwrap_or_default(),
            source: self.names[index].sin6_addr.s6_addr,
        };
        self.reception.hand_out(&message, counters, each)
    }

    /// Points the first `room` headers at buffers, names and control messages.
    #[inline]
    fn point(&mut self, room: usize) {
        let buffers = self.bytes.chunks_exact_mut(self.mtu).zip(&mut self.names).zip(&mut self.controls);
        let headers = self.headers.iter_mut().zip(&mut self.pieces).take(room);
        for ((header, piece), ((buffer, name), control)) in headers.zip(buffers) {
            piece.iov_base = buffer.as_mut_ptr().cast();
            piece.iov_len = buffer.len();
            let header = &mut header.msg_hdr;
            header.msg_name = std::ptr::from_mut(name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_iov = std::ptr::from_mut(piece);
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = control.0.len();
        }
    }
}

#[inline]
fn recvmmsg(socket: &OwnedFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    // SAFETY: `point` wrote every pointer of `headers` just before, each with the length of what it points to,
    // from the receiver's own arrays, which `receive` holds exclusively: the kernel may write there, and keeps
    // no pointer after it returns. A null timeout is none.
    let came = unsafe {
        let len = headers.len() as u32;
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            len,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    usize::try_from(came).map_err(|_| io::Error::last_os_error())
}
