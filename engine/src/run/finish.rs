//! The end of a run.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use megaping_probe::{Ledger, Nanos};
use megaping_ring::{Clock, Monotonic, process_cpu_ns};
use megaping_wire::names::message_name;

use super::{RunError, RunPlan, watch};
use crate::cli::SummaryFormat;
use crate::say::say;
use crate::shard::Board;
use crate::sink::SinkEnd;
use crate::summary::{self, LatenessUs, RingSummary, RttUs, Summary};

/// How a run ended.
#[derive(Debug)]
pub struct Finish {
    /// What it did.
    pub summary: Summary,
    /// What cut it short, if anything did.
    pub error: Option<RunError>,
}

impl Finish {
    /// Prints the summary, and the error where there is one, on standard error.
    pub fn print(&self, format: SummaryFormat) {
        match format {
            SummaryFormat::Text => say(self.summary.to_string().trim_end()),
            SummaryFormat::Json => say(self.summary.to_json()),
            SummaryFormat::None => {}
        }
        if let Some(error) = &self.error {
            say(format_args!("megaping: {error}"));
        }
    }

    /// As iputils ping has it: 0 when a probe was answered, 1 when none was, 2 for an error.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match (&self.error, self.summary.answered) {
            (Some(_), _) => ExitCode::from(2),
            (None, 0) => ExitCode::from(1),
            (None, _) => ExitCode::SUCCESS,
        }
    }
}

pub fn summary(
    plan: &RunPlan,
    backend: &'static str,
    boards: &[Arc<Board>],
    start: Nanos,
    end: &SinkEnd,
    interrupted: bool,
) -> Summary {
    let ledger = watch::total(boards);
    let elapsed_s = Nanos(Monotonic.now_ns()).since(start) as f64 / 1e9;
    // Rates are those of the time in which probes left; the wait for the last answers is no part of it.
    let sending_s = (ledger.last_sent.since(start) as f64 / 1e9).max(1e-9);
    // Between the first departure and the last lies one gap less than there are probes.
    let gaps = ledger.sent.saturating_sub(1) as f64 / ledger.sent.max(1) as f64;
    let rate = |count: u64| summary::per_second(count as f64 * gaps, sending_s);
    Summary {
        targets: plan.targets,
        scheduled: ledger.scheduled,
        sent: ledger.sent,
        answered: ledger.answered,
        errors: ledger.errors,
        error_kinds: error_kinds(end),
        lost: ledger.lost,
        unsent: summary::unsent_by_name(&ledger.unsent),
        in_flight: ledger.in_flight,
        duplicates: ledger.duplicates,
        late: ledger.late,
        invalid: ledger.invalid,
        foreign: ledger.foreign,
        interrupted,
        elapsed_s,
        sent_pps: rate(ledger.sent),
        answered_pps: rate(ledger.answered),
        rtt_us: RttUs::from_histogram_ns(&end.rtt_ns),
        lateness_us: lateness_us(&ledger),
        backend: backend.to_owned(),
        shards: plan.shards,
        cpu_s: process_cpu_ns() as f64 / 1e9,
        notes: Vec::new(),
        ring: ring_summary(boards),
        store: end.store,
        paths: None,
        tenants: Vec::new(),
        upload: end.upload,
    }
}

fn error_kinds(end: &SinkEnd) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for (&(is_v4, icmp_type, code), count) in &end.errors {
        *kinds.entry(message_name(is_v4, icmp_type, code)).or_default() += count;
    }
    kinds
}

fn lateness_us(ledger: &Ledger) -> LatenessUs {
    if ledger.sent == 0 {
        return LatenessUs::default();
    }
    let us = |ns| Some(summary::us(ns));
    LatenessUs {
        p50: us(ledger.lateness.quantile_ns(0.5)),
        p99: us(ledger.lateness.quantile_ns(0.99)),
        max: us(ledger.lateness.max_ns()),
    }
}

fn ring_summary(boards: &[Arc<Board>]) -> RingSummary {
    let mut total = RingSummary::default();
    for board in boards {
        if let Ok(figures) = board.figures.lock() {
            total.add(&figures.ring, &figures.post);
        }
    }
    total
}
