//! The work of a daemon: many measurements at once, each with its own targets, cadence and class, that come and go
//! while the others run on.
//!
//! ```text
//!   circle of measurement 0 --.
//!   circle of measurement 1 ---+--> queue by time --> Task (shed where its tenant's share is used up)
//!   circle of measurement 2 --'
//! ```
//!
//! A target's number names its measurement: the upper 32 bits are the slot, the lower 32 the index in its list.

mod circle;
mod share;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::time::Nanos;
use crate::work::{Class, Task, Work};

pub use circle::{Circle, CirclePlan};
pub use share::{Claim, Share, fair};

/// A probe is skipped when it is later than a round of its measurement, within these bounds.
const LATE_MAX_NS: (u64, u64) = (100_000_000, 1_000_000_000);

/// The measurements of one shard.
#[derive(Debug, Default)]
pub struct Fleet {
    // By slot.
    circles: Vec<Option<Box<Circle>>>,
    // Outlives its circle: probes that it sent are under way still.
    classes: Vec<Class>,
    // The next turn of every circle that has one, by slot.
    queue: BinaryHeap<Reverse<(Nanos, u32)>>,
    next: Option<Nanos>,
    // Of the next one: what of its measurement was due before this is too late; and whether it is shed.
    skip_before: Nanos,
    sheds: bool,
    stopped: bool,
    unix_offset_ns: u64,
}

impl Fleet {
    /// No measurements yet; Unix time is `unix_offset_ns` ahead of the shard's clock.
    #[must_use]
    pub fn new(unix_offset_ns: u64) -> Fleet {
        Fleet { unix_offset_ns, ..Fleet::default() }
    }

    /// A measurement begins, with the first target that is due from now on. One that had its slot is over.
    pub fn start(&mut self, mut circle: Box<Circle>, now: Nanos) -> Option<Box<Circle>> {
        let slot = circle.slot();
        let before = self.end(slot);
        let at = slot as usize;
        if at >= self.circles.len() {
            self.circles.resize_with(at + 1, || None);
            self.classes.resize(at + 1, Class::default());
        }
        circle.begin(now, self.unix_offset_ns);
        self.classes[at] = circle.class();
        if let Some(due) = circle.due() {
            self.queue.push(Reverse((due, slot)));
        }
        self.circles[at] = Some(circle);
        self.look();
        before
    }

    /// A measurement is over; what it has under way still ends. Returned, so that somebody else takes the time to free
    /// its memory.
    pub fn end(&mut self, slot: u32) -> Option<Box<Circle>> {
        let circle = self.circles.get_mut(slot as usize)?.take()?;
        self.queue.retain(|Reverse((_, queued))| *queued != slot);
        self.look();
        Some(circle)
    }

    /// From now on this much of a measurement's probes may leave.
    pub fn set_share(&mut self, slot: u32, share: Share) {
        if let Some(Some(circle)) = self.circles.get_mut(slot as usize) {
            circle.set_share(share);
        }
        self.look();
    }

    /// Looks at the next turn.
    #[inline]
    fn look(&mut self) {
        let Some(Reverse((due, slot))) = self.queue.peek() else {
            // A daemon without measurements waits for some.
            (self.next, self.sheds, self.skip_before) = (Some(Nanos(u64::MAX)), false, Nanos(0));
            return;
        };
        self.next = Some(*due);
        if let Some(circle) = &self.circles[*slot as usize] {
            (self.sheds, self.skip_before) = (circle.is_shed(), circle.skip_before());
        }
    }
}

impl Work for Fleet {
    const SHEDS: bool = true;

    fn begin(&mut self, _start: Nanos) {
        self.look();
    }

    /// Where the next probe is too late, so is what was due of its measurement up to a quarter of that lateness ago, lest
    /// the one after it be at the limit again. Others', which may be later, are left alone.
    #[inline]
    fn breathe(&mut self, now: Nanos) {
        let Some(Reverse((due, slot))) = self.queue.peek() else { return };
        if now.since(*due) <= LATE_MAX_NS.0 {
            return;
        }
        if let Some(circle) = &mut self.circles[*slot as usize] {
            circle.notice(*due, now);
            self.skip_before = circle.skip_before();
        }
    }

    #[inline]
    fn due(&self) -> Option<Nanos> {
        if self.stopped { None } else { self.next }
    }

    #[inline]
    fn is_overdue(&self, due: Nanos) -> bool {
        due < self.skip_before
    }

    #[inline]
    fn is_shed(&self) -> bool {
        self.sheds
    }

    #[inline]
    fn take(&mut self) -> Option<Task> {
        let mut head = self.queue.peek_mut()?;
        let Reverse((_, slot)) = *head;
        let circle = self.circles[slot as usize].as_mut()?;
        let task = circle.take();
        match circle.due() {
            Some(due) => {
                *head = Reverse((due, slot));
                drop(head);
            }
            None => drop(PeekMut::pop(head)),
        }
        // The queue is in order again.
        self.look();
        task
    }

    #[inline]
    fn class(&self, target: u64, common: Class) -> Class {
        self.classes.get((target >> 32) as usize).copied().unwrap_or(common)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}
