//! The AF_XDP ring: frames in memory that we share with the kernel, past its network stack.
//!
//! ```text
//!   caller                        shared with the kernel, for each receive queue
//!     |  send: fill(frame) ------> transmit ring --(sendto)--> driver -> wire
//!     |                            completion ring <-- sent --'
//!     |  reap: <-- stamp, token    (what the kernel took from the transmit ring has left)
//!     |
//!     |  recv: <-- bytes, stamp -- receive ring <-- steering program <-- driver <-- wire
//!     |        `-----------------> fill ring: frames to receive into
//!     |  park: ppoll on all sockets
//! ```
//!
//! A frame is free, lent to us, or the kernel's, and a ledger keeps the account ([`Frames`]). What is sent leaves by the
//! first queue; replies come on whichever queue the driver chooses, so a ring should serve all that no other ring
//! serves. Packets are whole: source address and checksums are the caller's, we put the Ethernet header before
//! them, to the next hop that [`NextHops`] names.
//!
//! The kernel takes packets from the transmit ring in order, and in copy mode only while it is in `sendto`, at most
//! 32 a call: a departure is stamped between the readings of the clock around the call that took it.
//! Arrivals are stamped by the steering program.
//!
//! System calls: once `socket`, `setsockopt`, `getsockopt`, `mmap`, `bind`; on the way `sendto` and `ppoll`;
//! [`PacketRing::counters`] asks `getsockopt`.

mod config;
mod ether;
mod frame;
mod outbox;
mod port;
mod queues;

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::clock::monotonic_ns;
use crate::hops::NextHops;
use crate::packet::{
    Counters, Departure, Incoming, Outgoing, PacketRing, Refused, RingDown, TakenBy, TimeStamp,
};
use crate::raw::sleep;
use crate::sockets::outbox::reap;
pub use config::{Binding, XdpConfig, XdpOpenError};
pub use frame::Frames;
use outbox::Outbox;
use port::{Kick, Port};
pub use queues::receive_queues;

/// How soon to try again when the kernel would not take a packet, in nanoseconds: nothing tells when it will.
const RETRY_NS: u64 = 1_000_000;
/// What reading the clock in the steering program can be off by, in nanoseconds.
const STEER_STAMP_ERROR_NS: u32 = 100;

/// AF_XDP sockets as a ring. See the [module](self) for the drawing.
///
/// [`Counters::rx_dropped`] is what the kernel dropped for want of a frame or of room on the receive ring, and what
/// came without an IP packet in it, which the steering program lets nobody send.
///
/// A packet that the device drops (no carrier, queue full) comes back as EBUSY where the kernel tells: in copy mode.
///
/// A packet that was [abandoned](PacketRing::abandon) is on the transmit ring still, and leaves after all when the
/// kernel is next asked to send. [`PacketRing::abandon`] and [`PacketRing::reap`] work after a [`RingDown`], too.
pub struct XdpRing<H> {
    ports: Vec<Port>,
    polls: Vec<libc::pollfd>,
    outbox: Outbox,
    hops: H,
    source_mac: [u8; 6],
    mtu: usize,
    send_batch: u32,
    busy_poll: bool,
    /// Packets that the device dropped, and the kernel has not shown as taken yet.
    drops_untold: u32,
    /// The last time at which what is on the transmit ring was there for sure.
    there_ns: u64,
    /// The last time at which all receive rings were empty.
    empty_ns: u64,
    /// Whose turn it is to be received first.
    turn: usize,
    counters: Counters,
}

impl<H: NextHops> XdpRing<H> {
    /// Opens a socket for each queue and allocates everything. Replies come once the sockets are in the steering
    /// program's map ([`XdpRing::sockets`]).
    ///
    /// # Errors
    /// One [`XdpOpenError`] variant per operation that can fail, with what would help.
    pub fn open(config: &XdpConfig, hops: H) -> Result<Self, XdpOpenError> {
        config.check()?;
        let open = |(nth, queue): (usize, &u32)| Port::open(config, *queue, nth == 0);
        let ports = config.queues.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
        let poll = |port: &Port| libc::pollfd { fd: port.fd().as_raw_fd(), events: 0, revents: 0 };
        let now_ns = monotonic_ns();
        Ok(Self {
            polls: ports.iter().map(poll).collect(),
            ports,
            outbox: Outbox::new(config.ring_size as usize),
            hops,
            source_mac: config.source_mac,
            mtu: config.mtu.into(),
            send_batch: config.send_batch.into(),
            busy_poll: config.busy_poll,
            drops_untold: 0,
            there_ns: now_ns,
            empty_ns: now_ns,
            turn: 0,
            counters: Counters::default(),
        })
    }

    /// The sockets by receive queue, for the steering program's map.
    pub fn sockets(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        self.ports.iter().map(|port| (port.binding.queue, port.fd()))
    }

    /// How each queue's socket was bound.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.ports.iter().map(|port| &port.binding)
    }

    /// Where the frames of all queues are.
    #[must_use]
    pub fn frames(&self) -> Frames {
        self.ports.iter().map(Port::frames).fold(Frames::default(), Frames::and)
    }

    /// Takes up to `count` packets from `fill` onto the transmit ring; how many, and whether there was no more.
    #[inline]
    fn take(&mut self, count: u32, fill: &mut impl FnMut(&mut [u8]) -> Option<Outgoing>) -> (u32, bool) {
        let Self { ports, outbox, hops, source_mac, mtu, .. } = self;
        let (mut taken, mut dry) = (0, false);
        while taken < count && !dry {
            ports[0].stage(|frame| {
                let (head, packet) = frame.split_at_mut(ether::HEADER);
                let Some(outgoing) = fill(&mut packet[..*mtu]) else {
                    dry = true;
                    return 0;
                };
                taken += 1;
                let v6 = outgoing.destination.is_ipv6();
                let (length, shortest) = (usize::from(outgoing.len), if v6 { 40 } else { 20 });
                let refused = match hops.mac(outgoing.destination) {
                    Err(errno) => errno,
                    Ok(_) if length > *mtu => libc::EMSGSIZE,
                    Ok(_) if length < shortest => libc::EINVAL,
                    Ok(next_hop) => {
                        head.copy_from_slice(&ether::header(next_hop, *source_mac, v6));
                        outbox.push(outgoing.token);
                        return ether::HEADER + length;
                    }
                };
                outbox.refuse(outgoing.token, Refused::Errno(refused));
                0
            });
        }
        (taken, dry)
    }

    /// Has the kernel take what is on the transmit ring, as long as it does, and stamps what it took. Stops at a
    /// packet that the device dropped: those behind it would follow it.
    #[inline]
    fn flush(&mut self) -> Result<(), RingDown> {
        let port = &mut self.ports[0];
        while self.outbox.on_ring() > 0 {
            let kick = port.kick().map_err(|source| RingDown { operation: "sendto", source })?;
            self.counters.syscalls += u64::from(kick != Kick::NotNeeded);
            let now_ns = monotonic_ns();
            let taken = self.outbox.on_ring().saturating_sub(port.on_ring());
            // An old kernel (6.1) shows what it took only when it finds the ring empty, so that drops may be known
            // before the packets are; then how many were dropped is certain, and which is not.
            self.drops_untold += u32::from(kick == Kick::LastDropped);
            let dropped = self.drops_untold.min(taken);
            self.drops_untold -= dropped;
            self.outbox.left(taken - dropped, self.there_ns, now_ns);
            self.outbox.dropped(dropped, Refused::Errno(libc::EBUSY));
            if taken == 0 || kick == Kick::LastDropped {
                break;
            }
            self.there_ns = now_ns;
        }
        Ok(())
    }
}

impl<H: NextHops> PacketRing for XdpRing<H> {
    #[inline]
    fn now_ns(&mut self) -> u64 {
        monotonic_ns()
    }

    /// Sends what is pending before it takes more; takes nothing while the kernel takes nothing. A quota of zero
    /// only does the former. What waits when the interface goes down is refused.
    fn send(
        &mut self,
        quota: u32,
        mut fill: impl FnMut(&mut [u8]) -> Option<Outgoing>,
    ) -> Result<u32, RingDown> {
        self.hops.refresh().map_err(|source| RingDown { operation: "sending frames", source })?;
        self.flush()?;
        if self.outbox.on_ring() > 0 && !self.hops.is_up() {
            self.outbox.abandon(Refused::Errno(libc::ENETDOWN));
        }
        let mut taken = 0;
        // While the interface is down there is an answer to each packet at once, whatever is stuck on the ring.
        while taken < quota && (self.outbox.on_ring() == 0 || !self.hops.is_up()) {
            self.ports[0].reclaim();
            let room = self.ports[0].room().min(self.outbox.room()).min(quota - taken).min(self.send_batch);
            if room == 0 {
                self.counters.tx_full += 1;
                break;
            }
            let (some, dry) = self.take(room, &mut fill);
            taken += some;
            self.there_ns = monotonic_ns();
            self.ports[0].submit();
            self.flush()?;
            if dry {
                break;
            }
        }
        Ok(taken)
    }

    fn reap(&mut self, quota: u32, each: impl FnMut(Departure)) -> Result<u32, RingDown> {
        Ok(reap(quota, || self.outbox.reap(), each))
    }

    /// The queues take turns, a batch at a time, so that a flood on one does not silence the others.
    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Incoming<'_>)) -> Result<u32, RingDown> {
        let Self { ports, counters, turn, empty_ns, .. } = self;
        if self.busy_poll {
            ports.iter().for_each(Port::poll_driver);
            counters.syscalls += ports.len() as u64;
        }
        let (mut handed, mut empty) = (0, 0);
        let now_ns = monotonic_ns();
        let error_ns = u32::try_from(now_ns.saturating_sub(*empty_ns)).unwrap_or(u32::MAX);
        let ours = TimeStamp { at_ns: now_ns, error_ns, taken_by: TakenBy::User };
        while handed < quota && empty < ports.len() {
            *turn = (*turn + 1) % ports.len();
            let count = ports[*turn].receive((quota - handed) as usize, |frame, arrived_ns| {
                let Some((layer, bytes)) = ether::strip(frame) else {
                    counters.rx_dropped += 1;
                    return;
                };
                let stamp = arrived_ns.map_or(ours, |at_ns| TimeStamp {
                    at_ns,
                    error_ns: STEER_STAMP_ERROR_NS,
                    taken_by: TakenBy::Xdp,
                });
                each(&Incoming { bytes, layer, stamp });
            });
            handed += count as u32;
            empty = if count == 0 { empty + 1 } else { 0 };
        }
        if empty == ports.len() {
            *empty_ns = now_ns;
        }
        Ok(handed)
    }

    fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        let now_ns = monotonic_ns();
        let Some(mut sleep_ns) = until_ns.checked_sub(now_ns).filter(|ns| *ns > 0) else { return Ok(()) };
        let waits = self.outbox.on_ring() > 0;
        if waits {
            sleep_ns = sleep_ns.min(RETRY_NS);
        }
        for (poll, port) in self.polls.iter_mut().zip(&self.ports) {
            poll.fd = port.fd().as_raw_fd();
            poll.events = if wake_on_arrival { libc::POLLIN } else { 0 };
        }
        if waits {
            // Polling the socket would have the kernel send (`xsk_poll`), and it would not tell what was dropped.
            // Nor would it tell when it can send: the socket counts as writable while its ring is half empty.
            self.polls[0].fd = -1;
        }
        self.counters.syscalls += 1;
        sleep(&mut self.polls, sleep_ns)?;
        if waits { self.flush() } else { Ok(()) }
    }

    fn abandon(&mut self) {
        self.outbox.abandon(Refused::Abandoned);
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    /// Asks the kernel for its drops: a system call a queue, so not for every breath.
    fn counters(&self) -> Counters {
        let dropped: u64 = self.ports.iter().map(Port::dropped).sum();
        let rx_dropped = self.counters.rx_dropped + dropped;
        Counters { rx_dropped, tx_dropped: self.hops.tx_dropped(), ..self.counters }
    }
}
