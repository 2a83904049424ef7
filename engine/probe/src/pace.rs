//! The pacing bucket: how fast overdue probes may leave.

use crate::time::Nanos;

/// A token bucket in its virtual-scheduling form (GCRA, ITU-T I.371): one time instead of a level.
///
/// Time that went by with the bucket full is made up for: a little faster, for a little
/// while. In any window of `t` seconds it lets through at most `1.25 * rate * t + burst` probes, and no more than
/// `rate * t + burst + 0.1 s * rate` either.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    // Times in 1/2^FRACTION ns, so that a rate of millions a second is exact to 1 in 10^9.
    gap: u128,
    tolerance: u128,
    next: u128,
    // Time that went by unused, and how much of it a probe makes up for.
    debt: u128,
    refund: u128,
    burst_max: u32,
    breath_max_ns: f64,
    breath_ns: u64,
}

const FRACTION: u32 = 32;
/// A bucket holds this much time's worth of probes, or two breaths' where that is more ...
const BURST_NS: f64 = 500_000.0;
/// ... but some at least, and few enough that no router's queue notices.
const BURST_MIN: f64 = 4.0;
/// Probes in a row, at most, whatever the rate.
pub const BURST_MAX: u32 = 256;
/// The most that is made up for, in nanoseconds, ...
const DEBT_NS: u128 = 100_000_000;
/// ... and by what share of its gap a probe then leaves sooner.
const REFUND: u128 = 5;
/// A breath of the shard is as long as so many probes take to come due: to wake up costs as much as two dozen of them ...
const BREATH_PROBES: f64 = 64.0;
/// ... within bounds: no probe waits longer for company, and at high rates more make a batch ...
const BREATH_NS: (f64, f64) = (200_000.0, 32_000_000.0);
/// ... no more than this share of the time between two probes of one target, which are to be evenly apart ...
const BREATH_OF_INTERVAL: f64 = 1.0 / 16.0;
/// ... and no more than what may leave in a row, and some room for a shard that comes late.
const BREATH_SHARE: f64 = 0.85;

impl Pace {
    /// A bucket that is full at first and fills with `rate_pps` tokens a second (a rate of zero, or below,
    /// counts as one an hour), and lets through no more than `burst_max` in a row. A target is probed every `interval_ns`.
    #[must_use]
    pub fn new(rate_pps: f64, burst_max: u32, interval_ns: u64) -> Pace {
        let burst_max = burst_max.clamp(1, BURST_MAX);
        let breath_max_ns = (BREATH_OF_INTERVAL * interval_ns as f64).clamp(BREATH_NS.0, BREATH_NS.1);
        let mut pace = Pace {
            gap: 0,
            tolerance: 0,
            next: 0,
            debt: 0,
            refund: 0,
            burst_max,
            breath_max_ns,
            breath_ns: 0,
        };
        pace.set_rate(rate_pps);
        pace
    }

    /// Fills with `rate_pps` tokens a second from now on; what was taken stays taken.
    pub fn set_rate(&mut self, rate_pps: f64) {
        let gap_ns = 1e9 / rate_pps.max(1.0 / 3600.0);
        self.gap = ((gap_ns * f64::from(1u32 << 31) * 2.0) as u128).max(1);
        self.refund = self.gap / REFUND;
        let full_ns = BREATH_SHARE * f64::from(self.burst_max) * gap_ns;
        let breath_ns = (BREATH_PROBES * gap_ns).clamp(BREATH_NS.0, self.breath_max_ns).min(full_ns);
        // Two breaths' worth, since the shard may come late to the second.
        let burst = (BURST_NS.max(2.0 * breath_ns) / gap_ns).max(BURST_MIN) as u32;
        self.tolerance = self.gap * u128::from(burst.min(self.burst_max) - 1);
        self.breath_ns = breath_ns as u64;
    }

    /// Most probes in a row.
    #[inline]
    #[must_use]
    pub fn burst_max(&self) -> u32 {
        self.burst_max
    }

    /// How long the shard may sleep while probes come due, in nanoseconds: from 32 ms at low rates down to what fills a burst at high ones.
    #[inline]
    #[must_use]
    pub fn breath_ns(&self) -> u64 {
        self.breath_ns
    }

    /// Takes a token, if there is one.
    #[inline]
    pub fn take(&mut self, now: Nanos) -> bool {
        let now = u128::from(now.0) << FRACTION;
        if self.next > now + self.tolerance {
            return false;
        }
        if self.next < now {
            let unused = if self.next == 0 { 0 } else { now - self.next };
            self.debt = (self.debt + unused).min(DEBT_NS << FRACTION);
            self.next = now;
        }
        let refund = self.refund.min(self.debt);
        self.debt -= refund;
        self.next += self.gap - refund;
        true
    }

    /// When the next token is there.
    #[inline]
    #[must_use]
    pub fn ready_at(&self) -> Nanos {
        Nanos((self.next.saturating_sub(self.tolerance)).div_ceil(1 << FRACTION) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn no_window_sees_more_than_rate_and_burst() {
        for rate in [1.0, 999.0, 1e5, 1.5e6] {
            let mut pace = Pace::new(rate, BURST_MAX, SECOND);
            let mut now = 1_000_000_000;
            let mut passed = 0u64;
            // A stall of two seconds, and then somebody who asks all the time.
            assert!(pace.take(Nanos(now)));
            now += 2_000_000_000;
            let end = now + 100_000_000;
            while now < end {
                while pace.take(Nanos(now)) {
                    passed += 1;
                }
                now += 10_000;
            }
            let burst_s = (2.0 * pace.breath_ns() as f64 / 1e9).max(BURST_NS / 1e9);
            let allowed = 1.25 * (rate * 0.1 + (rate * burst_s).clamp(4.0, 256.0)) + 1.0;
            assert!((passed as f64) <= allowed, "{passed} probes at {rate} pps, {allowed} allowed");
            assert!((passed as f64) >= rate * 0.1 * 0.99, "{passed} probes at {rate} pps are too few");
        }
    }

    #[test]
    fn what_a_late_shard_left_undone_is_made_up_for_within_bounds() {
        for rate_pps in [1e4, 1e6] {
            let mut pace = Pace::new(rate_pps, BURST_MAX, SECOND);
            let mut take = |from_ns: u64, to_ns: u64, every_ns: usize| -> usize {
                let in_a_row = |now| (0..BURST_MAX).take_while(|_| pace.take(Nanos(now))).count();
                (from_ns..to_ns).step_by(every_ns).map(in_a_row).sum()
            };
            let breath_ns = Pace::new(rate_pps, BURST_MAX, SECOND).breath_ns() as usize;
            take(SECOND, 2 * SECOND, breath_ns);
            // A stall of 50 ms is forgotten after half a second, one of two seconds is not.
            let with_stall = take(2 * SECOND + 50_000_000, 3 * SECOND, breath_ns);
            assert!((with_stall as f64 / rate_pps - 1.0).abs() < 0.01, "{with_stall} at {rate_pps} pps");
            let after_long_stall = take(5 * SECOND, 6 * SECOND, breath_ns);
            assert!(
                (after_long_stall as f64 / rate_pps - 1.1).abs() < 0.02,
                "{after_long_stall} at {rate_pps} pps"
            );
        }
    }

    #[test]
    fn ready_at_is_when_a_token_is_there() {
        let mut pace = Pace::new(1000.0, BURST_MAX, SECOND);
        let now = Nanos(5_000_000);
        while pace.take(now) {}
        let ready = pace.ready_at();
        assert!(ready > now);
        assert!(!pace.clone().take(ready - 1));
        assert!(pace.take(ready));
    }

    #[test]
    fn bursts_shrink_with_the_rate_and_never_exceed_what_was_asked_for() {
        let burst = |rate_pps: f64, most: u32| {
            let mut pace = Pace::new(rate_pps, most, SECOND);
            std::iter::from_fn(|| pace.take(Nanos(1_000_000_000)).then_some(())).count()
        };
        let bursts = [1.0, 1e3, 1e4, 1e5, 3e6].map(|rate_pps| burst(rate_pps, BURST_MAX));
        assert_eq!(bursts, [4, 64, 128, 128, 256]);
        assert_eq!((burst(3e6, 16), burst(1e4, 16), burst(3e6, 1)), (16, 16, 1));
    }

    #[test]
    fn a_breath_is_some_probes_long_within_bounds() {
        let breath_ns = |rate_pps: f64| Pace::new(rate_pps, BURST_MAX, SECOND).breath_ns();
        let rates_pps = [1.0, 1e3, 1e4, 1e5, 1e6, 4e6];
        let expected_ns = [32_000_000, 32_000_000, 6_400_000, 640_000, 200_000, 54_400];
        assert_eq!(rates_pps.map(breath_ns), expected_ns);
        assert_eq!(Pace::new(1e3, 1, SECOND).breath_ns(), 850_000, "one at a time, and none is late for it");
        let often = |interval_ns| Pace::new(1e3, BURST_MAX, interval_ns).breath_ns();
        assert_eq!(
            [often(10_000_000), often(1)],
            [625_000, 200_000],
            "probes of one target are evenly apart"
        );
    }
}
