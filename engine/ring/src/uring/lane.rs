//! The way in of one family, and the watch for room on its way out.

use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::types::{Fixed, RecvMsgOut};
use io_uring::{cqueue, opcode};

use super::buffers::{Buffers, Lent};
use super::config::{UringConfig, UringOpenError};
use super::kernel::{Kernel, Ticket};
use crate::packet::{Counters, Incoming};
use crate::sockets::config::Family;
use crate::sockets::control::ArrivalControl;
use crate::sockets::reception::{Message, Reception};
use crate::sockets::socket;

/// What the kernel writes in front of a message (`struct io_uring_recvmsg_out`).
const HEADER: usize = 16;
/// Room for the name of an IPv6 message's sender, in whole words.
const NAME: usize = size_of::<libc::sockaddr_in6>().next_multiple_of(8);
/// Where the address is in it.
const ADDRESS: usize = std::mem::offset_of!(libc::sockaddr_in6, sin6_addr);

/// A message in a buffer that is ours.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) family: usize,
    lent: Lent,
    len: usize,
}

/// One family's socket.
pub(super) struct Lane {
    family: u32,
    socket: OwnedFd,
    buffers: Buffers,
    /// Says how much room name and control messages have in a buffer.
    template: Box<libc::msghdr>,
    pub(super) reception: Reception,
    /// A receive is under way.
    armed: bool,
    /// A poll for room is under way.
    watched: bool,
    /// Times the buffers ran out.
    exhausted: u64,
    /// The errno that ended receiving for good.
    pub(super) fatal: Option<i32>,
}

// SAFETY: the template's pointers are null; all else is Send.
unsafe impl Send for Lane {}

impl Lane {
    pub(super) fn open(
        family: Family,
        config: &UringConfig,
        kernel: &Kernel,
    ) -> Result<Self, UringOpenError> {
        // SAFETY: all zeros is a header without name, control messages or pieces.
        let mut template: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        // IPv4 messages begin with their header, which names the sender.
        template.msg_namelen = if family == Family::Ipv6 { NAME as libc::socklen_t } else { 0 };
        template.msg_controllen = size_of::<ArrivalControl>();
        let beside = HEADER + template.msg_namelen as usize + template.msg_controllen;
        let socket = socket::open(family, &config.sockets)?;
        let buffers = Buffers::new(config.buffers, beside + usize::from(config.sockets.mtu));
        let number = u32::from(family == Family::Ipv6);
        buffers.register(&kernel.submitter(), number as u16).map_err(|source| UringOpenError::Buffers {
            family,
            buffers: config.buffers,
            source,
        })?;
        let reception = Reception::new(family);
        let (armed, watched, exhausted, fatal) = (false, false, 0, None);
        Ok(Self { family: number, socket, buffers, template, reception, armed, watched, exhausted, fatal })
    }

    pub(super) const fn number(&self) -> u32 {
        self.family
    }

    pub(super) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(super) fn fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(super) const fn exhausted(&self) -> u64 {
        self.exhausted
    }

    /// Queues a receive where none is under way and there are buffers for it.
    #[inline]
    pub(super) fn arm(&mut self, kernel: &mut Kernel) {
        if self.armed || !self.buffers.any_left() {
            return;
        }
        let entry =
            opcode::RecvMsgMulti::new(Fixed(self.family), &raw const *self.template, self.family as u16);
        // SAFETY: the template is boxed and never replaced; it and the buffers live until the receive has ended
        // (`Drop` of the ring sees to it, or leaves the buffers to the kernel; the kernel reads the template at
        // submission alone).
        self.armed = unsafe { kernel.push(entry.build(), Ticket::Receive(self.family)) };
    }

    /// Queues a poll for room where none is under way.
    pub(super) fn watch(&mut self, kernel: &mut Kernel) {
        if !self.watched {
            let entry = opcode::PollAdd::new(Fixed(self.family), libc::POLLOUT as u32).build();
            // SAFETY: the entry points to nothing.
            self.watched = unsafe { kernel.push(entry, Ticket::Watch(self.family)) };
        }
    }

    /// The poll has ended.
    pub(super) const fn noticed(&mut self) {
        self.watched = false;
    }

    pub(super) const fn watched(&self) -> bool {
        self.watched
    }

    /// A completion of the receive: the message it brought, if it brought one.
    #[inline]
    pub(super) fn arrived(&mut self, result: i32, flags: u32) -> Option<Arrival> {
        if !cqueue::more(flags) {
            self.armed = false;
            match -result {
                // The messages stay in the socket until there are buffers again.
                libc::ENOBUFS => self.exhausted += 1,
                errno @ (libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL | libc::EOPNOTSUPP) => {
                    self.fatal = Some(errno);
                }
                // The queue was crowded, the receive was cancelled, or an error was left on the socket
                // (`socket(7)`, SO_ERROR), which this has cleared: armed anew, it goes on.
                _ => {}
            }
        }
        let lent = self.buffers.taken(cqueue::buffer_select(flags)?)?;
        Some(Arrival { family: self.family as usize, lent, len: usize::try_from(result).unwrap_or(0) })
    }

    /// Tells of a message and gives its buffer back, to be published; false when it was cut and is only counted.
    #[inline]
    pub(super) fn hand_out(
        &mut self,
        arrival: Arrival,
        counters: &mut Counters,
        each: &mut impl FnMut(&Incoming<'_>),
    ) -> bool {
        let bytes = self.buffers.bytes(&arrival.lent, arrival.len);
        let mut told = false;
        if let Ok(out) = RecvMsgOut::parse(bytes, &self.template) {
            let source = out.name_data().get(ADDRESS..).and_then(<[u8]>::first_chunk);
            let message = Message {
                bytes: out.payload_data(),
                truncated: out.is_payload_truncated(),
                control: out.control_data(),
                source: source.copied().unwrap_or_default(),
            };
            told = self.reception.hand_out(&message, counters, each);
        }
        self.buffers.give_back(arrival.lent);
        told
    }

    /// Shows the kernel the buffers that were given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        self.buffers.publish();
    }

    /// All that was dropped for want of room so far, asked of the kernel.
    pub(super) fn dropped(&self) -> u64 {
        self.reception.dropped(socket::drops(&self.socket))
    }

    /// Whether the kernel has a request of this socket's.
    pub(super) const fn is_busy(&self) -> bool {
        self.armed || self.watched
    }

    /// Before the end: where the receive has not ended, its buffers are not freed.
    pub(super) fn let_go(&mut self) {
        if self.armed {
            self.buffers.leave_to_the_kernel();
        }
    }
}
