//! The two queues shared with the kernel, and the one system call that moves them.

use std::io;

use io_uring::squeue::Entry;
use io_uring::{EnterFlags, IoUring, cqueue, types};

use super::config::{UringConfig, UringOpenError};
use super::features::{TaskWork, build, probe, setup};
use crate::packet::{Counters, RingDown};

/// What an entry is for: comes back with its completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ticket {
    /// Envelope of the batch.
    Send(u32),
    /// Multishot receive of this family's socket.
    Receive(u32),
    /// Poll for room in this family's socket.
    Watch(u32),
}

impl Ticket {
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Send(index) => index as u64,
            Self::Receive(family) => 1 << 32 | family as u64,
            Self::Watch(family) => 2 << 32 | family as u64,
        }
    }

    fn of(number: u64) -> Self {
        match number >> 32 {
            0 => Self::Send(number as u32),
            1 => Self::Receive(number as u32),
            _ => Self::Watch(number as u32),
        }
    }
}

/// How to enter the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Enter {
    /// Only submit: where task work is deferred, what came is not looked at.
    Submit,
    /// Submit, and work on what came.
    Work,
    /// Likewise, and sleep until there is a completion, or for so many nanoseconds.
    Sleep(u64),
}

/// The ring of queues.
pub(super) struct Kernel {
    ring: IoUring,
    task_work: TaskWork,
    /// The thread that is to submit has been made known.
    enabled: bool,
    /// It must never be entered again.
    closed: bool,
}

impl Kernel {
    /// Tries what the kernel has, and makes the queues; nobody has submitted yet.
    pub(super) fn open(config: &UringConfig) -> Result<Self, UringOpenError> {
        let task_work = probe(&config.masked)?;
        // A batch, and for each socket a receive and a poll.
        let entries = u32::from(config.sockets.send_batch) + 4;
        let ring = build(entries, config.completions(), task_work, true).map_err(setup("io_uring_setup"))?;
        if ring.params().cq_entries() < config.completions() {
            let source = io::Error::from_raw_os_error(libc::EINVAL);
            return Err(UringOpenError::Setup { operation: "IORING_SETUP_CQSIZE", source });
        }
        Ok(Self { ring, task_work, enabled: false, closed: false })
    }

    pub(super) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    pub(super) const fn task_work(&self) -> TaskWork {
        self.task_work
    }

    /// Makes this thread the one that submits, once.
    #[inline]
    pub(super) fn enable(&mut self, counters: &mut Counters) -> Result<(), RingDown> {
        if self.enabled {
            return Ok(());
        }
        counters.syscalls += 1;
        let enabled = self.ring.submitter().register_enable_rings();
        enabled.map_err(|source| RingDown { operation: "IORING_REGISTER_ENABLE_RINGS", source })?;
        self.enabled = true;
        Ok(())
    }

    /// Queues an entry; false where there is no room, which the sizes rule out.
    ///
    /// # Safety
    /// All that the entry points to lives, and stays where it is, until its last completion has been seen or
    /// the ring is dropped unsubmitted.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: Entry, ticket: Ticket) -> bool {
        let entry = entry.user_data(ticket.number());
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(&entry).is_ok() }
    }

    /// Whether an [`Enter::Work`] would have something to do, or has had: cooperative work can be done while
    /// an interrupt returns, with nobody asking.
    #[inline]
    pub(super) fn has_work(&mut self) -> bool {
        let queue = self.ring.submission();
        let waits = !queue.is_empty() || queue.taskrun() || queue.cq_overflow();
        drop(queue);
        waits || !self.ring.completion().is_empty()
    }

    /// Submits what is queued, and more, as `how` says. A signal, a time that is over and a passing want of
    /// memory are no errors: what was not submitted stays queued.
    #[inline]
    pub(super) fn enter(&mut self, how: Enter, counters: &mut Counters) -> Result<(), RingDown> {
        let down = |source| Err(RingDown { operation: "io_uring_enter", source });
        if self.closed {
            return down(io::Error::from_raw_os_error(libc::ESHUTDOWN));
        }
        counters.syscalls += 1;
        let queued = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        let flags = EnterFlags::GETEVENTS;
        // SAFETY: entries were queued by `push`, whose callers answer for what they point to; the arguments
        // live through the call.
        let entered = unsafe {
            match how {
                Enter::Submit => submitter.enter::<libc::sigset_t>(queued, 0, 0, None),
                Enter::Work => submitter.enter::<libc::sigset_t>(queued, 0, flags.bits(), None),
                Enter::Sleep(ns) => {
                    let time =
                        types::Timespec::new().sec(ns / 1_000_000_000).nsec((ns % 1_000_000_000) as u32);
                    let args = types::SubmitArgs::new().timespec(&time);
                    submitter.enter(queued, 1, (flags | EnterFlags::EXT_ARG).bits(), Some(&args))
                }
            }
        };
        match entered {
            Ok(_) => Ok(()),
            Err(source) => match source.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Ok(()),
                _ => down(source),
            },
        }
    }

    /// Hands out every completion there is: for what, its result, its flags.
    #[inline]
    pub(super) fn complete(&mut self, mut each: impl FnMut(Ticket, i32, u32)) {
        for completion in self.ring.completion() {
            let completion: cqueue::Entry = completion;
            each(Ticket::of(completion.user_data()), completion.result(), completion.flags());
        }
    }

    /// Nothing is ever submitted again.
    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Takes back every request that is under way; their ends come as completions. Works on a closed ring, as
    /// it submits nothing. False where this thread may not.
    pub(super) fn cancel(&mut self) -> bool {
        let second = Some(types::Timespec::new().sec(1));
        // What was not cancelled shows by the completion that does not come.
        drop(self.ring.submitter().register_sync_cancel(second, types::CancelBuilder::any()));
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: nothing is submitted, and there is no argument.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(0, 0, flags, None).is_ok() }
    }

    /// Lets the sockets go at once, not when the kernel gets round to it; nothing is under way any more.
    pub(super) fn release_files(&mut self) {
        // Where it cannot be done, they go with the ring.
        drop(self.ring.submitter().unregister_files());
    }

    /// Completions for which there was no room: the sizes rule them out.
    pub(super) fn overflowed(&mut self) -> u32 {
        self.ring.completion().overflow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_come_back_as_they_went() {
        for ticket in [Ticket::Send(0), Ticket::Send(1_023), Ticket::Receive(1), Ticket::Watch(0)] {
            assert_eq!(Ticket::of(ticket.number()), ticket);
        }
    }
}
