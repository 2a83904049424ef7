//! `megaping config`: checks a configuration, shows what it means, or prints one.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;

use super::{ConfigError, Loaded, load};
use crate::cli::{ConfigAction, ConfigRequest};
use crate::daemon::agenda::Measurement;
use crate::say::say;

/// The example: every key is in it.
pub(super) const EXAMPLE: &str = include_str!("example.toml");

/// What is meant, for people and programs. No secret is in it: passwords are in files of their own.
#[derive(Serialize)]
struct Meaning<'a> {
    max_pps: u64,
    demand_pps: f64,
    targets: usize,
    tenants: Vec<TenantMeaning<'a>>,
}

#[derive(Serialize)]
struct TenantMeaning<'a> {
    name: &'a str,
    weight: f64,
    max_pps: Option<f64>,
    paused: bool,
    demand_pps: f64,
    measurements: Vec<MeasurementMeaning<'a>>,
}

#[derive(Serialize)]
struct MeasurementMeaning<'a> {
    name: &'a str,
    targets: usize,
    interval_s: f64,
    count: Option<u32>,
    timeout_s: f64,
    size: u16,
    dscp: u8,
    hop_limit: u8,
    flows: u16,
    demand_pps: f64,
    labels: &'a BTreeMap<String, String>,
}

/// Does what `request` asks for.
///
/// # Errors
/// [`ConfigError`]: all that is wrong.
pub fn run(request: &ConfigRequest) -> Result<ExitCode, ConfigError> {
    match request.action {
        ConfigAction::Example => print!("{EXAMPLE}"),
        ConfigAction::Schema => {
            let schema = schemars::schema_for!(super::file::File);
            println!("{}", serde_json::to_string_pretty(&schema).expect("a schema is JSON"));
        }
        ConfigAction::Check => {
            let loaded = load(&request.path, &request.remote)?;
            for note in &loaded.notes {
                say(format_args!("megaping: {note}"));
            }
            let Meaning { max_pps, demand_pps, targets, tenants } = meaning(&loaded);
            let measurements = loaded.agenda.measurements.len();
            println!(
                "{}: good: {} tenants, {measurements} measurements, {targets} targets, {demand_pps:.1} of {max_pps} probes/s",
                request.path.display(),
                tenants.len(),
            );
        }
        ConfigAction::Show => {
            let loaded = load(&request.path, &request.remote)?;
            let text = serde_json::to_string_pretty(&meaning(&loaded)).expect("numbers and names");
            println!("{text}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn meaning(loaded: &Loaded) -> Meaning<'_> {
    let agenda = &loaded.agenda;
    let demands = agenda.demands_pps();
    let tenants =
        agenda.tenants.iter().zip(&demands).enumerate().map(|(at, (tenant, &demand_pps))| TenantMeaning {
            name: &tenant.name,
            weight: tenant.weight,
            max_pps: tenant.max_pps,
            paused: tenant.paused,
            demand_pps,
            measurements: agenda.measurements.iter().filter(|m| m.tenant == at).map(of_measurement).collect(),
        });
    Meaning {
        max_pps: loaded.options.rate_pps.unwrap_or(0),
        demand_pps: demands.iter().sum(),
        targets: loaded.addresses.len(),
        tenants: tenants.collect(),
    }
}

fn of_measurement(m: &Measurement) -> MeasurementMeaning<'_> {
    MeasurementMeaning {
        name: &m.name,
        targets: m.targets.len(),
        interval_s: m.interval_ns as f64 / 1e9,
        count: m.rounds,
        timeout_s: m.class.timeout_ns as f64 / 1e9,
        size: m.class.payload_len,
        dscp: m.class.traffic_class >> 2,
        hop_limit: m.hop_limit,
        flows: m.flows,
        demand_pps: m.demand_pps(),
        labels: &m.labels,
    }
}
