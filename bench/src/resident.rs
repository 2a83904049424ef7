//! `memory`: how much of it a large list of targets takes.
//!
//! Each case is a process of its own that loads the list as the program does, plans as the program plans (one
//! probe a second for each target, timeout one second), and runs a shard over a far end that is silent: every
//! probe stays in flight for its whole second, and no simulated reply takes memory that would count as ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use megaping::run::Walk;
use megaping::targets;
use megaping_probe::Outcome;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::cost::finished;
use crate::load::{self, Family, SECOND, START, TARGETS};
use crate::machine::Machine;
use crate::stage::{rig, tenths};

/// Virtual time that a case runs for: the table has been around twice by then.
const RUN_NS: u64 = 3 * SECOND;
/// A shard is done with a breath in much less.
const STEPS_MAX: u64 = 1_000_000;

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct MemoryArgs {
    /// Targets in the list, each probed once a second
    #[arg(long, value_name = "N", default_value_t = TARGETS, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub targets: u64,
    /// Write the report to a file
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
}

/// Whether the store thread takes what the shard hands over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// It does, at once.
    Drains,
    /// It takes nothing: every seat that there is gets filled.
    Stalls,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Store::Drains => "drains",
            Store::Stalls => "stalls",
        }
    }
}

/// One case.
#[derive(clap::Args, Clone, Debug)]
pub struct ResidentArgs {
    /// The list
    #[arg(long, value_name = "PATH")]
    pub list: PathBuf,
    /// Whether the store thread keeps up
    #[arg(long, value_enum)]
    pub store: Store,
}

/// The file that `docs/performance.md` cites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Where.
    pub machine: Machine,
    /// How to repeat it.
    pub command: String,
    /// The cases.
    pub cases: Vec<MemoryCase>,
}

/// One family, one behaviour of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemoryCase {
    /// The family.
    pub family: Family,
    /// The store.
    pub store: Store,
    /// What was measured.
    #[serde(flatten)]
    pub resident: Resident,
}

/// What one process measured of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resident {
    /// Targets in the list.
    pub targets: u64,
    /// Most probes that were in flight at a time.
    pub in_flight: u64,
    /// Resident bytes before the list was read.
    pub before: u64,
    /// Resident bytes with all of it running.
    pub after: u64,
    /// The highest there ever was, while the list was read or later.
    pub peak: u64,
    /// Of it, by what the rooms say of themselves: the target set.
    pub set_bytes: u64,
    /// The in-flight table.
    pub table_bytes: u64,
    /// Seats for outcomes, touched or not.
    pub seat_bytes: u64,
    /// `after - before`, a target.
    pub bytes_per_target: f64,
    /// `peak - before`, a target.
    pub peak_bytes_per_target: f64,
}

/// Measures every case.
///
/// # Errors
/// When a case fails.
pub fn run(args: &MemoryArgs) -> Result<MemoryReport> {
    let mut cases = Vec::new();
    for family in Family::ALL {
        let name = format!("megaping-bench-{}-{}.txt", std::process::id(), family.flag());
        let list = Scratch(std::env::temp_dir().join(name));
        std::fs::write(&list.0, load::list(family, args.targets))
            .map_err(|error| format!("{}: {error}", list.0.display()))?;
        for store in [Store::Drains, Store::Stalls] {
            let mut itself = Command::new(std::env::current_exe()?);
            itself.args(["resident", "--store", store.name(), "--list"]).arg(&list.0);
            let resident: Resident = serde_json::from_slice(&finished(itself)?.stdout)?;
            cases.push(MemoryCase { family, store, resident });
        }
    }
    let command = std::env::args().skip(1).fold("megaping-bench".to_owned(), |line, arg| line + " " + &arg);
    Ok(MemoryReport { machine: Machine::look(), command, cases })
}

/// A file that is gone when this is.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // In a temporary directory: should it stay, the system clears it.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Measures one case in this process.
///
/// # Errors
/// When the list cannot be read or the run does not go as it should.
pub fn measure(args: &ResidentArgs) -> Result<Resident> {
    let before = status("VmRSS")?;
    let list = args.list.to_str().ok_or("the list's path is not UTF-8")?;
    let options = load::options(&["--file", list])?;
    let set = Arc::new(targets::load(&options.targets)?);
    let plan = load::plan_of(&options, set.len())?;
    let silent = |_: &[u8], _: &mut [u8]| None;
    let ping = load::ping_of(&options, Walk::new(Arc::clone(&set), 42))?;
    let mut rig = rig(plan, ping, silent, 512);
    let (mut in_flight, mut steps) = (0, 0);
    while rig.shard.core().ledger().last_sent < START + RUN_NS && steps < STEPS_MAX {
        if !rig.shard.step()? {
            return Err("the run was over too soon".into());
        }
        steps += 1;
        in_flight = in_flight.max(rig.shard.core().ledger().in_flight);
        if args.store == Store::Drains {
            rig.drain(|_| ());
        } else if rig.shard.core().ledger().in_flight == 0 {
            // Not a seat is left: all rows wait for the store, and nothing more leaves.
            break;
        }
    }
    let (after, peak) = (status("VmRSS")?, status("VmHWM")?);
    let ledger = rig.shard.core().ledger();
    if !ledger.balances() || in_flight < set.len() * 9 / 10 {
        return Err(
            format!("only {in_flight} of {} probes were ever in flight: {ledger:?}", set.len()).into()
        );
    }
    let per_target = |bytes: u64| tenths(bytes.saturating_sub(before) as f64 / set.len() as f64);
    Ok(Resident {
        targets: set.len(),
        in_flight,
        before,
        after,
        peak,
        set_bytes: set.heap_bytes() as u64,
        table_bytes: rig.shard.core().table_bytes() as u64,
        seat_bytes: (megaping::run::RunPlan::seats(&plan) * size_of::<Outcome>()) as u64,
        bytes_per_target: per_target(after),
        peak_bytes_per_target: per_target(peak),
    })
}

/// A field of /proc/self/status, in bytes.
fn status(field: &str) -> Result<u64> {
    let path = Path::new("/proc/self/status");
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: u64 =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).ok_or("no such field")?;
    Ok(kib * 1024)
}
