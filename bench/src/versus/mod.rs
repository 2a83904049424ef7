//! `versus`: megaping on the lab, its peers on the same rig in the same minutes, and bare AF_XDP as the ceiling.
//!
//! Every tool runs in the near namespace of a lab of its own and asks the same simulated Internet, whose counters
//! say what really came. Tools take turns, so that the machine's moods meet all of them; medians count.

mod aims;
pub mod cpu;
pub mod lab;
mod measure;
mod ours;
mod plan;
pub mod plots;
pub mod report;
pub mod tables;
mod throttle;
mod tool;
pub mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::Result;
use crate::machine::Machine;
use lab::Lab;
use measure::Bench;
use report::{Case, Part, Run, Skipped, VersusReport};
use tool::{BACKENDS, Tool};

/// The world's behaviour in the long runs: with a TTL of 10 a quarter of the probes expire on the way, and some are lost.
const LONG_WORLD: [&str; 6] = ["--min-hops", "8", "--max-hops", "11", "--loss", "1"];

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct VersusArgs {
    /// Write the report to a file
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// A second a tool, once each: to try the harness, not to measure
    #[arg(long)]
    pub quick: bool,
    /// Only tools whose names begin with one of these
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these parts: full, rate, sustained, throttled, world
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub parts: Vec<String>,
    /// The lab's name
    #[arg(long, value_name = "NAME", default_value = "megaping-bench")]
    pub lab: String,
}

/// Runs the comparison.
///
/// # Errors
/// When the lab does not come up, or the run is interrupted; a tool that fails is reported, and is no error.
pub fn run(args: &VersusArgs) -> Result<VersusReport> {
    let stop = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // Beside this program, on a real disk: what is measured includes writing the outcomes down.
    let scratch = std::env::current_exe()?.with_file_name(format!("bench-scratch-{}", std::process::id()));
    let lab = Lab::up(&args.lab)?;
    let mut bench = Bench { lab, scratch, baseline_cores: 0.0, stop };
    bench.measure_baseline(if args.quick { 1.0 } else { 5.0 })?;
    let mut report = VersusReport {
        machine: Machine::look(),
        command: std::env::args().skip(1).fold("megaping-bench".to_owned(), |line, arg| line + " " + &arg),
        quick: args.quick,
        window_s: if args.quick { 1.0 } else { 3.0 },
        baseline_cores: bench.baseline_cores,
        versions: BTreeMap::new(),
        skipped: Vec::new(),
        runs: Vec::new(),
    };
    let backends = backends(&mut bench, &mut report)?;
    for set in plan::plan(&backends, args.quick) {
        let entries: Vec<(Tool, Case)> =
            set.entries.into_iter().filter(|(tool, case)| is_wanted(args, *tool, case)).collect();
        let entries = present(&bench.lab, entries, &mut report);
        for repeat in 0..set.repeats {
            for (tool, case) in &entries {
                let run = one(&mut bench, *tool, case, repeat, set.window_s)?;
                report.runs.push(run);
            }
        }
    }
    Ok(report)
}

fn is_wanted(args: &VersusArgs, tool: Tool, case: &Case) -> bool {
    let part = serde_json::to_value(case.part).unwrap_or_default();
    let has_part = args.parts.is_empty() || args.parts.iter().any(|wanted| part == *wanted.as_str());
    let has_tool =
        args.only.is_empty() || args.only.iter().any(|wanted| tool.name().starts_with(wanted.as_str()));
    has_part && has_tool
}

/// One run, in the world that its part asks for.
fn one(bench: &mut Bench, tool: Tool, case: &Case, repeat: u32, window_s: f64) -> Result<Run> {
    let is_long = matches!(case.part, Part::Sustained | Part::Throttled);
    bench.lab.set(if is_long { &LONG_WORLD } else { &[] })?;
    let timed = (case.part == Part::World).then(ProgramTimes::take).transpose()?;
    bench.lab.time(is_long && tool == Tool::Megaping("kernel"))?;
    let (command, result) = bench.run(tool, case, window_s);
    drop(timed);
    if bench.stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Err("interrupted".into());
    }
    let (measured, failed) = match result {
        Ok(measured) => (Some(measured), None),
        Err(error) => (None, Some(error.to_string())),
    };
    say(case, measured.as_ref(), failed.as_deref());
    Ok(Run { case: case.clone(), repeat, command, measured, failed })
}

fn say(case: &Case, measured: Option<&report::Measured>, failed: Option<&str>) {
    let Case { part, tool, shards, addresses, size, rate_pps } = case;
    let size = size.map_or(String::new(), |size| format!(" {size} B"));
    let rate = rate_pps.map_or(String::new(), |rate_pps| format!(" at {rate_pps}/s"));
    let what = format!("{part:?} {tool} x{shards} {addresses:?}{size}{rate}");
    match measured {
        Some(m) => eprintln!(
            "{what:<48} {:>9.0} requests/s {:>9.0} answered/s {:>6.0} ns of the machine, {:>6.0} ns of its own{}",
            m.requests_pps,
            m.answered_pps,
            m.machine_ns.unwrap_or(f64::NAN),
            m.process_ns.unwrap_or(f64::NAN),
            m.ours.as_ref().filter(|ours| !ours.equals_world).map_or("", |_| "  ledger and world differ")
        ),
        None => eprintln!("{what:<48} failed: {}", failed.unwrap_or("no reason")),
    }
}

/// The backends that work here; for the others, what the program says.
fn backends(bench: &mut Bench, report: &mut VersusReport) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for backend in BACKENDS {
        bench.lab.pass(!Tool::Megaping(backend).brings_program())?;
        let [ip, rest @ ..] = bench.lab.near();
        let mut command = Command::new(ip);
        command.args(rest).arg(bench.lab.binary("megaping"));
        command.args(["ping", "198.18.0.1", "-c", "1", "-I", "near", "-o", "none", "--backend", backend]);
        let output = command.output()?;
        if output.status.success() {
            found.push(backend);
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
            report.skipped.push(Skipped { what: format!("megaping --backend {backend}"), why });
        }
    }
    Ok(found)
}

/// Leaves out tools that are not installed, and notes the versions of those that are.
fn present(lab: &Lab, entries: Vec<(Tool, Case)>, report: &mut VersusReport) -> Vec<(Tool, Case)> {
    let mut kept = Vec::new();
    for (tool, case) in entries {
        let (program, args) = tool.version();
        if !report.versions.contains_key(program) {
            let path = if program == "megaping" { lab.binary(program) } else { PathBuf::from(program) };
            match Command::new(path).args(args).output() {
                Ok(output) => {
                    report.versions.insert(program.to_owned(), version(&output.stdout, &output.stderr));
                }
                Err(error) => {
                    let why = format!("{error}: 'scripts/setup bench' installs it");
                    let skipped = Skipped { what: program.to_owned(), why };
                    if !report.skipped.contains(&skipped) {
                        report.skipped.push(skipped);
                    }
                    continue;
                }
            }
        }
        kept.push((tool, case));
    }
    kept
}

/// The first word that begins with a digit in what a program says when asked for its version.
fn version(stdout: &[u8], stderr: &[u8]) -> String {
    let said = [stdout, stderr].map(String::from_utf8_lossy).join("\n");
    let mut words = said.split_whitespace();
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("unknown").to_owned()
}

/// The kernel takes the time of every run of every eBPF program while this lives: it costs some 20 ns a run.
struct ProgramTimes {
    before: String,
}

impl ProgramTimes {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn take() -> Result<ProgramTimes> {
        let path = Path::new(Self::SWITCH);
        let before = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(path, "1").map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(ProgramTimes { before })
    }
}

impl Drop for ProgramTimes {
    fn drop(&mut self) {
        let _restored = fs::write(Self::SWITCH, self.before.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version(b"fping: Version 5.1\n", b""), "5.1");
        assert_eq!(version(b"", b"zmap 2.1.1\n"), "2.1.1");
        assert_eq!(version(b"\nMasscan version 1.3.2 ( https://github.com )", b""), "1.3.2");
        assert_eq!(version(b"scamper version 20211212", b""), "20211212");
        assert_eq!(version(b"nothing", b""), "unknown");
    }
}
