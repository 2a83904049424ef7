//! `megaping query`: figures of stored results, grouped, without a server.

mod write;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use megaping_store::StoreError;
use megaping_store::query::{Dimension, Groups, TooManyGroups};
use megaping_store::report::Reader;

use crate::cli::{ReportFormat, Selection};
use crate::say::say;

/// A run of `megaping query`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryOptions {
    /// Which rows.
    pub rows: Selection,
    /// What they are grouped by; nothing: all together.
    pub by: Vec<Dimension>,
    /// What the worst come first by; none: all by their keys.
    pub worst: Option<Worst>,
    /// How many groups are shown, if not all.
    pub top: Option<usize>,
    /// Whether a table shows the course of round trips.
    pub sparkline: bool,
    /// The form of the answer.
    pub output: ReportFormat,
}

/// What makes a group worse than another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Worst {
    /// More of its probes were not answered.
    Loss,
    /// Its median round trip is longer.
    P50,
    /// Its 99th percentile is.
    P99,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Results cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many groups.
    #[error(transparent)]
    Groups(#[from] TooManyGroups),
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Prints the figures that were asked for.
///
/// # Errors
/// [`QueryError`], whose message is for the user; a reader that has seen enough is no error.
pub fn run(options: &QueryOptions) -> Result<ExitCode, QueryError> {
    let reader = Reader::open_all(&options.rows.places)?;
    let filter = &options.rows.filter;
    let span = if options.sparkline { span(&reader, options)? } else { None };
    let mut groups = Groups::new(options.by.clone(), span);
    let damaged = reader.rows_of(filter, |tenant, row| groups.add(tenant, &row))?;
    if damaged > 0 {
        say(format_args!(
            "megaping: {damaged} bytes of damaged records could not be read; the rest is below"
        ));
    }
    let mut groups = groups.finish()?;
    if let Some(worst) = options.worst {
        let badness = |group: &megaping_store::query::Group| match worst {
            Worst::Loss => group.counts.loss(),
            Worst::P50 => group.quantile_ns(0.5).map(|ns| ns as f64),
            Worst::P99 => group.quantile_ns(0.99).map(|ns| ns as f64),
        };
        // Stable: among equals the order of their keys.
        groups.sort_by(|(_, a), (_, b)| badness(b).unwrap_or(-1.0).total_cmp(&badness(a).unwrap_or(-1.0)));
    }
    groups.truncate(options.top.unwrap_or(usize::MAX));
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
    let written = write::groups(&mut out, options, &groups).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(QueryError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The first and the last time of the rows that are wanted.
fn span(reader: &Reader, options: &QueryOptions) -> Result<Option<(u64, u64)>, QueryError> {
    let mut span: Option<(u64, u64)> = None;
    reader.rows_of(&options.rows.filter, |_, row| {
        let (first, last) = span.unwrap_or((row.unix_ns, row.unix_ns));
        span = Some((first.min(row.unix_ns), last.max(row.unix_ns)));
    })?;
    Ok(span)
}
