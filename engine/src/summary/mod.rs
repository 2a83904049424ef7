//! The end of a run: every scheduled probe in exactly one place, as JSON or for people.

mod text;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use megaping_probe::trace::PathEnd;
use megaping_probe::{Outcome, RingCounters, Unsent, Verdict};
use serde::Serialize;
use thiserror::Error;

use crate::mailbox::PostCounts;

/// The summary of a run. Its JSON keys are a contract; keys may be added.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Addresses that were probed.
    pub targets: u64,
    /// Probes that fell due.
    pub scheduled: u64,
    /// Probes that left.
    pub sent: u64,
    /// Probes that an echo reply answered.
    pub answered: u64,
    /// Probes that an ICMP error answered.
    pub errors: u64,
    /// The same by [`megaping_wire::names::message_name`]; other than zero alone.
    pub error_kinds: BTreeMap<&'static str, u64>,
    /// Probes that nothing answered in time.
    pub lost: u64,
    /// Probes that never left, by [`Unsent::name`]; other than zero alone.
    pub unsent: BTreeMap<&'static str, u64>,
    /// Probes that are under way still: zero unless a way to the wire died.
    pub in_flight: u64,
    /// Answers to probes that were answered already.
    pub duplicates: u64,
    /// Answers to probes that were lost already.
    pub late: u64,
    /// Answers that claimed to be ours and were corrupt or forged.
    pub invalid: u64,
    /// ICMP messages for somebody else on this machine.
    pub foreign: u64,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// From the first probe to the end of the program's work, results written, in seconds.
    pub elapsed_s: f64,
    /// Probes that left, a second of the time in which probes left.
    pub sent_pps: f64,
    /// Probes that an echo reply answered, a second.
    pub answered_pps: f64,
    /// Round trips of echo replies, in microseconds.
    pub rtt_us: RttUs,
    /// How long after its time a probe left, in microseconds.
    pub lateness_us: LatenessUs,
    /// The way to the wire.
    pub backend: String,
    /// Threads that probed.
    pub shards: u16,
    /// Processor time of the whole program, in seconds.
    pub cpu_s: f64,
    /// What the way to the wire lacks: each was said on standard error as well.
    pub notes: Vec<String>,
    /// What the rings counted beside the probes.
    pub ring: RingSummary,
    /// Where the outcomes are; none without a store.
    pub store: Option<StoreSummary>,
    /// What became of those that were to be sent to `ClickHouse`; none without it.
    pub upload: Option<UploadSummary>,
    /// What became of paths, of a run that traces them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathSummary>,
    /// What became of each tenant's probes, where there are tenants: together they are what was scheduled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantSummary>,
}

/// What became of one tenant's probes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TenantSummary {
    /// Its name.
    pub tenant: String,
    /// How each of its probes ended.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How probes ended, counted by the outcomes that they became.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Probes that have ended, one way or another.
    pub scheduled: u64,
    /// By an echo reply.
    pub answered: u64,
    /// By an ICMP error.
    pub errors: u64,
    /// By nothing.
    pub lost: u64,
    /// They never left.
    pub unsent: u64,
    /// Those of them that a share left no room for.
    pub shed: u64,
}

impl Counts {
    /// Counts one outcome.
    #[inline]
    pub fn add(&mut self, outcome: &Outcome) {
        self.scheduled += 1;
        match outcome.verdict {
            Verdict::Answered => self.answered += 1,
            Verdict::Error { .. } => self.errors += 1,
            Verdict::Lost => self.lost += 1,
            Verdict::Unsent(reason) => {
                self.unsent += 1;
                self.shed += u64::from(reason == Unsent::Shed);
            }
        }
    }
}

/// What became of the paths of a trace, each in each round: those that began are `reached + refused + unreached +
/// incomplete`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PathSummary {
    /// Paths of a round: targets times flows.
    pub total: u64,
    /// Those whose target answered.
    pub reached: u64,
    /// Those at whose end a router said that the target cannot be reached.
    pub refused: u64,
    /// Those at whose end nobody answered.
    pub unreached: u64,
    /// Those that had begun when the run was stopped, and not ended.
    pub incomplete: u64,
    /// Paths that became others from one round to the next, each time.
    pub changes: u64,
    /// Hops that were not asked, since many paths agree about them.
    pub shared_hops: u64,
}

/// Round trips in microseconds; null where there was no answer.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "statistics by their usual names")]
pub struct RttUs {
    pub min: Option<f64>,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
}

/// Lateness in microseconds; null where no probe left.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "statistics by their usual names")]
pub struct LatenessUs {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

/// [`RingCounters`] and [`PostCounts`] of all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RingSummary {
    /// Arrivals that were dropped for want of room: loss that is our own doing.
    pub rx_dropped: u64,
    /// Messages that the filter should not have let through.
    pub rx_malformed: u64,
    /// Times that the way out was full.
    pub tx_full: u64,
    /// Packets that the interface dropped on their way out, ours or others', and times that it went down.
    pub tx_dropped: u64,
    /// Answers that landed on another shard's ring and were handed over.
    pub handed_over: u64,
    /// Targets that moved to the shard where their answers land.
    pub migrated: u64,
}

/// Where the outcomes are: `produced = queued + spooled + archived + dropped + rejected`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StoreSummary {
    /// Outcomes that were handed over.
    pub produced: u64,
    /// Those that wait in memory.
    pub queued: u64,
    /// Those that are safe on disk, in the spool, and not in the archive; where there is none, those that went on to
    /// `ClickHouse` are among them: [`UploadSummary`] tells.
    pub spooled: u64,
    /// Those that are in the archive.
    pub archived: u64,
    /// Those that were on disk and given up, because the spool was full.
    pub dropped: u64,
    /// Those that could not be written, or that there was no room for.
    pub rejected: u64,
}

/// What became of the outcomes that were to be sent to `ClickHouse`, those of earlier runs included:
/// `rows = uploaded + refused + dropped + waiting`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct UploadSummary {
    /// Outcomes that were on disk to be sent.
    pub rows: u64,
    /// Those that the server has.
    pub uploaded: u64,
    /// Those that it refused for good: they are kept aside.
    pub refused: u64,
    /// Those that were given up, because the spool was full.
    pub dropped: u64,
    /// Those that are still to be sent.
    pub waiting: u64,
    /// Requests that brought them.
    pub segments: u64,
    /// Bytes of these requests' bodies.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// The law of probes does not hold: a defect of the engine, never of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "the ledger does not balance: scheduled {scheduled} is not answered {answered} + errors {errors} + lost \
     {lost} + unsent {unsent} + in flight {in_flight}"
)]
#[expect(missing_docs, reason = "the fields of the summary that they are named after")]
pub struct LawBroken {
    pub scheduled: u64,
    pub answered: u64,
    pub errors: u64,
    pub lost: u64,
    pub unsent: u64,
    pub in_flight: u64,
}

impl RttUs {
    /// The figures of a histogram of nanoseconds.
    #[must_use]
    pub fn from_histogram_ns(rtt_ns: &Histogram<u64>) -> RttUs {
        if rtt_ns.is_empty() {
            return RttUs::default();
        }
        let quantile = |quantile| Some(us(rtt_ns.value_at_quantile(quantile)));
        RttUs {
            min: Some(us(rtt_ns.min())),
            mean: Some(rtt_ns.mean().round() / 1e3),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: Some(us(rtt_ns.max())),
        }
    }
}

impl LatenessUs {
    /// The figures of a histogram of nanoseconds.
    #[must_use]
    pub fn from_histogram_ns(late_ns: &Histogram<u64>) -> LatenessUs {
        if late_ns.is_empty() {
            return LatenessUs::default();
        }
        let quantile = |quantile| Some(us(late_ns.value_at_quantile(quantile)));
        LatenessUs { p50: quantile(0.5), p99: quantile(0.99), max: Some(us(late_ns.max())) }
    }
}

impl RingSummary {
    /// Adds what one shard counted.
    pub fn add(&mut self, ring: &RingCounters, post: &PostCounts) {
        self.rx_dropped += ring.rx_dropped;
        self.rx_malformed += ring.rx_malformed;
        self.tx_full += ring.tx_full;
        // The interface's, and every shard's the same.
        self.tx_dropped = self.tx_dropped.max(ring.tx_dropped);
        self.handed_over += post.handed_over;
        self.migrated += post.migrated;
    }
}

/// Nanoseconds as microseconds with three decimals.
#[must_use]
pub fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// Reasons other than zero by name, from counts in the order of [`Unsent::ALL`].
#[must_use]
pub fn unsent_by_name(counts: &[u64; Unsent::ALL.len()]) -> BTreeMap<&'static str, u64> {
    let named = Unsent::ALL.iter().zip(counts).map(|(reason, count)| (reason.name(), *count));
    named.filter(|(_, count)| *count > 0).collect()
}

/// A count a second to one decimal; zero for no time at all.
#[must_use]
pub fn per_second(count: f64, elapsed_s: f64) -> f64 {
    if elapsed_s > 0.0 { (count / elapsed_s * 10.0).round() / 10.0 } else { 0.0 }
}

impl PathSummary {
    /// Counts a path.
    pub fn add(&mut self, end: &PathEnd) {
        let place = match (end.complete, end.reached, end.length) {
            (false, ..) => &mut self.incomplete,
            (true, true, _) => &mut self.reached,
            (true, false, 0) => &mut self.unreached,
            (true, false, _) => &mut self.refused,
        };
        *place += 1;
    }
}

impl Summary {
    /// Probes that never left, for whatever reason.
    #[must_use]
    pub fn unsent_total(&self) -> u64 {
        self.unsent.values().sum()
    }

    /// Checks that every scheduled probe is in exactly one place.
    ///
    /// # Errors
    /// [`LawBroken`] with all of the numbers.
    pub fn check_law(&self) -> Result<(), LawBroken> {
        let Summary { scheduled, answered, errors, lost, in_flight, .. } = *self;
        let unsent = self.unsent_total();
        let placed = [answered, errors, lost, unsent, in_flight].into_iter().map(u128::from);
        if u128::from(scheduled) == placed.sum::<u128>() {
            return Ok(());
        }
        Err(LawBroken { scheduled, answered, errors, lost, unsent, in_flight })
    }

    /// One line of JSON, without a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary has string keys and finite numbers")
    }
}

#[cfg(test)]
mod tests;
