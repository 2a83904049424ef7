//! The flags as `clap` reads them. Each help text is one line; `--help` is a snapshot test.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use megaping_store::place::PlaceUrl;

use super::archive::ArchiveArgs;
use super::capture::{CaptureArgs, CaptureCommand};
use super::daemon::{ConfigArgs, RunArgs, StatusArgs, TenantArgs, ViaArgs};
use super::mtr::MtrArgs;
use super::query::QueryArgs;
use super::server::{KeepArgs, SchemaArgs, UploadArgs};
use super::trace::TraceArgs;
use super::values::{self, Payload};
use crate::backend::Kind;

/// High-performance ping: millions of targets, every probe accounted for.
#[derive(Parser, Debug)]
#[command(
    name = "megaping",
    bin_name = "megaping",
    version,
    about,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Ping targets: addresses, blocks, ranges, host names, lists
    Ping(Box<PingArgs>),
    /// Watch the paths to targets: a live screen, or a report at the end
    Mtr(Box<MtrArgs>),
    /// Trace the paths to targets, as many as a list has, at any rate
    Trace(Box<TraceArgs>),
    /// Measure for many tenants, around the clock, by a configuration
    Run(RunArgs),
    /// Check a configuration, or print one
    Config(ConfigArgs),
    /// Say how a running engine does
    Status(StatusArgs),
    /// List its tenants
    Tenants(ViaArgs),
    /// List what it measures
    Targets(ViaArgs),
    /// Have a tenant's measurements rest
    Pause(TenantArgs),
    /// Have them go on
    Resume(TenantArgs),
    /// Have it read its configuration anew
    Reload(ViaArgs),
    /// Have it end: what is under way is waited for, and written down
    Drain(ViaArgs),
    /// Report per target on what a run has stored
    Report(ReportArgs),
    /// Figures of stored results, grouped and filtered, without a server
    Query(QueryArgs),
    /// Say what this machine has for probing, and which backend it gets
    Doctor(DoctorArgs),
    /// Write the packets that an engine has kept into a file
    Capture(CaptureCommand),
    /// Send what a spool holds to ClickHouse, exactly once
    Upload(UploadArgs),
    /// Make or check the tables in ClickHouse
    Schema(SchemaArgs),
    /// Look after Parquet files: list, verify, export, compact, prune
    Archive(ArchiveArgs),
}

const PING_EXAMPLES: &str = "\
A target is any of:
  192.0.2.1  2001:db8::1  example.com  10.0.0.0/8  fd00::/120  10.0.0.1-10.0.0.99  10.0.0.1-99
  A block of any size up to 2^48 is walked in a seeded random order and never expanded in memory; it stands
  for all its addresses. A list has one item a line, and comments behind #.

A time is seconds, or has a unit: 0.2, 200ms, 5m. All but TARGET, -f, -4, -6, -c and --duration can also be
set in the environment, as MEGAPING_RATE=10k for --rate; a flag beats the environment.

Examples:
  megaping ping -c 3 192.0.2.1 2001:db8::1
  megaping ping -c 1 -r 50k --exclude never.txt 10.0.0.0/8 -o csv > sweep.csv
  megaping ping --file targets.txt -i 10 --duration 1h -o none --store results --summary json
  megaping ping --file targets.txt -i 10 -o none --clickhouse https://db.example.net:8443

Exit status: 0 when a probe was answered, 1 when none was, 2 for an error.";

#[derive(Args, Debug)]
#[command(after_help = PING_EXAMPLES)]
pub(super) struct PingArgs {
    /// Addresses, CIDR blocks, ranges and host names
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Read targets from a list, - for standard input; may be repeated
    #[arg(short, long, value_name = "PATH", help_heading = "Targets")]
    pub file: Vec<PathBuf>,
    /// Leave out the addresses, blocks and ranges of a list; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Targets", env = "MEGAPING_EXCLUDE", hide_env = true)]
    pub exclude: Vec<PathBuf>,
    /// IPv4 alone, also for host names
    #[arg(short = '4', long, help_heading = "Targets", conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 alone, also for host names
    #[arg(short = '6', long, help_heading = "Targets")]
    pub ipv6: bool,
    /// Seed of the order of targets and of the payload [default: another one each run]
    #[arg(long, value_name = "N", help_heading = "Targets", env = "MEGAPING_SEED", hide_env = true)]
    pub seed: Option<u64>,

    /// Probes per target [default: until --duration is over or Ctrl-C]
    #[arg(short, long, value_name = "N", help_heading = "Schedule", value_parser = values::count)]
    pub count: Option<u32>,
    /// Time between two probes of one target [default: 1]
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule")]
    #[arg(value_parser = values::time, env = "MEGAPING_INTERVAL", hide_env = true)]
    pub interval: Option<u64>,
    /// Probes a second at most, of the whole program: 500, 10k, 1.5M [default: 10k, with -i 100k]
    #[arg(short, long, value_name = "PPS", help_heading = "Schedule", value_parser = values::rate)]
    #[arg(env = "MEGAPING_RATE", hide_env = true)]
    pub rate: Option<u64>,
    /// Probes that leave in a row, at most, 1 to 256; fewer at low rates
    #[arg(long, value_name = "N", help_heading = "Schedule", default_value = "256")]
    #[arg(value_parser = values::burst, env = "MEGAPING_BURST", hide_env = true)]
    pub burst: u32,
    /// Time to wait for an answer, at most 60 s
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule", default_value = "1")]
    #[arg(value_parser = values::timeout, env = "MEGAPING_TIMEOUT", hide_env = true)]
    pub timeout: u64,
    /// Stop sending after this time
    #[arg(long, value_name = "TIME", help_heading = "Schedule", value_parser = values::time)]
    pub duration: Option<u64>,

    /// Payload bytes of a probe, 24 to 65000
    #[arg(short, long, value_name = "BYTES", help_heading = "Probe", default_value = "32")]
    #[arg(value_parser = values::size, env = "MEGAPING_SIZE", hide_env = true)]
    pub size: u16,
    /// Payload behind the first 24 bytes: random, zero or pattern:HEX
    #[arg(long, value_name = "KIND", help_heading = "Probe", default_value = "random")]
    #[arg(value_parser = values::payload, env = "MEGAPING_PAYLOAD", hide_env = true)]
    pub payload: Payload,
    /// TTL or hop limit, 1 to 255
    #[arg(long, value_name = "N", help_heading = "Probe", default_value = "64")]
    #[arg(value_parser = values::ttl, env = "MEGAPING_TTL", hide_env = true)]
    pub ttl: u8,
    /// DSCP, 0 to 63 or a name: ef, va, le, cs0 to cs7, af11 to af43
    #[arg(long, value_name = "DSCP", help_heading = "Probe", default_value = "0")]
    #[arg(value_parser = values::dscp, env = "MEGAPING_DSCP", hide_env = true)]
    pub dscp: u8,

    /// Way to the wire: auto, raw (sockets), uring (io_uring), xdp (AF_XDP), kernel (eBPF) or memory
    #[arg(long, value_name = "NAME", help_heading = "Machine", default_value = "auto")]
    #[arg(env = "MEGAPING_BACKEND", hide_env = true, hide_possible_values = true)]
    pub backend: Backend,
    /// Threads that probe, each on a core of its own, 1 to 8
    #[arg(long, value_name = "N", help_heading = "Machine", default_value = "1")]
    #[arg(value_parser = values::shards, env = "MEGAPING_SHARDS", hide_env = true)]
    pub shards: u16,
    /// Have the shards do the driver's work themselves, with --backend xdp (preferred busy polling)
    #[arg(long, help_heading = "Machine", env = "MEGAPING_BUSY_POLL", hide_env = true)]
    pub busy_poll: bool,
    /// Send through this interface
    #[arg(short = 'I', long, value_name = "NAME", help_heading = "Machine")]
    #[arg(value_parser = values::interface, env = "MEGAPING_INTERFACE", hide_env = true)]
    pub interface: Option<String>,
    /// Send from this address; once per family
    #[arg(short = 'S', long, value_name = "ADDRESS", help_heading = "Machine", value_delimiter = ',')]
    #[arg(value_parser = values::source, env = "MEGAPING_SOURCE", hide_env = true)]
    pub source: Vec<IpAddr>,

    /// One line an outcome on standard output: text, json, csv or none
    #[arg(short, long, value_name = "FORMAT", help_heading = "Results", default_value = "text")]
    #[arg(env = "MEGAPING_OUTPUT", hide_env = true, hide_possible_values = true)]
    pub output: OutputFormat,
    /// Summary on standard error at the end: text, json or none
    #[arg(long, value_name = "FORMAT", help_heading = "Results", default_value = "text")]
    #[arg(env = "MEGAPING_SUMMARY", hide_env = true, hide_possible_values = true)]
    pub summary: SummaryFormat,
    /// Keep all outcomes in this directory, for megaping report
    #[arg(long, value_name = "DIR", help_heading = "Results", env = "MEGAPING_STORE", hide_env = true)]
    pub store: Option<PathBuf>,
    /// What becomes of the spool, in idle time: parquet (files in the store), a URL where such files go, or none
    #[arg(long, value_name = "FORMAT", help_heading = "Results", default_value = "parquet")]
    #[arg(env = "MEGAPING_ARCHIVE", hide_env = true, value_parser = values::archive)]
    pub archive: ArchiveFormat,
    #[command(flatten)]
    pub keep: KeepArgs,
    #[command(flatten)]
    pub capture: CaptureArgs,
}

const REPORT_EXAMPLES: &str = "\
Loss is what was sent and not answered; an ICMP error is no answer. Jitter is the mean difference between
the round trips of successive answers.

Examples:
  megaping report results
  megaping report results --sort p99 --top 20
  megaping report --store results -o csv > report.csv";

#[derive(Args, Debug)]
#[command(after_help = REPORT_EXAMPLES)]
pub(super) struct ReportArgs {
    /// The directory that a run kept its outcomes in
    #[arg(value_name = "DIR", conflicts_with = "store")]
    pub dir: Option<PathBuf>,
    /// The same as a flag
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Form of the report: text, json or csv
    #[arg(short, long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub output: ReportFormat,
    /// Order: loss, p99 and median have the worst first; or target
    #[arg(long, value_name = "KEY", default_value = "target", hide_possible_values = true)]
    pub sort: SortKey,
    /// Only the first N targets of that order
    #[arg(long, value_name = "N", value_parser = values::top)]
    pub top: Option<usize>,
}

const DOCTOR_EXAMPLES: &str = "\
Reads, and changes nothing: no program is attached, no packet sent. Without root it says what it could not see.

--measure sends, for a second by each usable backend, as fast as that goes: to 127.0.0.1, or, by an IFACE that
you name, to the --target that you name. That must be a neighbour on the link, with no router in between, and
yours to flood; every probe has a hop limit of 1, so that none goes any further.

Examples:
  megaping doctor
  megaping doctor eth1 -o json
  megaping doctor lo --measure

Exit status: 0 when some backend works, 1 when none does, 2 for an error.";

#[derive(Args, Debug)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(super) struct DoctorArgs {
    /// The interface that probes would leave by [default: that of the default route]
    #[arg(value_name = "IFACE", value_parser = values::interface)]
    pub interface: Option<String>,
    /// Form of the report: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub output: DoctorFormat,
    /// Measure what the usable backends can send: see below
    #[arg(long)]
    pub measure: bool,
    /// Whom to send to while measuring by IFACE
    #[arg(long, value_name = "ADDRESS", value_parser = values::neighbour, requires = "measure")]
    pub target: Option<IpAddr>,
}

/// The way to the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Backend {
    /// The fastest that works here.
    Auto,
    /// Raw sockets.
    Raw,
    /// Raw sockets, driven through `io_uring`.
    Uring,
    /// Frames past the network stack: AF_XDP.
    Xdp,
    /// Probes made and answered by a program in the kernel.
    Kernel,
    /// A simulated network in this process.
    Memory,
}

impl Backend {
    /// The name of one that `auto` can take.
    #[must_use]
    pub const fn of(kind: Kind) -> Backend {
        match kind {
            Kind::Raw => Backend::Raw,
            Kind::Uring => Backend::Uring,
            Kind::Xdp => Backend::Xdp,
            Kind::Kernel => Backend::Kernel,
        }
    }
}

/// The form of outcomes on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OutputFormat {
    /// A line for people.
    Text,
    /// An object a line.
    Json,
    /// Comma-separated, with a header line.
    Csv,
    /// Nothing.
    None,
}

/// What a store's spool becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArchiveFormat {
    /// Parquet files in the store itself, made while the machine has time for it.
    Parquet,
    /// Parquet files in another directory, or in a bucket.
    Elsewhere(PlaceUrl),
    /// Nothing: segments stay in the spool.
    None,
}

/// The form of the summary on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SummaryFormat {
    /// Some lines for people.
    Text,
    /// One object.
    Json,
    /// Nothing.
    None,
}

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ReportFormat {
    /// A table.
    Text,
    /// An object a line.
    Json,
    /// Comma-separated, with a header line.
    Csv,
}

/// The form of a diagnosis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DoctorFormat {
    /// Lines for people.
    Text,
    /// One object.
    Json,
}

/// What a report is ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SortKey {
    /// Highest loss first.
    Loss,
    /// Highest 99th percentile first.
    P99,
    /// Highest median first.
    Median,
    /// By address.
    Target,
}
