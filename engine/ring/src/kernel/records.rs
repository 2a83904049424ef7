//! The rings of one CPU: what the program has written there, until the shard has taken it.
//!
//! ```text
//!   written ---> [ . . R R R R . . ] <--- taken          each counts up for ever; a slot is the count, masked
//!   (program)                             (shard)
//! ```
//!
//! The program runs on this CPU alone and never races with itself; the shard is the only reader. A record is complete
//! before `written` says so, and its slot is written again only after `taken` has passed it.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::abi::{Desk, KernelReply, LARGE, Packet, RINGS, SMALL};
use super::map::Map;

/// Slots that each ring has on each CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingSlots {
    /// Plain replies.
    pub replies: u32,
    /// Packets of up to 240 bytes.
    pub small: u32,
    /// Packets of up to 1,520 bytes.
    pub large: u32,
}

/// The rings of every CPU, mapped.
pub struct Records {
    desks: Map<Desk>,
    replies: Map<KernelReply>,
    small: Map<Packet<SMALL>>,
    large: Map<Packet<LARGE>>,
    slots: RingSlots,
    cpus: u32,
}

/// A record, lent to whoever takes it.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A plain echo reply.
    Reply(&'a KernelReply),
    /// Any other packet of ours, from the IP header on.
    Packet {
        /// When it arrived, on `CLOCK_MONOTONIC`.
        arrived_ns: u64,
        /// Whether it is IPv6.
        is_v6: bool,
        /// The packet.
        bytes: &'a [u8],
    },
}

const V6: u32 = 1;

impl Records {
    /// Maps the desks and the three rings of all `cpus`.
    pub fn new(
        desks: BorrowedFd<'_>,
        rings: [BorrowedFd<'_>; RINGS],
        slots: RingSlots,
        cpus: u32,
    ) -> io::Result<Self> {
        let all = |slots: u32| (cpus * slots) as usize;
        Ok(Self {
            desks: Map::new(desks, cpus as usize)?,
            replies: Map::new(rings[0], all(slots.replies))?,
            small: Map::new(rings[1], all(slots.small))?,
            large: Map::new(rings[2], all(slots.large))?,
            slots,
            cpus,
        })
    }

    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// The desk of a CPU, whose fields are read and written one at a time.
    #[inline]
    pub fn desk(&self, cpu: u32) -> *mut Desk {
        self.desks.entry(cpu as usize)
    }

    /// What the program has written to a ring so far.
    #[inline]
    fn written(&self, cpu: u32, ring: usize) -> u64 {
        // SAFETY: a field of a mapped desk, aligned, which the program writes as a whole word: an atomic to us.
        let written = unsafe { AtomicU64::from_ptr(&raw mut (*self.desk(cpu)).written[ring]) };
        written.load(Ordering::Acquire)
    }

    #[inline]
    fn taken(&self, cpu: u32, ring: usize) -> &AtomicU64 {
        // SAFETY: as in `written`; the field lives as long as the mapping, which `self` keeps.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.desk(cpu)).taken[ring]) }
    }

    /// Hands out up to `quota` records of a CPU; how many there were.
    #[inline]
    pub fn take(&self, cpu: u32, quota: u32, mut each: impl FnMut(Record<'_>)) -> u32 {
        let mut left = quota;
        for ring in 0..RINGS {
            let taken = self.taken(cpu, ring);
            let from = taken.load(Ordering::Relaxed);
            let count = (self.written(cpu, ring) - from).min(left.into());
            for nth in from..from + count {
                each(self.record(cpu, ring, nth));
            }
            if count > 0 {
                // The slots are read: the program may write them again.
                taken.store(from + count, Ordering::Release);
                left -= count as u32;
            }
        }
        quota - left
    }

    #[inline]
    fn record(&self, cpu: u32, ring: usize, nth: u64) -> Record<'_> {
        let slots = [self.slots.replies, self.slots.small, self.slots.large][ring];
        let index = (cpu * slots + (nth as u32 & (slots - 1))) as usize;
        match ring {
            // SAFETY: the record is complete, as `written` says, and the program leaves the slot alone until `take` has
            // stored that it was taken, after this borrow.
            0 => Record::Reply(unsafe { &*self.replies.entry(index) }),
            // SAFETY: likewise.
            1 => packet(unsafe { &*self.small.entry(index) }),
            // SAFETY: likewise.
            _ => packet(unsafe { &*self.large.entry(index) }),
        }
    }

    /// Whether a CPU has records.
    #[inline]
    pub fn is_empty(&self, cpu: u32) -> bool {
        (0..RINGS).all(|ring| self.written(cpu, ring) == self.taken(cpu, ring).load(Ordering::Relaxed))
    }

    /// Records for which a CPU had no room.
    pub fn full(&self, cpu: u32) -> u64 {
        let full = |ring: usize| {
            // SAFETY: as in `written`.
            unsafe { AtomicU64::from_ptr(&raw mut (*self.desk(cpu)).full[ring]) }.load(Ordering::Relaxed)
        };
        (0..RINGS).map(full).sum()
    }

    /// Says whether the shard of a CPU wants to be woken.
    #[inline]
    pub fn set_asleep(&self, cpu: u32, asleep: bool) {
        // SAFETY: as in `written`, a word of four bytes.
        let flag = unsafe { AtomicU32::from_ptr(&raw mut (*self.desk(cpu)).asleep) };
        flag.store(asleep.into(), Ordering::Relaxed);
    }
}

#[inline]
fn packet<const N: usize>(packet: &Packet<N>) -> Record<'_> {
    Record::Packet {
        arrived_ns: packet.arrived_ns,
        is_v6: packet.family == V6,
        bytes: &packet.bytes[..(packet.length as usize).min(N)],
    }
}
