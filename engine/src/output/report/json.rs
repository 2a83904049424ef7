//! A report as JSON lines.

use serde::Serialize;

use super::ReportRow;

/// A row in JSON; round trips in microseconds, as in the summary.
#[derive(Serialize)]
struct Object {
    target: String,
    scheduled: u64,
    sent: u64,
    answered: u64,
    errors: u64,
    lost: u64,
    unsent: u64,
    loss: Option<f64>,
    rtt_us: RoundTrips,
    jitter_us: Option<f64>,
}

#[derive(Serialize)]
struct RoundTrips {
    min: Option<f64>,
    mean: Option<f64>,
    median: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

/// Appends a row as one line.
pub(super) fn line(out: &mut Vec<u8>, row: &ReportRow) {
    let us = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e3);
    let object = Object {
        target: row.target.to_string(),
        scheduled: row.scheduled,
        sent: row.sent,
        answered: row.answered,
        errors: row.errors,
        lost: row.lost,
        unsent: row.unsent,
        loss: row.loss_millipercent().map(|loss| loss as f64 / 1e5),
        rtt_us: RoundTrips {
            min: us(row.rtt_min_ns),
            mean: us(row.rtt_mean_ns),
            median: us(row.rtt_median_ns),
            p99: us(row.rtt_p99_ns),
            max: us(row.rtt_max_ns),
        },
        jitter_us: us(row.jitter_ns),
    };
    serde_json::to_writer(&mut *out, &object).expect("a row has string keys and finite numbers");
    out.push(b'\n');
}
