//! The command line: what is asked for, checked and typed.
//!
//! `clap` reads the flags; what they mean together is judged once, here, into [`PingOptions`],
//! [`MtrOptions`], [`TraceOptions`] and [`ReportOptions`], whose numbers carry their unit. Flag before environment before default.

mod archive;
mod args;
mod capture;
mod daemon;
mod mtr;
mod options;
mod query;
mod server;
mod trace;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::daemon::DaemonOptions;
use crate::daemon::control::{ControlRequest, What};
use crate::query::QueryOptions;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};

pub use archive::{ArchiveAction, ArchiveOptions, ExportFormat, Selection};
pub use args::{
    ArchiveFormat, Backend, Cli, DoctorFormat, OutputFormat, ReportFormat, SortKey, SummaryFormat,
};
pub use daemon::{ConfigAction, ConfigRequest};
pub use mtr::MtrOptions;
pub use options::{DoctorOptions, MeasureOptions, PingOptions, ReportOptions, UsageError};
pub use server::{SchemaAction, SchemaRequest, SpoolFull, SpoolLimit, SpoolUpload};
pub(crate) use trace::FEW_PATHS;
pub use trace::TraceOptions;
pub use values::{MAX_PATTERN_LEN, MAX_SIZE, Payload, ValueError};

/// What the user asked for.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// `megaping ping`.
    Ping(Box<PingOptions>),
    /// `megaping mtr`.
    Mtr(Box<MtrOptions>),
    /// `megaping trace`.
    Trace(Box<TraceOptions>),
    /// `megaping run`.
    Run(DaemonOptions),
    /// `megaping config`.
    Config(ConfigRequest),
    /// `megaping status` and its like.
    Control(ControlRequest),
    /// `megaping report`.
    Report(ReportOptions),
    /// `megaping query`.
    Query(Box<QueryOptions>),
    /// `megaping doctor`.
    Doctor(DoctorOptions),
    /// `megaping capture freeze`: the engine's socket, and the file.
    Freeze(PathBuf, PathBuf),
    /// `megaping upload`.
    Upload(SpoolUpload),
    /// `megaping archive`.
    Archive(Box<ArchiveOptions>),
    /// `megaping schema`.
    Schema(SchemaRequest),
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
    let matches = command.try_get_matches_from_mut(args).map_err(|error| advise(error, &mut command))?;
    let cli = Cli::from_arg_matches(&matches)?;
    let ask = |via, what| Ok(Request::Control(daemon::ask(via, what)));
    let (name, request) = match cli.command {
        args::Command::Ping(args) => ("ping", options::ping(*args).map(|ping| Request::Ping(Box::new(ping)))),
        args::Command::Mtr(args) => ("mtr", mtr::mtr(*args).map(|mtr| Request::Mtr(Box::new(mtr)))),
        args::Command::Trace(args) => {
            ("trace", trace::trace(*args).map(|trace| Request::Trace(Box::new(trace))))
        }
        args::Command::Run(args) => ("run", Ok(Request::Run(daemon::run(args)))),
        args::Command::Config(args) => ("config", Ok(Request::Config(daemon::config(args)))),
        args::Command::Status(args) => ("status", ask(args.via, What::Status { watch: args.watch })),
        args::Command::Tenants(via) => ("tenants", ask(via, What::Tenants)),
        args::Command::Targets(via) => ("targets", ask(via, What::Targets)),
        args::Command::Pause(args) => ("pause", ask(args.via, What::Pause(args.tenant))),
        args::Command::Resume(args) => ("resume", ask(args.via, What::Resume(args.tenant))),
        args::Command::Reload(via) => ("reload", ask(via, What::Reload)),
        args::Command::Drain(via) => ("drain", ask(via, What::Drain)),
        args::Command::Report(args) => ("report", options::report(args).map(Request::Report)),
        args::Command::Query(args) => {
            ("query", query::query(args).map(|query| Request::Query(Box::new(query))))
        }
        args::Command::Doctor(args) => ("doctor", Ok(Request::Doctor(options::doctor(args)))),
        args::Command::Archive(args) => {
            ("archive", archive::archive(args).map(|archive| Request::Archive(Box::new(archive))))
        }
        args::Command::Capture(args) => match args.command {
            capture::CaptureWhat::Freeze(args) => ("capture", Ok(Request::Freeze(args.via, args.write))),
        },
        args::Command::Upload(args) => ("upload", Ok(Request::Upload(server::upload(args)))),
        args::Command::Schema(args) => ("schema", server::schema(args).map(Request::Schema)),
    };
    request.map_err(|error| {
        let command = command.find_subcommand_mut(name).expect("the command that was just parsed");
        command.error(clap::error::ErrorKind::ArgumentConflict, error)
    })
}

/// Adds what `clap` cannot know. It names the flag whose value is wrong, also where nobody gave that flag: then
/// the value is the environment's. And a target where a command should be wants a `ping` before it.
fn advise(mut error: clap::Error, command: &mut clap::Command) -> clap::Error {
    let tip = misplaced_target(&error).or_else(|| bad_environment(&error, command));
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn misplaced_target(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if word.contains(['.', ':']) => {
            Some(format!("to ping a target, put the command first: 'megaping ping {word}'"))
        }
        _ => None,
    }
}

fn bad_environment(error: &clap::Error, command: &mut clap::Command) -> Option<String> {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return None;
    };
    // Until then only the command that was used is whole, and others' flags have no text to compare with.
    command.build();
    let mut flags = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let variable = flags.find(|known| known.to_string() == *flag)?.get_env()?;
    let is_its_value = std::env::var_os(variable).is_some_and(|set| set == value.as_str());
    is_its_value
        .then(|| format!("{} is set to that in the environment: correct it, or unset it", variable.display()))
}

#[cfg(test)]
mod tests;
