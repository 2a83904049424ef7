//! What became of the packets that were taken, oldest first. Knows nothing of frames: the kernel takes descriptors
//! from the transmit ring in order, so a count says which packets left.
//!
//! ```text
//!     reaped | settled ... | on the transmit ring ...  | free slots
//!            ^ oldest      ^ next to settle            ^ newest
//! ```

use std::collections::VecDeque;

use crate::packet::{Departure, Refused, TimeStamp};
use crate::sockets::stamps;

#[derive(Debug)]
pub(super) struct Outbox {
    /// From the oldest that was not reaped to the newest; `None` is on the transmit ring.
    slots: VecDeque<(u64, Option<Result<TimeStamp, Refused>>)>,
    capacity: usize,
    /// Slots at the front that are settled, all of them.
    settled: usize,
    /// Packets on the transmit ring that have a slot, and older ones that were abandoned and have none any more.
    waiting: u32,
    orphans: u32,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: VecDeque::with_capacity(capacity), capacity, settled: 0, waiting: 0, orphans: 0 }
    }

    /// Packets that can be taken now.
    #[inline]
    pub(super) fn room(&self) -> u32 {
        (self.capacity - self.slots.len()) as u32
    }

    /// Descriptors that the kernel has not taken from the transmit ring.
    #[inline]
    pub(super) fn on_ring(&self) -> u32 {
        self.waiting + self.orphans
    }

    /// A packet went onto the transmit ring.
    #[inline]
    pub(super) fn push(&mut self, token: u64) {
        self.slots.push_back((token, None));
        self.waiting += 1;
    }

    /// A packet was refused before it went onto the ring.
    #[inline]
    pub(super) fn refuse(&mut self, token: u64, why: Refused) {
        self.slots.push_back((token, Some(Err(why))));
        self.skip_settled();
    }

    /// The kernel took `count` descriptors between two readings of the clock: they are spread over that time.
    pub(super) fn left(&mut self, count: u32, from_ns: u64, to_ns: u64) {
        let count = self.pass_orphans(count);
        for nth in 0..count {
            self.settle_next(Ok(stamps::departure(from_ns, to_ns, nth, count)));
        }
    }

    /// The kernel took `count` descriptors, and their packets did not leave.
    pub(super) fn dropped(&mut self, count: u32, why: Refused) {
        for _ in 0..self.pass_orphans(count) {
            self.settle_next(Err(why));
        }
    }

    /// Of `count` descriptors that the kernel took, those that belong to a slot.
    fn pass_orphans(&mut self, count: u32) -> u32 {
        let orphans = count.min(self.orphans);
        self.orphans -= orphans;
        (count - orphans).min(self.waiting)
    }

    #[inline]
    fn settle_next(&mut self, settled: Result<TimeStamp, Refused>) {
        if let Some((_, result)) = self.slots.get_mut(self.settled) {
            *result = Some(settled);
            self.waiting -= 1;
        }
        self.skip_settled();
    }

    /// Gives up what has not left. The ring cannot give it back: the kernel may still send it.
    pub(super) fn abandon(&mut self, why: Refused) {
        for (_, result) in self.slots.range_mut(self.settled..) {
            result.get_or_insert(Err(why));
        }
        self.settled = self.slots.len();
        self.orphans += self.waiting;
        self.waiting = 0;
    }

    #[inline]
    pub(super) fn reap(&mut self) -> Option<Departure> {
        if self.settled == 0 {
            return None;
        }
        let (token, result) = self.slots.pop_front()?;
        self.settled -= 1;
        result.map(|result| Departure { token, result })
    }

    #[inline]
    fn skip_settled(&mut self) {
        while self.slots.get(self.settled).is_some_and(|(_, result)| result.is_some()) {
            self.settled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REFUSED: Refused = Refused::Errno(libc::EMSGSIZE);

    /// Token, and time with its error bound.
    type Reaped = (u64, Result<(u64, u32), Refused>);

    fn reap_all(outbox: &mut Outbox) -> Vec<Reaped> {
        std::iter::from_fn(|| outbox.reap())
            .map(|Departure { token, result }| (token, result.map(|stamp| (stamp.at_ns, stamp.error_ns))))
            .collect()
    }

    #[test]
    fn packets_that_leave_together_share_the_time_and_keep_their_order() {
        let mut outbox = Outbox::new(8);
        for token in 0..4 {
            outbox.push(token);
        }
        assert!(reap_all(&mut outbox).is_empty());
        outbox.left(3, 1000, 1300);
        assert_eq!(outbox.on_ring(), 1);
        assert_eq!(reap_all(&mut outbox), [(0, Ok((1050, 250))), (1, Ok((1150, 150))), (2, Ok((1250, 250)))]);
        outbox.left(1, 2000, 2000);
        assert_eq!(reap_all(&mut outbox), [(3, Ok((2000, 0)))]);
    }

    #[test]
    fn a_packet_that_was_dropped_on_the_way_is_told_from_those_before_it() {
        let mut outbox = Outbox::new(4);
        outbox.push(0);
        outbox.push(1);
        outbox.push(2);
        outbox.left(1, 0, 10);
        outbox.dropped(1, REFUSED);
        assert_eq!(reap_all(&mut outbox), [(0, Ok((5, 5))), (1, Err(REFUSED))]);
        outbox.abandon(Refused::Abandoned);
        outbox.dropped(1, REFUSED);
        assert_eq!(reap_all(&mut outbox), [(2, Err(Refused::Abandoned))]);
        assert_eq!(outbox.on_ring(), 0);
    }

    #[test]
    fn a_refused_packet_waits_for_those_before_it() {
        let mut outbox = Outbox::new(4);
        outbox.refuse(0, REFUSED);
        outbox.push(1);
        outbox.refuse(2, REFUSED);
        outbox.push(3);
        assert_eq!(outbox.room(), 0);
        assert_eq!(reap_all(&mut outbox), [(0, Err(REFUSED))]);
        outbox.left(2, 10, 20);
        assert_eq!(reap_all(&mut outbox), [(1, Ok((12, 8))), (2, Err(REFUSED)), (3, Ok((17, 7)))]);
        assert_eq!((outbox.room(), outbox.on_ring()), (4, 0));
    }

    #[test]
    fn what_was_abandoned_and_leaves_after_all_is_not_taken_for_a_later_packet() {
        let mut outbox = Outbox::new(8);
        outbox.push(0);
        outbox.push(1);
        outbox.left(1, 0, 10);
        outbox.abandon(Refused::Abandoned);
        assert_eq!(reap_all(&mut outbox), [(0, Ok((5, 5))), (1, Err(Refused::Abandoned))]);
        outbox.push(2);
        assert_eq!(outbox.on_ring(), 2);
        outbox.left(1, 20, 30);
        assert!(reap_all(&mut outbox).is_empty(), "that was the abandoned one");
        outbox.left(1, 30, 40);
        assert_eq!(reap_all(&mut outbox), [(2, Ok((35, 5)))]);
        outbox.left(5, 40, 50);
        assert!(reap_all(&mut outbox).is_empty(), "nothing was there to leave");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Refuse,
        Left(u32),
        Dropped(u32),
        Abandon,
        Reap,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            1 => Just(Step::Refuse),
            3 => (0..4u32).prop_map(Step::Left),
            1 => (0..3u32).prop_map(Step::Dropped),
            1 => Just(Step::Abandon),
            6 => Just(Step::Reap),
        ]
    }

    /// What became of a packet, by the plainest book-keeping there is.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Fate {
        OnRing,
        Left,
        Not(Refused),
    }

    #[derive(Default)]
    struct Model {
        // Every packet there ever was; those before `reaped` were told of.
        fates: Vec<Fate>,
        reaped: usize,
        // What the kernel has yet to take, oldest first: which packet, and whether it was given up.
        ring: VecDeque<(usize, bool)>,
    }

    impl Model {
        fn take(&mut self, count: u32, fate: Fate) {
            for (packet, given_up) in self.ring.drain(..(count as usize).min(self.ring.len())) {
                if !given_up {
                    self.fates[packet] = fate;
                }
            }
        }

        fn run(&mut self, step: Step) {
            match step {
                Step::Push => {
                    self.ring.push_back((self.fates.len(), false));
                    self.fates.push(Fate::OnRing);
                }
                Step::Refuse => self.fates.push(Fate::Not(REFUSED)),
                Step::Left(count) => self.take(count, Fate::Left),
                Step::Dropped(count) => self.take(count, Fate::Not(REFUSED)),
                Step::Abandon => {
                    self.fates.iter_mut().filter(|fate| **fate == Fate::OnRing).for_each(|fate| {
                        *fate = Fate::Not(Refused::Abandoned);
                    });
                    self.ring.iter_mut().for_each(|(_, given_up)| *given_up = true);
                }
                Step::Reap => {}
            }
        }

        fn reap(&mut self) -> Option<(u64, Fate)> {
            let fate = *self.fates.get(self.reaped).filter(|fate| **fate != Fate::OnRing)?;
            self.reaped += 1;
            Some((self.reaped as u64 - 1, fate))
        }
    }

    proptest! {
        /// Each packet is told of once, in order, with what became of it and of no other.
        #[test]
        fn agrees_with_a_model(steps in proptest::collection::vec(step(), 0..300)) {
            let mut outbox = Outbox::new(16);
            let mut model = Model::default();
            for step in steps {
                if matches!(step, Step::Push | Step::Refuse) && outbox.room() == 0 {
                    continue;
                }
                let token = model.fates.len() as u64;
                model.run(step);
                match step {
                    Step::Push => outbox.push(token),
                    Step::Refuse => outbox.refuse(token, REFUSED),
                    Step::Left(count) => outbox.left(count, 10, 20),
                    Step::Dropped(count) => outbox.dropped(count, REFUSED),
                    Step::Abandon => outbox.abandon(Refused::Abandoned),
                    Step::Reap => {
                        let fate = |result: Result<TimeStamp, Refused>| result.map_or_else(Fate::Not, |_| Fate::Left);
                        let told = outbox.reap().map(|told| (told.token, fate(told.result)));
                        prop_assert_eq!(told, model.reap());
                    }
                }
                prop_assert_eq!(outbox.on_ring() as usize, model.ring.len());
                prop_assert_eq!(outbox.room() as usize, 16 - (model.fates.len() - model.reaped));
            }
        }
    }
}
