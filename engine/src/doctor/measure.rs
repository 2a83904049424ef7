//! `--measure`: what the usable backends send in a second, to the loopback or to a neighbour that the user names.
//!
//! It is bounded in time, asked for by name, and cannot reach a foreign network: the target has to be on the link
//! (no router in between), and every probe leaves with a hop limit of 1.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::Diagnosis;
use crate::backend::Kind;
use crate::cli::MeasureOptions;

/// How long a backend sends.
const SECONDS: f64 = 1.0;
/// The run: a rate above what any backend does, so that the backend is what limits; with a count, since nothing is
/// then skipped for being late, and all time goes into sending; a timeout that is long on a link, and keeps the
/// table of probes in flight small.
const PLAN: [&str; 18] = [
    "--duration",
    "1",
    "--count",
    "4294967295",
    "--interval",
    "1ns",
    "--rate",
    "10M",
    "--timeout",
    "100ms",
    "--ttl",
    "1",
    "--payload",
    "zero",
    "--output",
    "none",
    "--summary",
    "json",
];

/// What one backend did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Measured {
    /// Which.
    pub backend: Kind,
    /// To whom.
    pub target: IpAddr,
    /// For how long, in seconds.
    pub seconds: f64,
    /// Probes that left, a second.
    pub sent_pps: f64,
    /// Those that were answered, a second.
    pub answered_pps: f64,
    /// Processor time of this process, nanoseconds a probe.
    pub cpu_ns_per_probe: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MeasureError {
    #[error(
        "--measure on {0} needs a target that may be flooded for some seconds: --target ADDRESS, a neighbour of \
         yours on that link"
    )]
    NoTarget(String),
    #[error(
        "{target} is not a neighbour on {interface}: between it and us is a router, and --measure floods no foreign \
         network; `ip route get {target}` shows the way"
    )]
    NotOnLink { target: IpAddr, interface: String },
    #[error("{0} is an address of the loopback: leave the interface out, or name lo")]
    Loopback(IpAddr),
    #[error("no backend works here, so there is nothing to measure: 'megaping doctor' says why")]
    NoBackend,
    #[error("measuring backend {kind} failed: {why}")]
    Run { kind: Kind, why: String },
}

/// Measures every usable backend in turn; `named` is the interface that the user gave.
pub(super) fn run(
    diagnosis: &Diagnosis,
    options: &MeasureOptions,
    named: Option<&str>,
) -> Result<Vec<Measured>, MeasureError> {
    let (interface, target) = goal(diagnosis, options, named)?;
    let usable = diagnosis.ranking.iter().filter(|candidate| candidate.is_usable());
    let kinds: Vec<_> = usable.map(|candidate| candidate.kind).collect();
    if kinds.is_empty() {
        return Err(MeasureError::NoBackend);
    }
    kinds.into_iter().map(|kind| measure(kind, interface, target)).collect()
}

/// Where to send: by which interface, to whom.
fn goal<'a>(
    diagnosis: &Diagnosis,
    options: &MeasureOptions,
    named: Option<&'a str>,
) -> Result<(Option<&'a str>, IpAddr), MeasureError> {
    let link = diagnosis.facts.link.as_ref();
    let Some(interface) = named.filter(|_| link.is_some_and(|link| !link.loopback)) else {
        let target = options.target.unwrap_or(Ipv4Addr::LOCALHOST.into());
        return if target.is_loopback() {
            Ok((None, target))
        } else {
            Err(MeasureError::NotOnLink { target, interface: "lo".into() })
        };
    };
    let target = options.target.ok_or_else(|| MeasureError::NoTarget(interface.into()))?;
    if target.is_loopback() {
        return Err(MeasureError::Loopback(target));
    }
    if !is_on_link(target, interface) {
        return Err(MeasureError::NotOnLink { target, interface: interface.into() });
    }
    Ok((Some(interface), target))
}

/// One backend's second, in a process of its own: a run gives its capabilities up, and the next needs them.
fn measure(kind: Kind, interface: Option<&str>, target: IpAddr) -> Result<Measured, MeasureError> {
    let failed = |why: String| MeasureError::Run { kind, why };
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    // Flags in the environment are for runs of the user's own.
    command.env_clear().stdin(Stdio::null()).args(["ping", &target.to_string(), "--backend", kind.name()]);
    command.args(PLAN).args(interface.into_iter().flat_map(|name| ["-I", name]));
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let summary = said.lines().rev().find_map(|line| serde_json::from_str::<Summary>(line).ok());
    let Some(summary) = summary.filter(|_| matches!(output.status.code(), Some(0 | 1))) else {
        let last = said.lines().last().unwrap_or("it said nothing");
        return Err(failed(last.trim_start_matches("megaping: ").to_owned()));
    };
    Ok(Measured {
        backend: kind,
        target,
        seconds: SECONDS,
        sent_pps: summary.sent_pps,
        answered_pps: summary.answered_pps,
        cpu_ns_per_probe: summary.cpu_s * 1e9 / summary.sent.max(1) as f64,
    })
}

/// What is wanted of a run's summary.
#[derive(Deserialize)]
struct Summary {
    sent: u64,
    sent_pps: f64,
    answered_pps: f64,
    cpu_s: f64,
}

/// Whether the most specific route to `target` in the main table leads out of `interface` without a gateway.
fn is_on_link(target: IpAddr, interface: &str) -> bool {
    match target {
        IpAddr::V4(target) => {
            let routes = procfs::net::route().unwrap_or_default();
            on_link_v4(&routes, target, interface)
        }
        IpAddr::V6(target) => {
            let table = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
            on_link_v6(&table, target, interface)
        }
    }
}

fn on_link_v4(routes: &[procfs::net::RouteEntry], target: Ipv4Addr, interface: &str) -> bool {
    let covers = |route: &&procfs::net::RouteEntry| {
        u32::from(target) & u32::from(route.mask) == u32::from(route.destination)
    };
    let best = routes.iter().filter(covers).max_by_key(|route| u32::from(route.mask).count_ones());
    best.is_some_and(|route| route.iface == interface && route.gateway.is_unspecified())
}

pub(super) fn on_link_v6(table: &str, target: Ipv6Addr, interface: &str) -> bool {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [destination, len, _, _, gateway, _, _, _, _, name] = fields[..] else { return None };
        let destination = u128::from_str_radix(destination, 16).ok()?;
        let len = u32::from_str_radix(len, 16).ok().filter(|len| *len <= 128)?;
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        let gateway = u128::from_str_radix(gateway, 16).ok()?;
        (u128::from(target) & mask == destination).then_some((len, gateway == 0 && name == interface))
    });
    // Multicast and local routes of the same length exist: one that leads there is enough.
    routes.max().is_some_and(|(_, is_ours)| is_ours)
}
