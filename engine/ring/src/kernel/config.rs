//! What a kernel ring is made of, and why one could not be.

use std::io;
use std::os::fd::BorrowedFd;

use super::records::RingSlots;

/// One shard's share of the program's memory, and where it sends.
#[derive(Clone, Debug)]
pub struct KernelRingConfig<'a> {
    /// The loaded program, which the interface must run.
    pub program: BorrowedFd<'a>,
    /// The maps: desks, orders, ways, fill, replies, small packets, large packets.
    pub maps: [BorrowedFd<'a>; 7],
    /// The ring buffer that wakes sleepers.
    pub doorbell: BorrowedFd<'a>,
    /// Entries of the rings, as the program was loaded.
    pub slots: RingSlots,
    /// Next hops that the program was loaded with.
    pub ways: u32,
    /// CPUs that the machine may have, as the program was loaded.
    pub cpus: u32,
    /// The interface's index.
    pub ifindex: u32,
    /// Which shard this is: whose slots of the orders it uses.
    pub shard: u32,
    /// The CPUs whose records this ring hands out: no two rings may share one.
    pub serves: Vec<u32>,
    /// Frames that the kernel runs in a row before answers are let in, 1 to 256 and a power of two.
    pub batch: u32,
    /// Orders of one call, at most 256.
    pub burst: u32,
    /// Longest packet that the interface takes, from the IP header on, in bytes.
    pub mtu: u16,
}

/// Why a kernel ring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum KernelOpenError {
    /// A number that the ring cannot work with.
    #[error("{field} is {value}: it must be {range}")]
    OutOfRange {
        /// The field of [`KernelRingConfig`].
        field: &'static str,
        /// What it was.
        value: u32,
        /// What it may be.
        range: &'static str,
    },
    /// A map could not be brought into memory.
    #[error("the memory that the program in the kernel shares cannot be mapped: {source}")]
    Map {
        /// From mmap(2).
        source: io::Error,
    },
    /// The doorbell could not be polled.
    #[error("the program in the kernel cannot wake us: {source}")]
    Bell {
        /// From epoll(7) or mmap(2).
        source: io::Error,
    },
    /// A descriptor could not be duplicated.
    #[error("the program's descriptor cannot be kept: {source}")]
    Descriptor {
        /// From fcntl(2).
        source: io::Error,
    },
}

impl KernelRingConfig<'_> {
    pub(super) fn check(&self) -> Result<(), KernelOpenError> {
        let refuse = |field, value, range| Err(KernelOpenError::OutOfRange { field, value, range });
        if !(1..=256).contains(&self.batch) || !self.batch.is_power_of_two() {
            return refuse("batch", self.batch, "a power of two from 1 to 256");
        }
        if !(1..=256).contains(&self.burst) {
            return refuse("burst", self.burst, "1 to 256");
        }
        match self.serves.iter().find(|cpu| **cpu >= self.cpus) {
            Some(cpu) => refuse("a CPU to serve", *cpu, "one that the machine may have"),
            None => Ok(()),
        }
    }
}
