//! Every path against the world's model, and the ledger against its counters.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use megaping_loader::WorldConfig;
use megaping_loader::world::model::{Way, path_length, router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::versus::watch::WorldCounts;

/// What is as it should be, and what is not.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Paths that equal the world's, hop by hop, to their end.
    pub right: u64,
    /// Paths that do not, and destinations without one.
    pub wrong: u64,
    /// Whether sent, answered and errors are what the world counted, and nothing was lost or unsent.
    pub ledger_is_the_worlds: bool,
}

/// Reads what `megaping trace` wrote.
///
/// # Errors
/// When it is no JSON, or has no summary.
pub fn check(
    stdout: &Path,
    stderr: &Path,
    hops: (u8, u8),
    destinations: u32,
    world: &WorldCounts,
) -> Result<Verdict> {
    let config = WorldConfig { min_hops: hops.0, max_hops: hops.1, ..WorldConfig::default() };
    let mut right = vec![false; destinations as usize];
    for line in BufReader::new(File::open(stdout)?).lines() {
        let path: Value = serde_json::from_str(&line?)?;
        let to: Ipv4Addr = path["target"].as_str().ok_or("a path without a target")?.parse()?;
        let place =
            right.get_mut((to.to_bits() - 0x0a00_0000) as usize).ok_or("a path that nobody asked for")?;
        *place = is_the_worlds(&config, to.into(), &path);
    }
    let summary = std::fs::read_to_string(stderr)?;
    let summary = summary.lines().rfind(|line| line.starts_with('{')).ok_or("it printed no summary")?;
    let summary: Value = serde_json::from_str(summary)?;
    let of = |key: &str| summary[key].as_u64();
    let unsent = summary["unsent"].as_object().map_or(0, serde_json::Map::len);
    let right = right.into_iter().filter(|right| *right).count() as u64;
    Ok(Verdict {
        right,
        wrong: u64::from(destinations) - right,
        ledger_is_the_worlds: (of("sent"), of("answered"), of("errors"), of("lost"), unsent)
            == (Some(world.requests), Some(world.replies), Some(world.errors), Some(0), 0),
    })
}

fn is_the_worlds(config: &WorldConfig, to: IpAddr, path: &Value) -> bool {
    let Some(hops) = path["hops"].as_array() else { return false };
    let length = path_length(config, to);
    let is_there = |(hop, ttl): (&Value, u8)| {
        let responder = hop["responder"].as_str().and_then(|text| text.parse::<IpAddr>().ok());
        let truth = if ttl == length { to } else { router(config, &Way::to(to), ttl).address };
        hop["ttl"].as_u64() == Some(ttl.into()) && responder == Some(truth)
    };
    path["reached"] == true && hops.len() == usize::from(length) && hops.iter().zip(1u8..).all(is_there)
}
