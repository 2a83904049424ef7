//! `megaping doctor`: what this machine and an interface have for probing, which backend `auto` takes and why,
//! and what would make a faster one work. Reads, and changes nothing.

mod checks;
mod cloud;
mod finding;
mod gather;
mod json;
mod machine;
mod measure;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::backend::{self, Candidate, Facts, Kind};
use crate::cli::{DoctorFormat, DoctorOptions};

pub use finding::{Area, Finding, Mark};
pub use machine::{Machine, Nic, Queues, Rings, Stamps};
pub use measure::{MeasureError, Measured};

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The interface cannot be asked.
    #[error("interface {name:?} cannot be asked: {source}; `ip link` lists those there are")]
    Interface {
        /// The name that was given, or that the default route has.
        name: String,
        /// `ENODEV` where it is not there.
        source: io::Error,
    },
    /// The measurement could not be made.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// All that was found out.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnosis {
    /// What chooses the backend.
    pub facts: Facts,
    /// The rest of the machine.
    pub machine: Machine,
    /// The rest of the interface; none without one.
    pub nic: Option<Nic>,
    /// Every backend, fastest first.
    pub ranking: Vec<Candidate>,
    /// What was measured, by backend.
    pub measured: Vec<Measured>,
}

impl Diagnosis {
    /// Judges facts; measures nothing.
    #[must_use]
    pub fn new(facts: Facts, machine: Machine, nic: Option<Nic>) -> Diagnosis {
        let ranking = backend::rank(&facts);
        Diagnosis { facts, machine, nic, ranking, measured: Vec::new() }
    }

    /// The backend that `auto` tries first.
    #[must_use]
    pub fn auto(&self) -> Option<Kind> {
        self.ranking.iter().find(|candidate| candidate.is_usable()).map(|usable| usable.kind)
    }

    /// Every check, in the order of the report.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = checks::machine(self);
        findings.extend(checks::process(self));
        findings.extend(checks::interface(self));
        findings.extend(cloud::checks(self));
        findings
    }
}

/// Prints the diagnosis that was asked for. Exit status 0 when some backend works, 1 when none does.
///
/// # Errors
/// [`DoctorError`], whose message is for the user; a reader that has seen enough is no error.
pub fn run(options: &DoctorOptions) -> Result<ExitCode, DoctorError> {
    let name = options.interface.clone().or_else(backend::default_interface);
    let mut facts = backend::gather(name.as_deref())
        .map_err(|source| DoctorError::Interface { name: name.clone().unwrap_or_default(), source })?;
    gather::try_sockets(&mut facts);
    let nic = name.as_deref().map(gather::nic);
    let mut diagnosis = Diagnosis::new(facts, gather::machine(), nic);
    if let Some(measure) = &options.measure {
        diagnosis.measured = measure::run(&diagnosis, measure, options.interface.as_deref())?;
    }
    let text = match options.output {
        DoctorFormat::Text => text::render(&diagnosis, text::width()),
        DoctorFormat::Json => json::render(&diagnosis),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(DoctorError::Output(error)),
        _ => {}
    }
    let works = diagnosis.ranking.iter().any(Candidate::is_usable);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
