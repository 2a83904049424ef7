//! Paths as lines: for people, as JSON, as CSV.
//!
//! A path becomes text in a reused buffer, which is handed to the writer whole. What is said of a hop is the same in
//! every form.

mod csv;
mod json;
mod text;

use std::io::{self, Write};

use megaping_probe::trace::HopEnd;
use megaping_wire::{icmpv4, icmpv6};

use super::assemble::{Hop, Traced};
use super::changes::Change;
use crate::cli::OutputFormat;
use crate::mtr::words::Naming;
use crate::names::Names;
use crate::output::time::{Clock, LEN};

/// So many bytes of text are handed to the writer at once.
const FULL: usize = 1 << 16;

/// Writes paths to `W`.
#[derive(Debug)]
pub struct Printer<W: Write> {
    format: OutputFormat,
    out: W,
    text: Vec<u8>,
    clock: Clock,
}

/// How a path is shown.
#[derive(Clone, Copy)]
pub struct Showing<'a> {
    /// The name that the target was given by, where it was.
    pub name: Option<&'a str>,
    /// Names of addresses.
    pub names: &'a Names,
    /// How hosts are named in text.
    pub naming: Naming,
}

/// One path to be told.
struct Line<'a> {
    path: &'a Traced<'a>,
    showing: Showing<'a>,
    /// `2026-01-02T03:04:05.123456789Z`
    time: &'a [u8; LEN],
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
        Ok(Printer { format, out, text: Vec::new(), clock: Clock::default() })
    }

    /// Whether it prints anything.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.format == OutputFormat::None
    }

    /// Prints a path that ended at `unix_ns`.
    ///
    /// # Errors
    /// The writer's error; a reader that went away is [`io::ErrorKind::BrokenPipe`].
    pub fn path(&mut self, path: &Traced<'_>, unix_ns: u64, showing: Showing<'_>) -> io::Result<()> {
        let render = match self.format {
            OutputFormat::None => return Ok(()),
            OutputFormat::Text => text::path,
            OutputFormat::Json => json::path,
            OutputFormat::Csv => csv::path,
        };
        let time = self.clock.rfc3339(unix_ns);
        render(&mut self.text, &Line { path, showing, time });
        if self.text.len() >= FULL { self.pass_on() } else { Ok(()) }
    }

    /// Prints that a path has become another one.
    ///
    /// # Errors
    /// The writer's error.
    pub fn change(
        &mut self,
        path: &Traced<'_>,
        change: &Change,
        unix_ns: u64,
        showing: Showing<'_>,
    ) -> io::Result<()> {
        let time = self.clock.rfc3339(unix_ns);
        let line = Line { path, showing, time };
        match self.format {
            // A table of hops has no place for it.
            OutputFormat::None | OutputFormat::Csv => Ok(()),
            OutputFormat::Text => text::change(&mut self.text, &line, change),
            OutputFormat::Json => {
                json::change(&mut self.text, &line, change);
                Ok(())
            }
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.text);
        self.text.clear();
        written
    }

    /// Hands all to the writer and flushes it.
    ///
    /// # Errors
    /// The writer's error.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }
}

/// ICMP or ICMPv6 type and code of a hop's first answer.
pub(super) fn icmp(hop: &Hop) -> Option<(bool, u8, u8)> {
    let is_v4 = hop.responder.filter(|_| hop.received > 0)?.is_v4();
    let (icmp_type, code) = match hop.end {
        HopEnd::Reached => (if is_v4 { icmpv4::ECHO_REPLY } else { icmpv6::ECHO_REPLY }, 0),
        HopEnd::TimeExceeded => (if is_v4 { icmpv4::TIME_EXCEEDED } else { icmpv6::TIME_EXCEEDED }, 0),
        HopEnd::Unreachable { icmp_type, code } | HopEnd::Other { icmp_type, code } => (icmp_type, code),
        HopEnd::Lost | HopEnd::Unsent(_) => return None,
    };
    Some((is_v4, icmp_type, code))
}

#[cfg(test)]
mod tests;
