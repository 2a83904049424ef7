//! The ledger of one shard: where every scheduled probe is.

use crate::outcome::{Unsent, Verdict};
use crate::time::Nanos;

/// Plain counts; the second law holds over them after every call into the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// Probes whose turn came.
    pub scheduled: u64,
    /// Probes that left. (Each is in flight, or answered, or an error, or lost.)
    pub sent: u64,
    /// Probes that are ordered or under way.
    pub in_flight: u64,
    /// Probes that a valid echo reply answered in time.
    pub answered: u64,
    /// Probes that an ICMP error answered in time.
    pub errors: u64,
    /// Probes that nothing valid answered in time.
    pub lost: u64,
    /// Probes that never left, by reason.
    pub unsent: [u64; Unsent::ALL.len()],
    /// Valid answers to probes that had an answer already.
    pub duplicates: u64,
    /// Valid answers to probes that had been given up.
    pub late: u64,
    /// Answers that were corrupt on arrival or bore a wrong MAC.
    pub invalid: u64,
    /// Messages that came through the filter and belong to somebody else.
    pub foreign: u64,
    /// Answers, among the answered, that came from another address than the probe went to.
    pub other_responder: u64,
    /// When the last probe left.
    pub last_sent: Nanos,
    /// How late probes left against their schedule: bucket `b` counts those below 2^b nanoseconds.
    pub lateness: Lateness,
}

/// A histogram of lateness in powers of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lateness {
    buckets: [u64; 64],
    max_ns: u64,
}

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness { buckets: [0; 64], max_ns: 0 }
    }
}

impl Lateness {
    /// Counts one probe.
    #[inline]
    pub fn record(&mut self, late_ns: u64) {
        self.buckets[(64 - late_ns.leading_zeros()).min(63) as usize] += 1;
        self.max_ns = self.max_ns.max(late_ns);
    }

    /// The worst, in nanoseconds.
    #[must_use]
    pub const fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// An upper bound of the given quantile (0 to 1), in nanoseconds: the next power of two, or the worst.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let total: u64 = self.buckets.iter().sum();
        let mut left = (total as f64 * quantile).ceil();
        for (bucket, &count) in self.buckets.iter().enumerate() {
            left -= count as f64;
            if left <= 0.0 {
                return (1u64 << bucket).min(self.max_ns);
            }
        }
        self.max_ns
    }

    fn add(&mut self, other: &Lateness) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

impl Ledger {
    /// Files the end of a probe that was in flight.
    #[inline]
    pub(crate) fn close(&mut self, verdict: Verdict) {
        self.in_flight -= 1;
        match verdict {
            Verdict::Answered => self.answered += 1,
            Verdict::Error { .. } => self.errors += 1,
            Verdict::Lost => self.lost += 1,
            Verdict::Unsent(reason) => self.unsent[reason as usize] += 1,
        }
    }

    /// Probes that never left, all reasons together.
    #[must_use]
    pub fn unsent_total(&self) -> u64 {
        self.unsent.iter().sum()
    }

    /// Probes that have ended: as many outcomes were made.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.answered + self.errors + self.lost + self.unsent_total()
    }

    /// The second law: `scheduled = in flight + answered + error + lost + unsent`.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.scheduled == self.in_flight + self.ended()
    }

    /// Adds another shard's ledger to this one.
    pub fn add(&mut self, other: &Ledger) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.in_flight += other.in_flight;
        self.answered += other.answered;
        self.errors += other.errors;
        self.lost += other.lost;
        for (mine, theirs) in self.unsent.iter_mut().zip(&other.unsent) {
            *mine += theirs;
        }
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.invalid += other.invalid;
        self.foreign += other.foreign;
        self.other_responder += other.other_responder;
        self.last_sent = self.last_sent.max(other.last_sent);
        self.lateness.add(&other.lateness);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_notices_a_probe_that_vanished() {
        let mut ledger = Ledger { scheduled: 3, in_flight: 3, ..Ledger::default() };
        assert!(ledger.balances());
        ledger.close(Verdict::Answered);
        ledger.close(Verdict::Unsent(Unsent::NoRoute));
        assert!(ledger.balances());
        ledger.in_flight -= 1;
        assert!(!ledger.balances());
    }

    #[test]
    fn lateness_quantiles_are_upper_bounds() {
        let mut lateness = Lateness::default();
        for late in 0..1000 {
            lateness.record(late);
        }
        assert_eq!(lateness.max_ns(), 999);
        assert!((500..=1024).contains(&lateness.quantile_ns(0.5)));
        assert_eq!(lateness.quantile_ns(1.0), 999);
        assert_eq!(Lateness::default().quantile_ns(0.99), 0);
    }
}
