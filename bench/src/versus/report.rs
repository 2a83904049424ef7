//! What is written down of a comparison: every run by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::watch::WorldCounts;
use crate::machine::Machine;

/// The file that `docs/performance.md` cites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersusReport {
    /// Where.
    pub machine: Machine,
    /// How to repeat it.
    pub command: String,
    /// Whether times and repeats were cut short, so that figures are good for nothing but trying.
    pub quick: bool,
    /// The measured window of an ordinary run, in seconds.
    pub window_s: f64,
    /// What both processors together do while nothing is measured, as a share of one; taken off every run.
    pub baseline_cores: f64,
    /// Programs and their versions.
    pub versions: BTreeMap<String, String>,
    /// What could not be run, and why.
    pub skipped: Vec<Skipped>,
    /// Every run, in the order in which they ran.
    pub runs: Vec<Run>,
}

/// Something that was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// As fast as it goes.
    Full,
    /// At a given rate.
    Rate,
    /// A million probes a second for a minute, both families, errors among the answers.
    Sustained,
    /// The same with two fifths of a processor each for shards and store.
    Throttled,
    /// What the world's own program costs: the kernel takes the time of each of its runs.
    World,
}

/// Addresses that are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addresses {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Half and half.
    Both,
}

/// Who runs and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// What for.
    pub part: Part,
    /// `megaping xdp`, `zmap`, `bare AF_XDP`, ...
    pub tool: String,
    /// Threads that probe, or queues; what a peer does by itself counts as one.
    pub shards: u16,
    /// The family.
    pub addresses: Addresses,
    /// Payload bytes behind the ICMP header; none where the tool has a size of its own.
    pub size: Option<u16>,
    /// Probes a second that were asked for; none: as many as it can.
    pub rate_pps: Option<u64>,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Who and how.
    #[serde(flatten)]
    pub case: Case,
    /// Which of the repeats, from zero.
    pub repeat: u32,
    /// The command line, as it ran in the lab's near namespace.
    pub command: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Why nothing was, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The figures of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Length of the window, in seconds.
    pub window_s: f64,
    /// Requests that the world saw in the window, a second.
    pub requests_pps: f64,
    /// Good answers that the tool says it matched, a second: its share of all requests, times the rate.
    pub answered_pps: f64,
    /// Processor time of the whole machine a request, in nanoseconds, less the baseline and what was stolen.
    pub machine_ns: Option<f64>,
    /// Of that, what the far end of the cable took: polling, the world's program, and what it sends; where it was
    /// timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_ns: Option<f64>,
    /// Processor time of the tool's process and its children a request, in nanoseconds.
    pub process_ns: Option<f64>,
    /// The same as a share of one processor.
    pub process_cores: f64,
    /// Time of one run of the world's program, in nanoseconds, where the kernel took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world_ns: Option<f64>,
    /// Processor time that the hypervisor took away in the window, as a share of one processor.
    pub steal_cores: f64,
    /// What the world counted from start to end.
    pub world: WorldCounts,
    /// The tool's own words.
    pub own: Own,
    /// What this project's summary says beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<Ours>,
}

/// What a tool says it did.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Requests sent, if it says.
    pub sent: Option<u64>,
    /// Good answers that it matched.
    pub answered: u64,
}

/// From our own summary.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ours {
    /// Probes that fell due.
    pub scheduled: u64,
    /// Probes that ICMP errors answered.
    pub errors: u64,
    /// Probes that nothing answered.
    pub lost: u64,
    /// Probes that never left, by reason.
    pub unsent: BTreeMap<String, u64>,
    /// Scheduled probes that are in no state: must be zero.
    pub unaccounted: i64,
    /// Probes that count as lost beyond those that the world swallowed: must be zero.
    pub false_loss: i64,
    /// Whether what we say was sent, answered and refused is what the world counted.
    pub equals_world: bool,
    /// Rows that are safe on disk.
    pub stored: u64,
    /// Round trips in microseconds: min, p50, p90, p99, p999, max.
    pub rtt_us: BTreeMap<String, Option<f64>>,
    /// Lateness against the schedule in microseconds: p50, p99, max.
    pub lateness_us: BTreeMap<String, Option<f64>>,
}

impl VersusReport {
    /// The measured runs of a case.
    pub fn of<'a>(&'a self, case: &'a Case) -> impl Iterator<Item = &'a Measured> + Clone {
        self.runs.iter().filter(move |run| run.case == *case).filter_map(|run| run.measured.as_ref())
    }

    /// The median of a figure over the repeats of a case.
    pub fn median(&self, case: &Case, figure: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        median(self.of(case).filter_map(figure))
    }

    /// The cases of a part, each once, in the order in which they first ran.
    pub fn cases(&self, part: Part) -> Vec<&Case> {
        let mut cases: Vec<&Case> = Vec::new();
        for run in self.runs.iter().filter(|run| run.case.part == part) {
            if !cases.contains(&&run.case) {
                cases.push(&run.case);
            }
        }
        cases
    }
}

/// The median; of an even number, the lower one of the middle two.
pub fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0].into_iter()), Some(3.0));
        assert_eq!(median([3.0, 1.0].into_iter()), Some(1.0));
        assert_eq!(median([9.0, 1.0, 4.0].into_iter()), Some(4.0));
    }
}
