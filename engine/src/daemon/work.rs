//! The fleet of a shard, and how the main thread changes it while it flies.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use megaping_probe::work::{Class, Task, Work};
use megaping_probe::{Circle, Fleet, Nanos, Share};

/// Changes that can wait for a shard: it reads them every breath.
const CHANGES: usize = 1024;

/// What is to change.
#[derive(Debug)]
pub enum Change {
    /// A measurement begins.
    Start(Box<Circle>),
    /// A measurement ends.
    End(u32),
    /// Another part of a measurement's probes may leave.
    Share(u32, Share),
}

/// The main thread's end: lock-free, and bounded.
#[derive(Clone, Debug)]
pub struct Helm {
    changes: Arc<ArrayQueue<Change>>,
    // What is over: millions of targets take milliseconds to free, and those are not the shard's.
    over: Arc<ArrayQueue<Box<Circle>>>,
}

impl Helm {
    /// Tells the shard. Gives the change back while too many wait.
    ///
    /// # Errors
    /// The change itself, to be told again.
    pub fn tell(&self, change: Change) -> Result<(), Change> {
        self.changes.push(change)
    }

    /// Frees what is over.
    pub fn clear(&self) {
        while self.over.pop().is_some() {}
    }
}

/// A [`Fleet`] that takes changes as it breathes.
#[derive(Debug)]
pub struct FleetWork {
    fleet: Fleet,
    helm: Helm,
}

impl FleetWork {
    /// An empty one, and its helm; Unix time is `unix_offset_ns` ahead of the shard's clock.
    #[must_use]
    pub fn new(unix_offset_ns: u64) -> (FleetWork, Helm) {
        let helm =
            Helm { changes: Arc::new(ArrayQueue::new(CHANGES)), over: Arc::new(ArrayQueue::new(CHANGES)) };
        (FleetWork { fleet: Fleet::new(unix_offset_ns), helm: helm.clone() }, helm)
    }

    #[cold]
    fn change(&mut self, now: Nanos) {
        while let Some(change) = self.helm.changes.pop() {
            let over = match change {
                Change::Start(circle) => self.fleet.start(circle, now),
                Change::End(slot) => self.fleet.end(slot),
                Change::Share(slot, share) => {
                    self.fleet.set_share(slot, share);
                    None
                }
            };
            if let Some(over) = over {
                // Where the main thread is behind with freeing, it is freed here.
                let _full = self.helm.over.push(over);
            }
        }
    }
}

impl Work for FleetWork {
    const SHEDS: bool = true;

    fn begin(&mut self, start: Nanos) {
        self.fleet.begin(start);
    }

    #[inline]
    fn breathe(&mut self, now: Nanos) {
        if !self.helm.changes.is_empty() {
            self.change(now);
        }
        self.fleet.breathe(now);
    }

    #[inline]
    fn due(&self) -> Option<Nanos> {
        self.fleet.due()
    }

    #[inline]
    fn is_overdue(&self, due: Nanos) -> bool {
        self.fleet.is_overdue(due)
    }

    #[inline]
    fn is_shed(&self) -> bool {
        self.fleet.is_shed()
    }

    #[inline]
    fn take(&mut self) -> Option<Task> {
        self.fleet.take()
    }

    #[inline]
    fn class(&self, target: u64, common: Class) -> Class {
        self.fleet.class(target, common)
    }

    fn stop(&mut self) {
        self.fleet.stop();
    }
}
