//! The `io_uring` ring: the raw ring's sockets, driven through queues shared with the kernel.
//!
//! ```text
//!   caller                                                                        kernel
//!     |  send: fill(slot's buffer) -> outbox | . | wait | wait | . |
//!     |                                        SENDMSG a packet | both families
//!     |                                                         v
//!     |                               clock, io_uring_enter, clock  ------------>  sockets -> route -> device
//!     |  reap: <-- departures, oldest first <-- completion: sent or errno            |
//!     |                                                                              | type filter
//!     |  recv: <-- message, stamp, hop limit <-- completion: number of a buffer <----+ BPF filter <- device
//!     |              `---> buffer goes back ----> provided buffers -----------------^  kernel stamp
//!     |  park: io_uring_enter until a completion or the time
//! ```
//!
//! One `RECVMSG` a socket stays armed and takes a provided buffer for each message, with stamp, drop count, hop
//! limit and traffic class beside it. Task work is deferred: the kernel fills buffers when we enter it to work,
//! and a flag in shared memory tells whether that is worth it, so that looking for arrivals where there are none
//! is no system call. A departure's stamp is as with the raw ring: no work on arrivals is done between its clocks.
//!
//! The completion queue has room for everything that can be under way ([`UringConfig`]): it never overflows.
//!
//! The thread that first sends, receives or parks is the one that the ring belongs to; entering from
//! another is [`RingDown`] with `EEXIST`.
//!
//! System calls: once `io_uring_setup`, `io_uring_register`, `mmap`, those of opening the sockets and of the
//! trial ([`Feature`]); on the way `io_uring_enter`, `clock_nanosleep` to sleep through arrivals, `clock_gettime`
//! (vDSO); [`PacketRing::counters`] asks `getsockopt`.

mod buffers;
mod close;
mod config;
mod features;
mod kernel;
mod lane;
mod park;
mod recv;
mod send;

use std::collections::VecDeque;

use crate::clock::monotonic_ns;
use crate::packet::{Counters, Departure, Incoming, Outgoing, PacketRing, Refused, RingDown};
use crate::sockets::config::Family;
use crate::sockets::outbox::{Outbox, reap};
use crate::sockets::socket;
use crate::sockets::verdict::{family_of, misfit};
pub use config::{UringConfig, UringOpenError};
use features::setup;
pub use features::{Feature, TaskWork};
use kernel::{Enter, Kernel, Ticket};
use lane::{Arrival, Lane};
use send::Sender;

/// Tries what the ring needs of `io_uring`, without a socket; `masked` is as in [`UringConfig::masked`].
///
/// # Errors
/// [`UringOpenError`] but for its variants about sockets and buffers.
pub fn probe(masked: &[Feature]) -> Result<TaskWork, UringOpenError> {
    features::probe(masked)
}

/// Messages that the kernel takes out of a socket at a stretch (`MULTISHOT_MAX_RETRY`): more take another call.
const STRETCH: u16 = 32;

/// Raw sockets through `io_uring`, as a ring. See the [module](self) for the drawing.
///
/// After a [`RingDown`], [`PacketRing::abandon`] and [`PacketRing::reap`] still give back all that was taken.
/// [`Counters::rx_dropped`] is what it is for [`crate::RawRing`].
///
/// A packet whose socket is full waits, while later ones of its batch may find room again and leave before it;
/// departures come in the order taken all the same.
///
/// Dropped by another thread than the one it belongs to, it may have to leave its buffers allocated.
pub struct UringRing {
    kernel: Kernel,
    /// IPv4, IPv6.
    lanes: [Option<Lane>; 2],
    sender: Sender,
    outbox: Outbox,
    /// Messages that came and were not handed out, oldest first; no more than there are buffers.
    arrivals: VecDeque<Arrival>,
    send_batch: u32,
    receive_batch: u32,
    /// Messages that a call can bring at least, where there are more.
    stretch: u32,
    mtu: usize,
    counters: Counters,
}

impl UringRing {
    /// Tries what the kernel has, opens the sockets that `config` asks for and allocates everything.
    ///
    /// # Errors
    /// One [`UringOpenError`] variant per operation that can fail, with what would help.
    pub fn open(config: &UringConfig) -> Result<Self, UringOpenError> {
        config.check()?;
        let sockets = &config.sockets;
        let kernel = Kernel::open(config)?;
        let ipv4 = sockets.ipv4.then(|| Lane::open(Family::Ipv4, config, &kernel)).transpose()?;
        let ipv6 = sockets.ipv6.then(|| Lane::open(Family::Ipv6, config, &kernel)).transpose()?;
        let lanes = [ipv4, ipv6];
        // A family's number is its place among the registered files; -1 leaves a place empty.
        let files = [0, 1].map(|family: usize| lanes[family].as_ref().map_or(-1, Lane::fd));
        kernel.submitter().register_files(&files).map_err(setup("IORING_REGISTER_FILES"))?;
        Ok(Self {
            kernel,
            lanes,
            sender: Sender::new(sockets.send_batch, sockets.hop_limit, sockets.traffic_class),
            outbox: Outbox::new(sockets.queue, usize::from(sockets.mtu)),
            arrivals: VecDeque::with_capacity(2 * usize::from(config.buffers)),
            send_batch: sockets.send_batch.into(),
            receive_batch: sockets.receive_batch.into(),
            stretch: STRETCH.min(config.buffers).into(),
            mtu: sockets.mtu.into(),
            counters: Counters::default(),
        })
    }

    /// When the kernel works on arrivals: [`TaskWork::Deferred`] unless it is too old.
    #[must_use]
    pub const fn task_work(&self) -> TaskWork {
        self.kernel.task_work()
    }

    /// The smallest receive buffer that the kernel granted a socket: see [`crate::RawRing::receive_buffer_bytes`].
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> u64 {
        self.lanes.iter().flatten().map(|lane| socket::receive_buffer_bytes(lane.socket())).min().unwrap_or(0)
    }

    /// Times that the provided buffers of a socket were all full. Nothing is lost by it: messages wait in the
    /// socket. Often means that more [`UringConfig::buffers`] would save system calls.
    #[must_use]
    pub fn exhausted(&self) -> u64 {
        self.lanes.iter().flatten().map(Lane::exhausted).sum()
    }

    /// Completions that the kernel had no room for. Always zero: room is reserved before anything is submitted.
    #[must_use]
    pub fn overflowed(&mut self) -> u32 {
        self.kernel.overflowed()
    }

    /// Sends what is pending; whether all of it went.
    fn flush(&mut self) -> Result<bool, RingDown> {
        if self.sender.is_empty() {
            return Ok(true);
        }
        self.sender.submit(&mut self.kernel, &self.outbox);
        self.kernel.enter(Enter::Submit, &mut self.counters)?;
        let ended_ns = monotonic_ns();
        self.sort();
        self.sender.settle(&mut self.outbox, ended_ns, &mut self.counters)
    }

    /// Gives every completion to whom it belongs.
    #[inline]
    fn sort(&mut self) {
        let Self { kernel, lanes, sender, arrivals, .. } = self;
        kernel.complete(|ticket, result, flags| match ticket {
            Ticket::Send(index) => sender.complete(index, result),
            Ticket::Receive(family) => {
                let lane = lanes.get_mut(family as usize).and_then(Option::as_mut);
                arrivals.extend(lane.and_then(|lane| lane.arrived(result, flags)));
            }
            Ticket::Watch(family) => {
                lanes.iter_mut().flatten().filter(|lane| lane.number() == family).for_each(Lane::noticed);
            }
        });
    }
}

impl PacketRing for UringRing {
    const SORTED: bool = true;

    #[inline]
    fn now_ns(&mut self) -> u64 {
        monotonic_ns()
    }

    /// Sends what is pending before it takes more; takes nothing while something has to wait. A quota of zero
    /// only does the former.
    fn send(
        &mut self,
        quota: u32,
        mut fill: impl FnMut(&mut [u8]) -> Option<Outgoing>,
    ) -> Result<u32, RingDown> {
        self.kernel.enable(&mut self.counters)?;
        let mut taken = 0;
        let mut go_on = self.flush()?;
        while go_on && taken < quota {
            let Self { outbox, lanes, sender, mtu, .. } = self;
            let count = self.send_batch.min(quota - taken);
            let some = outbox.take_some(count, &mut fill, |outbox, slot| {
                let packet = outbox.packet(slot);
                match misfit(packet, lanes[family_of(packet)].is_some(), *mtu) {
                    Some(errno) => outbox.settle(slot, Err(Refused::Errno(errno))),
                    None => sender.push(slot),
                }
            });
            taken += some;
            self.counters.tx_full += u64::from(some < count && self.outbox.is_full());
            go_on = self.flush()? && some == count;
        }
        Ok(taken)
    }

    fn reap(&mut self, quota: u32, each: impl FnMut(Departure)) -> Result<u32, RingDown> {
        Ok(reap(quota, || self.outbox.reap(), each))
    }

    /// The kernel takes from the families' sockets in turn, a stretch at a time, so that a flood on one does not
    /// silence the other.
    fn recv(&mut self, quota: u32, each: impl FnMut(&Incoming<'_>)) -> Result<u32, RingDown> {
        self.receive(quota, each)
    }

    fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        self.park_until(until_ns, wake_on_arrival)
    }

    fn abandon(&mut self) {
        if self.sender.is_submitted() {
            // What left meanwhile did leave; an error of the ring's changes nothing for the rest.
            drop(self.flush());
        }
        if !self.sender.abandon(&mut self.outbox) {
            // Some of it is queued and cannot be taken out again: it must not leave after all.
            self.kernel.close();
        }
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    /// Asks the kernel for drops that no arrival has told of yet: one system call a family, so not for every
    /// breath.
    fn counters(&self) -> Counters {
        Counters { rx_dropped: self.lanes.iter().flatten().map(Lane::dropped).sum(), ..self.counters }
    }
}
