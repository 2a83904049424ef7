//! `megaping trace`: its flags, and what they mean together.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use megaping_probe::pace::BURST_MAX;

use super::args::{ArchiveFormat, Backend, OutputFormat, SummaryFormat};
use super::capture::CaptureArgs;
use super::mtr::{flows, hops};
use super::options::{self, PingOptions, UsageError};
use super::server::{self, SendArgs};
use super::values::{self, Payload, ValueError};
use crate::targets::TargetRequest;

/// So many paths somebody waits for.
pub(crate) const FEW_PATHS: u64 = 16;
/// So many are under way at once at any rate.
const SOME_PATHS: u64 = 1024;
/// Probes to one hop, at most.
const QUERIES_MAX: u64 = 10;

const TRACE_EXAMPLES: &str = "\
Every path is a line, or a paragraph of text, as soon as its end is known. A probe with the largest hop limit tells
about how far a target is; from there its path is asked towards us, until hops are met that many other paths have
confirmed, and those are taken from memory (one path in 64 is asked as a whole; --every-hop has all of them asked). A
silent hop is asked once more when a farther one answers. Probes are ICMP echo requests, and each flow keeps its path.

JSON has an object a path: target, flow, reached, path_id, and hops, each with ttl, responder (null where nobody
answered), rtt_us, sent, received and labels; shared where it was not asked; the target last where it was reached.

With -i the paths are traced again and again, until -c, --duration or Ctrl-C ends it, and a path that has changed is
told as a change. What TARGET may be, and what a time is, megaping ping --help says.

Examples:
  megaping trace example.com
  megaping trace --file targets.txt -r 50k -o json > paths.json
  megaping trace -i 5m --store paths -o none 192.0.2.0/24 2001:db8::1

Exit status: 0 when a target was reached, 1 when none was, 2 for an error.";

#[derive(Args, Debug)]
#[command(after_help = TRACE_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct TraceArgs {
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

    /// Rounds, in each of which every path is traced [default: 1; with -i or --duration no limit]
    #[arg(short, long, value_name = "N", help_heading = "Schedule", value_parser = values::count)]
    pub count: Option<u32>,
    /// Time between two rounds [default: none, as fast as the rate allows]
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule", value_parser = values::time)]
    pub interval: Option<u64>,
    /// Probes a second at most, of the whole program: 500, 10k, 1.5M [default: 10k]
    #[arg(short, long, value_name = "PPS", help_heading = "Schedule", value_parser = values::rate)]
    #[arg(env = "MEGAPING_RATE", hide_env = true)]
    pub rate: Option<u64>,
    /// Time to wait for an answer, at most 60 s
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule", default_value = "2")]
    #[arg(value_parser = values::timeout, env = "MEGAPING_TIMEOUT", hide_env = true)]
    pub timeout: u64,
    /// Begin no path after this time
    #[arg(long, value_name = "TIME", help_heading = "Schedule", value_parser = values::time)]
    pub duration: Option<u64>,

    /// Flows of each target, 1 to 64: each may take another path
    #[arg(long, value_name = "N", help_heading = "Path", default_value = "1", value_parser = flows)]
    pub flows: u16,
    /// First hop limit
    #[arg(long, visible_alias = "first-ttl", value_name = "N", help_heading = "Path")]
    #[arg(default_value = "1", value_parser = hops)]
    pub first_hop: u8,
    /// Last hop limit, at most 64
    #[arg(short, long, visible_alias = "max-ttl", value_name = "N", help_heading = "Path")]
    #[arg(default_value = "30", value_parser = hops)]
    pub max_hops: u8,
    /// Silent hops in a row after which nothing more is asked
    #[arg(short = 'U', long, value_name = "N", help_heading = "Path", default_value = "5")]
    #[arg(value_parser = hops)]
    pub gap: u8,
    /// Probes to each hop, 1 to 10
    #[arg(short, long, value_name = "N", help_heading = "Path", default_value = "1", value_parser = queries)]
    pub queries: u8,
    /// Ask every hop of every path, and take none from what other paths have shown
    #[arg(long, help_heading = "Path")]
    pub every_hop: bool,

    /// Payload bytes of a probe, 24 to 65000
    #[arg(short, long, value_name = "BYTES", help_heading = "Probe", default_value = "32")]
    #[arg(value_parser = values::size, env = "MEGAPING_SIZE", hide_env = true)]
    pub size: u16,
    /// DSCP, 0 to 63 or a name: ef, va, le, cs0 to cs7, af11 to af43
    #[arg(long, value_name = "DSCP", help_heading = "Probe", default_value = "0")]
    #[arg(value_parser = values::dscp, env = "MEGAPING_DSCP", hide_env = true)]
    pub dscp: u8,

    /// Way to the wire, as for megaping ping
    #[arg(long, value_name = "NAME", help_heading = "Machine", default_value = "auto")]
    #[arg(env = "MEGAPING_BACKEND", hide_env = true, hide_possible_values = true)]
    pub backend: Backend,
    /// Threads that probe, each on a core of its own, 1 to 8
    #[arg(long, value_name = "N", help_heading = "Machine", default_value = "1")]
    #[arg(value_parser = values::shards, env = "MEGAPING_SHARDS", hide_env = true)]
    pub shards: u16,
    /// Send through this interface
    #[arg(short = 'I', long, value_name = "NAME", help_heading = "Machine")]
    #[arg(value_parser = values::interface, env = "MEGAPING_INTERFACE", hide_env = true)]
    pub interface: Option<String>,
    /// Send from this address; once per family
    #[arg(short = 'S', long, value_name = "ADDRESS", help_heading = "Machine", value_delimiter = ',')]
    #[arg(value_parser = values::source, env = "MEGAPING_SOURCE", hide_env = true)]
    pub source: Vec<IpAddr>,

    /// Paths on standard output: text, json, csv (a line a hop) or none
    #[arg(short, long, value_name = "FORMAT", help_heading = "Results", default_value = "text")]
    #[arg(env = "MEGAPING_OUTPUT", hide_env = true, hide_possible_values = true)]
    pub output: OutputFormat,
    /// Addresses alone: ask no name server (names are for text, and for 16 paths at most)
    #[arg(short, long, help_heading = "Results")]
    pub no_dns: bool,
    /// Summary on standard error at the end: text, json or none
    #[arg(long, value_name = "FORMAT", help_heading = "Results", default_value = "text")]
    #[arg(env = "MEGAPING_SUMMARY", hide_env = true, hide_possible_values = true)]
    pub summary: SummaryFormat,
    /// Keep all paths and their changes in this directory, for megaping report
    #[arg(long, value_name = "DIR", help_heading = "Results", env = "MEGAPING_STORE", hide_env = true)]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub send: SendArgs,
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// A run of `megaping trace`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceOptions {
    /// What holds for targets, probes and the way to the wire; it prints no outcomes.
    pub probe: PingOptions,
    /// Rounds, if limited.
    pub rounds: Option<u32>,
    /// Flows of each target.
    pub flows: u16,
    /// First hop limit.
    pub first_hop: u8,
    /// Last hop limit.
    pub max_hops: u8,
    /// Silent hops in a row that end a path.
    pub gap: u8,
    /// Probes to each hop.
    pub queries: u8,
    /// Whether hops that many paths share are taken from memory.
    pub shares: bool,
    /// Paths on standard output.
    pub output: OutputFormat,
    /// Whether names are looked up.
    pub dns: bool,
}

impl TraceOptions {
    /// Hops of a path that are asked at once: all of them where somebody waits for a few paths, one where there are
    /// many, whose probes fill the time.
    #[must_use]
    pub const fn window(&self, paths: u64) -> u8 {
        match paths {
            _ if paths <= FEW_PATHS => self.max_hops,
            _ if paths <= SOME_PATHS => 4,
            _ => 1,
        }
    }
}

fn queries(text: &str) -> Result<u8, ValueError> {
    values::number(text, 1, QUERIES_MAX).map(|queries| queries as u8)
}

pub(super) fn trace(args: TraceArgs) -> Result<TraceOptions, UsageError> {
    if args.first_hop > args.max_hops {
        return Err(UsageError::FirstBehindLast { first: args.first_hop, last: args.max_hops });
    }
    options::check_lists("trace", &args.targets, &args.file, &args.exclude)?;
    let family = options::family(args.ipv4, args.ipv6);
    let (source_v4, source_v6) = options::sources(&args.source, family)?;
    options::check_way_out(args.backend, args.interface.as_deref(), &args.source)?;
    let is_open = args.interval.is_some() || args.duration.is_some();
    let rounds = args.count.or((!is_open).then_some(1));
    let upload = server::send(args.send);
    if upload.is_some() && args.store.is_none() {
        return Err(UsageError::PathsWithoutStore);
    }
    let probe = PingOptions {
        targets: TargetRequest { items: args.targets, files: args.file, excludes: args.exclude, family },
        count: rounds,
        interval_ns: args.interval,
        rate_pps: args.rate,
        timeout_ns: args.timeout,
        duration_ns: args.duration,
        payload_len: args.size,
        payload: Payload::Random,
        hop_limit: args.max_hops,
        dscp: args.dscp,
        backend: args.backend,
        shards: args.shards,
        burst: BURST_MAX,
        busy_poll: false,
        interface: args.interface,
        source_v4,
        source_v6,
        seed: args.seed,
        output: OutputFormat::None,
        summary: args.summary,
        store: args.store,
        archive: ArchiveFormat::None,
        tenant: String::new(),
        upload,
        spool_limit: None,
        capture: args.capture.options(),
    };
    Ok(TraceOptions {
        probe,
        rounds,
        flows: args.flows,
        first_hop: args.first_hop,
        max_hops: args.max_hops,
        gap: args.gap,
        queries: args.queries,
        shares: !args.every_hop,
        output: args.output,
        dns: !args.no_dns,
    })
}
