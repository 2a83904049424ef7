//! `trace`: the paths to a hundred thousand destinations at once, each held against the world's model; beside scamper and
//! mtr on the same lab.
//!
//! Rates are the world's: requests from the first that it saw to the last, and the time between the two.

mod check;
pub mod tables;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::machine::Machine;
use crate::stage::tenths;
use crate::versus::cpu;
use crate::versus::lab::Lab;
use check::Verdict;

/// Paths have so many hops.
const HOPS: (u8, u8) = (8, 14);
/// scamper sends 10,000 packets a second at most.
const SCAMPER_DESTINATIONS: u32 = 2_000;
/// A tool that has not ended by then is killed.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(2);

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct TraceArgs {
    /// Destinations, from 10.0.0.0 on
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub destinations: u32,
    /// Times that each of ours is run: the table has the medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeats: u32,
    /// Name of the lab, which is made and removed
    #[arg(long, value_name = "NAME", default_value = "megaping-bench")]
    pub lab: String,
    /// Write the report to a file
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
}

/// The file that `docs/performance.md` cites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceReport {
    /// Where.
    pub machine: Machine,
    /// How to repeat it.
    pub command: String,
    /// Every run.
    pub runs: Vec<TraceRun>,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceRun {
    /// `megaping kernel`, `scamper`, ...
    pub tool: String,
    /// Threads that probe.
    pub shards: u16,
    /// Whether every hop is asked for every destination.
    pub every_hop: bool,
    /// Destinations.
    pub destinations: u32,
    /// Requests that the world saw.
    pub probes: u64,
    /// The same a second.
    pub probes_pps: f64,
    /// From the first request to the last, in seconds.
    pub seconds: f64,
    /// Processor time of the machine a probe, start and end of the tool included, in nanoseconds.
    pub machine_ns: f64,
    /// What of this project's output is not as it should be; none for peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Runs all of it.
///
/// # Errors
/// Without root, without the peers, or when a run fails.
pub fn run(args: &TraceArgs) -> Result<TraceReport> {
    let mut lab = Lab::up(&args.lab)?;
    lab.set(&["--min-hops", &HOPS.0.to_string(), "--max-hops", &HOPS.1.to_string()])?;
    let scratch = std::env::temp_dir().join(format!("megaping-bench-trace-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let runs = all(args, &mut lab, &scratch);
    fs::remove_dir_all(&scratch)?;
    Ok(TraceReport {
        machine: Machine::look(),
        command: format!(
            "megaping-bench trace --destinations {} --repeats {}",
            args.destinations, args.repeats
        ),
        runs: runs?,
    })
}

fn all(args: &TraceArgs, lab: &mut Lab, scratch: &Path) -> Result<Vec<TraceRun>> {
    let mut runs = Vec::new();
    for _ in 0..args.repeats {
        for (backend, shards, every_hop) in [
            ("kernel", 1, false),
            ("kernel", 1, true),
            ("xdp", 1, false),
            ("xdp", 2, false),
            ("xdp", 2, true),
        ] {
            let run = ours(args.destinations, backend, shards, every_hop, lab, scratch)?;
            eprintln!("{} x{}  {:.0} probes/s  {:?}", run.tool, run.shards, run.probes_pps, run.verdict);
            runs.push(run);
        }
    }
    lab.pass(true)?;
    for (tool, destinations) in [("scamper", SCAMPER_DESTINATIONS), ("mtr", 1)] {
        let run = peer(tool, destinations, lab, scratch)?;
        eprintln!("{}  {:.0} probes/s", run.tool, run.probes_pps);
        runs.push(run);
    }
    Ok(runs)
}

fn ours(
    destinations: u32,
    backend: &str,
    shards: u16,
    every_hop: bool,
    lab: &mut Lab,
    scratch: &Path,
) -> Result<TraceRun> {
    lab.pass(false)?;
    let binary = lab.binary("megaping").display().to_string();
    let last = std::net::Ipv4Addr::from_bits(0x0a00_0000 + destinations - 1);
    let line = format!(
        "{binary} trace --backend {backend} --shards {shards} -I near -r 5M -o json --summary json 10.0.0.0-{last}{}",
        if every_hop { " --every-hop" } else { "" }
    );
    let run = measure(&format!("megaping {backend}"), destinations, &line, lab, scratch)?;
    let world = lab.counts()?;
    let verdict = check::check(&scratch.join("stdout"), &scratch.join("stderr"), HOPS, destinations, &world)?;
    Ok(TraceRun { shards, every_hop, verdict: Some(verdict), ..run })
}

fn peer(tool: &str, destinations: u32, lab: &mut Lab, scratch: &Path) -> Result<TraceRun> {
    let list = scratch.join("list");
    let addresses =
        (0..destinations).map(|n| std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string() + "\n");
    fs::write(&list, addresses.collect::<String>())?;
    let line = match tool {
        // A plus is a space within a word.
        "scamper" => format!(
            "scamper -p 10000 -c trace+-P+icmp-paris+-q+1+-w+1 -O text -o /dev/null -f {}",
            list.display()
        ),
        _ => "mtr -n -r -j -c 1 -G 1 10.0.0.0".to_owned(),
    };
    measure(tool, destinations, &line, lab, scratch)
}

/// A process that is killed when it is forgotten.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _killed = self.0.kill();
            let _ended = self.0.wait();
        }
    }
}

fn measure(tool: &str, destinations: u32, line: &str, lab: &mut Lab, scratch: &Path) -> Result<TraceRun> {
    lab.reset()?;
    let [ip, rest @ ..] = lab.near();
    let mut command = Command::new(ip);
    command.args(rest).args(line.split_whitespace().map(|word| word.replace('+', " ")));
    let file = |name: &str| File::create(scratch.join(name));
    command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
    let (idle_before, started) = (cpu::idle()?, Instant::now());
    let mut running = Running(command.spawn().map_err(|error| format!("{command:?}: {error}"))?);
    let (mut first, mut last) = (None, (started, 0));
    let status = loop {
        let (requests, now) = (lab.counts()?.requests, Instant::now());
        if requests > last.1 {
            first.get_or_insert((now, requests));
            last = (now, requests);
        }
        if let Some(status) = running.0.try_wait()? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{tool} did not end within {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(LOOK);
    };
    let (elapsed_ns, idle_after) = (started.elapsed().as_nanos() as f64, cpu::idle()?);
    let Some(first) = first.filter(|_| status.success()) else {
        let said = fs::read_to_string(scratch.join("stderr")).unwrap_or_default();
        return Err(format!("{tool} ended with {status}: {said}").into());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let away_ns =
        (idle_after.idle_ns - idle_before.idle_ns + idle_after.steal_ns - idle_before.steal_ns) as f64;
    let seconds = last.0.duration_since(first.0).as_secs_f64();
    let probes = lab.counts()?.requests;
    Ok(TraceRun {
        tool: tool.to_owned(),
        shards: 1,
        every_hop: false,
        destinations,
        probes,
        probes_pps: tenths((last.1 - first.1) as f64 / seconds.max(1e-3)),
        seconds: (seconds * 1e3).round() / 1e3,
        machine_ns: tenths((cores * elapsed_ns - away_ns).max(0.0) / probes as f64),
        verdict: None,
    })
}
