//! Paths from one round to the next: which have become others.

use std::collections::HashMap;

use megaping_wire::Addr;

use super::assemble::{Hop, Traced};
use crate::mtr::model::path_id;

/// Paths that are remembered, at most: about 100 bytes each.
const PATHS_MAX: u64 = 1 << 22;

/// A path that has become another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The first hop that differs.
    pub first_hop: u8,
    /// Who answered before, from hop 1 on.
    pub before: Vec<Option<Addr>>,
    /// Who answers now.
    pub after: Vec<Option<Addr>>,
}

impl Change {
    /// The ids of both paths.
    #[must_use]
    pub fn ids(&self) -> (u64, u64) {
        (path_id(&self.before), path_id(&self.after))
    }
}

/// The last route of every path.
#[derive(Debug)]
pub struct Routes {
    flows: u64,
    by_id: HashMap<u64, Route>,
    // Responders by number, from one on: most are on many paths.
    addresses: Vec<Addr>,
    numbers: HashMap<Addr, u32>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Route {
    // Zero where nobody answered.
    hops: Box<[u32]>,
    reached: bool,
}

impl Routes {
    /// Nothing is known of `paths` paths yet. None where there is no memory for so many.
    #[must_use]
    pub fn new(paths: u64, flows: u16) -> Option<Routes> {
        let (by_id, addresses, numbers) = (HashMap::new(), Vec::new(), HashMap::new());
        (paths <= PATHS_MAX).then_some(Routes { flows: flows.into(), by_id, addresses, numbers })
    }

    /// Compares a path with what it was in the last round. A hop that is silent in one of them contradicts nothing, nor
    /// does one where both responders have answered in one round.
    pub fn see(&mut self, path: &Traced<'_>) -> Option<Change> {
        if !path.end.complete {
            return None;
        }
        let length = path.hops.iter().rev().find(|hop| hop.responder.is_some()).map_or(0, |hop| hop.ttl);
        let mut hops = vec![0; length.into()];
        for hop in path.hops {
            if let (Some(place), Some(responder)) = (hops.get_mut(usize::from(hop.ttl) - 1), hop.responder) {
                *place = self.number(responder);
            }
        }
        let mut now = Route { hops: hops.into(), reached: path.end.reached };
        let key = u64::from(path.end.target) * self.flows + u64::from(path.end.flow);
        let Some(was) = self.by_id.remove(&key) else {
            self.by_id.insert(key, now);
            return None;
        };
        let first_hop = self.difference(&was, &now, path.hops);
        // What was silent this time is what it was.
        let kept = first_hop.map_or(usize::from(length), |hop| usize::from(hop) - 1);
        for (now, was) in now.hops.iter_mut().zip(&was.hops).take(kept) {
            *now = if *now == 0 { *was } else { *now };
        }
        if first_hop.is_none() && !now.reached && now.hops.len() < was.hops.len() {
            now = Route { reached: was.reached, hops: merged(&now.hops, &was.hops) };
        }
        let change = first_hop.map(|first_hop| Change {
            first_hop,
            before: self.addresses(&was.hops),
            after: self.addresses(&now.hops),
        });
        self.by_id.insert(key, now);
        change
    }

    /// The first hop at which both have answered otherwise, or at which one of two reached targets stands nearer.
    fn difference(&self, was: &Route, now: &Route, hops: &[Hop]) -> Option<u8> {
        let balances = |ttl: u8, was: u32| {
            let other = hops.iter().find(|hop| hop.ttl == ttl).map(|hop| &hop.others);
            other.is_some_and(|others| self.address(was).is_some_and(|addr| others.contains(&addr)))
        };
        let pairs = was.hops.iter().zip(&now.hops).zip(1u8..);
        let differs = pairs
            .filter(|((was, now), ttl)| **was > 0 && **now > 0 && was != now && !balances(*ttl, **was))
            .map(|(_, ttl)| ttl)
            .next();
        let nearer = was.hops.len().min(now.hops.len()) as u8;
        let moved = was.reached && now.reached && was.hops.len() != now.hops.len();
        match (differs, moved) {
            (Some(ttl), _) => Some(ttl),
            (None, true) => Some(nearer.max(1)),
            (None, false) => None,
        }
    }

    fn number(&mut self, addr: Addr) -> u32 {
        *self.numbers.entry(addr).or_insert_with(|| {
            self.addresses.push(addr);
            self.addresses.len() as u32
        })
    }

    fn address(&self, number: u32) -> Option<Addr> {
        self.addresses.get((number as usize).checked_sub(1)?).copied()
    }

    fn addresses(&self, hops: &[u32]) -> Vec<Option<Addr>> {
        hops.iter().map(|number| self.address(*number)).collect()
    }
}

/// The longer route, with what the shorter one knows.
fn merged(now: &[u32], was: &[u32]) -> Box<[u32]> {
    let mut all: Box<[u32]> = was.into();
    for (all, now) in all.iter_mut().zip(now) {
        *all = if *now > 0 { *now } else { *all };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::assemble::Assembler;
    use megaping_probe::Nanos;
    use megaping_probe::trace::{PathEnd, PathRow};

    fn at(last: u8) -> Addr {
        Addr::v4([10, 0, 0, last])
    }

    /// One round of a path with these routers; zero is silent.
    fn round(routes: &mut Routes, responders: &[u8], reached: bool) -> Option<Change> {
        let mut assembler = Assembler::new(1);
        for (last, ttl) in responders.iter().zip(1u8..) {
            let responder = (*last > 0).then(|| at(*last));
            assembler.take(&PathRow::Shared { slot: 0, ttl, responder }, |_| {});
        }
        let end = PathEnd {
            slot: 0,
            target: 3,
            destination: at(99),
            flow: 0,
            round: 0,
            length: if reached { responders.len() as u8 } else { 0 },
            reached,
            complete: true,
            at: Nanos(0),
        };
        let mut change = None;
        assembler.take(&PathRow::End(end), |path| change = routes.see(path));
        change
    }

    #[test]
    fn only_what_contradicts_is_a_change_and_it_is_told_once() {
        let mut routes = Routes::new(1, 1).unwrap();
        assert_eq!(round(&mut routes, &[1, 2, 3, 99], true), None);
        assert_eq!(round(&mut routes, &[1, 0, 3, 99], true), None, "silence is no change");
        assert_eq!(round(&mut routes, &[1, 2], false), None, "nor is a loss of the end");
        let change = round(&mut routes, &[1, 2, 7, 99], true).unwrap();
        assert_eq!((change.first_hop, change.before), (3, [1, 2, 3, 99].map(|last| Some(at(last))).to_vec()));
        assert_eq!(change.after, [1, 2, 7, 99].map(|last| Some(at(last))));
        assert_eq!(round(&mut routes, &[1, 2, 7, 99], true), None);
        let shorter = round(&mut routes, &[1, 0, 99], true).unwrap();
        assert_eq!((shorter.first_hop, shorter.after), (3, vec![Some(at(1)), Some(at(2)), Some(at(99))]));
        let (before, after) = round(&mut routes, &[8, 2, 99], true).unwrap().ids();
        assert_ne!(before, after);
        assert!(Routes::new(1 << 40, 1).is_none());
    }
}
