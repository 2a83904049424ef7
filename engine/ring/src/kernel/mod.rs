//! The kernel ring: the program in the kernel makes the packets and takes their answers apart, and we exchange orders
//! and records with it through shared memory. No packet byte is copied to or from user space, but for rare packets
//! that need the parser.
//!
//! ```text
//!   caller                      shared memory                    kernel (ebpf/kernel.bpf.c)
//!     |  send: next(order) ----> orders, desk ---(bpf)---------> render -> driver -> wire
//!     |  reap: <--- stamps ----- orders <------------------------'
//!     |  recv: <--- records ---- replies, packets <------------- record <- driver <- wire
//!     |  park: epoll on the doorbell <-------------------------- rings it when the desk says "asleep"
//! ```
//!
//! An order lies in a slot from [`KernelRing::send`] to the end of the same call: when the system call returns, its
//! frames were rendered and handed to the driver. So there is nothing on its way that the kernel would have to give
//! back, and a burst of at most 256 orders needs 16 KiB of slots, which stay in the cache.
//!
//! The calling thread must be pinned: what it writes onto the desk of its CPU is for the call that follows.
//!
//! System calls: once `mmap`, `epoll_create1`, `epoll_ctl`; on the way `bpf` (`BPF_PROG_TEST_RUN`), and to sleep
//! `epoll_pwait2` or `clock_nanosleep`.

mod abi;
mod bell;
mod call;
mod config;
mod departures;
mod map;
mod records;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

pub use abi::{BURST, KernelOrder, KernelReply, KernelWay};
pub use config::{KernelOpenError, KernelRingConfig};
pub use records::{Record, RingSlots};

use crate::clock::{Clock, Monotonic, monotonic_ns};
use crate::packet::{Counters, Departure, Refused, RingDown};
use bell::Bell;
use call::Call;
use map::Map;
use records::Records;

const ETHERNET: usize = 14;
/// Departures that wait to be reaped, at most.
const SETTLED_MAX: usize = 2 * BURST as usize;
/// A call is interrupted by signals; so often it is taken up again before the rest counts as refused.
const TRIES: u32 = 8;

/// An order that was written into its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ordered {
    /// The caller's name for it; comes back in [`Departure`].
    pub token: u64,
    /// Length of the packet, from the IP header on, in bytes.
    pub len: u16,
}

/// Orders and records of one shard. See the [module](self) for the drawing.
pub struct KernelRing {
    program: OwnedFd,
    orders: Map<KernelOrder>,
    ways: Map<KernelWay>,
    records: Records,
    bell: Bell,
    call: Call,
    first_slot: usize,
    serves: Vec<u32>,
    batch: u32,
    burst: u32,
    mtu: u16,
    tokens: Vec<u64>,
    sent: Vec<u64>,
    settled: Vec<Departure>,
    /// Of those settled, how many were handed out.
    reaped: usize,
    /// Whose turn it is to be received first.
    turn: usize,
    counters: Counters,
}

impl KernelRing {
    /// Maps the shared memory of a loaded program.
    ///
    /// # Errors
    /// [`KernelOpenError`], one variant per operation.
    pub fn open(config: &KernelRingConfig<'_>) -> Result<Self, KernelOpenError> {
        config.check()?;
        let map = |source| KernelOpenError::Map { source };
        let [desks, orders, ways, _fill, replies, small, large] = config.maps;
        let slots = ((config.shard + 1) * BURST) as usize;
        let descriptor = |source| KernelOpenError::Descriptor { source };
        Ok(Self {
            program: config.program.try_clone_to_owned().map_err(descriptor)?,
            orders: Map::new(orders, slots).map_err(map)?,
            ways: Map::new(ways, config.ways as usize).map_err(map)?,
            records: Records::new(desks, [replies, small, large], config.slots, config.cpus).map_err(map)?,
            bell: Bell::new(config.doorbell).map_err(|source| KernelOpenError::Bell { source })?,
            call: Call::new(config.ifindex, config.batch),
            first_slot: slots - BURST as usize,
            serves: config.serves.clone(),
            batch: config.batch,
            burst: config.burst,
            mtu: config.mtu.min((call::LONGEST_FRAME - ETHERNET) as u16),
            tokens: Vec::with_capacity(BURST as usize),
            sent: Vec::with_capacity(BURST as usize),
            settled: Vec::with_capacity(SETTLED_MAX),
            reaped: 0,
            turn: 0,
            counters: Counters::default(),
        })
    }

    /// Writes a next hop; orders name it by its index. One beyond those that the program was loaded with is left out:
    /// the program refuses orders that name it.
    pub fn set_way(&mut self, index: usize, way: KernelWay) {
        if index < self.ways.len() {
            // SAFETY: within the mapping, whose entries are plain bytes. Another shard's call may read the entry meanwhile:
            // at worst one frame goes out with half of the old address, while a next hop changes its own.
            unsafe { self.ways.entry(index).write_volatile(way) };
        }
    }

    /// Reads the ring's clock: `CLOCK_MONOTONIC`, which the program reads too.
    #[inline]
    pub fn now_ns(&mut self) -> u64 {
        monotonic_ns()
    }

    /// Takes orders until `quota`, until `next` returns `None`, or until as many wait to be reaped as there is room
    /// for, and sends them; returns how many it took. `next` overwrites the order that it is lent.
    ///
    /// # Errors
    /// [`RingDown`] when the kernel runs the program no more.
    pub fn send(
        &mut self,
        quota: u32,
        mut next: impl FnMut(&mut KernelOrder) -> Option<Ordered>,
    ) -> Result<u32, RingDown> {
        let mut taken = 0;
        let mut dry = false;
        while taken < quota && !dry {
            let room = (SETTLED_MAX - self.settled.len()) as u32;
            let most = (quota - taken).min(self.burst).min(room);
            if most == 0 {
                break;
            }
            let mut longest = 0;
            // One that is refused at once takes room too, and none of a call.
            while taken < quota && (self.tokens.len() as u32) < most && self.has_room() {
                let slot = self.orders.entry(self.first_slot + self.tokens.len());
                // SAFETY: a slot of this shard, which nobody else has and the program touches only in the call below.
                let order = unsafe { &mut *slot };
                let Some(ordered) = next(order) else {
                    dry = true;
                    break;
                };
                taken += 1;
                if ordered.len > self.mtu {
                    let result = Err(Refused::Errno(libc::EMSGSIZE));
                    self.settled.push(Departure { token: ordered.token, result });
                    continue;
                }
                longest = longest.max(ordered.len);
                order.sent_ns = 0;
                self.tokens.push(ordered.token);
            }
            self.dispatch(longest)?;
        }
        Ok(taken)
    }

    /// Whether what becomes of one more order can be kept until it is reaped.
    #[inline]
    fn has_room(&self) -> bool {
        self.settled.len() + self.tokens.len() < SETTLED_MAX
    }

    /// Has the program render and send what lies in the slots, and settles all of it.
    fn dispatch(&mut self, longest: u16) -> Result<(), RingDown> {
        let count = self.tokens.len() as u32;
        if count == 0 {
            return Ok(());
        }
        let result = self.run(count, ETHERNET + usize::from(longest));
        self.sent.clear();
        for nth in 0..count as usize {
            let slot = self.orders.entry(self.first_slot + nth);
            // SAFETY: within the mapping; the call is over, and the program writes to the slot no more.
            self.sent.push(unsafe { (&raw const (*slot).sent_ns).read() });
        }
        let Self { tokens, sent, settled, batch, .. } = self;
        match result {
            Ok(()) => departures::settle(tokens, sent, *batch, |departure| settled.push(departure)),
            Err(errno) => {
                departures::settle(tokens, sent, *batch, |departure| {
                    let result = departure.result.map_err(|_| Refused::Errno(errno));
                    settled.push(Departure { result, ..departure });
                });
            }
        }
        tokens.clear();
        match result {
            Err(errno) if is_fatal(errno) => {
                let source = io::Error::from_raw_os_error(errno);
                Err(RingDown { operation: "bpf(BPF_PROG_TEST_RUN)", source })
            }
            _ => Ok(()),
        }
    }

    /// The system call, taken up again where a signal interrupted it; or its errno.
    fn run(&mut self, count: u32, length: usize) -> Result<(), i32> {
        // SAFETY: no pointers.
        let cpu = unsafe { libc::sched_getcpu() }.cast_unsigned();
        if cpu >= self.records.cpus() {
            return Err(libc::ENXIO);
        }
        let desk = self.records.desk(cpu);
        // SAFETY: for the four: fields of a mapped desk that the program writes only in the call below, which runs on
        // this CPU; other shards have other CPUs.
        unsafe {
            (&raw mut (*desk).next).write_volatile(self.first_slot as u32);
            (&raw mut (*desk).batch_mask).write_volatile(self.batch - 1);
            (&raw mut (*desk).left).write_volatile(count);
        }
        let mut outcome = Ok(());
        let mut left = count;
        for _ in 0..TRIES {
            self.counters.syscalls += 1;
            outcome = self.call.run(self.program.as_fd(), left, length);
            // SAFETY: as above.
            left = unsafe { (&raw const (*desk).left).read_volatile() };
            match &outcome {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && left > 0 => {}
                _ => break,
            }
        }
        // SAFETY: as above. Nothing that arrives may find an order that the caller is told did not leave.
        unsafe { (&raw mut (*desk).left).write_volatile(0) };
        match outcome {
            Err(error) if left > 0 => Err(errno_of(&error)),
            // Run elsewhere: this thread is not pinned. Its frames of zeros went nowhere.
            Ok(()) if left > 0 => Err(libc::ENOBUFS),
            _ => Ok(()),
        }
    }

    /// Hands out what became of orders that were taken.
    #[inline]
    pub fn reap(&mut self, quota: u32, mut each: impl FnMut(Departure)) -> u32 {
        let until = self.settled.len().min(self.reaped.saturating_add(quota as usize));
        for departure in &self.settled[self.reaped..until] {
            each(*departure);
        }
        let reaped = (until - self.reaped) as u32;
        self.reaped = until;
        if self.reaped == self.settled.len() {
            self.settled.clear();
            self.reaped = 0;
        }
        reaped
    }

    /// Hands out up to `quota` records of the CPUs that this ring serves, which take turns.
    #[inline]
    pub fn recv(&mut self, quota: u32, mut each: impl FnMut(Record<'_>)) -> u32 {
        let Self { records, serves, turn, .. } = self;
        let mut left = quota;
        for _ in 0..serves.len() {
            *turn = (*turn + 1) % serves.len();
            left -= records.take(serves[*turn], left, &mut each);
        }
        quota - left
    }

    /// Sleeps until `until_ns`, or, where `wake_on_arrival`, until a record may have come.
    ///
    /// # Errors
    /// [`RingDown`] when epoll fails.
    pub fn park(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        let Some(sleep_ns) = until_ns.checked_sub(monotonic_ns()).filter(|ns| *ns > 0) else {
            return Ok(());
        };
        if !wake_on_arrival {
            Monotonic.sleep_until(until_ns);
            return Ok(());
        }
        self.set_asleep(true);
        // A record that was written before the program could see that we sleep rings no bell.
        fence(Ordering::SeqCst);
        let result = if self.serves.iter().all(|cpu| self.records.is_empty(*cpu)) {
            self.counters.syscalls += 1;
            self.bell.wait(sleep_ns)
        } else {
            Ok(())
        };
        self.set_asleep(false);
        result.map_err(|source| RingDown { operation: "epoll_pwait2", source })
    }

    fn set_asleep(&self, asleep: bool) {
        for cpu in &self.serves {
            self.records.set_asleep(*cpu, asleep);
        }
    }

    /// What the ring counted. Dropped arrivals are records that found their ring full.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let rx_dropped = self.serves.iter().map(|cpu| self.records.full(*cpu)).sum();
        Counters { rx_dropped, ..self.counters }
    }
}

/// Whether an errno of the call means that no later one can do better. Without its interface the kernel says `ENODEV`
/// or `EINVAL`, and the interface may come back; for want of memory it says `ENOMEM`.
const fn is_fatal(errno: i32) -> bool {
    !matches!(errno, libc::ENETDOWN | libc::ENOBUFS | libc::ENXIO | libc::EINTR)
}

fn errno_of(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::EINVAL) => libc::ENETDOWN,
        Some(libc::ENOMEM) => libc::ENOBUFS,
        Some(errno) => errno,
        None => libc::EIO,
    }
}
