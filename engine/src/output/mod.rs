//! Outcomes as lines: for people, as JSON, as CSV.
//!
//! Rows come at the rate of the probing, so nothing here allocates once the buffer has grown: a batch of rows
//! is rendered into one reused buffer and handed to the writer whole. What a line says is the same in every
//! form; each form has one file.

pub(crate) mod csv;
pub(crate) mod digits;
mod human;
pub(crate) mod json;
pub mod report;
pub(crate) mod time;

use std::io::{self, Write};

use megaping_probe::{Outcome, Verdict};
use megaping_wire::Addr;

pub use crate::cli::OutputFormat;
pub use human::{count as human_count, span_ns as human_span_ns};
pub use time::unix_seconds;

use time::Clock;

/// Writes outcomes to `W`, one line each.
#[derive(Debug)]
pub struct Printer<W: Write> {
    format: OutputFormat,
    out: W,
    lines: Vec<u8>,
    clock: Clock,
}

impl<W: Write> Printer<W> {
    /// A printer; for CSV it writes the header line.
    ///
    /// # Errors
    /// The writer's error.
    pub fn new(format: OutputFormat, mut out: W) -> io::Result<Printer<W>> {
        if format == OutputFormat::Csv {
            out.write_all(csv::HEADER.as_bytes())?;
        }
        Ok(Printer { format, out, lines: Vec::new(), clock: Clock::default() })
    }

    /// Prints rows. `unix_offset_ns` added to a row's time makes nanoseconds since the Unix epoch; `name` knows
    /// the host name of a target that was given by one.
    ///
    /// # Errors
    /// The writer's error; a reader that went away is [`io::ErrorKind::BrokenPipe`].
    pub fn rows<'n>(
        &mut self,
        rows: &[Outcome],
        unix_offset_ns: u64,
        name: impl Fn(&Addr) -> Option<&'n str>,
    ) -> io::Result<()> {
        let render = match self.format {
            OutputFormat::None => return Ok(()),
            OutputFormat::Text => human::line,
            OutputFormat::Json => json::line,
            OutputFormat::Csv => csv::line,
        };
        self.lines.clear();
        for outcome in rows {
            let time = self.clock.rfc3339(outcome.at.0.saturating_add(unix_offset_ns));
            let row = Row { outcome, name: name(&outcome.destination), time, answer: answer(outcome) };
            render(&mut self.lines, &row);
        }
        self.out.write_all(&self.lines)
    }

    /// Flushes the writer.
    ///
    /// # Errors
    /// The writer's error.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// One line to be.
struct Row<'a> {
    outcome: &'a Outcome,
    name: Option<&'a str>,
    /// `2026-01-02T03:04:05.123456789Z`
    time: &'a [u8; time::LEN],
    answer: Answer,
}

/// What is told of any answer, an ICMP error included, and absent where there was none.
type Answer = Option<AnswerParts>;

#[derive(Clone, Copy)]
struct AnswerParts {
    rtt_ns: u64,
    responder: Addr,
    hop_limit: u8,
    source: &'static str,
    error_bound_ns: u32,
}

fn answer(outcome: &Outcome) -> Answer {
    match outcome.verdict {
        Verdict::Answered | Verdict::Error { .. } => Some(AnswerParts {
            rtt_ns: outcome.rtt_ns,
            responder: outcome.responder,
            hop_limit: outcome.reply_hop_limit,
            source: outcome.stamp_source.name(),
            error_bound_ns: outcome.error_ns,
        }),
        Verdict::Lost | Verdict::Unsent(_) => None,
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Answered => "answered",
        Verdict::Error { .. } => "error",
        Verdict::Lost => "lost",
        Verdict::Unsent(_) => "unsent",
    }
}

#[cfg(test)]
mod tests;
