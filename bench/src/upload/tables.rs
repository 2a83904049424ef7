//! The tables of an upload.

use std::fmt::{Result, Write};

use super::{Lag, UploadReport, Way};
use crate::tables::{thousands, write_machine};

/// Processor time a row, all told on our side, in nanoseconds.
const AIM_NS: f64 = 120.0;
/// Bytes a row on the wire.
const AIM_BYTES: f64 = 8.0;

/// Writes them.
///
/// # Errors
/// The writer's.
pub fn write(text: &mut String, report: &UploadReport) -> Result {
    let UploadReport { machine, command, server, targets, rows, ours, classic, stored, lags } = report;
    writeln!(text, "### Into ClickHouse\n")?;
    write_machine(text, machine, command)?;
    writeln!(
        text,
        "{} rows of {} scattered IPv4 targets, into ClickHouse {server} on the same machine, with both rollups.\n",
        thousands(*rows),
        thousands(*targets)
    )?;
    writeln!(text, "| way | step | ns a row | rows a second |")?;
    writeln!(text, "| --- | --- | ---: | ---: |")?;
    for (name, way) in [("segments", ours), ("RowBinary, LZ4", classic)] {
        for step in &way.steps {
            writeln!(text, "| {name} | {} | {:.1} | {} |", step.name, step.ns, whole(step.rows_per_s))?;
        }
    }
    writeln!(text, "\n| a row | wanted | segments | RowBinary, LZ4 |")?;
    writeln!(text, "| --- | ---: | ---: | ---: |")?;
    writeln!(
        text,
        "| our processor time | <= {AIM_NS} ns | {:.0} ns | {:.0} ns |",
        own_ns(ours),
        own_ns(classic)
    )?;
    writeln!(
        text,
        "| on the wire | <= {AIM_BYTES} B | {:.1} B | {:.1} B |",
        ours.wire_bytes, classic.wire_bytes
    )?;
    writeln!(
        text,
        "| the server's processor time | | {:.0} ns | {:.0} ns |",
        ours.server_ns, classic.server_ns
    )?;
    writeln!(text, "| on the server's disk | <= 5 B | {:.2} B | |", stored.nanoseconds)?;
    writeln!(text, "| the same in microseconds | <= 3 B | {:.2} B | |", stored.microseconds)?;
    writeln!(text, "| a row of the minutes' rollup | | {:.1} B | |\n", stored.rollup)?;
    writeln!(text, "| results a second | came | lag p50 | p99 | highest | wanted |")?;
    writeln!(text, "| ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for Lag { asked_per_s, reached_per_s, p50_ms, p99_ms, max_ms, .. } in lags {
        writeln!(
            text,
            "| {} | {} | {p50_ms} ms | {p99_ms} ms | {max_ms} ms | < 5 s |",
            thousands(*asked_per_s),
            whole(*reached_per_s)
        )?;
    }
    writeln!(text)
}

fn own_ns(way: &Way) -> f64 {
    way.steps.iter().map(|step| step.ns).sum()
}

#[expect(clippy::cast_sign_loss, reason = "rates are not negative")]
fn whole(figure: f64) -> String {
    thousands(figure.round() as u64)
}
