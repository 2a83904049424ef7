//! A spool that is full, by a bound or by the disk: every outcome is accounted for, and what was kept arrives once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::engine::{End, ping};
use crate::server::{ClickHouse, free_port};
use crate::{MEGAPING, start_with_schema};

/// A megabyte of outcomes in a second or two. Round trips of nothing compress well, so targets are scattered.
const LOAD: [&str; 7] = ["10.0.0.0/10", "-r", "400k", "--spool-max", "1M", "--archive", "none"];

fn rows(server: &ClickHouse) -> u64 {
    server.query("SELECT count() FROM megaping.results").parse().unwrap()
}

#[test]
fn a_full_spool_sheds_probes_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let mut server = start_with_schema();
    let url = server.url();
    server.kill();
    let mut command = ping(&["-o", "none", "--duration", "9", "--store", store]);
    let child = command.args(LOAD).args(["--clickhouse", &url]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    server.restart();
    let end = End::of(child);
    let shed = end.summary["unsent"]["shed"].as_u64().unwrap_or_else(|| panic!("{}", end.text));
    assert!(shed > 100_000 && end.text.contains("probes are shed until there is room"), "{}", end.text);
    assert!(end.text.contains("the spool has room again"), "{}", end.text);
    assert_eq!(
        (end.code, end.count("upload", "waiting"), end.count("store", "dropped")),
        (0, 0, 0),
        "{}",
        end.text
    );
    let kept = end.count("store", "spooled");
    assert_eq!((rows(&server), end.count("upload", "uploaded")), (kept, kept));
    let answered = server.query("SELECT countIf(outcome = 'answered') FROM megaping.results");
    assert_eq!(end.summary["answered"].to_string(), answered, "whatever was measured is kept");
}

#[test]
fn a_full_spool_gives_up_the_oldest_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let dead = format!("http://127.0.0.1:{}/megaping", free_port());
    let mut command = ping(&["-o", "none", "--duration", "4", "--store", store]);
    command.args(LOAD).args(["--spool-full", "drop-oldest", "--clickhouse", &dead]);
    let end = End::of(command.spawn().unwrap());
    let dropped = end.count("store", "dropped");
    assert!(dropped > 0 && end.text.contains("of the oldest outcomes were given up so far"), "{}", end.text);
    assert_eq!(
        (end.count("upload", "dropped"), end.count("store", "rejected")),
        (dropped, 0),
        "{}",
        end.text
    );
    assert_eq!(end.summary["unsent"]["shed"], Value::Null);
    let on_disk: u64 = std::fs::read_dir(dir.path().join("upload"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(on_disk < 1_100_000, "{on_disk}");

    let server = start_with_schema();
    let waiting = end.count("upload", "waiting");
    assert_eq!(upload(dir.path(), &server.url()), waiting);
    assert_eq!(rows(&server), waiting);
}

fn upload(dir: &Path, url: &str) -> u64 {
    let mut command = Command::new(MEGAPING);
    let output = command.arg("upload").arg("--spool").arg(dir).args(["--clickhouse", url]).output().unwrap();
    let tally: Value = serde_json::from_slice(&output.stdout).unwrap();
    tally["rows_uploaded"].as_u64().unwrap()
}

#[test]
fn root_a_full_disk_ends_the_run_and_what_it_took_arrives_once() {
    let server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().to_str().unwrap();
    let dead = format!("http://127.0.0.1:{}/megaping", free_port());
    // What the first run leaves goes with the second, before the disk does.
    let script = r#"mount -t tmpfs -o size=512k none "$1" || exit 99
        disk=$1 dead=$2 url=$3; shift 3
        "$@" --duration 20 --store "$disk" --clickhouse "$dead"; code=$?
        "$1" upload --spool "$disk" --clickhouse "$url" --within 20
        exit $code"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", disk, &dead, &server.url(), MEGAPING, "ping"]);
    command.args(["--backend", "memory", "--summary", "json", "-o", "none", "--archive", "none"]);
    command.args(["10.0.0.0/10", "-r", "200k"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let end = End::of(command.spawn().unwrap());
    assert!(end.code == 2 && end.text.contains("No space left"), "{}", end.text);
    let kept = end.count("store", "spooled");
    assert!(kept > 0 && end.count("store", "rejected") > 0, "{}", end.text);
    assert_eq!((rows(&server), end.count("upload", "waiting")), (kept, kept), "{}", end.text);
}
