//! Which router stands before which, as far as this shard has seen: so that hops shared by many targets need not
//! be asked for each of them.
//!
//! The idea is Doubletree's (Donnet et al. 2005) and `FlashRoute`'s (Huang et al. 2020): near the prober all paths are
//! one tree, so a path that meets a known router can take the rest from memory. Routers that balance load, and
//! addresses that stand for several routers, break the tree. So what is known here was *confirmed*: a router has
//! one below it (nearer to us) only when the last so many paths through it agreed, and each time they disagree,
//! twice as many have to.

use megaping_wire::Addr;

/// Paths in a row that have to agree at first. Of two next hops taken at random, one in 32,768 is overlooked.
const AGREE: u16 = 16;
/// And at most, after many disagreements: practically never.
const AGREE_MAX: u16 = 1 << 14;

/// A router as seen at one hop; zero is none.
pub type RouterId = u32;

/// One router at one hop.
#[derive(Clone, Copy, Debug, Default)]
struct Router {
    address: Addr,
    below: RouterId,
    agreed: u16,
    needed: u16,
    ttl: u8,
    // It answers nobody: its address is the router above it, which is how it is known.
    silent: bool,
}

/// The routers of one shard: an open-addressing table, allocated once.
#[derive(Debug)]
pub struct Routers {
    table: Box<[Router]>,
    mask: usize,
    len: usize,
}

impl Routers {
    /// Room for this many routers, rounded up to a power of two. When it is full, further routers stay unknown, and
    /// the hops before them are asked.
    #[must_use]
    pub fn new(routers: usize) -> Routers {
        let capacity = routers.clamp(16, 1 << 24).next_power_of_two() * 2;
        Routers { table: vec![Router::default(); capacity].into_boxed_slice(), mask: capacity - 1, len: 0 }
    }

    /// The router that answered at a hop.
    #[inline]
    pub fn answered(&mut self, ttl: u8, address: Addr) -> RouterId {
        self.enter(ttl, address, false)
    }

    /// The router at a hop that did not answer, known by the router `above` it (one hop farther).
    #[inline]
    pub fn silent(&mut self, ttl: u8, above: RouterId) -> RouterId {
        if above == 0 { 0 } else { self.enter(ttl, Addr::from_bits(above.into()), true) }
    }

    fn enter(&mut self, ttl: u8, address: Addr, silent: bool) -> RouterId {
        let bits = address.to_bits();
        let folded = ((bits >> 64) as u64).rotate_left(29) ^ bits as u64 ^ u64::from(ttl) << 56;
        let mut at = (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.mask;
        loop {
            let router = &mut self.table[at];
            if router.ttl == 0 {
                // Half full at most: a search ends soon.
                if self.len > self.mask / 2 {
                    return 0;
                }
                *router = Router { address, ttl, silent, needed: AGREE, ..Router::default() };
                self.len += 1;
                return at as RouterId + 1;
            }
            if router.ttl == ttl && router.silent == silent && router.address == address {
                return at as RouterId + 1;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn get(&self, id: RouterId) -> Option<&Router> {
        self.table.get((id as usize).checked_sub(1)?)
    }

    /// One path was seen to go from `below` (nearer to us) to `above`.
    #[inline]
    pub fn link(&mut self, above: RouterId, below: RouterId) {
        let silent = |id| self.get(id).map(|router| router.silent);
        let (Some(router), Some(is_silent)) = (self.get(above), silent(below)) else { return };
        let (known, was_silent) = (router.below, silent(router.below).unwrap_or(true));
        let Some(router) = self.table.get_mut(above as usize - 1) else { return };
        if known == below {
            router.agreed = router.agreed.saturating_add(1);
        } else if is_silent && known != 0 {
            // An answer that got lost contradicts nothing.
        } else {
            if !was_silent {
                router.needed = (router.needed * 2).min(AGREE_MAX);
            }
            (router.below, router.agreed) = (below, 1);
        }
    }

    /// Calls `each` with hop and address of every router before this one, farthest first, down to `first_ttl`; the
    /// address is `None` for one that is silent. False, and no call, unless all of them are confirmed.
    #[inline]
    pub fn before(&self, id: RouterId, first_ttl: u8, mut each: impl FnMut(u8, Option<Addr>)) -> bool {
        if !self.is_confirmed(id, first_ttl) {
            return false;
        }
        let mut at = self.get(id);
        while let Some(router) = at.filter(|router| router.ttl > first_ttl) {
            at = self.get(router.below);
            if let Some(below) = at {
                each(below.ttl, (!below.silent).then_some(below.address));
            }
        }
        true
    }

    fn is_confirmed(&self, id: RouterId, first_ttl: u8) -> bool {
        let mut at = self.get(id);
        while let Some(router) = at {
            if router.ttl <= first_ttl {
                return true;
            }
            // Hops fall by one each step, so this ends.
            at = self.get(router.below).filter(|below| below.ttl + 1 == router.ttl);
            if router.agreed < router.needed {
                return false;
            }
        }
        false
    }

    /// Bytes that the table takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ttl: u8, number: u32) -> Addr {
        Addr::v4((u32::from(ttl) << 24 | number).to_be_bytes())
    }

    /// One path with these router numbers at hops 1, 2, ...; zero is silent.
    fn path(routers: &mut Routers, numbers: &[u32]) -> RouterId {
        let (mut above, mut far) = (0, None);
        for (index, number) in numbers.iter().enumerate().rev() {
            let ttl = index as u8 + 1;
            let id = match number {
                0 => routers.silent(ttl, above),
                _ => routers.answered(ttl, at(ttl, *number)),
            };
            routers.link(above, id);
            above = id;
            far = far.or(Some(id));
        }
        far.unwrap_or_default()
    }

    fn known(routers: &Routers, id: RouterId) -> Option<Vec<(u8, Option<Addr>)>> {
        let mut hops = Vec::new();
        routers.before(id, 1, |ttl, address| hops.push((ttl, address))).then_some(hops)
    }

    #[test]
    fn a_path_that_many_agreed_on_is_known_and_not_before() {
        let mut routers = Routers::new(100);
        let mut far = 0;
        for agreed in 0..AGREE {
            assert_eq!(known(&routers, far), None, "after {agreed} paths");
            far = path(&mut routers, &[1, 2, 3]);
        }
        assert_eq!(known(&routers, far), Some(vec![(2, Some(at(2, 2))), (1, Some(at(1, 1)))]));
        let near = routers.answered(1, at(1, 1));
        assert_eq!(known(&routers, near), Some(vec![]));
    }

    #[test]
    fn balanced_hops_are_never_known_and_what_is_beyond_them_is() {
        let mut routers = Routers::new(100);
        let mut far = 0;
        for turn in 0..5000u32 {
            let pick = turn.wrapping_mul(0x9e37_79b9) >> 31;
            far = path(&mut routers, &[1, 2, 10 + pick, 4]);
            assert_eq!(known(&routers, far), None);
        }
        assert_ne!(far, 0);
        let balanced = routers.answered(3, at(3, 10));
        assert!(known(&routers, balanced).is_some(), "below the siblings all agree");
    }

    #[test]
    fn a_silent_router_is_known_as_silent_and_a_lost_answer_is_no_contradiction() {
        let mut routers = Routers::new(100);
        let mut far = 0;
        for _ in 0..2 * AGREE {
            far = path(&mut routers, &[1, 0, 3]);
        }
        assert_eq!(known(&routers, far), Some(vec![(2, None), (1, Some(at(1, 1)))]));
        let mut routers = Routers::new(100);
        for turn in 0..2 * AGREE {
            far = path(&mut routers, &[1, if turn % 5 == 4 { 0 } else { 2 }, 3]);
        }
        assert_eq!(known(&routers, far), Some(vec![(2, Some(at(2, 2))), (1, Some(at(1, 1)))]));
    }

    #[test]
    fn after_a_change_the_new_path_has_to_be_confirmed_longer() {
        let mut routers = Routers::new(100);
        let mut far = 0;
        for _ in 0..AGREE {
            far = path(&mut routers, &[1, 2]);
        }
        assert!(known(&routers, far).is_some());
        for _ in 0..2 * AGREE - 1 {
            path(&mut routers, &[7, 2]);
            assert_eq!(known(&routers, far), None);
        }
        path(&mut routers, &[7, 2]);
        assert_eq!(known(&routers, far), Some(vec![(1, Some(at(1, 7)))]));
    }

    #[test]
    fn a_full_table_knows_no_more_and_forgets_nothing() {
        let mut routers = Routers::new(16);
        let ids: Vec<_> = (1..100).map(|number| routers.answered(1, at(1, number))).collect();
        assert!(ids.iter().filter(|id| **id != 0).count() >= 16);
        assert_eq!(ids.last(), Some(&0));
        assert_eq!(routers.answered(1, at(1, 1)), ids[0]);
    }
}
