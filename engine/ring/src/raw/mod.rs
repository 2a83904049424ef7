//! The raw ring: raw ICMP sockets, a batch a system call.
//!
//! ```text
//!   caller                                                                       kernel
//!     |  send: fill(slot's buffer) -> outbox | . | wait | wait | . |
//!     |                                          |      |
//!     |                              IPv4 pending|      |IPv6 pending
//!     |                                          v      v
//!     |                                   clock, sendmmsg, clock  ------------->  sockets -> route -> device
//!     |  reap: <-- departures, oldest first <-- stamp or errno                      |
//!     |                                                                             | type filter
//!     |  recv: <-- buffer, stamp, hop limit <-- recvmmsg, offset of the clocks <----+ BPF filter <- device
//!     |                                                                               kernel stamp
//!     |  park: ppoll on both: readable, writable where something waits
//! ```
//!
//! A slot of the outbox is free, waits (its bytes are ours, the kernel has not seen them), or is settled until it
//! is reaped. The kernel copies bytes during `sendmmsg`, so no buffer is ever the kernel's.
//!
//! IPv4 packets carry the caller's header: Don't Fragment, TTL, TOS as written; the kernel fills source (where
//! it is zero), total length and checksum. IPv6 packets lose the caller's header: the kernel builds it from
//! destination, hop limit, traffic class and flow label, and computes the ICMPv6 checksum itself.
//!
//! System calls: once `socket`, `setsockopt`, `getsockopt`, `bind`, `recv`; on the way `sendmmsg`, `recvmmsg`,
//! `ppoll`, and `clock_gettime` (vDSO); [`PacketRing::counters`] asks `getsockopt`.

mod recv;
mod send;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::clock::{monotonic_ns, timespec_of};
use crate::packet::{Counters, Departure, Incoming, Outgoing, PacketRing, Refused, RingDown};
pub use crate::sockets::config::{Family, OpenError, RawConfig};
pub use crate::sockets::filter::IdentifierMatch;
use crate::sockets::outbox::{Outbox, reap};
use crate::sockets::socket;
use crate::sockets::verdict::{Blocked, MEMORY_RETRY_NS, family_of, misfit};
use recv::Receiver;
use send::Sender;

/// One family's socket and its two ways.
struct Lane {
    socket: OwnedFd,
    sender: Sender,
    receiver: Receiver,
}

/// Raw sockets as a ring. See the [module](self) for the drawing.
///
/// After a [`RingDown`], [`PacketRing::abandon`] and [`PacketRing::reap`] still give back all that was taken.
///
/// [`Counters::rx_dropped`] is the kernel's own count (`sk_drops`), and an upper bound of the answers that we
/// lost ourselves: while a socket's buffer is full the kernel counts every ICMP message before it looks at our
/// filter (`raw_v4_input`). Zero means that no answer was lost here. What it counts as drops though its checksum
/// was wrong (`rawv6_rcv`) is taken off again.
pub struct RawRing {
    /// IPv4, IPv6.
    lanes: [Option<Lane>; 2],
    outbox: Outbox,
    send_batch: u32,
    receive_batch: u32,
    mtu: usize,
    /// Whose turn it is to be received first.
    turn: usize,
    counters: Counters,
}

impl RawRing {
    /// Opens the sockets that `config` asks for and allocates everything.
    ///
    /// # Errors
    /// One [`OpenError`] variant per operation that can fail, with what would help.
    pub fn open(config: &RawConfig) -> Result<Self, OpenError> {
        config.check()?;
        let mtu = usize::from(config.mtu);
        let outbox = Outbox::new(config.queue, mtu);
        let slots = outbox.slots();
        let lane = |family| {
            Ok(Lane {
                socket: socket::open(family, config)?,
                sender: Sender::new(config.send_batch, slots, config.hop_limit, config.traffic_class),
                receiver: Receiver::new(family, config.receive_batch, mtu),
            })
        };
        let ipv4 = config.ipv4.then(|| lane(Family::Ipv4)).transpose()?;
        let ipv6 = config.ipv6.then(|| lane(Family::Ipv6)).transpose()?;
        Ok(Self {
            lanes: [ipv4, ipv6],
            outbox,
            send_batch: config.send_batch.into(),
            receive_batch: config.receive_batch.into(),
            mtu,
            turn: 0,
            counters: Counters::default(),
        })
    }

    /// The smallest receive buffer that the kernel granted a socket, in its own accounting (which doubles what
    /// was asked for): less than asked where `net.core.rmem_max` is low and `CAP_NET_ADMIN` is missing.
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> u64 {
        self.lanes.iter().flatten().map(|lane| socket::receive_buffer_bytes(&lane.socket)).min().unwrap_or(0)
    }

    /// Sends what is pending; whether all of it went.
    fn flush(&mut self) -> Result<bool, RingDown> {
        let mut clear = true;
        for lane in self.lanes.iter_mut().flatten() {
            lane.sender.flush(&lane.socket, &mut self.outbox, &mut self.counters)?;
            clear &= lane.sender.blocked() == Blocked::No;
        }
        Ok(clear)
    }
}

impl PacketRing for RawRing {
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
        let mut taken = 0;
        let mut go_on = self.flush()?;
        while go_on && taken < quota {
            let Self { outbox, lanes, mtu, .. } = self;
            let count = self.send_batch.min(quota - taken);
            let some = outbox.take_some(count, &mut fill, |outbox, slot| {
                let packet = outbox.packet(slot);
                let lane = &mut lanes[family_of(packet)];
                if let Some(errno) = misfit(packet, lane.is_some(), *mtu) {
                    outbox.settle(slot, Err(Refused::Errno(errno)));
                } else if let Some(lane) = lane {
                    lane.sender.push(slot);
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

    /// The families take turns, a batch at a time, so that a flood on one does not silence the other.
    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Incoming<'_>)) -> Result<u32, RingDown> {
        let mut handed = 0;
        let mut emptied = [self.lanes[0].is_none(), self.lanes[1].is_none()];
        self.turn ^= 1;
        let mut family = self.turn;
        // What arrives is finite, but a flood can be faster than we are: as many calls as a quota of full
        // batches takes, and one for each family to find out that it is empty.
        let mut calls = quota.div_ceil(self.receive_batch) + 2;
        while emptied != [true, true] && handed < quota && calls > 0 {
            if let Some(lane) = self.lanes[family].as_mut().filter(|_| !emptied[family]) {
                calls -= 1;
                let limit = quota - handed;
                let batch = lane.receiver.receive(&lane.socket, limit, &mut self.counters, &mut each)?;
                handed += batch.handed;
                emptied[family] = batch.emptied;
            }
            family ^= 1;
        }
        Ok(handed)
    }

    fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        let now_ns = monotonic_ns();
        let Some(mut sleep_ns) = until_ns.checked_sub(now_ns).filter(|&ns| ns > 0) else { return Ok(()) };
        let mut waits = false;
        let mut polls = [libc::pollfd { fd: -1, events: 0, revents: 0 }; 2];
        for (poll, lane) in polls.iter_mut().zip(&self.lanes) {
            let Some(lane) = lane else { continue };
            poll.fd = lane.socket.as_raw_fd();
            poll.events = if wake_on_arrival { libc::POLLIN } else { 0 };
            match lane.sender.blocked() {
                Blocked::No => {}
                Blocked::Buffer => {
                    poll.events |= libc::POLLOUT;
                    waits = true;
                }
                Blocked::Memory => {
                    sleep_ns = sleep_ns.min(MEMORY_RETRY_NS);
                    waits = true;
                }
            }
        }
        self.counters.syscalls += 1;
        sleep(&mut polls, sleep_ns)?;
        if waits {
            self.flush()?;
        }
        Ok(())
    }

    fn abandon(&mut self) {
        for lane in self.lanes.iter_mut().flatten() {
            lane.sender.abandon(&mut self.outbox);
        }
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    /// Asks the kernel for drops that no arrival has told of yet: one system call a family, so not for every
    /// breath.
    fn counters(&self) -> Counters {
        let dropped = self
            .lanes
            .iter()
            .flatten()
            .map(|lane| lane.receiver.reception.dropped(socket::drops(&lane.socket)));
        Counters { rx_dropped: dropped.sum(), ..self.counters }
    }
}

/// Waits until one of the sockets is ready, a signal came, or the time is over.
pub(crate) fn sleep(polls: &mut [libc::pollfd], sleep_ns: u64) -> Result<(), RingDown> {
    let timeout = timespec_of(sleep_ns);
    // SAFETY: `polls` is an array of the length given, the timespec is valid, both outlive the call; a null
    // signal mask leaves the mask as it is.
    let ready = unsafe {
        let count = polls.len() as libc::nfds_t;
        libc::ppoll(polls.as_mut_ptr(), count, &raw const timeout, std::ptr::null())
    };
    if ready < 0 {
        let source = io::Error::last_os_error();
        return match source.raw_os_error() {
            Some(libc::EINTR) => Ok(()),
            _ => Err(RingDown { operation: "ppoll", source }),
        };
    }
    if polls.iter().any(|poll| poll.revents & libc::POLLNVAL != 0) {
        return Err(RingDown { operation: "ppoll", source: io::Error::from_raw_os_error(libc::EBADF) });
    }
    Ok(())
}
