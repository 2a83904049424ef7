//! Sleeping.

use super::UringRing;
use super::kernel::Enter;
use crate::clock::{Clock, Monotonic, monotonic_ns};
use crate::packet::RingDown;
use crate::sockets::verdict::{Blocked, MEMORY_RETRY_NS};

impl UringRing {
    pub(super) fn park_until(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        let now_ns = monotonic_ns();
        if until_ns <= now_ns {
            return Ok(());
        }
        self.kernel.enable(&mut self.counters)?;
        self.sort();
        match self.sender.blocked() {
            Blocked::No if wake_on_arrival => self.sleep(until_ns, true)?,
            // Deferred work does not disturb this sleep, and none is done on what comes meanwhile.
            Blocked::No => {
                self.counters.syscalls += 1;
                Monotonic.sleep_until(until_ns);
            }
            Blocked::Memory => {
                self.sleep(until_ns.min(now_ns + MEMORY_RETRY_NS), wake_on_arrival)?;
                self.flush()?;
            }
            Blocked::Buffer => {
                for (family, lane) in self.lanes.iter_mut().enumerate() {
                    if let Some(lane) = lane.as_mut().filter(|_| self.sender.waits_for_room(family)) {
                        lane.watch(&mut self.kernel);
                    }
                }
                self.sleep(until_ns, wake_on_arrival)?;
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sleeps until the time, until there is room for what waits for it, or, where asked to, an arrival.
    fn sleep(&mut self, until_ns: u64, wake_on_arrival: bool) -> Result<(), RingDown> {
        // Every round but the last was ended by an arrival that was not asked for, and there are only so many
        // buffers for those: when they are full, nothing is armed any more.
        loop {
            if wake_on_arrival {
                if !self.arrivals.is_empty() {
                    return Ok(());
                }
                self.arm()?;
            }
            let now_ns = monotonic_ns();
            let watching = self.watching();
            if now_ns >= until_ns {
                return Ok(());
            }
            self.kernel.enter(Enter::Sleep(until_ns - now_ns), &mut self.counters)?;
            self.sort();
            if wake_on_arrival || self.watching() < watching {
                return Ok(());
            }
        }
    }

    /// Sockets whose packets wait for room and that have not told of any.
    fn watching(&self) -> usize {
        let waits = |family: usize| self.sender.waits_for_room(family);
        let watched = |family: usize| self.lanes[family].as_ref().is_some_and(super::lane::Lane::watched);
        [0, 1].into_iter().filter(|&family| waits(family) && watched(family)).count()
    }
}
