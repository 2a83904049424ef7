//! A seeded walk through `0..n` that visits every index once and keeps nothing but its keys.
//!
//! Neighbours in a block often share a router: in this order no network sees more than its share of the
//! probes at any time, and an interrupted sweep is a fair sample of the whole.

/// A pseudo-random permutation of `0..n` as a pure function of the index.
///
/// Rounds of add, multiply by an odd number and fold the upper half down, each of which can be undone, over
/// the next power of two; walked again while that leads beyond `n`: less than twice on average (Black and
/// Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). A Feistel network with rounds as cheap clumped
/// visibly, and one that does not costs twice as much. It scatters; it is no cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permutation {
    n: u64,
    mask: u64,
    fold: u32,
    // Three make the start of a walk look like fair throws; two leave gaps that the tests find.
    rounds: [Round; 3],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Round {
    add: u64,
    multiply: u64,
}

impl Permutation {
    /// The permutation of `0..n` that belongs to a seed; the same in every run and on every machine.
    #[must_use]
    pub fn new(n: u64, seed: u64) -> Permutation {
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        let mut state = seed;
        let rounds =
            std::array::from_fn(|_| Round { add: splitmix(&mut state), multiply: splitmix(&mut state) | 1 });
        let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        Permutation { n, mask, fold: bits.div_ceil(2).max(1), rounds }
    }

    /// Where the walk is at step `index`, which is below `n`; a step beyond leads to itself.
    #[inline]
    #[must_use]
    pub fn at(&self, index: u64) -> u64 {
        // Outside of `0..n` a cycle may never lead back inside.
        if index >= self.n {
            return index;
        }
        // The second step is made before it is known to be needed, and chosen without a branch: whether it is
        // needed is what no branch predictor can learn, and a wrong guess costs more than the step.
        let first = self.mix(index);
        let second = self.mix(first);
        let mut place = std::hint::select_unpredictable(first < self.n, first, second);
        while place >= self.n {
            place = self.mix(place);
        }
        place
    }

    /// At which step the walk is at `place`: the inverse of [`Permutation::at`].
    #[must_use]
    pub fn step_of(&self, mut place: u64) -> u64 {
        if place >= self.n {
            return place;
        }
        loop {
            place = self.unmix(place);
            if place < self.n {
                return place;
            }
        }
    }

    fn unmix(&self, mut place: u64) -> u64 {
        for round in self.rounds.iter().rev() {
            // Folding twice is folding not at all: the upper half is what it was.
            place ^= place >> self.fold;
            place = place.wrapping_mul(inverse(round.multiply)).wrapping_sub(round.add) & self.mask;
        }
        place
    }

    #[inline]
    fn mix(&self, mut place: u64) -> u64 {
        for round in &self.rounds {
            place = place.wrapping_add(round.add).wrapping_mul(round.multiply) & self.mask;
            place ^= place >> self.fold;
        }
        place
    }
}

/// What an odd number must be multiplied by to make one, modulo 2^64 (Newton's iteration, from five bits that are
/// right: Dumas, "On Newton-Raphson iteration for multiplicative inverses modulo prime powers", 2012).
fn inverse(odd: u64) -> u64 {
    let mut inverse = odd.wrapping_mul(3) ^ 2;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_index_comes_once(n in 1_u64..5000, seed: u64) {
            let walk = Permutation::new(n, seed);
            let mut seen = vec![false; n as usize];
            for index in 0..n {
                let place = walk.at(index) as usize;
                prop_assert!(!std::mem::replace(&mut seen[place], true));
            }
        }

        #[test]
        fn every_place_leads_back_to_its_step(n in prop_oneof![1_u64..5000, 1..=u64::MAX], seed: u64, step: u64) {
            let walk = Permutation::new(n, seed);
            prop_assert_eq!(walk.step_of(walk.at(step % n)), step % n);
            prop_assert_eq!(walk.step_of(n), n);
        }

        #[test]
        fn large_sets_are_sampled(n in 5000_u64..=1 << 48, seed: u64, start: u64) {
            let walk = Permutation::new(n, seed);
            let first = start % (n - 4999);
            let places: HashSet<u64> = (first..first + 5000).map(|index| walk.at(index)).collect();
            prop_assert_eq!(places.len(), 5000);
            prop_assert!(places.iter().all(|place| *place < n));
        }
    }

    #[test]
    fn odd_sizes_neither_hang_nor_overflow() {
        assert_eq!(Permutation::new(0, 7).at(0), 0);
        assert_eq!(Permutation::new(1, 7).at(0), 0);
        assert_eq!(Permutation::new(10, 7).at(10), 10);
        for n in [u64::MAX, 1 << 63, (1 << 63) + 1, (1 << 48) + 1] {
            assert!(Permutation::new(n, 7).at(n - 1) < n);
        }
    }

    #[test]
    fn the_start_of_a_walk_touches_every_network() {
        for seed in 0..200 {
            let walk = Permutation::new(1 << 16, seed);
            let networks: HashSet<u64> = (0..655).map(|index| walk.at(index) >> 8).collect();
            // 655 fair throws leave 20 of 256 empty on average; a walk in order leaves 253.
            assert!(networks.len() >= 210, "seed {seed}: {} of 256 networks", networks.len());
        }
    }

    #[test]
    fn seeds_differ_and_neighbours_part() {
        let n = 1_000_003;
        let walks: Vec<Vec<u64>> =
            (0..8).map(|seed| (0..1000).map(|index| Permutation::new(n, seed).at(index)).collect()).collect();
        for (i, one) in walks.iter().enumerate() {
            for other in &walks[i + 1..] {
                assert!(one.iter().zip(other).filter(|(a, b)| a == b).count() < 5);
            }
            let near = one.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1000).count();
            assert!(near < 20, "{near} of 999 steps stay within a thousandth of the set");
        }
    }

    #[test]
    fn a_seed_means_the_same_walk_for_ever() {
        let walk = Permutation::new(1 << 24, 42);
        assert_eq!([0, 1, 2, 3].map(|index| walk.at(index)), [2_735_637, 10_411_005, 10_813_635, 1_023_096]);
    }
}
