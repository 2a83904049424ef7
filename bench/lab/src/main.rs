//! `megaping-lab`: the laboratory's hands. It attaches the simulated Internet (`world`) and the program that the
//! near end of a veth pair needs (`pass`), and runs the slower world in user space (`slow`).
//!
//! Interfaces are those of the network namespace that it runs in; `scripts/lab` runs it where it belongs.

mod error;
mod permille;
mod slow;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use megaping_loader::Pass;

use crate::error::LabError;

/// Simulated Internets for megaping: in the kernel (world) and, slower, in user space (slow).
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The simulated Internet in the kernel, on the far end of a veth pair
    #[command(subcommand)]
    World(world::Command),
    /// The program that passes every frame, which the near end of a veth pair needs
    #[command(subcommand)]
    Pass(PassCommand),
    /// A slower Internet in user space, with delay, jitter, reordering and duplicates, on a TUN interface
    Slow(slow::Args),
}

#[derive(Debug, Subcommand)]
enum PassCommand {
    /// Attach it
    Attach {
        /// The interface
        iface: String,
    },
    /// Take it off again, to make place for another program
    Detach {
        /// The interface
        iface: String,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::World(command) => world::run(command),
        Command::Pass(command) => pass(command),
        Command::Slow(args) => slow::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough (`| head`).
        Err(LabError::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("megaping-lab: {e}");
            ExitCode::from(2)
        }
    }
}

fn pass(command: PassCommand) -> Result<(), LabError> {
    match command {
        PassCommand::Attach { iface } => println!("pass: attached to {iface} in {}", Pass::attach(&iface)?),
        PassCommand::Detach { iface } => {
            Pass::detach(&iface)?;
            println!("pass: detached from {iface}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
