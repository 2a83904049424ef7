//! The report as one JSON object. Its keys are a contract; keys may be added.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Diagnosis, Finding, Machine, Measured, Nic};
use crate::backend::{Facts, Kind, Link, Obstacle, Verdict};

#[derive(Serialize)]
struct Object<'a> {
    version: &'static str,
    /// Null where no backend works.
    backend: Option<Kind>,
    backends: Vec<Backend<'a>>,
    #[serde(flatten)]
    facts: &'a Facts,
    machine: &'a Machine,
    /// Null without an interface.
    interface: Option<Interface<'a>>,
    findings: Vec<Finding>,
    measured: &'a [Measured],
}

#[derive(Serialize)]
struct Backend<'a> {
    name: Kind,
    usable: bool,
    obstacles: Vec<Obstacle>,
    /// Why it would gain nothing here.
    pointless: Option<&'a str>,
}

#[derive(Serialize)]
struct Interface<'a> {
    #[serde(flatten)]
    link: &'a Link,
    #[serde(flatten)]
    nic: &'a Nic,
    allowance_exceeded: BTreeMap<&'a str, u64>,
}

/// One line.
pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let backends = diagnosis.ranking.iter().map(|candidate| {
        let (obstacles, pointless) = match &candidate.verdict {
            Verdict::Usable => (Vec::new(), None),
            Verdict::Blocked(obstacles) => (obstacles.clone(), None),
            Verdict::Pointless(why) => (Vec::new(), Some(*why)),
        };
        Backend { name: candidate.kind, usable: candidate.is_usable(), obstacles, pointless }
    });
    let object = Object {
        version: env!("CARGO_PKG_VERSION"),
        backend: diagnosis.auto(),
        backends: backends.collect(),
        facts: &diagnosis.facts,
        machine: &diagnosis.machine,
        interface: diagnosis.facts.link.as_ref().zip(diagnosis.nic.as_ref()).map(|(link, nic)| Interface {
            link,
            nic,
            allowance_exceeded: nic
                .allowance_exceeded
                .iter()
                .map(|(name, count)| (name.as_str(), *count))
                .collect(),
        }),
        findings: diagnosis.findings(),
        measured: &diagnosis.measured,
    };
    // Numbers are finite and keys are strings, so there is nothing to go wrong.
    serde_json::to_string(&object).unwrap_or_default() + "\n"
}
