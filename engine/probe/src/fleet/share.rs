//! Of what is due, how much may leave: weighted fair sharing without a queue and without state.
//!
//! Demand is known beforehand, since everything is periodic; so each tenant's part of the node's rate is computed
//! when the configuration changes ([`fair`]), and a shard only leaves out as much of a tenant's probes as is beyond its
//! part. Whom it leaves out is spread evenly over targets and rounds, by two irrational steps: no target is always the
//! one.

/// A share of one measurement's probes, in 2^-32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share(u64);

/// All of them.
const WHOLE: u64 = 1 << 32;
/// 2^32 divided by the golden ratio, and times the square root of two, less its whole part: multiples of either are
/// as evenly spread as they can be, and of both together they do not fall into step.
const STEPS: (u32, u32) = (0x9e37_79b1, 0x6a09_e667);

impl Share {
    /// Everything may leave.
    pub const ALL: Share = Share(WHOLE);

    /// The part that `allowed` is of `demanded`.
    #[must_use]
    pub fn of(allowed: f64, demanded: f64) -> Share {
        if demanded <= allowed || demanded <= 0.0 {
            return Share::ALL;
        }
        Share(((allowed / demanded).clamp(0.0, 1.0) * WHOLE as f64) as u64)
    }

    /// How much that is, zero to one.
    #[must_use]
    pub fn part(self) -> f64 {
        self.0 as f64 / WHOLE as f64
    }

    /// Whether the turn of a target in a round is within the share.
    #[inline]
    #[must_use]
    pub fn admits(self, index: u32, round: u64) -> bool {
        let at = index.wrapping_mul(STEPS.0).wrapping_add((round as u32).wrapping_mul(STEPS.1));
        u64::from(at) < self.0
    }
}

/// What one of those who share a rate asks for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Claim {
    /// Probes a second.
    pub demand: f64,
    /// What it may have at most, whatever is left of others.
    pub limit: f64,
    /// How much of the rate is its own, beside the weights of the others; more than nothing.
    pub weight: f64,
}

/// Divides `rate` among `claims`: whoever asks for less than its weight's part gets it all, and what it leaves is the
/// others', by their weights (max-min fairness; Bertsekas and Gallager, Data Networks, section 6.5.2).
#[must_use]
pub fn fair(rate: f64, claims: &[Claim]) -> Vec<f64> {
    let wanted = |claim: &Claim| claim.demand.min(claim.limit).max(0.0);
    // Whoever needs the least of its part is satisfied first, and only once.
    let mut order: Vec<usize> = (0..claims.len()).collect();
    let need = |at: &usize| wanted(&claims[*at]) / claims[*at].weight;
    order.sort_by(|a, b| need(a).total_cmp(&need(b)));
    let (mut left, mut weights) = (rate.max(0.0), claims.iter().map(|claim| claim.weight).sum::<f64>());
    let mut given = vec![0.0; claims.len()];
    for at in order {
        let claim = &claims[at];
        given[at] = wanted(claim).min(left * claim.weight / weights);
        left -= given[at];
        weights -= claim.weight;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_is_kept_over_targets_and_over_rounds() {
        for percent in [1, 10, 33, 50, 90, 99] {
            let share = Share::of(f64::from(percent), 100.0);
            let off = |turns: Vec<(u32, u64)>| {
                let wanted = turns.len() as f64 * f64::from(percent) / 100.0;
                let admitted =
                    turns.into_iter().filter(|(index, round)| share.admits(*index, *round)).count();
                (admitted as f64 - wanted).abs()
            };
            for start in [0, 1_000_000_007] {
                let over_targets = off((0..1000).map(|index| (index, start)).collect());
                assert!(over_targets < 3.0, "{percent} %: {over_targets} targets off");
                let over_rounds = off((0..1000).map(|round| (7, start + round)).collect());
                assert!(over_rounds < 5.0, "{percent} %: {over_rounds} rounds off");
                // Of two shards each has every other target.
                let of_shard = off((0..1000).map(|index| (2 * index + 1, start)).collect());
                assert!(of_shard < 5.0, "{percent} %: {of_shard} targets off");
            }
        }
        assert!((0..1000).all(|turn| Share::ALL.admits(turn, turn.into())));
        assert!((0..1000).all(|turn| !Share::of(0.0, 5.0).admits(turn, turn.into())));
        assert_eq!(Share::of(5.0, 0.0), Share::ALL);
    }

    #[test]
    fn one_who_asks_for_ten_times_its_part_takes_nothing_of_the_others() {
        let claim = |demand, weight| Claim { demand, limit: f64::INFINITY, weight };
        let given =
            fair(1000.0, &[claim(100.0, 1.0), claim(10_000.0, 1.0), claim(200.0, 1.0), claim(600.0, 2.0)]);
        // 300 that the first and the third leave untouched go to the others, two parts of it to the fourth.
        let expected = [100.0, 700.0 / 3.0, 200.0, 1400.0 / 3.0];
        assert!(
            given.iter().zip(expected).all(|(given, expected)| (given - expected).abs() < 1e-9),
            "{given:?}"
        );
    }

    proptest! {
        /// Nothing is given that is not there or not asked for, nothing is kept back that somebody wants, and nobody
        /// whose wish is not granted has less for its weight than another.
        #[test]
        fn division_is_fair(
            rate in 0.0f64..1e6,
            claims in prop::collection::vec((0.0f64..1e6, 0.0f64..1e6, 0.1f64..100.0), 0..40),
        ) {
            let claims: Vec<Claim> =
                claims.into_iter().map(|(demand, limit, weight)| Claim { demand, limit, weight }).collect();
            let given = fair(rate, &claims);
            let wanted: Vec<f64> = claims.iter().map(|claim| claim.demand.min(claim.limit)).collect();
            let (sum, wish) = (given.iter().sum::<f64>(), wanted.iter().sum::<f64>());
            prop_assert!((sum - rate.min(wish)).abs() < 1e-6 * (1.0 + rate));
            for (at, claim) in claims.iter().enumerate() {
                prop_assert!(given[at] <= wanted[at] + 1e-9);
                if given[at] < wanted[at] - 1e-6 {
                    for (other, theirs) in claims.iter().enumerate() {
                        let (mine, its) = (given[at] / claim.weight, given[other] / theirs.weight);
                        prop_assert!(its <= mine * (1.0 + 1e-9) + 1e-9, "{} has {its}, {} {mine}", other, at);
                    }
                }
            }
        }
    }
}
