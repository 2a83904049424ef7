//! `megaping mtr`: its flags, and what they mean together.

use std::net::IpAddr;

use clap::Args;
use megaping_probe::pace::BURST_MAX;

use super::args::{ArchiveFormat, Backend, OutputFormat, SummaryFormat};
use super::options::{self, PingOptions, UsageError};
use super::values::{self, Payload, ValueError};
use crate::mtr::field::{self, Field, FieldError};
use crate::mtr::model::FLOWS_MAX;
use crate::mtr::report::Form;
use crate::mtr::screen::theme::ThemeName;
use crate::mtr::words::Naming;
use crate::targets::TargetRequest;

/// Rounds of a report, where the user does not say: mtr's.
const REPORT_ROUNDS: u32 = 10;
/// The shortest interval: below, a round has not left when the next one is due.
const INTERVAL_NS_MIN: u64 = 1_000_000;

const MTR_EXAMPLES: &str = "\
Without --report, --json or --csv a live screen is drawn; ? there shows its keys, which are mtr's. Probes are
ICMP echo requests, and each flow keeps its path: --flows N explores N of them.

Fields of --order are mtr's: L loss, D dropped, R received, S sent, N newest, B best, A average, W worst,
V deviation, G geometric mean, J M X I jitter; and ours: 5 median, 9 99th percentile, T hop limit of the answer.

Not as in mtr: -s is the payload (mtr counts 28 bytes of headers as well); -t is the time to wait for an answer
(mtr: -G, -Z); --dscp is the upper six bits of mtr's -Q; there is no UDP, TCP or AS look-up. All times may have
a unit. All but TARGET, -4, -6, -c and the form of the report can be set in the environment where ping has them.

Examples:
  megaping mtr example.com
  megaping mtr --flows 8 192.0.2.1 2001:db8::1
  megaping mtr -n --json -c 60 -i 0.5 example.com > path.json

Exit status: 0 when a target was reached, 1 when none was, 2 for an error.";

#[derive(Args, Debug)]
#[command(after_help = MTR_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct MtrArgs {
    /// Addresses and host names, at most 64
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
    /// IPv4 alone, also for host names
    #[arg(short = '4', long, help_heading = "Targets", conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 alone, also for host names
    #[arg(short = '6', long, help_heading = "Targets")]
    pub ipv6: bool,

    /// Rounds [default: until stopped; 10 for a report]
    #[arg(short, long, visible_alias = "report-cycles", value_name = "N", help_heading = "Schedule")]
    #[arg(value_parser = values::count)]
    pub count: Option<u32>,
    /// Time between two rounds, 1ms at least
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule", default_value = "1")]
    #[arg(value_parser = interval, env = "MEGAPING_INTERVAL", hide_env = true)]
    pub interval: u64,
    /// Time to wait for an answer, at most 60 s
    #[arg(short, long, value_name = "TIME", help_heading = "Schedule", default_value = "2")]
    #[arg(value_parser = values::timeout, env = "MEGAPING_TIMEOUT", hide_env = true)]
    pub timeout: u64,

    /// Flows of each target, 1 to 64: each may take another path
    #[arg(long, value_name = "N", help_heading = "Path", default_value = "1", value_parser = flows)]
    pub flows: u16,
    /// First hop limit
    #[arg(short, long, visible_alias = "first-ttl", value_name = "N", help_heading = "Path")]
    #[arg(default_value = "1", value_parser = hops)]
    pub first_hop: u8,
    /// Last hop limit, at most 64
    #[arg(short, long, visible_alias = "max-ttl", value_name = "N", help_heading = "Path")]
    #[arg(default_value = "30", value_parser = hops)]
    pub max_hops: u8,
    /// Silent hops in a row after which nothing more is asked
    #[arg(short = 'U', long, visible_alias = "max-unknown", value_name = "N", help_heading = "Path")]
    #[arg(default_value = "12", value_parser = hops)]
    pub gap: u8,

    /// Payload bytes of a probe, 24 to 65000
    #[arg(short, long, value_name = "BYTES", help_heading = "Probe", default_value = "36")]
    #[arg(value_parser = values::size, env = "MEGAPING_SIZE", hide_env = true)]
    pub size: u16,
    /// DSCP, 0 to 63 or a name: ef, va, le, cs0 to cs7, af11 to af43
    #[arg(long, value_name = "DSCP", help_heading = "Probe", default_value = "0")]
    #[arg(value_parser = values::dscp, env = "MEGAPING_DSCP", hide_env = true)]
    pub dscp: u8,
    /// Seed of the payload [default: another one each run]
    #[arg(long, value_name = "N", help_heading = "Probe", env = "MEGAPING_SEED", hide_env = true)]
    pub seed: Option<u64>,

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
    #[arg(short = 'S', short_alias = 'a', long, visible_alias = "address", value_name = "ADDRESS")]
    #[arg(help_heading = "Machine", value_delimiter = ',', value_parser = values::source)]
    #[arg(env = "MEGAPING_SOURCE", hide_env = true)]
    pub source: Vec<IpAddr>,

    /// A table at the end instead of the screen
    #[arg(short, long, help_heading = "Results")]
    pub report: bool,
    /// The same with names as long as they are
    #[arg(short = 'w', long, help_heading = "Results")]
    pub report_wide: bool,
    /// The same as JSON, an object a target
    #[arg(short, long, help_heading = "Results", conflicts_with = "csv")]
    pub json: bool,
    /// The same as comma-separated values
    #[arg(short = 'C', long, help_heading = "Results")]
    pub csv: bool,
    /// Columns, by their letters
    #[arg(short, long, value_name = "FIELDS", help_heading = "Results", default_value = field::USUAL)]
    #[arg(value_parser = order)]
    pub order: Order,
    /// Addresses alone: ask no name server
    #[arg(short, long, help_heading = "Results")]
    pub no_dns: bool,
    /// Names and addresses
    #[arg(short = 'b', long, help_heading = "Results", conflicts_with = "no_dns")]
    pub show_ips: bool,
    /// MPLS label stacks
    #[arg(short = 'e', long, help_heading = "Results")]
    pub mpls: bool,
    /// Colours of the screen: terminal, dark, light or mono [default: terminal, or mono if `NO_COLOR` is set]
    #[arg(long, value_name = "NAME", help_heading = "Results", env = "MEGAPING_THEME", hide_env = true)]
    #[arg(hide_possible_values = true)]
    pub theme: Option<ThemeName>,
}

/// A choice of columns. (A `Vec` would be a flag with several values to `clap`.)
#[derive(Clone, Debug)]
pub(super) struct Order(Vec<Field>);

/// A run of `megaping mtr`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct MtrOptions {
    /// Addresses and host names, in the user's order.
    pub items: Vec<String>,
    /// What holds for the probes and the way to the wire; no targets there.
    pub probe: PingOptions,
    /// Rounds, if limited.
    pub rounds: Option<u32>,
    /// Between two rounds of a path, in nanoseconds.
    pub interval_ns: u64,
    /// Flows of each target.
    pub flows: u16,
    /// First hop limit.
    pub first_hop: u8,
    /// Last hop limit.
    pub max_hops: u8,
    /// Silent hops in a row that end a path.
    pub gap: u8,
    /// The report; none: the live screen.
    pub form: Option<Form>,
    /// Its columns.
    pub fields: Vec<Field>,
    /// How hosts are named.
    pub naming: Naming,
    /// Whether names are looked up.
    pub dns: bool,
    /// Whether label stacks are shown.
    pub mpls: bool,
    /// The screen's colours; none: as the environment says.
    pub theme: Option<ThemeName>,
}

fn interval(text: &str) -> Result<u64, ValueError> {
    values::time(text)
        .and_then(|ns| if ns < INTERVAL_NS_MIN { Err(ValueError::ShortInterval) } else { Ok(ns) })
}

pub(super) fn flows(text: &str) -> Result<u16, ValueError> {
    values::number(text, 1, FLOWS_MAX.into()).map(|flows| flows as u16)
}

pub(super) fn hops(text: &str) -> Result<u8, ValueError> {
    values::number(text, 1, megaping_probe::trace::MAX_HOPS.into()).map(|hops| hops as u8)
}

fn order(text: &str) -> Result<Order, FieldError> {
    field::parse(text).map(Order)
}

pub(super) fn mtr(args: MtrArgs) -> Result<MtrOptions, UsageError> {
    if args.first_hop > args.max_hops {
        return Err(UsageError::FirstBehindLast { first: args.first_hop, last: args.max_hops });
    }
    let family = options::family(args.ipv4, args.ipv6);
    let (source_v4, source_v6) = options::sources(&args.source, family)?;
    let form = match (args.json, args.csv, args.report || args.report_wide) {
        (true, ..) => Some(Form::Json),
        (_, true, _) => Some(Form::Csv),
        (_, _, true) => Some(Form::Text { wide: args.report_wide }),
        _ => None,
    };
    let naming = match (args.no_dns, args.show_ips) {
        (true, _) => Naming::Address,
        (_, true) => Naming::Both,
        _ => Naming::Name,
    };
    let probe = PingOptions {
        targets: TargetRequest { family, ..TargetRequest::default() },
        count: None,
        interval_ns: None,
        rate_pps: None,
        timeout_ns: args.timeout,
        duration_ns: None,
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
        summary: SummaryFormat::None,
        store: None,
        archive: ArchiveFormat::None,
        tenant: String::new(),
        upload: None,
        spool_limit: None,
        capture: None,
    };
    Ok(MtrOptions {
        items: args.targets,
        probe,
        rounds: args.count.or(form.map(|_| REPORT_ROUNDS)),
        interval_ns: args.interval,
        flows: args.flows,
        first_hop: args.first_hop,
        max_hops: args.max_hops,
        gap: args.gap,
        form,
        fields: args.order.0,
        naming,
        dns: !args.no_dns,
        mpls: args.mpls,
        theme: args.theme,
    })
}
