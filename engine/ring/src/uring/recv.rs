//! The way in: completions name the buffers that the kernel has filled; they are handed out and go back.

use std::io;

use super::UringRing;
use super::kernel::Enter;
use super::lane::Lane;
use crate::clock::monotonic_ns;
use crate::packet::{Incoming, RingDown};
use crate::sockets::stamps::Offset;

impl UringRing {
    pub(super) fn receive(
        &mut self,
        quota: u32,
        mut each: impl FnMut(&Incoming<'_>),
    ) -> Result<u32, RingDown> {
        self.kernel.enable(&mut self.counters)?;
        self.sort();
        let mut handed = 0;
        // A flood can be faster than we are: as many calls as a quota of full stretches takes, and two to find
        // out that both sockets are empty.
        for _ in 0..quota.div_ceil(self.stretch) + 2 {
            if !self.arrivals.is_empty() {
                handed += self.hand_out(quota - handed, &mut each);
            }
            if handed == quota {
                break;
            }
            let began_ns = monotonic_ns();
            if !self.fetch()? {
                self.lanes.iter_mut().flatten().for_each(|lane| lane.reception.emptied(began_ns));
                break;
            }
        }
        Ok(handed)
    }

    /// Queues a receive wherever none is under way.
    #[inline]
    pub(super) fn arm(&mut self) -> Result<(), RingDown> {
        for lane in self.lanes.iter_mut().flatten() {
            if let Some(errno) = lane.fatal {
                return Err(RingDown { operation: "recvmsg", source: io::Error::from_raw_os_error(errno) });
            }
            lane.arm(&mut self.kernel);
        }
        Ok(())
    }

    /// Lets the kernel bring what came; false, without a system call, where nothing has.
    fn fetch(&mut self) -> Result<bool, RingDown> {
        self.arm()?;
        if !self.kernel.has_work() {
            return Ok(false);
        }
        self.kernel.enter(Enter::Work, &mut self.counters)?;
        self.sort();
        Ok(true)
    }

    /// Hands out what was fetched, and gives the buffers back a batch at a time.
    fn hand_out(&mut self, limit: u32, each: &mut impl FnMut(&Incoming<'_>)) -> u32 {
        let offset = Offset::read();
        self.lanes.iter_mut().flatten().for_each(|lane| lane.reception.batch(offset));
        let (mut handed, mut given) = (0, 0);
        while handed < limit {
            let Some(arrival) = self.arrivals.pop_front() else { break };
            let Some(lane) = &mut self.lanes[arrival.family] else { continue };
            handed += u32::from(lane.hand_out(arrival, &mut self.counters, each));
            given += 1;
            if given % self.receive_batch == 0 {
                lane.publish();
            }
        }
        self.lanes.iter_mut().flatten().for_each(Lane::publish);
        handed
    }
}
