//! The command line: what is asked for, checked and typed.
//!
//! `clap` reads the flags; what they mean together is judged once, here, into [`PingOptions`] and
//! [`ReportOptions`], whose numbers carry their unit. Flag before environment before default.

mod args;
mod options;
mod values;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

pub use args::{Backend, Cli, OutputFormat, ReportFormat, SortKey, SummaryFormat};
pub use options::{PingOptions, ReportOptions, UsageError};
pub use values::{MAX_PATTERN_LEN, MAX_SIZE, Payload, ValueError};

/// What the user asked for.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// `megaping ping`.
    Ping(Box<PingOptions>),
    /// `megaping report`.
    Report(ReportOptions),
}

/// Reads a command line, program name first.
///
/// # Errors
/// `clap::Error`, whose `exit()` prints it and leaves with 2, or with 0 where help or the version was asked
/// for.
pub fn parse_from<I, T>(args: I) -> Result<Request, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = Cli::command();
    let cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(args)?)?;
    let (name, request) = match cli.command {
        args::Command::Ping(args) => ("ping", options::ping(*args).map(|ping| Request::Ping(Box::new(ping)))),
        args::Command::Report(args) => ("report", options::report(args).map(Request::Report)),
    };
    request.map_err(|error| {
        let command = command.find_subcommand_mut(name).expect("the command that was just parsed");
        command.error(clap::error::ErrorKind::ArgumentConflict, error)
    })
}

#[cfg(test)]
mod tests;
