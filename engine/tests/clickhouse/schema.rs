//! The tables: made, checked, compared; on one server and on two shards; for replicas and tenants, as far as this server
//! goes.

use std::process::Command;

use crate::MEGAPING;
use crate::ledger::Ledger;
use crate::server::{ClickHouse, free_port};
use crate::start_with_schema;

/// Exit status, and what it says.
pub fn schema(action: &str, url: &str, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(MEGAPING);
    let output = command.args(["schema", action, "--clickhouse", url]).args(more).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

fn assert_says(result: &(i32, String), code: i32, words: &str) {
    assert!(result.0 == code && result.1.contains(words), "{result:?}, and not {code}, {words}");
}

#[test]
fn what_is_missing_is_made_once_and_what_differs_is_told() {
    let server = ClickHouse::start();
    let url = server.url();
    assert_says(&schema("check", &url, &[]), 2, "megaping schema apply");
    assert_says(&schema("apply", &url, &[]), 0, "made 1 (results)");
    assert_says(&schema("apply", &url, &[]), 0, "the schema is complete");
    assert_says(&schema("check", &url, &[]), 0, "the schema is complete");
    assert_says(&schema("diff", &url, &[]), 0, "as it should be");
    server.query("DELETE FROM megaping.schema_migrations WHERE version = 2");
    assert_says(&schema("check", &url, &[]), 1, "missing 2 (targets-and-nodes)");

    server.query("ALTER TABLE megaping.results MODIFY TTL toDateTime(ts) + INTERVAL 3 DAY");
    server.query("ALTER TABLE megaping.node_samples DROP COLUMN value");
    server.query("ALTER TABLE megaping.targets ADD COLUMN note String");
    server.query("CREATE TABLE megaping.own (x UInt8) ENGINE = Null");
    let diff = schema("diff", &url, &[]);
    for words in [
        "- results MergeTree PARTITION BY toYYYYMMDD(ts) ORDER BY (tenant, dst, node, ts) TTL toDateTime(ts) + \
         toIntervalDay(3)",
        "+ node_samples.value Float64",
        "- targets.note String",
    ] {
        assert_says(&diff, 1, words);
    }
    assert_eq!(diff.1.lines().count(), 4, "{}", diff.1);
    assert_eq!(server.query("SELECT count() FROM system.databases WHERE name LIKE '%expected%'"), "0");
}

#[test]
fn names_of_targets_come_from_the_dictionary() {
    let server = start_with_schema();
    for (name, updated) in [("old", 1), ("new", 2)] {
        server.query(&format!(
            "INSERT INTO megaping.targets VALUES ('acme', '::ffff:10.0.0.1', '{name}', {{'site': 'fra'}}, {updated})"
        ));
    }
    let name = "SELECT dictGet('megaping.targets_dict', 'name', ('acme', toIPv6('10.0.0.1'))), \
                dictGetOrDefault('megaping.targets_dict', 'name', ('else', toIPv6('10.0.0.1')), '-')";
    assert_eq!(server.query(name), "new\t-");
}

#[test]
fn two_shards_take_everything_once_whichever_is_asked_and_however_often() {
    let mut servers = ClickHouse::start_two();
    let both = format!("{},{}", servers[0].url(), servers[1].url());
    let cluster = ["--cluster", "megaping"];
    assert_says(&schema("apply", &both, &cluster), 0, "made 2");
    assert_says(&schema("diff", &both, &cluster), 0, "as it should be");
    assert_says(&schema("diff", &both, &[]), 1, "+ results MergeTree");

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut ledger = Ledger::default();
    let upload = |url: &str, within: &str| {
        let mut command = Command::new(MEGAPING);
        command.arg("upload").arg("--spool").arg(dir);
        command.args(["--within", within, "--clickhouse", url]).output().unwrap().status.code()
    };
    ledger.spool(dir, 5_000, 5);
    let spool = dir.join("spool");
    let segments = || std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
    let copies: Vec<_> = segments().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert_eq!(upload(&both, "30"), Some(0));
    ledger.assert_equals(&servers[1], "two shards");
    // Again, by the other server first.
    for (bytes, path) in &copies {
        std::fs::write(path, bytes).unwrap();
    }
    let turned = format!("{},{}", servers[1].url(), servers[0].url());
    assert_eq!(upload(&turned, "30"), Some(0));
    ledger.assert_equals(&servers[0], "two shards, twice");
    for server in &servers {
        let rows: u64 = server.query("SELECT count() FROM megaping.results_local").parse().unwrap();
        assert!((1_000..4_000).contains(&rows), "{rows} of 5,000 rows in one shard");
    }

    // One shard is down: nothing counts as sent before both have their part.
    ledger.spool(dir, 5_000, 5);
    servers[1].kill();
    let dead = format!("http://127.0.0.1:{}/megaping", free_port());
    assert_eq!(upload(&format!("{},{dead}", servers[0].url()), "3"), Some(1));
    servers[1].restart();
    assert_eq!(upload(&both, "30"), Some(0));
    ledger.assert_equals(&servers[0], "a shard was down");
}

#[test]
fn what_this_server_cannot_run_it_can_read() {
    let server = start_with_schema();
    let url = server.url();
    let (code, text) = schema("print", &url, &["--cluster", "megaping", "--replicated", "--row-policies"]);
    assert_eq!(code, 0, "{text}");
    let mut count = 0;
    for statement in text.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
        server.query(&format!("EXPLAIN AST {statement}"));
        count += 1;
    }
    assert!(count > 25, "{count}");
    let word = "ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')";
    assert!(
        text.contains(word) && text.contains("Distributed('megaping', 'megaping', 'results_1h_local'"),
        "{text}"
    );
    assert!(server.try_query("EXPLAIN AST CREATE TABLE t ENGINE Merge Tree").is_err());
    assert_says(&schema("apply", &url, &["--cluster", "a'b"]), 2, "no name of a cluster");
}
