//! Round trips in buckets that widen with them.

/// Buckets in an octave.
const IN_OCTAVE: f64 = 16.0;

/// Counts by bucket, sorted; only those that are not empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<(u16, u64)>,
    total: u64,
}

impl Histogram {
    pub fn add(&mut self, rtt_ns: u64) {
        let bucket = ((rtt_ns.max(1) as f64).log2() * IN_OCTAVE) as u16;
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 += 1,
            Err(at) => self.counts.insert(at, (bucket, 1)),
        }
        self.total += 1;
    }

    /// The middle, by its logarithm, of the bucket that holds the quantile.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = ((self.total as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut passed = 0;
        let holds = |(_, count): &&(u16, u64)| {
            passed += count;
            passed >= rank
        };
        let (bucket, _) = self.counts.iter().find(holds)?;
        Some(((f64::from(*bucket) + 0.5) / IN_OCTAVE).exp2().round() as u64)
    }
}
