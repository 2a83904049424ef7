//! Paths under way, found by the identity of their probes.

use megaping_wire::Addr;

use super::path::Path;
use super::routers::RouterId;

/// A path under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// What is asked of it.
    pub path: Path,
    /// Where it leads.
    pub destination: Addr,
    /// The target's index.
    pub target: u32,
    /// The round.
    pub round: u32,
    /// The path's number among those of the shard: where its length is remembered.
    pub number: u32,
    /// The flow.
    pub flow: u16,
    /// Whether it stands in the queue.
    pub queued: bool,
    /// Whether near hops may be taken from other paths.
    pub shares: bool,
    /// Whether the slot is taken: [`Slots`] sees to it.
    pub used: bool,
}

/// A fixed number of slots with a hash index over (target, flow, round), and what is kept of each hop.
#[derive(Debug)]
pub struct Slots {
    paths: Box<[Slot]>,
    free: Vec<u32>,
    // Slot number and one, zero where empty; open addressing, half full at most.
    index: Box<[u32]>,
    // Of each slot and hop: probes that have not ended, and who answered.
    open: Box<[u8]>,
    routers: Box<[RouterId]>,
    hops: usize,
}

impl Slots {
    /// Room for `slots` paths of at most `hops` hops.
    pub fn new(slots: usize, hops: u8) -> Slots {
        let slots = slots.max(1);
        let cells = slots * usize::from(hops);
        Slots {
            paths: vec![Slot::default(); slots].into_boxed_slice(),
            free: (0..slots as u32).rev().collect(),
            index: vec![0; (slots * 2).next_power_of_two()].into_boxed_slice(),
            open: vec![0; cells].into_boxed_slice(),
            routers: vec![0; cells].into_boxed_slice(),
            hops: hops.into(),
        }
    }

    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    #[cfg(test)]
    fn in_use(&self) -> usize {
        self.paths.len() - self.free.len()
    }

    /// Seats a path; `None` when all slots are taken.
    pub fn seat(&mut self, slot: Slot) -> Option<u32> {
        let number = self.free.pop()?;
        let mut at = self.home(slot.target, slot.flow, slot.round);
        while self.index[at] != 0 {
            at = (at + 1) & (self.index.len() - 1);
        }
        self.index[at] = number + 1;
        let first = number as usize * self.hops;
        self.open[first..first + self.hops].fill(0);
        self.routers[first..first + self.hops].fill(0);
        self.paths[number as usize] = Slot { used: true, ..slot };
        Some(number)
    }

    /// The slot of a path.
    pub fn find(&self, target: u32, flow: u16, round: u32) -> Option<u32> {
        self.place(target, flow, round).map(|at| self.index[at] - 1)
    }

    /// Gives a slot back.
    pub fn release(&mut self, number: u32) {
        let Some(Slot { target, flow, round, used: true, .. }) = self.paths.get(number as usize).copied()
        else {
            return;
        };
        if let Some(hole) = self.place(target, flow, round) {
            self.close(hole);
        }
        self.paths[number as usize].used = false;
        self.free.push(number);
    }

    pub fn get(&mut self, number: u32) -> Option<&mut Slot> {
        self.paths.get_mut(number as usize).filter(|slot| slot.used)
    }

    /// Counts a probe that leaves for a hop.
    pub fn leaves(&mut self, number: u32, ttl: u8) {
        if let Some(open) = self.cell(number, ttl).and_then(|cell| self.open.get_mut(cell)) {
            *open = open.saturating_add(1);
        }
    }

    /// Counts its end; how many others are left.
    pub fn ended(&mut self, number: u32, ttl: u8) -> u8 {
        match self.cell(number, ttl).and_then(|cell| self.open.get_mut(cell)) {
            Some(open) => {
                *open = open.saturating_sub(1);
                *open
            }
            None => 0,
        }
    }

    /// Who answered at a hop; zero for none, and for hops that there are not.
    pub fn router(&self, number: u32, ttl: u8) -> RouterId {
        self.cell(number, ttl).and_then(|cell| self.routers.get(cell)).copied().unwrap_or_default()
    }

    pub fn set_router(&mut self, number: u32, ttl: u8, router: RouterId) {
        if let Some(place) = self.cell(number, ttl).and_then(|cell| self.routers.get_mut(cell)) {
            *place = router;
        }
    }

    /// Bytes that all of it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.paths)
            + size_of_val(&*self.index)
            + size_of_val(&*self.open)
            + size_of_val(&*self.routers)
            + self.free.capacity() * size_of::<u32>()
    }

    fn cell(&self, number: u32, ttl: u8) -> Option<usize> {
        let hop = usize::from(ttl).checked_sub(1).filter(|hop| *hop < self.hops)?;
        Some(number as usize * self.hops + hop)
    }

    fn home(&self, target: u32, flow: u16, round: u32) -> usize {
        let key = u64::from(target) << 32 | u64::from(round) << 8 ^ u64::from(flow);
        let mixed = (key ^ key >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.index.len() - 1)
    }

    fn place(&self, target: u32, flow: u16, round: u32) -> Option<usize> {
        let mut at = self.home(target, flow, round);
        loop {
            let slot = &self.paths[(self.index[at] as usize).checked_sub(1)?];
            if (slot.target, slot.flow, slot.round) == (target, flow, round) {
                return Some(at);
            }
            at = (at + 1) & (self.index.len() - 1);
        }
    }

    /// Empties a place of the index and moves up those behind it that would not be found any more.
    fn close(&mut self, mut hole: usize) {
        let mask = self.index.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let Some(number) = (self.index[at] as usize).checked_sub(1) else { break };
            let Slot { target, flow, round, .. } = self.paths[number];
            let home = self.home(target, flow, round);
            // It may move to the hole unless its home lies between the two.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.index[hole] = self.index[at];
                hole = at;
            }
        }
        self.index[hole] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Against a map: what was seated is found until it is released, whatever came and went between.
        #[test]
        fn agrees_with_a_map(ops in prop::collection::vec((any::<bool>(), 0u32..12, 0u16..2, 0u32..3), 1..300)) {
            let mut slots = Slots::new(20, 4);
            let mut model: HashMap<(u32, u16, u32), u32> = HashMap::new();
            for (seats, target, flow, round) in ops {
                let key = (target, flow, round);
                if seats && !model.contains_key(&key) {
                    if let Some(number) = slots.seat(Slot { target, round, flow, ..Slot::default() }) {
                        model.insert(key, number);
                    } else {
                        prop_assert_eq!(model.len(), 20);
                    }
                } else if let Some(number) = model.remove(&key) {
                    slots.release(number);
                }
                prop_assert_eq!(slots.in_use(), model.len());
                for (&(target, flow, round), number) in &model {
                    prop_assert_eq!(slots.find(target, flow, round), Some(*number));
                }
                if !model.contains_key(&key) {
                    prop_assert_eq!(slots.find(target, flow, round), None);
                }
            }
        }
    }

    #[test]
    fn hops_are_kept_apart_and_a_new_path_has_none() {
        let mut slots = Slots::new(2, 4);
        let a = slots.seat(Slot { target: 1, ..Slot::default() }).unwrap();
        let b = slots.seat(Slot { target: 2, ..Slot::default() }).unwrap();
        slots.set_router(a, 4, 9);
        slots.leaves(b, 1);
        slots.leaves(b, 1);
        assert_eq!(
            (slots.router(a, 4), slots.router(b, 1), slots.router(a, 5), slots.router(a, 0)),
            (9, 0, 0, 0)
        );
        assert_eq!((slots.ended(b, 1), slots.ended(b, 1), slots.ended(b, 1)), (1, 0, 0));
        slots.release(a);
        let c = slots.seat(Slot { target: 3, ..Slot::default() }).unwrap();
        assert_eq!((c, slots.router(c, 4)), (a, 0));
    }
}
