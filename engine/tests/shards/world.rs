//! Memory rings behind one switch: replies land on the queue that their address is hashed to.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use megaping::adapter::PacketAdapter;
use megaping_probe::{Arrival, Down, Nanos, Order, Quoted, Ring, RingCounters, Sent, Targets};
use megaping_ring::{Clock, FaultCounts, MemoryRing, TakenBy};
use megaping_wire::Addr;

/// A sleeper that arrivals wake looks again after this.
const WAKING_NS: u64 = 100_000;

/// One time for all.
#[derive(Clone)]
pub struct SharedClock(pub Rc<Cell<u64>>);

impl Clock for SharedClock {
    const TAKEN_BY: TakenBy = TakenBy::Virtual;
    fn now_ns(&mut self) -> u64 {
        self.0.set(self.0.get() + 100);
        self.0.get()
    }
    fn sleep_until(&mut self, _until_ns: u64) {}
}

pub type FarEnd = fn(&[u8], &mut [u8]) -> Option<usize>;
pub type Wire = PacketAdapter<MemoryRing<SharedClock, FarEnd>>;

/// The wires of all shards, and the queue that each reply lands on.
pub struct World {
    pub wires: Vec<Wire>,
    pub queues: Vec<VecDeque<Arrival<'static>>>,
    pub lands_on: fn(&Addr) -> usize,
}

impl World {
    fn carry(&mut self) {
        let World { wires, queues, lands_on } = self;
        for wire in wires {
            let landed = wire.recv(u32::MAX, |arrival| {
                let quoted = Quoted { extensions: &[], ..arrival.quoted };
                queues[lands_on(&arrival.responder)].push_back(Arrival { quoted, packet: &[], ..*arrival });
            });
            landed.expect("a memory ring does not die");
        }
    }

    pub fn counts(&self) -> FaultCounts {
        let mut sum = FaultCounts::default();
        for wire in &self.wires {
            let counts = wire.ring().fault_counts();
            sum.requests += counts.requests;
            sum.answered += counts.answered;
            sum.lost += counts.lost;
            sum.duplicated += counts.duplicated;
            sum.delivered += counts.delivered;
        }
        sum
    }

    pub fn on_the_way(&self) -> u64 {
        self.wires.iter().map(|wire| wire.ring().in_flight() as u64).sum()
    }
}

/// One shard's ring: its own way out, and its queue of what landed.
pub struct Queue {
    pub world: Rc<RefCell<World>>,
    pub index: usize,
    pub clock: SharedClock,
    pub wakes: Rc<Cell<u64>>,
}

impl Ring for Queue {
    fn now(&mut self) -> Nanos {
        Nanos(self.clock.now_ns())
    }
    fn send(&mut self, quota: u32, next: impl FnMut() -> Option<Order>) -> Result<u32, Down> {
        self.world.borrow_mut().wires[self.index].send(quota, next)
    }
    fn reap(&mut self, quota: u32, each: impl FnMut(Sent)) -> Result<u32, Down> {
        self.world.borrow_mut().wires[self.index].reap(quota, each)
    }
    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Arrival<'_>)) -> Result<u32, Down> {
        let mut world = self.world.borrow_mut();
        world.carry();
        let queue = &mut world.queues[self.index];
        let read = queue.len().min(quota as usize);
        queue.drain(..read).for_each(|arrival| each(&arrival));
        Ok(read as u32)
    }
    fn park(&mut self, until: Nanos, wake_on_arrival: bool) -> Result<(), Down> {
        let soon = self.clock.now_ns() + WAKING_NS;
        self.wakes.set(if wake_on_arrival { until.0.min(soon) } else { until.0 });
        Ok(())
    }
    fn abandon(&mut self) {}
    fn counters(&self) -> RingCounters {
        RingCounters::default()
    }
}

/// Targets 10.0.0.0, 10.0.0.1, ... in pairs that are swapped.
pub struct Line(pub u64);

impl Targets for Line {
    fn len(&self) -> u64 {
        self.0
    }
    fn index(&self, turn: u64) -> u64 {
        turn ^ 1
    }
    fn turn(&self, index: u64) -> u64 {
        index ^ 1
    }
    fn address(&self, index: u64) -> Addr {
        Addr::v4((0x0a00_0000 | index as u32).to_be_bytes())
    }
}
