//! The pacing bucket: how fast overdue probes may leave.

use crate::time::Nanos;

/// A token bucket in its virtual-scheduling form (GCRA, ITU-T I.371): one time instead of a level.
///
/// In any window of `t` seconds it lets through at most `rate * t + burst` probes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    // Times in 1/2^FRACTION ns, so that a rate of millions a second is exact to 1 in 10^9.
    gap: u128,
    tolerance: u128,
    next: u128,
}

const FRACTION: u32 = 32;
/// A bucket holds this much time's worth of probes ...
const BURST_NS: u64 = 500_000;
/// ... but one full batch at least, and few enough that no router's queue notices.
const BURST_MIN: u128 = 4;
const BURST_MAX: u128 = 256;

impl Pace {
    /// A bucket that is full at first and fills with `rate_pps` tokens a second (a rate of zero, or below,
    /// counts as one an hour).
    #[must_use]
    pub fn new(rate_pps: f64) -> Pace {
        let mut pace = Pace { gap: 0, tolerance: 0, next: 0 };
        pace.set_rate(rate_pps);
        pace
    }

    /// Fills with `rate_pps` tokens a second from now on; what was taken stays taken.
    pub fn set_rate(&mut self, rate_pps: f64) {
        let gap_ns = 1e9 / rate_pps.max(1.0 / 3600.0);
        self.gap = ((gap_ns * f64::from(1u32 << 31) * 2.0) as u128).max(1);
        let burst = ((u128::from(BURST_NS) << FRACTION) / self.gap).clamp(BURST_MIN, BURST_MAX);
        self.tolerance = self.gap * (burst - 1);
    }

    /// Takes a token, if there is one.
    #[inline]
    pub fn take(&mut self, now: Nanos) -> bool {
        let now = u128::from(now.0) << FRACTION;
        if self.next > now + self.tolerance {
            return false;
        }
        self.next = self.next.max(now) + self.gap;
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

    #[test]
    fn no_window_sees_more_than_rate_and_burst() {
        for rate in [1.0, 999.0, 1e5, 1.5e6] {
            let mut pace = Pace::new(rate);
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
            let allowed = rate * 0.1 + (rate * BURST_NS as f64 / 1e9).clamp(4.0, 256.0) + 1.0;
            assert!((passed as f64) <= allowed, "{passed} probes at {rate} pps, {allowed} allowed");
            assert!((passed as f64) >= rate * 0.1 * 0.99, "{passed} probes at {rate} pps are too few");
        }
    }

    #[test]
    fn ready_at_is_when_a_token_is_there() {
        let mut pace = Pace::new(1000.0);
        let now = Nanos(5_000_000);
        while pace.take(now) {}
        let ready = pace.ready_at();
        assert!(ready > now);
        assert!(!pace.clone().take(ready - 1));
        assert!(pace.take(ready));
    }
}
