//! The flags of the daemon and of its configuration.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::args::SummaryFormat;
use super::values;
use minisign_verify::PublicKey;

use crate::daemon::DaemonOptions;
use crate::daemon::control::{ControlRequest, What};
use crate::daemon::remote::{self, Remote};

const RUN_EXAMPLES: &str = "\
The configuration is read anew when it or a list that it names has changed, and on SIGHUP; one that is wrong
changes nothing. 'megaping config example' prints one with every key and what it means.

Examples:
  megaping config example > megaping.toml
  megaping config check megaping.toml
  megaping run --config megaping.toml

Exit status: 0 when it was stopped or the time was over, 2 for an error.";

const CONFIG_EXAMPLES: &str = "\
check says what is wrong, with line and column; show prints what is meant, defaults filled in, as JSON; schema
prints a JSON Schema of it (2020-12); example prints a configuration with every key and what it means.

Exit status: 0, 2 when something is wrong.";

#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(super) struct RunArgs {
    /// The configuration, TOML: a file, or the URL of one (https://, s3://, gs://, az://, file://)
    #[arg(long, value_name = "PATH", env = "MEGAPING_CONFIG", hide_env = true)]
    pub config: PathBuf,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Stop after this time [default: never]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub duration: Option<u64>,
    /// The summary at the end, on standard error: text, json or none
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    #[arg(env = "MEGAPING_SUMMARY", hide_env = true, hide_possible_values = true)]
    pub summary: SummaryFormat,
}

#[derive(Args, Debug)]
#[command(after_help = CONFIG_EXAMPLES)]
pub(super) struct ConfigArgs {
    /// check, show, schema or example
    #[arg(value_name = "ACTION", hide_possible_values = true)]
    pub action: ConfigAction,
    /// The configuration, TOML
    #[arg(value_name = "PATH", env = "MEGAPING_CONFIG", hide_env = true)]
    #[arg(required_if_eq_any([("action", "check"), ("action", "show")]))]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// What comes from elsewhere.
#[derive(Args, Debug)]
pub(super) struct RemoteArgs {
    /// Copies of configuration and lists that have a URL are kept here
    #[arg(long, value_name = "DIR", default_value = "/var/lib/megaping/remote")]
    #[arg(env = "MEGAPING_STATE", hide_env = true)]
    pub state: PathBuf,
    /// Take those only with a signature by this key of minisign beside them (URL.minisig)
    #[arg(long, value_name = "KEY", value_parser = remote::public_key)]
    #[arg(env = "MEGAPING_SIGNED_BY", hide_env = true)]
    pub signed_by: Option<PublicKey>,
}

impl RemoteArgs {
    fn remote(self) -> Remote {
        Remote { state: self.state, key: self.signed_by }
    }
}

/// Which engine is asked, and how its answer is printed.
#[derive(Args, Debug)]
pub(super) struct ViaArgs {
    /// The engine's control.socket
    #[arg(long, value_name = "SOCKET", default_value = "/run/megaping/control.sock")]
    #[arg(env = "MEGAPING_VIA", hide_env = true)]
    pub via: PathBuf,
    /// Form of the answer: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub output: AnswerFormat,
}

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum AnswerFormat {
    /// For people.
    Text,
    /// As the engine gave it.
    Json,
}

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Again each second, until stopped
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub via: ViaArgs,
}

#[derive(Args, Debug)]
pub(super) struct TenantArgs {
    /// The tenant
    #[arg(value_name = "TENANT")]
    pub tenant: String,
    #[command(flatten)]
    pub via: ViaArgs,
}

pub(super) fn ask(via: ViaArgs, what: What) -> ControlRequest {
    ControlRequest { via: via.via, what, json: via.output == AnswerFormat::Json }
}

/// What to do about a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ConfigAction {
    /// Say what is wrong with it.
    Check,
    /// Print what it means.
    Show,
    /// Print its JSON Schema, for editors and generators.
    Schema,
    /// Print one that has everything.
    Example,
}

/// A run of `megaping config`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfigRequest {
    /// What to do.
    pub action: ConfigAction,
    /// Of which file; there is one unless an example is wanted.
    pub path: PathBuf,
    /// What comes from elsewhere.
    pub remote: Remote,
}

pub(super) fn run(args: RunArgs) -> DaemonOptions {
    let duration = args.duration.map(Duration::from_nanos);
    DaemonOptions { config: args.config, remote: args.remote.remote(), duration, summary: args.summary }
}

pub(super) fn config(args: ConfigArgs) -> ConfigRequest {
    ConfigRequest { action: args.action, path: args.path.unwrap_or_default(), remote: args.remote.remote() }
}
