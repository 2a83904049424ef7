//! The memory ring: a far end and a faulty way to it, inside the process.
//!
//! ```text
//!   caller                                                              far end
//!     |  send: fill(request buffer) --------------------------------->  respond(request, free buffer)
//!     |     departure, stamped                                             |
//!     |  reap: <-- departures (queue)                                      v
//!     |                                                            faults: loss, corruption,
//!     |  recv: <-- due? <-- way (queue or heap of due times) <----- delay, reordering, duplication
//!     |                                  |
//!     +--- buffer goes back to the free list (last in, first out: it is still in the cache)
//! ```
//!
//! A buffer is free, or in flight with one reply in it. A packet is taken only when there are buffers for
//! everything that may come of it, so nothing is ever lost but by the dice.
//!
//! System calls: none but those of the clock (`clock_nanosleep` in `park` on a [`Monotonic`] clock).
//!
//! [`Monotonic`]: crate::Monotonic

mod faults;
mod way;

use std::collections::VecDeque;

use crate::clock::Clock;
use crate::packet::{Counters, Departure, Incoming, Layer, Outgoing, PacketRing, RingDown, TimeStamp};
use faults::Dice;
pub use faults::{FaultCounts, Faults};
use way::{Flight, Way};

/// The far end: writes the reply to a request into the buffer it is lent and returns its length, or `None`
/// for silence. Both begin at the IP header.
pub trait Responder: FnMut(&[u8], &mut [u8]) -> Option<usize> {}

impl<F: FnMut(&[u8], &mut [u8]) -> Option<usize>> Responder for F {}

/// The size and the nature of a [`MemoryRing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryConfig {
    /// Longest packet, from the IP header on, in bytes.
    pub mtu: u16,
    /// Replies that may be in flight at a time (at least two); also how many departures wait to be reaped.
    /// When it is used up, `send` stops taking.
    pub capacity: u32,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// Seed of the dice: the same seed and the same calls give the same world.
    pub seed: u64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { mtu: 1500, capacity: 1024, faults: Faults::default(), seed: 0 }
    }
}

/// A ring whose wire is a function. See the [module](self) for the drawing.
#[derive(Debug)]
pub struct MemoryRing<C, R> {
    clock: C,
    far_end: R,
    faults: Faults,
    certain: bool,
    dice: Dice,
    mtu: usize,
    request: Box<[u8]>,
    buffers: Box<[u8]>,
    free: Vec<u32>,
    way: Way,
    started: u64,
    departures: VecDeque<Departure>,
    capacity: usize,
    counts: FaultCounts,
    tx_full: u64,
}

impl<C: Clock, R: Responder> MemoryRing<C, R> {
    /// Makes the ring; everything that it will ever need is allocated here.
    #[must_use]
    pub fn new(clock: C, far_end: R, config: &MemoryConfig) -> Self {
        let mtu = usize::from(config.mtu);
        let capacity = config.capacity.max(2);
        Self {
            clock,
            far_end,
            faults: config.faults,
            certain: config.faults.are_certain(),
            dice: Dice::new(config.seed),
            mtu,
            request: vec![0; mtu].into_boxed_slice(),
            buffers: vec![0; mtu * capacity as usize].into_boxed_slice(),
            free: (0..capacity).rev().collect(),
            way: Way::new(config.faults.keep_order(), capacity as usize),
            started: 0,
            departures: VecDeque::with_capacity(capacity as usize),
            capacity: capacity as usize,
            counts: FaultCounts::default(),
            tx_full: 0,
        }
    }

    /// What the world did so far.
    #[must_use]
    pub const fn fault_counts(&self) -> FaultCounts {
        self.counts
    }

    /// Replies that are still on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.way.len()
    }

    /// The ring's clock, to move a virtual one on.
    pub const fn clock_mut(&mut self) -> &mut C {
        &mut self.clock
    }

    /// Whether there is room for a packet and for everything that may come of it.
    #[inline]
    fn has_room(&self) -> bool {
        let needed = if self.faults.duplicate == 0 { 1 } else { 2 };
        self.free.len() >= needed && self.departures.len() < self.capacity
    }

    /// Asks the far end for a reply to the request in the request buffer, and puts it on its way.
    #[inline]
    fn carry(&mut self, request_len: usize, now_ns: u64) {
        self.counts.requests += 1;
        let Some(&buffer) = self.free.last() else { return };
        let start = buffer as usize * self.mtu;
        let reply = &mut self.buffers[start..start + self.mtu];
        let Some(len) = (self.far_end)(&self.request[..request_len], reply) else { return };
        let len = len.min(self.mtu);
        self.counts.answered += 1;
        if self.certain {
            self.free.pop();
            self.start(buffer, len, now_ns.saturating_add(self.faults.delay_ns));
        } else {
            self.suffer(buffer, len, now_ns);
        }
    }

    /// Throws the dice for the reply in `buffer`, which is still on the free list.
    fn suffer(&mut self, buffer: u32, len: usize, now_ns: u64) {
        if self.dice.happens(self.faults.loss) {
            self.counts.lost += 1;
            return;
        }
        self.free.pop();
        let corrupted = self.dice.happens(self.faults.corrupt) && self.corrupt(buffer, len);
        let mut due_ns = now_ns.saturating_add(self.delay_ns());
        if self.dice.happens(self.faults.reorder) {
            self.counts.reordered += 1;
            due_ns = due_ns.saturating_add(self.faults.reorder_hold_ns);
        }
        self.start(buffer, len, due_ns);
        if self.dice.happens(self.faults.duplicate) {
            // `has_room` saw two free buffers before the packet was taken.
            let Some(copy) = self.free.pop() else { return };
            let from = buffer as usize * self.mtu;
            self.buffers.copy_within(from..from + len, copy as usize * self.mtu);
            self.counts.duplicated += 1;
            self.counts.duplicated_corrupt += u64::from(corrupted);
            let copy_due_ns = now_ns.saturating_add(self.delay_ns());
            self.start(copy, len, copy_due_ns);
        }
    }

    fn delay_ns(&mut self) -> u64 {
        match self.faults.jitter_ns {
            0 => self.faults.delay_ns,
            jitter_ns => self.faults.delay_ns.saturating_add(self.dice.below(jitter_ns.saturating_add(1))),
        }
    }

    /// Flips one bit; false where the reply has no byte that may be harmed.
    fn corrupt(&mut self, buffer: u32, len: usize) -> bool {
        let Some(harmable) = len.checked_sub(self.faults.corrupt_from).filter(|&n| n > 0) else {
            return false;
        };
        let bit = self.dice.below(harmable as u64 * 8) as usize;
        let at = buffer as usize * self.mtu + self.faults.corrupt_from + bit / 8;
        self.buffers[at] ^= 1 << (bit % 8);
        self.counts.corrupted += 1;
        true
    }

    #[inline]
    fn start(&mut self, buffer: u32, len: usize, due_ns: u64) {
        self.way.start(Flight { due_ns, number: self.started, buffer, len: len as u32 });
        self.started += 1;
    }
}

impl<C: Clock, R: Responder> PacketRing for MemoryRing<C, R> {
    const SORTED: bool = true;

    #[inline]
    fn now_ns(&mut self) -> u64 {
        self.clock.now_ns()
    }

    fn send(
        &mut self,
        quota: u32,
        mut fill: impl FnMut(&mut [u8]) -> Option<Outgoing>,
    ) -> Result<u32, RingDown> {
        if quota == 0 {
            return Ok(0);
        }
        let now_ns = self.clock.now_ns();
        let stamp = TimeStamp { at_ns: now_ns, error_ns: 0, taken_by: C::TAKEN_BY };
        let mut taken = 0;
        while taken < quota {
            if !self.has_room() {
                self.tx_full += 1;
                break;
            }
            let Some(packet) = fill(&mut self.request) else { break };
            self.departures.push_back(Departure { token: packet.token, result: Ok(stamp) });
            self.carry(usize::from(packet.len).min(self.mtu), now_ns);
            taken += 1;
        }
        Ok(taken)
    }

    fn reap(&mut self, quota: u32, mut each: impl FnMut(Departure)) -> Result<u32, RingDown> {
        let mut reaped = 0;
        while reaped < quota {
            let Some(departure) = self.departures.pop_front() else { break };
            each(departure);
            reaped += 1;
        }
        Ok(reaped)
    }

    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Incoming<'_>)) -> Result<u32, RingDown> {
        if quota == 0 || self.way.len() == 0 {
            return Ok(0);
        }
        let now_ns = self.clock.now_ns();
        let mut came = 0;
        while came < quota {
            let Some(flight) = self.way.land(now_ns) else { break };
            let start = flight.buffer as usize * self.mtu;
            let bytes = &self.buffers[start..start + flight.len as usize];
            // By the first nibble; what is neither is for the parser to refuse.
            let layer =
                if bytes.first().is_some_and(|byte| byte >> 4 == 6) { Layer::Ipv6 } else { Layer::Ipv4 };
            let stamp = TimeStamp { at_ns: flight.due_ns, error_ns: 0, taken_by: C::TAKEN_BY };
            each(&Incoming { bytes, layer, stamp });
            self.free.push(flight.buffer);
            self.counts.delivered += 1;
            came += 1;
        }
        Ok(came)
    }

    fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        let arrival_ns = self.way.next_due_ns().filter(|_| wake_on_arrival);
        self.clock.sleep_until(arrival_ns.map_or(until_ns, |due_ns| due_ns.min(until_ns)));
        Ok(())
    }

    /// Does nothing: what this ring took has left.
    fn abandon(&mut self) {}

    fn mtu(&self) -> usize {
        self.mtu
    }

    fn counters(&self) -> Counters {
        Counters { tx_full: self.tx_full, ..Counters::default() }
    }
}
