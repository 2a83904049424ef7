//! The way out: a batch of `SENDMSG`, both families in their order, one `io_uring_enter`.
//!
//! Each is sent with `MSG_DONTWAIT`: the kernel sends or refuses it while it is submitted and never keeps it, so
//! its completion is there when the call returns. What that relies on is checked all the same: a batch is judged
//! only when every one of its completions has come, and its envelopes and bytes stay as they are until then.

use std::io;

use io_uring::opcode;
use io_uring::types::Fixed;

use super::kernel::{Kernel, Ticket};
use crate::clock::monotonic_ns;
use crate::packet::{Counters, Refused, RingDown};
use crate::sockets::envelopes::Envelopes;
use crate::sockets::outbox::Outbox;
use crate::sockets::stamps;
use crate::sockets::verdict::{Blocked, Verdict, family_of, judge};

/// The batch on its way to the kernel.
pub(super) struct Sender {
    envelopes: Envelopes,
    /// Slots of the outbox, oldest first; envelope `n` is for entry `n`.
    pending: Vec<u32>,
    results: Box<[Option<i32>]>,
    /// The batch is queued or further, and not judged yet.
    submitted: bool,
    /// Entries of the batch that is submitted whose completion has not come.
    outstanding: usize,
    began_ns: u64,
    blocked: Blocked,
    /// Families of what waits for room.
    waiting: [bool; 2],
}

impl Sender {
    pub(super) fn new(batch: u16, hop_limit: u8, traffic_class: u8) -> Self {
        let room = usize::from(batch);
        Self {
            envelopes: Envelopes::new(batch, hop_limit, traffic_class),
            pending: Vec::with_capacity(room),
            results: vec![None; room].into_boxed_slice(),
            submitted: false,
            outstanding: 0,
            began_ns: 0,
            blocked: Blocked::No,
            waiting: [false; 2],
        }
    }

    /// Whether nothing is pending.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Why something is left behind, if it is.
    pub(super) const fn blocked(&self) -> Blocked {
        self.blocked
    }

    /// Whether something of this family waits for room in its socket.
    pub(super) const fn waits_for_room(&self, family: usize) -> bool {
        self.waiting[family]
    }

    /// Adds a packet; no more than a batch between two calls of [`Sender::submit`] that left nothing behind.
    #[inline]
    pub(super) fn push(&mut self, slot: u32) {
        debug_assert!(self.pending.len() < self.envelopes.len() && !self.submitted);
        self.pending.push(slot);
    }

    /// Queues all that is pending, unless it is queued already.
    #[inline]
    pub(super) fn submit(&mut self, kernel: &mut Kernel, outbox: &Outbox) {
        if std::mem::replace(&mut self.submitted, true) {
            return;
        }
        for (index, &slot) in self.pending.iter().enumerate() {
            self.envelopes.address(index, outbox, slot);
            let socket = Fixed(family_of(outbox.packet(slot)) as u32);
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            let entry = opcode::SendMsg::new(socket, self.envelopes.header(index))
                .flags(flags.cast_unsigned())
                .build();
            self.results[index] = None;
            // SAFETY: the envelope is addressed anew only when the batch was judged, and the outbox keeps the
            // packet until it is settled, which happens only then, or when the ring is closed and never
            // entered again. Both are on the heap and are dropped with the ring, which submits nothing then.
            if !unsafe { kernel.push(entry, Ticket::Send(index as u32)) } {
                // The queue has an entry for each of a batch and more.
                self.results[index] = Some(-libc::ENOBUFS);
                continue;
            }
            self.outstanding += 1;
        }
        self.began_ns = monotonic_ns();
    }

    /// A completion came.
    #[inline]
    pub(super) fn complete(&mut self, index: u32, result: i32) {
        if let Some(place @ None) = self.results.get_mut(index as usize) {
            *place = Some(result);
            self.outstanding = self.outstanding.saturating_sub(1);
        }
    }

    /// Judges the batch: settles what left by `ended_ns` or was refused, keeps the rest in its order. Whether
    /// nothing is left behind.
    pub(super) fn settle(
        &mut self,
        outbox: &mut Outbox,
        ended_ns: u64,
        counters: &mut Counters,
    ) -> Result<bool, RingDown> {
        (self.blocked, self.waiting) = (Blocked::No, [false; 2]);
        if self.outstanding > 0 {
            self.blocked = Blocked::Memory;
            counters.tx_full += 1;
            return Ok(false);
        }
        self.submitted = false;
        let (count, mut kept, mut fatal) = (self.pending.len(), 0, None);
        for index in 0..count {
            let slot = self.pending[index];
            let result = self.results[index].take().unwrap_or(-libc::ENOBUFS);
            if result >= 0 {
                let stamp = stamps::departure(self.began_ns, ended_ns, index as u32, count as u32);
                outbox.settle(slot, Ok(stamp));
                continue;
            }
            let error = io::Error::from_raw_os_error(-result);
            match judge(&error) {
                Verdict::Refuse(errno) => {
                    outbox.settle(slot, Err(Refused::Errno(errno)));
                    continue;
                }
                Verdict::Wait(Blocked::Memory) => self.blocked = Blocked::Memory,
                Verdict::Wait(_) => {
                    self.waiting[family_of(outbox.packet(slot))] = true;
                    if self.blocked == Blocked::No {
                        self.blocked = Blocked::Buffer;
                    }
                }
                Verdict::Down => fatal = Some(error),
            }
            self.pending[kept] = slot;
            kept += 1;
        }
        self.pending.truncate(kept);
        counters.tx_full += u64::from(self.blocked != Blocked::No);
        match fatal {
            Some(source) => Err(RingDown { operation: "sendmsg", source }),
            None => Ok(self.blocked == Blocked::No),
        }
    }

    /// Whether a batch is queued or further, and not judged yet.
    pub(super) const fn is_submitted(&self) -> bool {
        self.submitted
    }

    /// Gives up what is pending; false where the kernel may still send some of it when it is entered again.
    pub(super) fn abandon(&mut self, outbox: &mut Outbox) -> bool {
        (self.blocked, self.waiting) = (Blocked::No, [false; 2]);
        self.pending.drain(..).for_each(|slot| outbox.settle(slot, Err(Refused::Abandoned)));
        self.submitted = false;
        std::mem::take(&mut self.outstanding) == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::packet::Outgoing;

    /// Packets of alternate families, in a batch that the kernel has taken.
    fn submitted(count: u64) -> (Sender, Outbox) {
        let (mut sender, mut outbox) = (Sender::new(8, 64, 0), Outbox::new(8, 64));
        for token in 0..count {
            let destination: IpAddr =
                if token % 2 == 0 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let packet = Outgoing { token, destination, hop_limit: 64, traffic_class: 0, len: 48 };
            let slot = outbox.take(&mut |_| Some(packet)).expect("there is room");
            sender.push(slot);
        }
        (sender.submitted, sender.outstanding, sender.began_ns) = (true, count as usize, 1_000);
        (sender, outbox)
    }

    #[test]
    fn a_batch_is_judged_when_all_of_it_is_known_and_not_before() {
        let (mut sender, mut outbox) = submitted(5);
        let mut counters = Counters::default();
        for (index, result) in [(4, 84), (0, 84), (1, -libc::EHOSTUNREACH), (3, -libc::EAGAIN)] {
            sender.complete(index, result);
        }
        assert_eq!(sender.settle(&mut outbox, 2_000, &mut counters).ok(), Some(false));
        assert_eq!((sender.blocked(), outbox.reap(), counters.tx_full), (Blocked::Memory, None, 1));
        // Named twice or never submitted, it changes nothing.
        sender.complete(0, -libc::EPERM);
        sender.complete(7, 84);
        sender.complete(2, 84);
        assert_eq!(sender.settle(&mut outbox, 2_000, &mut counters).ok(), Some(false));
        assert_eq!((sender.blocked(), counters.tx_full), (Blocked::Buffer, 2));
        assert_eq!((sender.waits_for_room(0), sender.waits_for_room(1)), (false, true));
        let first = outbox.reap().expect("it left").result.expect("it left");
        assert_eq!((first.at_ns, first.error_ns), (1_100, 900), "the first fifth of the time");
        assert_eq!(outbox.reap().map(|gone| gone.result), Some(Err(Refused::Errno(libc::EHOSTUNREACH))));
        assert_eq!(outbox.reap().map(|gone| (gone.token, gone.result.is_ok())), Some((2, true)));
        assert_eq!(outbox.reap(), None, "the fourth waits, and the fifth for it");
        assert!(sender.abandon(&mut outbox), "the kernel has nothing of it");
        assert_eq!(outbox.reap().map(|gone| gone.result), Some(Err(Refused::Abandoned)));
        assert_eq!(outbox.reap().map(|gone| (gone.token, gone.result.is_ok())), Some((4, true)));
        assert!(sender.is_empty());
    }

    #[test]
    fn what_the_kernel_may_still_send_is_known_when_it_is_given_up() {
        let (mut sender, mut outbox) = submitted(2);
        sender.complete(0, 84);
        assert!(!sender.abandon(&mut outbox));
        assert_eq!(outbox.reap().map(|gone| gone.result), Some(Err(Refused::Abandoned)));
    }

    #[test]
    fn an_error_of_the_socket_kills_the_ring_and_loses_no_packet() {
        let (mut sender, mut outbox) = submitted(2);
        sender.complete(0, -libc::EBADF);
        sender.complete(1, -libc::ENOMEM);
        let down = sender.settle(&mut outbox, 2_000, &mut Counters::default());
        assert_eq!(down.err().and_then(|down| down.source.raw_os_error()), Some(libc::EBADF));
        assert!(sender.abandon(&mut outbox));
        for token in 0..2 {
            assert_eq!(outbox.reap().map(|gone| gone.token), Some(token));
        }
    }
}
