//! What the flags mean together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use megaping_store::upload::UploadOptions;
use thiserror::Error;

use super::args::{
    ArchiveFormat, Backend, DoctorArgs, DoctorFormat, OutputFormat, PingArgs, ReportArgs, ReportFormat,
    SortKey, SummaryFormat,
};
use super::server::{self, SpoolLimit};
use super::values::Payload;
use crate::capture::CaptureOptions;
use crate::targets::{Family, TargetRequest, TargetSet};

/// A run of `megaping ping`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct PingOptions {
    /// What to probe; [`crate::targets::load`] makes the set of it.
    pub targets: TargetRequest,
    /// Probes per target; none: until the duration is over, or until stopped.
    pub count: Option<u32>,
    /// Between two probes of one target, in nanoseconds, at least one; none: the user did not say.
    pub interval_ns: Option<u64>,
    /// Of the whole program, in probes a second; none: no limit.
    pub rate_pps: Option<u64>,
    /// How long an answer may take, in nanoseconds; at most 60 s.
    pub timeout_ns: u64,
    /// When to stop sending, in nanoseconds from the beginning.
    pub duration_ns: Option<u64>,
    /// Payload bytes; 24 to 65,000.
    pub payload_len: u16,
    /// What the payload is made of.
    pub payload: Payload,
    /// TTL or hop limit; at least one.
    pub hop_limit: u8,
    /// Six bits; the upper six of the traffic class octet.
    pub dscp: u8,
    /// The way to the wire.
    pub backend: Backend,
    /// Probes that leave in a row, at most; 1 to 256.
    pub burst: u32,
    /// Threads that probe; 1 to 8.
    pub shards: u16,
    /// Whether the shards of `xdp` poll the driver themselves.
    pub busy_poll: bool,
    /// The interface to send through.
    pub interface: Option<String>,
    /// The IPv4 address to send from.
    pub source_v4: Option<Ipv4Addr>,
    /// The IPv6 address to send from.
    pub source_v6: Option<Ipv6Addr>,
    /// Of the order of targets and of the payload; none: another one each run.
    pub seed: Option<u64>,
    /// Outcomes on standard output.
    pub output: OutputFormat,
    /// The summary on standard error.
    pub summary: SummaryFormat,
    /// Where to keep outcomes.
    pub store: Option<PathBuf>,
    /// What they become there.
    pub archive: ArchiveFormat,
    /// Whose they are.
    pub tenant: String,
    /// Where to send them, as they come in.
    pub upload: Option<UploadOptions>,
    /// How much of the disk may hold what is not yet archived and sent.
    pub spool_limit: Option<SpoolLimit>,
    /// Who may see packets, and where.
    pub capture: Option<CaptureOptions>,
}

/// A run of `megaping report`, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportOptions {
    /// Where the outcomes are.
    pub store: PathBuf,
    /// The form of the report.
    pub output: ReportFormat,
    /// Its order.
    pub sort: SortKey,
    /// How many rows of it; none: all.
    pub top: Option<usize>,
}

/// A run of `megaping doctor`, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoctorOptions {
    /// The interface to look at; none: that of the default route.
    pub interface: Option<String>,
    /// The form of the report.
    pub output: DoctorFormat,
    /// Whether to measure, too.
    pub measure: Option<MeasureOptions>,
}

/// What `megaping doctor` measures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeasureOptions {
    /// To whom; none: the loopback.
    pub target: Option<IpAddr>,
}

/// Flags that are right alone and wrong together.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum UsageError {
    /// Nothing to probe.
    #[error("no target: name one, as in 'megaping {0} 192.0.2.1', or read a list with --file PATH")]
    NoTarget(&'static str),
    /// Two lists on one stream.
    #[error("standard input (-) is named twice: it can be one list only, put the other into a file")]
    StdinTwice,
    /// Two source addresses of one family.
    #[error("-S is given twice for {0}: give one address per family")]
    SourceTwice(&'static str),
    /// A source address that the family flag rules out.
    #[error("{flag} asks for {wanted} alone, and -S {source_address} is of the other family: leave one out")]
    SourceFamily {
        /// The family flag.
        flag: &'static str,
        /// Its family.
        wanted: &'static str,
        /// The address.
        source_address: IpAddr,
    },
    /// A source address that no target can use.
    #[error("-S {source_address} is given, and there is no {family} target: leave it out, or add one")]
    SourceUnused {
        /// The address.
        source_address: IpAddr,
        /// Its family.
        family: &'static str,
    },
    /// A way out of a simulation.
    #[error("{0} chooses a way out of this machine, and --backend memory has none: leave one of them out")]
    MemoryHasNoWayOut(&'static str),
    /// A setting of one way to the wire, and another was chosen.
    #[error("--busy-poll is for --backend xdp: leave it out, or choose that")]
    BusyPollWithoutXdp,
    /// A path that ends before it begins.
    #[error("--first-hop {first} is behind --max-hops {last}: exchange them")]
    FirstBehindLast {
        /// The first hop limit.
        first: u8,
        /// The last.
        last: u8,
    },
    /// A name that would end its own quotes.
    #[error("'{0}' is no name of a cluster: one of those in the servers' remote_servers is wanted")]
    Cluster(String),
    /// A limit, and nothing is kept.
    #[error(
        "--spool-max bounds what --store and --clickhouse keep on the disk: give one of them, or leave it out"
    )]
    LimitOfNothing,
    /// An archive of nothing.
    #[error("--archive none makes no files: give the URL of a place, or leave it out for the store itself")]
    MakeNothing,
    /// Paths that nobody keeps until they are sent.
    #[error(
        "--clickhouse needs a place where paths wait until they are sent: name a directory with --store DIR"
    )]
    PathsWithoutStore,
    /// Nothing that would be left.
    #[error("--from is behind --to: exchange them")]
    FromBehindTo,
    /// No directory to report from.
    #[error(
        "no directory: name the one that was given to 'megaping ping --store', as in 'megaping report DIR'"
    )]
    NoStore,
}

impl PingOptions {
    /// Whether the target set fits the flags: to be asked once it is loaded.
    ///
    /// # Errors
    /// [`UsageError::SourceUnused`] where a source address has no target of its family.
    pub fn check_targets(&self, targets: &TargetSet) -> Result<(), UsageError> {
        let unused = |source: Option<IpAddr>, used: bool, family: Family| match source {
            Some(source_address) if !used => {
                Err(UsageError::SourceUnused { source_address, family: family.name() })
            }
            _ => Ok(()),
        };
        unused(self.source_v4.map(IpAddr::from), targets.has_v4(), Family::V4)?;
        unused(self.source_v6.map(IpAddr::from), targets.has_v6(), Family::V6)
    }
}

pub(super) fn ping(args: PingArgs) -> Result<PingOptions, UsageError> {
    check_lists("ping", &args.targets, &args.file, &args.exclude)?;
    let family = family(args.ipv4, args.ipv6);
    let (source_v4, source_v6) = sources(&args.source, family)?;
    check_way_out(args.backend, args.interface.as_deref(), &args.source)?;
    if args.busy_poll && args.backend != Backend::Xdp {
        return Err(UsageError::BusyPollWithoutXdp);
    }
    let tenant = args.keep.tenant.clone();
    let (upload, spool_limit) = server::keep(args.keep);
    if spool_limit.is_some() && upload.is_none() && args.store.is_none() {
        return Err(UsageError::LimitOfNothing);
    }
    Ok(PingOptions {
        targets: TargetRequest { items: args.targets, files: args.file, excludes: args.exclude, family },
        count: args.count,
        interval_ns: args.interval,
        rate_pps: args.rate,
        timeout_ns: args.timeout,
        duration_ns: args.duration,
        payload_len: args.size,
        payload: args.payload,
        hop_limit: args.ttl,
        dscp: args.dscp,
        backend: args.backend,
        burst: args.burst,
        shards: args.shards,
        busy_poll: args.busy_poll,
        interface: args.interface,
        source_v4,
        source_v6,
        seed: args.seed,
        output: args.output,
        summary: args.summary,
        store: args.store,
        archive: args.archive,
        tenant,
        upload,
        spool_limit,
        capture: args.capture.options(),
    })
}

/// Whether there is a target, or a list of them, and one list at most on standard input.
pub(super) fn check_lists(
    command: &'static str,
    targets: &[String],
    files: &[PathBuf],
    excludes: &[PathBuf],
) -> Result<(), UsageError> {
    if targets.is_empty() && files.is_empty() {
        return Err(UsageError::NoTarget(command));
    }
    let is_stdin = |path: &&PathBuf| path.as_path() == Path::new("-");
    if files.iter().chain(excludes).filter(is_stdin).count() > 1 {
        return Err(UsageError::StdinTwice);
    }
    Ok(())
}

/// The family that a flag asks for.
pub(super) const fn family(ipv4: bool, ipv6: bool) -> Option<Family> {
    match (ipv4, ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    }
}

/// Whether the way to the wire has what the flags choose of it.
pub(super) fn check_way_out(
    backend: Backend,
    interface: Option<&str>,
    sources: &[IpAddr],
) -> Result<(), UsageError> {
    match backend {
        Backend::Memory if interface.is_some() => Err(UsageError::MemoryHasNoWayOut("-I")),
        Backend::Memory if !sources.is_empty() => Err(UsageError::MemoryHasNoWayOut("-S")),
        _ => Ok(()),
    }
}

pub(super) fn report(args: ReportArgs) -> Result<ReportOptions, UsageError> {
    let store = args.dir.or(args.store).ok_or(UsageError::NoStore)?;
    Ok(ReportOptions { store, output: args.output, sort: args.sort, top: args.top })
}

pub(super) fn doctor(args: DoctorArgs) -> DoctorOptions {
    let measure = args.measure.then_some(MeasureOptions { target: args.target });
    DoctorOptions { interface: args.interface, output: args.output, measure }
}

pub(super) fn sources(
    given: &[IpAddr],
    family: Option<Family>,
) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), UsageError> {
    let (mut source_v4, mut source_v6) = (None, None);
    for &source_address in given {
        let (is, before) = match source_address {
            IpAddr::V4(ip) => (Family::V4, source_v4.replace(ip).is_some()),
            IpAddr::V6(ip) => (Family::V6, source_v6.replace(ip).is_some()),
        };
        if before {
            return Err(UsageError::SourceTwice(is.name()));
        }
        if let Some(wanted) = family.filter(|wanted| *wanted != is) {
            let (flag, wanted) = (wanted.flag(), wanted.name());
            return Err(UsageError::SourceFamily { flag, wanted, source_address });
        }
    }
    Ok((source_v4, source_v6))
}
