//! What the control interface is told, from what the main thread knows.

use std::sync::Arc;
use std::time::Instant;

use megaping_probe::Ledger;
use megaping_probe::fleet::Share;

use super::agenda::Agenda;
use super::config::Loaded;
use super::control::body::{self, Snapshot};
use super::roster::{Owner, SharedRoster};
use crate::keeper::node_name;
use crate::summary::{Counts, unsent_by_name};

/// What changes while the daemon runs, beside the counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Events {
    /// Configurations that were followed after the first.
    pub reloads: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Why, the last time.
    pub last_refusal: Option<String>,
    /// Whether it is ending.
    pub draining: bool,
}

/// Makes snapshots; remembers the one before, for rates.
#[derive(Debug)]
pub struct Publisher {
    node: String,
    backend: &'static str,
    began: Instant,
    before: (Instant, u64, u64),
    rates: (f64, f64),
}

impl Publisher {
    /// Of a daemon that begins now.
    pub fn new(backend: &'static str) -> Publisher {
        let now = Instant::now();
        Publisher { node: node_name(), backend, began: now, before: (now, 0, 0), rates: (0.0, 0.0) }
    }

    /// How things are.
    pub fn snapshot(
        &mut self,
        loaded: &Loaded,
        agenda: &Agenda,
        node_pps: f64,
        roster: &SharedRoster,
        (ledger, rx_dropped): (&Ledger, u64),
        events: &Events,
    ) -> Snapshot {
        self.measure(ledger);
        let demands = agenda.demands_pps();
        let status = body::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node.clone(),
            backend: self.backend.to_owned(),
            shards: loaded.options.shards,
            uptime_s: self.began.elapsed().as_secs_f64(),
            draining: events.draining,
            reloads: events.reloads,
            refused_reloads: events.refused,
            last_refusal: events.last_refusal.clone(),
            tenants: agenda.tenants.len() as u64,
            measurements: agenda.measurements.len() as u64,
            targets: loaded.addresses.len() as u64,
            max_pps: loaded.options.rate_pps.unwrap_or(0) as f64,
            demand_pps: demands.iter().sum(),
            sent_pps: self.rates.0,
            answered_pps: self.rates.1,
            ledger: of_ledger(ledger, rx_dropped),
        };
        let roster = roster.lock();
        let counts = |name: &str| {
            let account = roster.accounts().iter().find(|(account, _)| **account == *name);
            account.map_or_else(Counts::default, |(_, counts)| *counts).into()
        };
        let shares = agenda.shares(node_pps);
        let mut tenants: Vec<body::Tenant> = agenda
            .tenants
            .iter()
            .zip(demands.iter().zip(&shares))
            .map(|(tenant, (&demand_pps, share))| body::Tenant {
                name: tenant.name.clone(),
                weight: tenant.weight,
                paused: tenant.paused,
                max_pps: tenant.max_pps,
                demand_pps,
                share: Share::part(*share),
                ends: counts(&tenant.name),
                ..body::Tenant::default()
            })
            .collect();
        let running = roster.measurements();
        let mut measurements = Vec::with_capacity(agenda.measurements.len());
        for measurement in &agenda.measurements {
            let tenant = &mut tenants[measurement.tenant];
            tenant.measurements += 1;
            tenant.targets += measurement.targets.len() as u64;
            let owner = Owner {
                tenant: Arc::from(tenant.name.as_str()),
                measurement: Arc::from(measurement.name.as_str()),
            };
            measurements.push(body::Measurement {
                tenant: tenant.name.clone(),
                name: measurement.name.clone(),
                targets: measurement.targets.len() as u64,
                interval_s: measurement.interval_ns as f64 / 1e9,
                ends: running.get(&owner).copied().unwrap_or_default().into(),
            });
        }
        Snapshot { status, tenants, measurements }
    }

    fn measure(&mut self, ledger: &Ledger) {
        let (at, sent, answered) = self.before;
        let elapsed_s = at.elapsed().as_secs_f64();
        if elapsed_s >= 0.4 {
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed_s;
            self.rates = (rate(ledger.sent, sent), rate(ledger.answered, answered));
            self.before = (Instant::now(), ledger.sent, ledger.answered);
        }
    }
}

fn of_ledger(ledger: &Ledger, rx_dropped: u64) -> body::Ledger {
    let unsent = unsent_by_name(&ledger.unsent).into_iter().map(|(name, count)| (name.to_owned(), count));
    body::Ledger {
        scheduled: ledger.scheduled,
        sent: ledger.sent,
        in_flight: ledger.in_flight,
        answered: ledger.answered,
        errors: ledger.errors,
        lost: ledger.lost,
        unsent: unsent.collect(),
        duplicates: ledger.duplicates,
        late: ledger.late,
        invalid: ledger.invalid,
        foreign: ledger.foreign,
        rx_dropped,
    }
}
