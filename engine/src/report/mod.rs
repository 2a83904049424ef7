//! `megaping report`: reads a store back.

mod paths;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use megaping_store::StoreError;
use megaping_store::path;
use megaping_store::report::{Reader, TargetReport};

use crate::cli::ReportOptions;
use crate::output::report::{self, ReportRow};
use crate::say::say;
use paths::Paths;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Prints the report that was asked for.
///
/// # Errors
/// [`ReportError`], whose message is for the user; a reader that has seen enough is no error.
pub fn run(options: &ReportOptions) -> Result<ExitCode, ReportError> {
    let has_paths = path::are_in(&options.store);
    let stored = match Reader::open(&options.store) {
        Ok(reader) => Some(reader.report()?),
        // Paths alone.
        Err(StoreError::Nothing { .. }) if has_paths => None,
        Err(error) => return Err(error.into()),
    };
    let mut damaged = stored.as_ref().map_or(0, |stored| stored.damaged_bytes);
    let mut paths = Paths::default();
    if has_paths {
        damaged += path::read(&options.store, |row| paths.take(row))?;
    }
    if damaged > 0 {
        say(format_args!(
            "megaping: {}: {damaged} bytes of damaged records could not be read; the rest is below",
            options.store.display(),
        ));
    }
    let mut rows: Vec<ReportRow> = stored.iter().flat_map(|stored| &stored.targets).map(row_of).collect();
    report::sort(&mut rows, options.sort);
    let top = options.top.unwrap_or(usize::MAX);
    rows.truncate(top);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
    let mut print = || {
        if stored.is_some() {
            report::write(&mut out, options.output, &rows)?;
        }
        if has_paths {
            paths.write(&mut out, options.output, top)?;
        }
        out.flush()
    };
    match print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ReportError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn row_of(target: &TargetReport) -> ReportRow {
    let rtt = target.rtt;
    ReportRow {
        target: target.destination,
        scheduled: target.counts.scheduled,
        sent: target.counts.sent(),
        answered: target.counts.answered,
        errors: target.counts.errors,
        lost: target.counts.lost,
        unsent: target.counts.unsent,
        rtt_min_ns: rtt.map(|rtt| rtt.min_ns),
        rtt_mean_ns: rtt.map(|rtt| rtt.mean_ns),
        rtt_median_ns: rtt.map(|rtt| rtt.median_ns),
        rtt_p99_ns: rtt.map(|rtt| rtt.p99_ns),
        rtt_max_ns: rtt.map(|rtt| rtt.max_ns),
        jitter_ns: rtt.and_then(|rtt| rtt.jitter_ns),
    }
}
