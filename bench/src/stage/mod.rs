//! The stages of a probe's path, each on its own and together.

mod bytes;
pub mod encode;
pub mod internet;
mod matching;
mod whole;

pub use whole::rig;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::load::{Family, TARGETS};
use crate::meter::{Hardware, Meter};

/// A part of a probe's path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// What is due: schedule, permutation, target, in-flight entry, MAC; and the ring's word that it left
    Schedule,
    /// From an order to packet bytes
    Craft,
    /// From packet bytes to an arrival
    Parse,
    /// From an arrival to an outcome, MAC verified; and the walk of expiry past what was answered
    Match,
    /// All of these and the memory ring, as the shard runs them
    Probe,
    /// The simulated host that answers in `probe`: part of it, and no cost of a real probe
    #[value(name = "far-end")]
    FarEnd,
    /// From outcomes to sorted columns, `MessagePack`, and compressed blocks, in memory
    Encode,
    /// `probe` and `encode` in turn
    Everything,
}

impl Stage {
    /// In the order of the path.
    pub const ALL: [Stage; 8] = [
        Stage::Schedule,
        Stage::Craft,
        Stage::Parse,
        Stage::Match,
        Stage::Probe,
        Stage::FarEnd,
        Stage::Encode,
        Stage::Everything,
    ];

    /// As the command line and the tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Schedule => "schedule",
            Stage::Craft => "craft",
            Stage::Parse => "parse",
            Stage::Match => "match",
            Stage::Probe => "probe",
            Stage::FarEnd => "far-end",
            Stage::Encode => "encode",
            Stage::Everything => "everything",
        }
    }
}

/// What to run.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct StageArgs {
    /// The stage
    pub name: Stage,
    /// Probes to run through it, at least
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub probes: u64,
    /// The family of the targets
    #[arg(long, value_enum, default_value_t = Family::V4)]
    pub family: Family,
    /// Targets in the list, each probed once a second
    #[arg(long, value_name = "N", default_value_t = TARGETS, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub targets: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// The family of the targets.
    pub family: Family,
    /// Probes that were measured.
    pub probes: u64,
    /// Processor time a probe, in nanoseconds.
    pub ns_per_probe: f64,
    /// What the processor counted, where it lets us look.
    #[serde(default)]
    pub hardware: Hardware,
    /// Compressed bytes a probe, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_probe: Option<f64>,
}

/// Runs a stage.
///
/// # Errors
/// When the load cannot be made.
pub fn run(args: &StageArgs) -> Result<StageReport> {
    let mut meter = Meter::new();
    let mut bytes = None;
    match args.name {
        Stage::Schedule | Stage::Match => matching::run(args, &mut meter)?,
        Stage::Craft | Stage::Parse | Stage::FarEnd => bytes::run(args, &mut meter)?,
        Stage::Encode => bytes = Some(encode::run(args, &mut meter)?),
        Stage::Probe => whole::probe(args, &mut meter)?,
        Stage::Everything => bytes = Some(whole::everything(args, &mut meter)?),
    }
    Ok(StageReport {
        stage: args.name,
        family: args.family,
        probes: meter.probes(),
        ns_per_probe: tenths(meter.ns_per_probe()),
        hardware: meter.hardware(),
        bytes_per_probe: bytes.map(|bytes| tenths(bytes as f64 / meter.probes() as f64)),
    })
}

/// No more digits than there is truth in.
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
