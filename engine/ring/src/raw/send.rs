//! The way out of one family: batches through `sendmmsg`.
//!
//! System calls: `sendmmsg`, never blocking.
//!
//! The kernel reports an error only for the first packet of a call (`sendmmsg(2)`): when one in the middle fails,
//! the call returns how many went before it, and the next call begins with the culprit. So every refusal has
//! its packet, and costs one more call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::clock::monotonic_ns;
use crate::packet::{Counters, Refused, RingDown};
use crate::sockets::envelopes::Envelopes;
use crate::sockets::outbox::Outbox;
use crate::sockets::stamps;
use crate::sockets::verdict::{Blocked, Verdict, judge};

/// One family's packets on their way to the kernel.
pub(super) struct Sender {
    /// Slots of the outbox, oldest first.
    pending: VecDeque<u32>,
    blocked: Blocked,
    envelopes: Envelopes,
}

impl Sender {
    pub(super) fn new(batch: u16, slots: usize, hop_limit: u8, traffic_class: u8) -> Self {
        Self {
            pending: VecDeque::with_capacity(slots),
            blocked: Blocked::No,
            envelopes: Envelopes::new(batch, hop_limit, traffic_class),
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
            let count = self.address(outbox);
            let mut done = 0;
            while done < count {
                counters.syscalls += 1;
                let sent = sendmmsg(socket, &mut self.envelopes.headers()[done..count]);
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

    /// Addresses the envelopes to the oldest pending packets; returns how many.
    #[inline]
    fn address(&mut self, outbox: &Outbox) -> usize {
        let count = self.pending.len().min(self.envelopes.len());
        for (index, &slot) in self.pending.iter().take(count).enumerate() {
            self.envelopes.address(index, outbox, slot);
        }
        count
    }
}

#[inline]
fn sendmmsg(socket: &OwnedFd, headers: &mut [libc::mmsghdr]) -> io::Result<u32> {
    // SAFETY: `address` wrote every pointer of `headers` just before, from borrows of the outbox's buffers and of
    // the envelopes' own, none of which has moved or been freed since: `flush` holds both exclusively. The
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
