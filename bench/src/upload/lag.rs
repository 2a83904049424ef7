//! From a verdict to the moment in which a query sees it, while a whole run goes on.
//!
//! Results become visible by parts of the table. Merges are stopped, the parts are looked for every few milliseconds, and
//! afterwards each part tells when its results had come to their verdict.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::server::ClickHouse;
use crate::Result;

/// Parts are looked for this often: what the figures are true within.
const LOOK: Duration = Duration::from_millis(20);

/// How late results were, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Lag {
    /// Results a second that were asked for.
    pub asked_per_s: u64,
    /// Results a second that came.
    pub reached_per_s: f64,
    /// Half of them were no later than this.
    pub p50_ms: u64,
    /// All but one in a hundred.
    pub p99_ms: u64,
    /// All of them.
    pub max_ms: u64,
    /// Results that the server has, of those that the run made.
    pub rows: u64,
}

/// Runs megaping over a simulated network, at `rate` results a second.
pub fn measure(server: &ClickHouse, rate: u64, seconds: u64, scratch: &Path) -> Result<Lag> {
    let database = format!("lag_{rate}");
    server.make_tables(&database)?;
    server.query(&database, "SYSTEM STOP MERGES results")?;
    let mut command = Command::new(std::env::current_exe()?.with_file_name("megaping"));
    command.args(["ping", "10.0.0.0/16", "--backend", "memory", "-o", "none", "--summary", "json"]);
    let interval = format!("{:.9}", 65_536.0 / rate as f64);
    command.args(["-i", &interval, "-r", &(rate * 2).to_string(), "--duration", &seconds.to_string()]);
    command.args(["--clickhouse", &server.url(&database)]).env("STATE_DIRECTORY", scratch.canonicalize()?);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut seen = BTreeMap::new();
    while child.try_wait()?.is_none() {
        look(server, &database, &mut seen)?;
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output()?;
    look(server, &database, &mut seen)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rfind(|line| line.starts_with('{')).ok_or_else(|| text.to_string())?;
    let summary: Value = serde_json::from_str(line)?;
    let of = |pointer: &str| summary.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    if of("/upload/uploaded") != of("/scheduled") {
        return Err(format!("not everything was sent: {text}").into());
    }
    server.expect_rows(&database, of("/scheduled"))?;
    let lags = lags(server, &database, &seen)?;
    let (p50_ms, p99_ms, max_ms) = (quantile(&lags, 0.5), quantile(&lags, 0.99), quantile(&lags, 1.0));
    let reached_per_s = (of("/answered") as f64 / seconds as f64).round();
    Ok(Lag { asked_per_s: rate, reached_per_s, p50_ms, p99_ms, max_ms, rows: of("/scheduled") })
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |unix| unix.as_millis() as u64)
}

/// Notes when a part was first seen.
fn look(server: &ClickHouse, database: &str, seen: &mut BTreeMap<String, u64>) -> Result<()> {
    let parts = format!(
        "SELECT name FROM system.parts WHERE active AND database = '{database}' AND table = 'results'"
    );
    let parts = server.query(database, &parts)?;
    let now = unix_ms();
    for part in parts.lines() {
        seen.entry(part.to_owned()).or_insert(now);
    }
    Ok(())
}

/// How many results were how many milliseconds late.
fn lags(server: &ClickHouse, database: &str, seen: &BTreeMap<String, u64>) -> Result<BTreeMap<u64, u64>> {
    let verdicts = "SELECT _part, intDiv(toUnixTimestamp64Nano(ts) + rtt_ns, 1000000) AS ms, count() \
                    FROM results WHERE outcome = 'answered' GROUP BY ALL";
    let mut lags = BTreeMap::new();
    for line in server.query(database, verdicts)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [part, ms, count] = fields[..] else { return Err(format!("no line of three: {line}").into()) };
        let at = seen.get(part).ok_or_else(|| format!("the part {part} was never seen"))?;
        *lags.entry(at.saturating_sub(ms.parse()?)).or_default() += count.parse::<u64>()?;
    }
    Ok(lags)
}

fn quantile(lags: &BTreeMap<u64, u64>, quantile: f64) -> u64 {
    let mut left = lags.values().sum::<u64>() as f64 * quantile;
    for (ms, count) in lags {
        left -= *count as f64;
        if left <= 0.0 {
            return *ms;
        }
    }
    lags.keys().next_back().copied().unwrap_or(0)
}
