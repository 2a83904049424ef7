//! What can happen to a reply on its way through the memory ring, and the dice that decide it.

/// How the simulated way misbehaves. Probabilities are per million replies; all zero is a perfect way.
///
/// A reply meets the faults in this order: loss, corruption, delay, reordering, duplication. A duplicate has
/// the bytes of its original, harmed ones included, and a delay of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Replies that vanish (or whose request did: nobody can tell), per million.
    pub loss: u32,
    /// Replies that come twice, per million of those not lost.
    pub duplicate: u32,
    /// Replies with one flipped bit, per million of those not lost.
    pub corrupt: u32,
    /// First byte, counted from the IP header on, in which a bit may flip: lets the caller keep corruption
    /// to bytes under a checksum. Replies that end before it are spared, and not counted.
    pub corrupt_from: usize,
    /// Replies that are held back by `reorder_hold_ns`, so that later ones overtake them, per million of
    /// those not lost.
    pub reorder: u32,
    /// How long such a reply is held back beyond its delay, in nanoseconds.
    pub reorder_hold_ns: u64,
    /// Round trip of every reply, in nanoseconds.
    pub delay_ns: u64,
    /// Up to so many nanoseconds more, evenly distributed.
    pub jitter_ns: u64,
}

impl Faults {
    /// Whether replies leave the way in the order in which they entered it, so that a plain queue will do.
    pub(super) const fn keep_order(&self) -> bool {
        self.jitter_ns == 0 && (self.reorder == 0 || self.reorder_hold_ns == 0)
    }

    /// Whether no dice need to be thrown at all.
    pub(super) const fn are_certain(&self) -> bool {
        self.loss == 0 && self.duplicate == 0 && self.corrupt == 0 && self.reorder == 0 && self.jitter_ns == 0
    }
}

/// What the simulated world did: the truth that a prober's ledger must equal.
///
/// The laws, which hold between any two calls:
///
/// ```text
/// requests                       = silent + answered           (silent: the far end gave no reply)
/// answered - lost + duplicated   = delivered + in flight
/// answered - lost - corrupted    = requests with a good reply, delivered or in flight
/// duplicated_corrupt            <= duplicated, corrupted
/// ```
///
/// so that a prober which waits for everything must count `answered - lost - corrupted` probes as answered,
/// `duplicated - duplicated_corrupt` duplicates, and `corrupted + duplicated_corrupt` invalid replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultCounts {
    /// Packets that the ring took.
    pub requests: u64,
    /// Requests to which the far end gave a reply.
    pub answered: u64,
    /// Replies that vanished.
    pub lost: u64,
    /// Replies of which a second copy was made.
    pub duplicated: u64,
    /// Replies of which one bit was flipped.
    pub corrupted: u64,
    /// Of the duplicated, those whose bytes were corrupted before.
    pub duplicated_corrupt: u64,
    /// Replies that were held back so that others overtake them; their duplicates are not.
    pub reordered: u64,
    /// Packets handed out by `recv`, duplicates included.
    pub delivered: u64,
}

/// The dice: splitmix64 (Steele, Lea, Flood 2014), one add and three xor-shift-multiplies a throw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[inline]
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True `per_million` times out of a million: never for zero, always for a million and more.
    #[inline]
    pub(super) fn happens(&mut self, per_million: u32) -> bool {
        per_million != 0 && self.below(1_000_000) < u64::from(per_million)
    }

    /// A number in `0..bound`, zero when `bound` is: the high half of a 128-bit product (Lemire 2019), whose
    /// bias of `bound / 2^64` nobody here can see.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.throw()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_exact_at_both_ends_and_near_between() {
        let mut dice = Dice::new(1);
        assert!((0..10_000).all(|_| !dice.happens(0)));
        assert!((0..10_000).all(|_| dice.happens(1_000_000)));
        let hits = (0..1_000_000).filter(|_| dice.happens(50_000)).count();
        assert!((49_000..51_000).contains(&hits), "{hits} of 50,000 expected");
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut dice = Dice::new(2);
        let mut seen = [false; 8];
        for _ in 0..1_000 {
            seen[dice.below(8) as usize] = true;
        }
        assert_eq!(seen, [true; 8]);
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn order_is_kept_unless_something_varies() {
        assert!(Faults { loss: 1, delay_ns: 5, ..Faults::default() }.keep_order());
        assert!(Faults { reorder: 5, ..Faults::default() }.keep_order(), "held back by nothing");
        assert!(!Faults { jitter_ns: 1, ..Faults::default() }.keep_order());
        assert!(!Faults { reorder: 5, reorder_hold_ns: 1, ..Faults::default() }.keep_order());
    }
}
