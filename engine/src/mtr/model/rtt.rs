//! Round trips of one hop: what mtr shows of them, and quantiles.

use std::fmt;

use hdrhistogram::Histogram;

/// Round trips are told apart from half a microsecond up to this, to two digits.
const LONGEST_NS: u64 = 60_000_000_000;
const SHORTEST_NS: u64 = 1_000;
const DIGITS: u8 = 2;

/// Statistics over the round trips of one hop, in the order in which the answers came. Times are nanoseconds.
///
/// Jitter is that of mtr: the difference between an answer and the one before it; the first has none, and counts
/// as zero in the mean. The interarrival jitter is the smoothed one of RFC 3550 section 6.4.1.
#[derive(Clone, Default)]
pub struct Rtt {
    count: u64,
    last_ns: u64,
    best_ns: u64,
    worst_ns: u64,
    mean_ns: f64,
    squares: f64,
    log_sum: f64,
    jitter_ns: u64,
    jitter_worst_ns: u64,
    jitter_mean_ns: f64,
    interarrival_ns: f64,
    // Ten kilobytes: only where there is an answer.
    histogram: Option<Box<Histogram<u32>>>,
}

impl Rtt {
    /// Takes the next answer.
    pub fn record(&mut self, rtt_ns: u64) {
        let value = rtt_ns as f64;
        self.jitter_ns = if self.count == 0 { 0 } else { rtt_ns.abs_diff(self.last_ns) };
        self.best_ns = if self.count == 0 { rtt_ns } else { self.best_ns.min(rtt_ns) };
        self.worst_ns = self.worst_ns.max(rtt_ns);
        self.count += 1;
        // Welford 1962: one pass, and no difference of large sums.
        let from_old = value - self.mean_ns;
        self.mean_ns += from_old / self.count as f64;
        self.squares += from_old * (value - self.mean_ns);
        self.log_sum += value.max(1.0).ln();
        let jitter = self.jitter_ns as f64;
        self.jitter_worst_ns = self.jitter_worst_ns.max(self.jitter_ns);
        self.jitter_mean_ns += (jitter - self.jitter_mean_ns) / self.count as f64;
        // RFC 3550 section 6.4.1: J += (|D| - J) / 16.
        self.interarrival_ns += (jitter - self.interarrival_ns) / 16.0;
        self.last_ns = rtt_ns;
        if self.histogram.is_none() {
            self.histogram = Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, DIGITS).ok().map(Box::new);
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(rtt_ns);
        }
    }

    /// Answers taken.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The newest round trip, or zero; so are the others where there was no answer, as in mtr.
    #[must_use]
    pub const fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// The shortest.
    #[must_use]
    pub const fn best_ns(&self) -> u64 {
        self.best_ns
    }

    /// The longest.
    #[must_use]
    pub const fn worst_ns(&self) -> u64 {
        self.worst_ns
    }

    /// The arithmetic mean.
    #[must_use]
    pub const fn mean_ns(&self) -> f64 {
        self.mean_ns
    }

    /// The geometric mean.
    #[must_use]
    pub fn geometric_mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.log_sum / self.count as f64).exp() }
    }

    /// The standard deviation of the sample; zero for less than two answers.
    #[must_use]
    pub fn deviation_ns(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).max(0.0).sqrt() }
    }

    /// The difference of the last two.
    #[must_use]
    pub const fn jitter_ns(&self) -> u64 {
        self.jitter_ns
    }

    /// The mean of those differences.
    #[must_use]
    pub const fn jitter_mean_ns(&self) -> f64 {
        self.jitter_mean_ns
    }

    /// The largest of them.
    #[must_use]
    pub const fn jitter_worst_ns(&self) -> u64 {
        self.jitter_worst_ns
    }

    /// The interarrival jitter (RFC 3550 section 6.4.1).
    #[must_use]
    pub const fn interarrival_ns(&self) -> f64 {
        self.interarrival_ns
    }

    /// A quantile (0 to 1), to two digits and within what was seen.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let value = self.histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile));
        value.clamp(self.best_ns, self.worst_ns)
    }
}

impl fmt::Debug for Rtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rtt({}: {}..{} ns)", self.count, self.best_ns, self.worst_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jitter_is_mtrs() {
        let mut rtt = Rtt::default();
        for ms in [10, 14, 12, 12] {
            rtt.record(ms * 1_000_000);
        }
        assert_eq!((rtt.jitter_ns(), rtt.jitter_worst_ns()), (0, 4_000_000));
        assert!((rtt.jitter_mean_ns() - 1_500_000.0).abs() < 1.0);
        // (4 - 0) / 16, then (2 - 0.25) / 16 more, then a sixteenth less.
        assert!((rtt.interarrival_ns() - (250_000.0 + 109_375.0) * 15.0 / 16.0).abs() < 1.0);
    }

    #[test]
    fn without_answers_all_is_zero() {
        let rtt = Rtt::default();
        assert_eq!((rtt.best_ns(), rtt.quantile_ns(0.5), rtt.count()), (0, 0, 0));
        assert!(rtt.deviation_ns() < f64::EPSILON && rtt.geometric_mean_ns() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn agrees_with_two_passes(values in prop::collection::vec(1_000u64..2_000_000_000, 1..200)) {
            let mut rtt = Rtt::default();
            for &value in &values {
                rtt.record(value);
            }
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| value as f64).sum::<f64>() / count;
            let squares = values.iter().map(|&value| (value as f64 - mean).powi(2)).sum::<f64>();
            let deviation = if values.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() };
            prop_assert!((rtt.mean_ns() - mean).abs() <= mean * 1e-9);
            prop_assert!((rtt.deviation_ns() - deviation).abs() <= mean * 1e-6);
            prop_assert_eq!(Some(&rtt.best_ns()), values.iter().min());
            prop_assert_eq!(Some(&rtt.worst_ns()), values.iter().max());
            prop_assert!(rtt.geometric_mean_ns() <= mean * (1.0 + 1e-9));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let median = sorted[(sorted.len() - 1) / 2] as f64;
            prop_assert!((rtt.quantile_ns(0.5) as f64 - median).abs() <= median * 0.01 + 1_000.0);
        }
    }
}
