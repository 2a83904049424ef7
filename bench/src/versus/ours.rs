//! What megaping's own summary says, held against the world's counters.

use std::collections::BTreeMap;

use serde_json::Value;

use super::report::{Ours, Own};
use super::watch::WorldCounts;
use crate::Result;

/// Requests and answers.
///
/// # Errors
/// When there is no summary.
pub fn own(stderr: &str) -> Result<Own> {
    let summary = summary(stderr)?;
    Ok(Own { sent: Some(count(&summary, "sent")?), answered: count(&summary, "answered")? })
}

/// The rest, against what the world counted.
///
/// # Errors
/// When there is no summary.
pub fn ours(stderr: &str, world: &WorldCounts) -> Result<Ours> {
    let summary = summary(stderr)?;
    let of = |key| count(&summary, key);
    let (scheduled, sent, answered) = (of("scheduled")?, of("sent")?, of("answered")?);
    let (errors, lost, in_flight) = (of("errors")?, of("lost")?, of("in_flight")?);
    let unsent: BTreeMap<String, u64> = serde_json::from_value(summary["unsent"].clone())?;
    let placed = answered + errors + lost + in_flight + unsent.values().sum::<u64>();
    let store = &summary["store"];
    let stored = ["spooled", "archived"].iter().filter_map(|key| store[*key].as_u64()).sum();
    Ok(Ours {
        scheduled,
        errors,
        lost,
        unsent,
        // What is in flight at the end is in a state, and should not be.
        unaccounted: scheduled.cast_signed() - placed.cast_signed() + in_flight.cast_signed(),
        false_loss: lost.cast_signed() - world.lost.cast_signed(),
        equals_world: (sent, answered, errors) == (world.requests, world.replies, world.errors),
        stored,
        rtt_us: serde_json::from_value(summary["rtt_us"].clone())?,
        lateness_us: serde_json::from_value(summary["lateness_us"].clone())?,
    })
}

fn summary(stderr: &str) -> Result<Value> {
    let line = stderr.lines().rfind(|line| line.starts_with('{')).ok_or("it printed no summary")?;
    Ok(serde_json::from_str(line)?)
}

fn count(summary: &Value, key: &str) -> Result<u64> {
    summary[key].as_u64().ok_or_else(|| format!("the summary has no count '{key}'").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_in_no_state_and_a_loss_of_our_own_are_found() {
        let line = "noise\n{\"scheduled\":10,\"sent\":9,\"answered\":5,\"errors\":1,\"lost\":2,\"in_flight\":0,\
            \"unsent\":{\"overdue\":1},\"store\":{\"spooled\":10},\"rtt_us\":{\"p50\":1.5,\"p99\":null},\
            \"lateness_us\":{}}\n";
        let world = WorldCounts { requests: 9, replies: 5, errors: 1, lost: 1, ..WorldCounts::default() };
        let ours = ours(line, &world).expect("a summary");
        assert_eq!((ours.unaccounted, ours.false_loss, ours.equals_world), (1, 1, true));
        assert_eq!((ours.stored, ours.rtt_us["p50"]), (10, Some(1.5)));
        assert_eq!(own(line).expect("a summary"), Own { sent: Some(9), answered: 5 });
        assert!(own("no summary").is_err());
    }
}
