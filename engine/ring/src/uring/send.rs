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
