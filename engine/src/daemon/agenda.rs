//! What is to be probed for whom: a configuration with its targets resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use megaping_probe::fleet::{Claim, Share, fair};
use megaping_probe::work::Class;
use megaping_wire::Addr;

/// Everything a node shall do, until the next agenda.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Agenda {
    /// Whose measurements there are.
    pub tenants: Vec<Tenant>,
    /// What they want to know.
    pub measurements: Vec<Measurement>,
}

/// Who pays for probes.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// How much of the node is its own when more is asked for than there is; more than nothing.
    pub weight: f64,
    /// Probes a second that it may send at most, if there is a limit.
    pub max_pps: Option<f64>,
    /// Whether its measurements rest.
    pub paused: bool,
}

/// One list of targets, probed alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// Its tenant, by the place in [`Agenda::tenants`].
    pub tenant: usize,
    /// Its name, one of its kind in its tenant.
    pub name: String,
    /// Between two probes of one flow to one target, in nanoseconds.
    pub interval_ns: u64,
    /// Rounds in all, if limited.
    pub rounds: Option<u32>,
    /// What its probes have in common.
    pub class: Class,
    /// TTL or hop limit of every probe.
    pub hop_limit: u8,
    /// ECMP paths probed of each target.
    pub flows: u16,
    /// Words of the operator's own.
    pub labels: BTreeMap<String, String>,
    /// The targets, sorted, each once.
    pub targets: Arc<[Addr]>,
}

impl Measurement {
    /// Probes a second.
    #[must_use]
    pub fn demand_pps(&self) -> f64 {
        self.targets.len() as f64 * f64::from(self.flows) * 1e9 / self.interval_ns as f64
    }
}

impl Agenda {
    /// Probes a second that each tenant asks for; a paused one asks for none.
    #[must_use]
    pub fn demands_pps(&self) -> Vec<f64> {
        let mut demands = vec![0.0; self.tenants.len()];
        for measurement in &self.measurements {
            if !self.tenants[measurement.tenant].paused {
                demands[measurement.tenant] += measurement.demand_pps();
            }
        }
        demands
    }

    /// What part of its demand each tenant is given of `node_pps` probes a second.
    #[must_use]
    pub fn shares(&self, node_pps: f64) -> Vec<Share> {
        let demands = self.demands_pps();
        let claim = |(tenant, &demand): (&Tenant, &f64)| Claim {
            demand,
            limit: tenant.max_pps.unwrap_or(f64::INFINITY),
            weight: tenant.weight,
        };
        let claims: Vec<Claim> = self.tenants.iter().zip(&demands).map(claim).collect();
        fair(node_pps, &claims)
            .into_iter()
            .zip(demands)
            .map(|(given, demand)| Share::of(given, demand))
            .collect()
    }
}
