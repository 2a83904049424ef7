//! `megaping run`: many tenants' measurements, around the clock, by a configuration that may change at any time.
//!
//! ```text
//!   file -> config -> agenda -> captain --(changes, lock-free)--> fleet of each shard
//!                                  |                                     | outcomes
//!                                roster <--(whose slot is it?)--- keepers (one store a tenant)
//! ```

pub mod agenda;
mod captain;
pub mod config;
pub mod control;
mod job;
mod keeper;
mod publish;
pub mod remote;
mod roster;
mod systemd;
mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::SIGHUP;

use crate::cli::SummaryFormat;
use crate::run::{self, Finish, RunError, RunPlan};
use crate::say::say;
use crate::summary::TenantSummary;
use crate::targets::TargetSet;
use config::{ConfigError, Source};
use control::{Control, ControlError};
use job::DaemonJob;
use publish::Events;
use remote::Remote;
use roster::SharedRoster;

/// A run of `megaping run`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct DaemonOptions {
    /// The configuration: a file, or the URL of one.
    pub config: PathBuf,
    /// What comes from elsewhere.
    pub remote: Remote,
    /// When to stop; none: never.
    pub duration: Option<Duration>,
    /// The summary on standard error, at the end.
    pub summary: SummaryFormat,
}

/// Why the daemon did not start, or did not come to its planned end.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{}: there is nothing to probe: add a [[tenant]] and a [[measurement]]", .0.display())]
    Nothing(PathBuf),
}

/// Runs until told to stop.
///
/// # Errors
/// [`DaemonError`], whose message is for the user.
pub fn run(options: &DaemonOptions) -> Result<ExitCode, DaemonError> {
    let loaded = config::load(&options.config, &options.remote)?;
    for note in &loaded.notes {
        say(format_args!("megaping: {note}"));
    }
    if loaded.addresses.is_empty() {
        return Err(DaemonError::Nothing(options.config.clone()));
    }
    let probing = loaded.options.clone();
    let plan = RunPlan::of_fleet(&probing, loaded.addresses.len() as u64)?;
    let targets = Arc::new(TargetSet::of_addresses(&loaded.addresses));
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).map_err(RunError::Signals)?;
    let roster = SharedRoster::default();
    let control = Control::listen(&loaded.control)?;
    let finish = run::start(&probing, plan, &targets, |_| DaemonJob {
        options: &probing,
        plan,
        source: Source::new(&options.config, &options.remote, &loaded),
        loaded: loaded.clone(),
        roster: roster.clone(),
        helms: Vec::new(),
        reload,
        duration: options.duration,
        live: None,
        control,
        paused: BTreeSet::new(),
        events: Events::default(),
    })?;
    let finish = with_tenants(finish, &roster);
    finish.print(options.summary);
    Ok(if finish.error.is_some() { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn with_tenants(mut finish: Finish, roster: &SharedRoster) -> Finish {
    let tenant = |(name, counts): &(Arc<str>, crate::summary::Counts)| TenantSummary {
        tenant: name.to_string(),
        counts: *counts,
    };
    finish.summary.tenants = roster.lock().accounts().iter().map(tenant).collect();
    finish
}
