//! The harness: what our own code costs per probe, in nanoseconds, in instructions and in memory.
//!
//! Everything here runs over the memory ring and a virtual clock: no packet leaves the process, no system call
//! is on the path, and what is measured is our own code alone. `docs/performance.md` tells how to read it.

mod cost;
mod load;
mod machine;
mod meter;
mod resident;
mod stage;
mod tables;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::cost::CostArgs;
use crate::resident::{MemoryArgs, ResidentArgs};
use crate::stage::StageArgs;

/// Errors go to whoever started the harness, as a sentence.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures what megaping's own code costs per probe
#[derive(Parser)]
#[command(name = "megaping-bench", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one stage and print what a probe costs in it
    Stage(StageArgs),
    /// Run every stage, for nanoseconds and for instructions (needs valgrind)
    Cost(CostArgs),
    /// Measure the resident memory of a large list of targets
    Memory(MemoryArgs),
    /// One case of `memory`, measured in this process
    #[command(hide = true)]
    Resident(ResidentArgs),
    /// Print the tables of docs/performance.md from the files that `cost` and `memory` wrote
    Tables {
        /// What `cost` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/cost.json")]
        cost: PathBuf,
        /// What `memory` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/memory.json")]
        memory: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("megaping-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Stage(args) => emit(&stage::run(&args)?, None),
        Command::Cost(args) => emit(&cost::run(&args)?, args.out.as_deref()),
        Command::Memory(args) => emit(&resident::run(&args)?, args.out.as_deref()),
        Command::Resident(args) => emit(&resident::measure(&args)?, None),
        Command::Tables { cost, memory } => {
            print!("{}", tables::markdown(&read(&cost)?, &read(&memory)?));
            Ok(())
        }
    }
}

/// Prints a report as JSON, or writes it to a file.
fn emit(report: &impl Serialize, out: Option<&Path>) -> Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    match out {
        Some(path) => std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?,
        None => std::io::stdout().write_all(json.as_bytes())?,
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let json = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "{}: {error}; 'megaping-bench cost --out' and 'memory --out' write such files",
            path.display()
        )
    })?;
    serde_json::from_str(&json).map_err(|error| format!("{}: {error}", path.display()).into())
}
