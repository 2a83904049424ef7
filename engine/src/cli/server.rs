//! The flags about `ClickHouse`, and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use megaping_store::clickhouse::{Endpoint, Password, Server, Timeouts};
use megaping_store::schema::Layout;
use megaping_store::upload::UploadOptions;

use super::options::UsageError;
use super::values;

/// The password itself; a flag for it would show it to everyone on this machine.
const PASSWORD: &str = "MEGAPING_CLICKHOUSE_PASSWORD";

const SERVER_NOTES: &str = "\
Passwords are never given on the command line: set MEGAPING_CLICKHOUSE_PASSWORD, or name a file. The file is
read anew for each request. Without --clickhouse-ca, the public authorities are trusted.";

const SCHEMA_NOTES: &str = "\
Each server that is named gets its own tables: of a cluster, name all. Passwords are never given on the command
line: set MEGAPING_CLICKHOUSE_PASSWORD, or name a file. Without --clickhouse-ca, the public authorities are trusted.

Exit status: 0, 1 when check or diff found something, 2 for an error.";

/// Our account at a ClickHouse service, and whom we trust to be it.
#[expect(clippy::struct_field_names, reason = "the flags are named so")]
#[derive(Args, Debug)]
pub(super) struct AccountArgs {
    /// Account there [default: the server's default user]
    #[arg(long, value_name = "NAME", help_heading = "ClickHouse")]
    #[arg(env = "MEGAPING_CLICKHOUSE_USER", hide_env = true)]
    pub clickhouse_user: Option<String>,
    /// File whose first line is the password
    #[arg(long, value_name = "PATH", help_heading = "ClickHouse")]
    #[arg(env = "MEGAPING_CLICKHOUSE_PASSWORD_FILE", hide_env = true)]
    pub clickhouse_password_file: Option<PathBuf>,
    /// Certificates to trust instead of the public ones, PEM
    #[arg(long, value_name = "PATH", help_heading = "ClickHouse")]
    #[arg(env = "MEGAPING_CLICKHOUSE_CA", hide_env = true)]
    pub clickhouse_ca: Option<PathBuf>,
}

/// A ClickHouse service that has to be named.
#[derive(Args, Debug)]
pub(super) struct ServerArgs {
    /// ClickHouse, http(s)://HOST[:PORT][/DATABASE]; several, by comma, are tried in turn
    #[arg(long, value_name = "URL", help_heading = "ClickHouse", value_delimiter = ',', required = true)]
    #[arg(env = "MEGAPING_CLICKHOUSE", hide_env = true)]
    pub clickhouse: Vec<Endpoint>,
    #[command(flatten)]
    pub account: AccountArgs,
}

/// What a run does with its outcomes beside printing and storing them.
#[derive(Args, Debug)]
pub(super) struct KeepArgs {
    /// Room on the disk for what is not yet archived or sent: 500M, 20G [default: no limit]
    #[arg(long, value_name = "BYTES", help_heading = "Results", value_parser = values::room)]
    #[arg(env = "MEGAPING_SPOOL_MAX", hide_env = true)]
    pub spool_max: Option<u64>,
    /// When that is full: block sends no more probes until there is room, drop-oldest gives up old outcomes
    #[arg(long, value_name = "POLICY", help_heading = "Results", default_value = "block")]
    #[arg(env = "MEGAPING_SPOOL_FULL", hide_env = true, hide_possible_values = true)]
    pub spool_full: SpoolFull,

    /// Send outcomes there as they come in, http(s)://HOST[:PORT][/DATABASE]; several, by comma, are tried in turn
    #[arg(long, value_name = "URL", help_heading = "ClickHouse", value_delimiter = ',')]
    #[arg(env = "MEGAPING_CLICKHOUSE", hide_env = true)]
    pub clickhouse: Vec<Endpoint>,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Whose results they are
    #[arg(long, value_name = "NAME", help_heading = "Results", default_value = "default")]
    #[arg(env = "MEGAPING_TENANT", hide_env = true)]
    pub tenant: String,
    /// Requests under way at a time, 1 to 16
    #[arg(long, value_name = "N", help_heading = "ClickHouse", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    #[arg(env = "MEGAPING_UPLOAD_PARALLEL", hide_env = true)]
    pub upload_parallel: u8,
    /// Bytes a second at most: 500k, 10M [default: no limit]
    #[arg(long, value_name = "BYTES", help_heading = "ClickHouse", value_parser = values::bandwidth)]
    #[arg(env = "MEGAPING_UPLOAD_BANDWIDTH", hide_env = true)]
    pub upload_bandwidth: Option<u64>,
}

/// Where a run sends what it keeps.
#[derive(Args, Debug)]
pub(super) struct SendArgs {
    /// Send paths there as they come in, http(s)://HOST[:PORT][/DATABASE]; several, by comma, are tried in turn
    #[arg(long, value_name = "URL", help_heading = "ClickHouse", value_delimiter = ',')]
    #[arg(env = "MEGAPING_CLICKHOUSE", hide_env = true)]
    pub clickhouse: Vec<Endpoint>,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Whose results they are
    #[arg(long, value_name = "NAME", help_heading = "ClickHouse", default_value = "default")]
    #[arg(env = "MEGAPING_TENANT", hide_env = true)]
    pub tenant: String,
}

#[derive(Args, Debug)]
#[command(after_help = SERVER_NOTES)]
pub(super) struct UploadArgs {
    /// The directory that a run was given as --store
    #[arg(long, value_name = "DIR")]
    pub spool: PathBuf,
    /// Whose results they are
    #[arg(long, value_name = "NAME", default_value = "default", env = "MEGAPING_TENANT", hide_env = true)]
    pub tenant: String,
    /// Give up after this time; what is left stays in the spool [default: never]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub within: Option<u64>,
    /// Requests under way at a time, 1 to 16
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub parallel: u8,
    /// Bytes a second at most: 500k, 10M [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = values::bandwidth)]
    pub bandwidth: Option<u64>,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Args, Debug)]
#[command(after_help = SCHEMA_NOTES)]
pub(super) struct SchemaArgs {
    /// apply makes what is missing, check says what is, diff how tables differ, print what apply would run
    #[arg(value_name = "ACTION", hide_possible_values = true)]
    pub action: SchemaAction,
    /// Spread the tables over this cluster, one of the servers' `remote_servers`
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Tables with replicas, by Keeper and the macros shard and replica
    #[arg(long)]
    pub replicated: bool,
    /// Also make the role `megaping_reader`, whose holders see the rows of their tenants alone (apply, print)
    #[arg(long)]
    pub row_policies: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What to do about the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SchemaAction {
    /// Make what is missing.
    Apply,
    /// Say what is missing.
    Check,
    /// Say how tables differ from what they should be.
    Diff,
    /// Print the statements, for somebody else to run.
    Print,
}

/// A run of `megaping schema`, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaRequest {
    /// What to do.
    pub action: SchemaAction,
    /// Where tables live.
    pub layout: Layout,
    /// Whether to make the readers' role, too.
    pub has_row_policies: bool,
    /// The servers.
    pub server: Server,
}

/// What happens when the spool is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SpoolFull {
    /// Probes are shed until there is room.
    Block,
    /// The oldest outcomes are given up.
    DropOldest,
}

/// How much a spool may hold, and what happens then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpoolLimit {
    /// Bytes on the disk.
    pub bytes: u64,
    /// What happens.
    pub policy: SpoolFull,
}

/// A run of `megaping upload`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct SpoolUpload {
    /// The store whose spool is sent.
    pub dir: PathBuf,
    /// When to give up; none: never.
    pub within: Option<Duration>,
    /// How it is sent.
    pub options: UploadOptions,
}

fn service(endpoints: Vec<Endpoint>, account: AccountArgs) -> Server {
    let password = match (account.clickhouse_password_file, std::env::var(PASSWORD)) {
        (Some(path), _) => Password::File(path),
        (None, Ok(value)) => Password::Value(value),
        (None, Err(_)) => Password::None,
    };
    Server { endpoints, user: account.clickhouse_user, password, ca: account.clickhouse_ca }
}

pub(super) fn server(args: ServerArgs) -> Server {
    service(args.clickhouse, args.account)
}

pub(super) fn schema(args: SchemaArgs) -> Result<SchemaRequest, UsageError> {
    // It stands in statements, in quotes.
    if let Some(name) = args.cluster.as_ref().filter(|name| name.contains(['\'', '\\'])) {
        return Err(UsageError::Cluster(name.clone()));
    }
    Ok(SchemaRequest {
        action: args.action,
        layout: Layout { cluster: args.cluster, is_replicated: args.replicated },
        has_row_policies: args.row_policies,
        server: server(args.server),
    })
}

pub(super) fn upload(args: UploadArgs) -> SpoolUpload {
    SpoolUpload {
        dir: args.spool,
        within: args.within.map(Duration::from_nanos),
        options: UploadOptions {
            server: server(args.server),
            tenant: args.tenant,
            timeouts: Timeouts::default(),
            parallel: args.parallel.into(),
            bytes_per_s: args.bandwidth,
        },
    }
}

/// Where a run's paths are sent.
pub(super) fn send(args: SendArgs) -> Option<UploadOptions> {
    (!args.clickhouse.is_empty()).then(|| UploadOptions {
        server: service(args.clickhouse, args.account),
        tenant: args.tenant,
        timeouts: Timeouts::default(),
        parallel: 1,
        bytes_per_s: None,
    })
}

pub(super) fn keep(args: KeepArgs) -> (Option<UploadOptions>, Option<SpoolLimit>) {
    let limit = args.spool_max.map(|bytes| SpoolLimit { bytes, policy: args.spool_full });
    if args.clickhouse.is_empty() {
        return (None, limit);
    }
    let upload = UploadOptions {
        server: service(args.clickhouse, args.account),
        tenant: args.tenant,
        timeouts: Timeouts::default(),
        parallel: args.upload_parallel.into(),
        bytes_per_s: args.upload_bandwidth,
    };
    (Some(upload), limit)
}
