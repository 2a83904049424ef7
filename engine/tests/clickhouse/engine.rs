//! `megaping ping --clickhouse`: what a run says on standard output, what its summary counts, and what the server has
//! are the same, also when the server, the engine or the disk fails meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::server::{ClickHouse, free_port};
use crate::{MEGAPING, start_with_schema};

/// A run in a network that is simulated in its process.
pub fn ping(args: &[&str]) -> Command {
    let mut command = Command::new(MEGAPING);
    command.args(["ping", "--backend", "memory", "--summary", "json"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The same, with its outcomes in a file: nobody has to read them meanwhile.
fn ping_to(csv: &Path, args: &[&str]) -> Command {
    let mut command = ping(args);
    command.args(["-o", "csv"]).stdout(File::create(csv).unwrap());
    command
}

/// Outcomes by destination: how many, how many of them answered, and the round trips of those together.
pub type PerTarget = BTreeMap<String, (u64, u64, u64)>;

pub fn stored(server: &ClickHouse) -> PerTarget {
    let text = server.query(
        "SELECT IPv4NumToString(toUInt32(bitAnd(toUInt128(dst), 4294967295))), count(), countIf(outcome = 'answered'), \
         sum(rtt_ns) FROM megaping.results GROUP BY dst",
    );
    let of = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |i: usize| fields[i].parse().unwrap();
        (fields[0].to_owned(), (number(1), number(2), number(3)))
    };
    text.lines().map(of).collect()
}

/// Adds what a run printed with `-o csv`.
pub fn printed(csv: &Path, into: &mut PerTarget) {
    let text = std::fs::read_to_string(csv).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let at =
        |name: &str| names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("{name} in {names:?}"));
    let (target, outcome, rtt) = (at("target"), at("outcome"), at("rtt_us"));
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let entry = into.entry(fields[target].to_owned()).or_default();
        entry.0 += 1;
        entry.1 += u64::from(fields[outcome] == "answered");
        entry.2 += fields[rtt].replace('.', "").parse::<u64>().unwrap_or(0);
    }
}

pub struct End {
    pub code: i32,
    pub summary: Value,
    pub text: String,
}

impl End {
    pub fn of(child: Child) -> End {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().rfind(|line| line.starts_with('{')).unwrap_or("null");
        let summary: Value = serde_json::from_str(line).unwrap();
        let end = End { code: output.status.code().unwrap_or(-1), summary, text };
        end.assert_laws();
        end
    }

    pub fn count(&self, object: &str, key: &str) -> u64 {
        self.summary[object][key].as_u64().unwrap_or_else(|| panic!("{object}.{key} in {}", self.text))
    }

    fn assert_laws(&self) {
        let of = |key| self.count("upload", key);
        assert_eq!(
            of("rows"),
            of("uploaded") + of("refused") + of("dropped") + of("waiting"),
            "{}",
            self.text
        );
        let of = |key| self.count("store", key);
        let places = ["queued", "spooled", "archived", "dropped", "rejected"];
        assert_eq!(of("produced"), places.into_iter().map(of).sum::<u64>(), "{}", self.text);
    }
}

#[test]
fn a_result_is_queryable_within_five_seconds_at_any_rate() {
    let server = start_with_schema();
    let state = tempfile::tempdir().unwrap();
    for (rate, interval, targets) in [("1", "1", "10.0.0.1"), ("20k", "0.0128", "10.1.0.0/24")] {
        let url = server.url();
        let args = [targets, "-r", rate, "-i", interval, "--duration", "7", "--clickhouse", &url];
        let csv = state.path().join("csv");
        let child = ping_to(&csv, &args).env("STATE_DIRECTORY", state.path()).spawn().unwrap();
        let begun = Instant::now();
        let mut worst = Duration::ZERO;
        while begun.elapsed() < Duration::from_millis(6500) {
            // A simulated answer comes at once: the departure is the verdict, give or take microseconds.
            let text = server.query("SELECT toUnixTimestamp64Nano(max(ts)) FROM megaping.results");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            // What came before it was seen no later.
            let newest = text.parse().unwrap_or(0);
            if newest > 0 && begun.elapsed() > Duration::from_secs(5) {
                worst = worst.max(now.saturating_sub(Duration::from_nanos(newest)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(worst > Duration::ZERO && worst < Duration::from_secs(5), "{rate}/s: {worst:?}");
        let end = End::of(child);
        assert_eq!((end.code, end.count("upload", "waiting")), (0, 0), "{}", end.text);
        let mut expected = PerTarget::new();
        printed(&csv, &mut expected);
        let mut stored = stored(&server);
        stored.retain(|target, _| expected.contains_key(target));
        assert_eq!(stored, expected, "{rate}/s");
    }
}

#[test]
fn server_and_engine_are_killed_and_every_durable_row_arrives_once() {
    let mut server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let dead = format!("http://127.0.0.1:{}/megaping", free_port());
    let both = format!("{dead},{}", server.url());
    let args = ["10.2.0.0/25", "-r", "5k", "-i", "0.0256", "--store", store, "--clickhouse", &both];
    let csv = dir.path().join("csv");
    let run = |seconds: &str| {
        ping_to(&csv, &args).args(["--archive", "none", "--duration", seconds]).spawn().unwrap()
    };
    // The server dies in the middle and comes back, with the first endpoint dead all the time.
    let child = run("4");
    std::thread::sleep(Duration::from_millis(2500));
    server.kill();
    std::thread::sleep(Duration::from_secs(2));
    server.restart();
    let end = End::of(child);
    assert_eq!((end.code, end.count("upload", "waiting")), (0, 0), "{}", end.text);
    assert!(end.count("upload", "failures") > 0);
    let mut expected = PerTarget::new();
    printed(&csv, &mut expected);
    assert_eq!(stored(&server), expected, "server killed");

    // The engine dies; what it had made durable is sent by the next one, once.
    let mut child = run("60");
    std::thread::sleep(Duration::from_secs(3));
    child.kill().unwrap();
    child.wait().unwrap();
    let durable = spooled_rows(dir.path()) + total(&stored(&server)) - total(&expected);
    let end = End::of(run("1"));
    assert_eq!((end.code, end.count("upload", "waiting")), (0, 0), "{}", end.text);
    let own = end.summary["scheduled"].as_u64().unwrap();
    assert_eq!(total(&stored(&server)), total(&expected) + durable + own, "engine killed");
}

#[test]
fn a_wall_clock_that_is_stepped_back_and_forth_loses_and_doubles_nothing() {
    let server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    let (csv, clock) = (dir.path().join("csv"), dir.path().join("clock"));
    std::fs::write(&clock, "+0").unwrap();
    let url = server.url();
    let mut command =
        ping_to(&csv, &["10.3.0.0/26", "-r", "2k", "-i", "0.064", "--duration", "5", "--clickhouse", &url]);
    command.env("STATE_DIRECTORY", dir.path()).env("LD_PRELOAD", "libfaketimeMT.so.1");
    command.env("LD_LIBRARY_PATH", "/usr/lib/x86_64-linux-gnu/faketime").env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let child = command.spawn().unwrap();
    for step in ["-3600", "+86400", "-7200"] {
        std::thread::sleep(Duration::from_millis(1200));
        std::fs::write(&clock, step).unwrap();
    }
    let end = End::of(child);
    assert_eq!((end.code, end.count("upload", "waiting")), (0, 0), "{}", end.text);
    let mut expected = PerTarget::new();
    printed(&csv, &mut expected);
    assert_eq!(stored(&server), expected);
    let hours: u64 =
        server.query("SELECT dateDiff('hour', min(ts), max(ts)) FROM megaping.results").parse().unwrap();
    assert!((25..=27).contains(&hours), "the clock was stepped over {hours} hours");
}

fn total(rows: &PerTarget) -> u64 {
    rows.values().map(|(count, ..)| count).sum()
}

/// Rows of the segments below a store, sealed or not, that no server has.
fn spooled_rows(dir: &Path) -> u64 {
    let places = ["spool", "upload"].map(|place| std::fs::read_dir(dir.join(place)));
    let paths = places.into_iter().flatten().flatten().map(|entry| entry.unwrap().path());
    paths.map(|path| megaping_store::segment::Segment::open(&path).map_or(0, |segment| segment.rows())).sum()
}
