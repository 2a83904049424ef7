//! The harness: what our own code costs per probe, in nanoseconds, in instructions and in memory; and what the
//! whole program does on the lab, beside its peers.
//!
//! All but `versus` runs over the memory ring and a virtual clock: no packet leaves the process, no system call
//! is on the path, and what is measured is our own code alone. `docs/performance.md` tells how to read it.

mod cost;
mod load;
mod machine;
mod meter;
mod resident;
mod stage;
mod tables;
mod trace;
mod upload;
mod versus;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::cost::CostArgs;
use crate::resident::{MemoryArgs, ResidentArgs};
use crate::stage::StageArgs;
use crate::trace::TraceArgs;
use crate::upload::UploadArgs;
use crate::versus::VersusArgs;
use crate::versus::watch::WatchArgs;

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
    /// Run megaping and its peers on a lab of their own, side by side (needs root)
    Versus(VersusArgs),
    /// Bring results into a real ClickHouse: what it costs on both sides, and how long it takes
    Upload(UploadArgs),
    /// Trace a hundred thousand destinations on a lab of its own, beside scamper and mtr (needs root)
    Trace(TraceArgs),
    /// The counters of a world, a line for a line
    #[command(hide = true)]
    Watch(WatchArgs),
    /// Print the tables of docs/performance.md from the files that `cost`, `memory`, `trace`, `upload` and `versus` wrote
    Tables {
        /// What `cost` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/cost.json")]
        cost: PathBuf,
        /// What `memory` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/memory.json")]
        memory: PathBuf,
        /// What `trace` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/trace.json")]
        trace: PathBuf,
        /// What `upload` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/upload.json")]
        upload: PathBuf,
        /// What `versus` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/versus.json")]
        versus: PathBuf,
    },
    /// Draw the pictures of docs/performance.md from the file that `versus` wrote
    Plots {
        /// What `versus` wrote
        #[arg(long, value_name = "PATH", default_value = "docs/measured/versus.json")]
        versus: PathBuf,
        /// Where the pictures go
        #[arg(long, value_name = "DIR", default_value = "docs/measured")]
        dir: PathBuf,
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
        Command::Versus(args) => emit(&versus::run(&args)?, args.out.as_deref()),
        Command::Watch(args) => versus::watch::serve(&args),
        Command::Upload(args) => emit(&upload::run(&args)?, args.out.as_deref()),
        Command::Trace(args) => emit(&trace::run(&args)?, args.out.as_deref()),
        Command::Tables { cost, memory, trace, upload, versus } => {
            let tables = tables::markdown(
                &read(&cost)?,
                &read(&memory)?,
                &read(&trace)?,
                &read(&upload)?,
                &read(&versus)?,
            );
            print!("{tables}");
            Ok(())
        }
        Command::Plots { versus, dir } => versus::plots::draw(&read(&versus)?, &dir),
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
            "{}: {error}; 'megaping-bench cost', 'memory', 'trace', 'upload' and 'versus' write such files with --out",
            path.display()
        )
    })?;
    serde_json::from_str(&json).map_err(|error| format!("{}: {error}", path.display()).into())
}
