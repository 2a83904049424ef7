//! `megaping upload` through faults: rows and aggregates equal what was spooled, none lost, none doubled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::MEGAPING;
use crate::ledger::Ledger;
use crate::proxy::cutting_proxy;
use crate::server::{ClickHouse, free_port};

fn upload(dir: &Path, url: &str, more: &[&str]) -> Command {
    let mut command = Command::new(MEGAPING);
    command.args(["upload", "--spool"]).arg(dir).args(["--clickhouse", url]);
    if !more.contains(&"--within") {
        command.args(["--within", "60"]);
    }
    command.args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(command: &mut Command) -> (i32, Value, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let tally = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), tally, text)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let places = ["spool", "upload"].map(|place| fs::read_dir(dir.join(place)));
    let mut paths: Vec<_> =
        places.into_iter().flatten().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn rows_and_aggregates_equal_the_ledger_after_each_fault() {
    let mut server = ClickHouse::start();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut ledger = Ledger::default();

    // No tables yet: told with what would be right, and nothing is set aside.
    ledger.spool(dir, 5_000, 5);
    let (code, tally, text) = finish(&mut upload(dir, &server.url(), &["--within", "1"]));
    assert_eq!((code, &tally["segments_left"]), (1, &Value::from(5)), "{text}");
    assert!(text.contains("megaping schema apply"), "{text}");
    let schema = |action| {
        let mut command = Command::new(MEGAPING);
        command.args(["schema", action, "--clickhouse", &server.url()]).output().unwrap()
    };
    assert_eq!(schema("apply").status.code(), Some(0));
    assert_eq!((schema("apply").status.code(), schema("check").status.code()), (Some(0), Some(0)));

    // The plain way; and the same segments once more, as if the process had died before it removed them.
    let copies: Vec<_> = segments(dir).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let (code, tally, text) = finish(&mut upload(dir, &server.url(), &[]));
    assert_eq!((code, &tally["rows_uploaded"]), (0, &Value::from(5_000)), "{text}");
    ledger.assert_equals(&server, "uploaded");
    assert!(segments(dir).is_empty());
    for (bytes, path) in &copies {
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(finish(&mut upload(dir, &server.url(), &[])).0, 0);
    ledger.assert_equals(&server, "uploaded twice");

    // Cut at random bytes, a hundred times.
    ledger.spool(dir, 20_000, 20);
    let proxy = format!("http://127.0.0.1:{}/megaping", cutting_proxy(server.http, 100));
    let (code, tally, text) = finish(&mut upload(dir, &proxy, &["--parallel", "16"]));
    assert_eq!((code, &tally["rows_uploaded"]), (0, &Value::from(20_000)), "{text}");
    assert!(tally["failures"].as_u64() >= Some(90), "{tally}");
    ledger.assert_equals(&server, "cut");

    // Killed while it inserts, down for a while, and back; the uploader goes on by itself.
    ledger.spool(dir, 200_000, 40);
    let child = upload(dir, &server.url(), &["--bandwidth", "2M"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.kill();
    std::thread::sleep(Duration::from_secs(1));
    server.restart();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    ledger.assert_equals(&server, "killed");

    // The uploader killed in the middle of its work, and started again.
    ledger.spool(dir, 50_000, 50);
    let mut child = upload(dir, &server.url(), &["--bandwidth", "1M"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(250));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(finish(&mut upload(dir, &server.url(), &[])).0, 0);
    ledger.assert_equals(&server, "uploader killed");

    // A dead endpoint beside a living one.
    ledger.spool(dir, 1_000, 2);
    let both = format!("http://127.0.0.1:{}/megaping,{}", free_port(), server.url());
    assert_eq!(finish(&mut upload(dir, &both, &[])).0, 0);
    ledger.assert_equals(&server, "failover");
    wrong_password_then_right(&server, dir, &mut ledger);
    refused_for_good(&server, dir, &mut ledger);
}

fn wrong_password_then_right(server: &ClickHouse, dir: &Path, ledger: &mut Ledger) {
    ledger.spool(dir, 1_000, 2);
    let file = dir.join("password");
    fs::write(&file, "wrong\n").unwrap();
    let flags = ["--clickhouse-user", "probe", "--clickhouse-password-file", file.to_str().unwrap()];
    let child = upload(dir, &server.url(), &flags).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    fs::write(&file, "right\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("correct the user, the password or the grants"), "{text}");
    ledger.assert_equals(server, "wrong password");
}

fn refused_for_good(server: &ClickHouse, dir: &Path, ledger: &mut Ledger) {
    server.query("RENAME TABLE megaping.results TO megaping.aside");
    server.query("CREATE TABLE megaping.results (ts DateTime) ENGINE = Null");
    ledger.spool(dir, 1_000, 1);
    let (code, tally, text) = finish(&mut upload(dir, &server.url(), &[]));
    assert_eq!((code, &tally["segments_refused"]), (1, &Value::from(1)), "{text}");
    let kept = segments(dir).remove(0);
    assert_eq!(kept.extension().unwrap(), "refused");
    assert!(text.contains(kept.to_str().unwrap()), "{text}");

    // With the right table, and its name back, it goes as any other.
    server.query("DROP TABLE megaping.results");
    server.query("RENAME TABLE megaping.aside TO megaping.results");
    fs::rename(&kept, kept.with_extension("seg")).unwrap();
    assert_eq!(finish(&mut upload(dir, &server.url(), &[])).0, 0);
    ledger.assert_equals(server, "refused");
}
