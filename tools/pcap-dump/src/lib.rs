//! Looks at captured packets with the eyes of `megaping`: what its own views ([`megaping_wire`]) make of every
//! ICMP and ICMPv6 packet in a capture, and what is wrong with it.
//!
//! ```text
//! bytes -> capture: records -> link: IP packets -> dissect: a Sighting each -> line | JSON
//!                                                       |
//!                                                    Summary
//! ```
//!
//! [`dump`] is the whole of that; the program adds flags, files and exit codes. [`Attached`] is the other half: what the
//! shards of a running engine see, written to files; [`Kernel`] is what the program in the kernel sees.

mod attach;
mod capture;
mod dissect;
mod error;
mod expression;
mod kernel;
mod line;
mod link;
mod output;
mod pcapng;
mod sighting;
mod summary;

use std::io::{Read, Write};

pub use attach::{AttachError, Attached, Limits, Taken};
pub use capture::{Capture, Record};
pub use dissect::dissect;
pub use error::Error;
pub use expression::Expression;
pub use kernel::{Kernel, KernelError};
pub use link::LinkType;
pub use output::{Files, Format, Output, OutputError};
pub use sighting::{Class, Cut, Label, Quoted, Sighting, UnixNs};
pub use summary::Summary;

/// What is printed, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// A JSON object a line instead of text.
    pub json: bool,
    /// Print these alone; the summary counts everything all the same.
    pub only: Option<Only>,
}

/// A choice of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Only {
    /// What is malformed or has a wrong checksum.
    Malformed,
    /// Echo requests.
    Requests,
    /// Echo replies.
    Replies,
    /// ICMP errors.
    Errors,
}

impl Options {
    /// Whether a packet is printed: ICMP of either family, and whatever is wrong.
    fn wants(self, sighting: &Sighting) -> bool {
        match self.only {
            None => sighting.icmp || sighting.is_bad(),
            Some(Only::Malformed) => sighting.is_bad(),
            Some(Only::Requests) => sighting.class == Class::Request,
            Some(Only::Replies) => sighting.class == Class::Reply,
            Some(Only::Errors) => sighting.class == Class::Error,
        }
    }
}

/// Reads a capture to its end and writes a line for every packet that `options` want. `summary` counts what was
/// read, also when an error ends the reading.
///
/// # Errors
/// Any [`Error`]: the input cannot be read or is no capture that this program understands, or the output cannot
/// be written. The lines up to there are written.
pub fn dump(
    input: impl Read,
    options: Options,
    out: &mut impl Write,
    summary: &mut Summary,
) -> Result<(), Error> {
    let mut capture = Capture::new(input)?;
    while let Some(record) = capture.next_record()? {
        let sighting = dissect(&record);
        summary.count(&sighting);
        if !options.wants(&sighting) {
            continue;
        }
        if options.json {
            serde_json::to_writer(&mut *out, &sighting).map_err(|error| Error::Write(error.into()))?;
            out.write_all(b"\n")
        } else {
            writeln!(out, "{sighting}")
        }
        .map_err(Error::Write)?;
    }
    Ok(())
}
