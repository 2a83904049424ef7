//! `cost`: every stage, in nanoseconds and in instructions.
//!
//! Each figure comes from processes of their own, so that no stage warms another's cache or inherits another's
//! heap. Nanoseconds are the median of several. Instructions are counted by callgrind, in the measured
//! sections alone, for `n` probes and for `2n`; the difference leaves out what happens once in a run.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::load::{Family, PAYLOAD_LEN, RTT_NS, TARGETS};
use crate::machine::Machine;
use crate::meter::{Hardware, SECTION_PATTERN};
use crate::stage::{Stage, StageReport, tenths};

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct CostArgs {
    /// Write the report to a file
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Probes a measurement of time
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub probes: u64,
    /// Measurements of time, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeats: u32,
    /// Probes of the smaller run whose instructions are counted; the other has twice as many
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(1..))]
    pub counted: u64,
    /// Targets in the list, each probed once a second
    #[arg(long, value_name = "N", default_value_t = TARGETS)]
    pub targets: u64,
    /// One family alone
    #[arg(long, value_enum)]
    pub family: Option<Family>,
    /// These stages alone
    #[arg(long, value_enum, value_name = "STAGE", value_delimiter = ',')]
    pub stages: Vec<Stage>,
}

/// The file that `docs/performance.md` cites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CostReport {
    /// Where.
    pub machine: Machine,
    /// How to repeat it.
    pub command: String,
    /// Targets in the list, each probed once a second.
    pub targets: u64,
    /// Payload bytes of a probe.
    pub payload_len: u16,
    /// Round trip in `probe` and `everything`, in milliseconds.
    pub rtt_ms: f64,
    /// Measurements that each median is made of.
    pub repeats: u32,
    /// Why instructions are missing, if they are.
    #[serde(default)]
    pub no_instructions: Option<String>,
    /// The stages, in the order of the path, IPv4 first.
    pub stages: Vec<StageCost>,
}

/// One stage's cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageCost {
    /// The stage.
    pub stage: Stage,
    /// The family.
    pub family: Family,
    /// Processor time a probe, in nanoseconds: the median.
    pub ns_per_probe: f64,
    /// The lowest of the measurements.
    pub ns_best: f64,
    /// The highest.
    pub ns_worst: f64,
    /// Instructions a probe; none where valgrind is missing.
    pub instructions_per_probe: Option<f64>,
    /// What the processor counted, where it lets us look.
    #[serde(default)]
    pub hardware: Hardware,
    /// Compressed bytes a probe, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_probe: Option<f64>,
}

impl CostReport {
    /// One stage's cost, if it was measured.
    pub fn get(&self, stage: Stage, family: Family) -> Option<&StageCost> {
        self.stages.iter().find(|cost| cost.stage == stage && cost.family == family)
    }
}

/// Measures.
///
/// # Errors
/// When a stage fails; a missing valgrind is no error, and is reported.
pub fn run(args: &CostArgs) -> Result<CostReport> {
    let no_instructions = match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("'valgrind --version' ended with {}", output.status)),
        Err(error) => Some(format!("valgrind cannot be run ({error}): 'scripts/setup test' installs it")),
    };
    let mut stages = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| args.family.is_none_or(|only| only == *family)) {
        for stage in Stage::ALL.into_iter().filter(|s| args.stages.is_empty() || args.stages.contains(s)) {
            let mut cost = time(args, stage, family)?;
            if no_instructions.is_none() {
                cost.instructions_per_probe = Some(instructions(args, stage, family)?);
            }
            eprintln!(
                "{:>10} {}: {:7.1} ns, {:7.1} instructions a probe",
                stage.name(),
                family.name(),
                cost.ns_per_probe,
                cost.instructions_per_probe.unwrap_or(f64::NAN)
            );
            stages.push(cost);
        }
    }
    Ok(CostReport {
        machine: Machine::look(),
        command: std::env::args().skip(1).fold("megaping-bench".to_owned(), |line, arg| line + " " + &arg),
        targets: args.targets,
        payload_len: PAYLOAD_LEN,
        rtt_ms: RTT_NS as f64 / 1e6,
        repeats: args.repeats,
        no_instructions,
        stages,
    })
}

fn time(args: &CostArgs, stage: Stage, family: Family) -> Result<StageCost> {
    let itself = std::env::current_exe()?;
    let mut times = Vec::new();
    let (mut bytes_per_probe, mut hardware) = (None, Hardware::default());
    for _ in 0..args.repeats {
        let output = finished(with_stage(Command::new(&itself), args, stage, family, args.probes))?;
        let report: StageReport = serde_json::from_slice(&output.stdout)?;
        times.push(report.ns_per_probe);
        (bytes_per_probe, hardware) = (report.bytes_per_probe, report.hardware);
    }
    times.sort_by(f64::total_cmp);
    Ok(StageCost {
        stage,
        family,
        ns_per_probe: times[times.len() / 2],
        ns_best: times[0],
        ns_worst: times[times.len() - 1],
        instructions_per_probe: None,
        hardware,
        bytes_per_probe,
    })
}

/// Instructions that one more probe costs, when there are many.
fn instructions(args: &CostArgs, stage: Stage, family: Family) -> Result<f64> {
    // Side by side: neither the other's company nor its slowness changes what is counted.
    let (less, more) = std::thread::scope(|scope| {
        let more = scope.spawn(|| count(args, stage, family, args.counted * 2).map_err(|e| e.to_string()));
        (count(args, stage, family, args.counted), more.join())
    });
    let (less_probes, less) = less?;
    let (more_probes, more) = more.map_err(|_| "the thread that counts panicked")??;
    let probes = more_probes.checked_sub(less_probes).filter(|probes| *probes > 0);
    let probes = probes.ok_or("twice the probes were not more probes")?;
    Ok(tenths((more as f64 - less as f64) / probes as f64))
}

/// Runs a stage under callgrind: how many probes it measured, and how many instructions that took.
fn count(args: &CostArgs, stage: Stage, family: Family, probes: u64) -> Result<(u64, u64)> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={SECTION_PATTERN}"))
        .arg(std::env::current_exe()?);
    let output = finished(with_stage(valgrind, args, stage, family, probes))?;
    let report: StageReport = serde_json::from_slice(&output.stdout)?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected =
        log.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    let collected = collected.and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    let collected = collected.ok_or_else(|| format!("callgrind counted nothing:\n{log}"))?;
    Ok((report.probes, collected))
}

fn with_stage(mut command: Command, args: &CostArgs, stage: Stage, family: Family, probes: u64) -> Command {
    command.args(["stage", stage.name(), "--family", family.flag()]).args([
        "--probes",
        &probes.to_string(),
        "--targets",
        &args.targets.to_string(),
    ]);
    command
}

/// The output of a command that ended well.
///
/// # Errors
/// With what it said, when it did not.
pub fn finished(mut command: Command) -> Result<Output> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} ended with {}:\n{said}", output.status).into())
}
