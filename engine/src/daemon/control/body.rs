//! What the control interface says, as JSON. The names are a contract; some may be added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The whole node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The machine's name.
    pub node: String,
    /// The way to the wire.
    pub backend: String,
    /// Threads that probe.
    pub shards: u16,
    /// Since the first probe, in seconds.
    pub uptime_s: f64,
    /// Whether it is ending: nothing new is sent, and what is under way is waited for.
    pub draining: bool,
    /// Times that the configuration was read anew and followed.
    pub reloads: u64,
    /// Times that it was refused.
    pub refused_reloads: u64,
    /// Why, the last time.
    pub last_refusal: Option<String>,
    /// Tenants, measurements and targets that are configured.
    pub tenants: u64,
    /// Measurements of all tenants.
    pub measurements: u64,
    /// Addresses, each once.
    pub targets: u64,
    /// The node's limit, in probes a second.
    pub max_pps: f64,
    /// What all tenants ask for.
    pub demand_pps: f64,
    /// What left in the last half second or so.
    pub sent_pps: f64,
    /// What was answered in that time.
    pub answered_pps: f64,
    /// Where every probe is.
    pub ledger: Ledger,
}

/// `scheduled = in_flight + answered + errors + lost + unsent`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Ledger {
    /// Probes that fell due.
    pub scheduled: u64,
    /// Those that left.
    pub sent: u64,
    /// Those under way.
    pub in_flight: u64,
    /// Those that an echo reply answered.
    pub answered: u64,
    /// Those that an ICMP error answered.
    pub errors: u64,
    /// Those that nothing answered in time.
    pub lost: u64,
    /// Those that never left, by reason; other than zero alone.
    pub unsent: BTreeMap<String, u64>,
    /// Answers beyond the first.
    pub duplicates: u64,
    /// Answers after their time.
    pub late: u64,
    /// Answers that were corrupt or forged.
    pub invalid: u64,
    /// Messages for somebody else.
    pub foreign: u64,
    /// Arrivals that this machine dropped.
    pub rx_dropped: u64,
}

/// How probes ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Ends {
    /// Probes that have ended, one way or another.
    pub scheduled: u64,
    /// By an echo reply.
    pub answered: u64,
    /// By an ICMP error.
    pub errors: u64,
    /// By nothing.
    pub lost: u64,
    /// They never left.
    pub unsent: u64,
    /// Those of them that a share left no room for.
    pub shed: u64,
}

impl From<crate::summary::Counts> for Ends {
    fn from(counts: crate::summary::Counts) -> Ends {
        let crate::summary::Counts { scheduled, answered, errors, lost, unsent, shed } = counts;
        Ends { scheduled, answered, errors, lost, unsent, shed }
    }
}

/// One tenant.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Against the others'.
    pub weight: f64,
    /// Whether its measurements rest, by the configuration or by request.
    pub paused: bool,
    /// Its own limit, in probes a second.
    pub max_pps: Option<f64>,
    /// What it asks for.
    pub demand_pps: f64,
    /// How much of that it is given, zero to one.
    pub share: f64,
    /// Its measurements.
    pub measurements: u64,
    /// Their targets.
    pub targets: u64,
    /// What became of its probes.
    pub ends: Ends,
}

/// One measurement.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Measurement {
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Addresses.
    pub targets: u64,
    /// Between two probes of one flow to one target, in seconds.
    pub interval_s: f64,
    /// What became of its probes since it began or was changed.
    pub ends: Ends,
}

/// That something was done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// What, in words.
    pub done: String,
}

/// That something was not done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// Why, and what would be right.
    pub error: String,
}

/// Everything that is published, some times a second.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The node.
    pub status: Status,
    /// Its tenants, in the order of the configuration.
    pub tenants: Vec<Tenant>,
    /// Their measurements.
    pub measurements: Vec<Measurement>,
}
