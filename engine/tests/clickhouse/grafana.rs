//! Every query of every dashboard and alert, as Grafana would send it, against a real server with results and paths in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Unsent, Verdict};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;
use serde_json::Value;

use crate::server::ClickHouse;
use crate::{MEGAPING, paths, start_with_schema};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana")
}

/// An hour of results of 60 targets, once in ten seconds, with every kind of end.
fn results(dir: &Path, from_ns: u64) {
    let options = SpoolOptions { node: "fra1".into(), ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(dir, options).unwrap();
    let row = |n: u64| {
        let target = n % 60;
        let destination = Addr::v4([10, 0, 0, target as u8]);
        let verdict = match n % 29 {
            3 => Verdict::Error { icmp_type: 3, code: 1 },
            7 => Verdict::Lost,
            11 => Verdict::Unsent(Unsent::Shed),
            _ => Verdict::Answered,
        };
        Outcome {
            at: Nanos(from_ns + n / 60 * 10_000_000_000),
            rtt_ns: if verdict == Verdict::Answered {
                1_000_000 + n.wrapping_mul(0x9e37_79b9) % 80_000_000
            } else {
                0
            },
            target,
            destination,
            responder: destination,
            seq: (n / 60) as u32,
            error_ns: 2000,
            size: 32,
            flow: 0,
            verdict,
            hop_limit: 64,
            reply_hop_limit: 55,
            stamp_source: StampSource::Kernel,
            marks: Marks::SELF_INFLICTED.when(n % 29 == 7),
        }
    };
    spool.push(&(0..360 * 60).map(row).collect::<Vec<_>>(), 0).unwrap();
    spool.close().unwrap();
}

fn upload(server: &ClickHouse, store: &Path) {
    let output = Command::new(MEGAPING)
        .args(["upload", "--tenant", "acme", "--clickhouse", &server.url(), "--spool"])
        .arg(store)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the data source makes of a query: macros and variables replaced.
fn as_grafana_sends(sql: &str, from_s: u64, to_s: u64) -> String {
    let mut sql = sql
        .replace("${tenant:singlequote}", "'acme'")
        .replace("${node:singlequote}", "'fra1'")
        .replace("${dst}", "10.0.0.9")
        .replace("$__interval_s", "60");
    for (name, begin, end) in [
        ("$__timeFilter(", "(", format!(" BETWEEN toDateTime({from_s}) AND toDateTime({to_s}))")),
        ("$__timeInterval(", "toStartOfInterval(toDateTime(", "), INTERVAL 60 second)".to_owned()),
    ] {
        while let Some(at) = sql.find(name) {
            let close = at + sql[at..].find(')').expect("it is closed");
            let column = sql[at + name.len()..close].to_owned();
            sql.replace_range(at..=close, &format!("{begin}{column}{end}"));
        }
    }
    assert!(!sql.contains("$_") && !sql.contains("${"), "Grafana would not know this: {sql}");
    sql
}

/// Queries by where they stand; whether they have to find something.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(deploy().join("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let title = dashboard["title"].as_str().expect("a title").to_owned();
        for variable in
            dashboard["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query")
        {
            queries.push((
                format!("{title}, variable {}", variable["name"]),
                variable["query"].as_str().unwrap().to_owned(),
            ));
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                queries.push((
                    format!("{title}, {}", panel["title"]),
                    target["rawSql"].as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    let rules = std::fs::read_to_string(deploy().join("provisioning/alerting/megaping.yaml")).unwrap();
    let mut lines = rules.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "rawSql: >-" {
            queries.push(("alert".to_owned(), lines.next().unwrap().trim().to_owned()));
        }
    }
    queries
}

#[test]
fn every_query_of_every_dashboard_finds_rows_within_a_second() {
    let server = start_with_schema();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let from_s = now_s - 4000;
    let dir = tempfile::tempdir().unwrap();
    results(dir.path(), (now_s - 3700) * 1_000_000_000);
    paths::store(dir.path(), (now_s - 600) * 1_000_000_000);
    upload(&server, dir.path());
    server.query("INSERT INTO megaping.targets (tenant, dst, name, labels) VALUES ('acme', toIPv6('10.0.0.9'), 'nine', map('region', 'eu'))");
    server.query("SYSTEM RELOAD DICTIONARY megaping.targets_dict");
    let queries = queries();
    assert!(queries.len() > 40, "{} queries", queries.len());
    let mut wrong = Vec::new();
    for (name, sql) in &queries {
        let sql = as_grafana_sends(sql, from_s, now_s + 60);
        let began = Instant::now();
        match server.query_in("megaping", &sql) {
            Err(error) => wrong.push(format!("{name}: {error}\n  {sql}")),
            // An alert on what is well finds nothing.
            Ok(text) if text.is_empty() && name != "alert" => wrong.push(format!("{name}: no rows\n  {sql}")),
            Ok(text) if text.contains("nan") || text.contains("inf") => {
                wrong.push(format!("{name}: {text}\n  {sql}"));
            }
            Ok(_) if began.elapsed() > Duration::from_secs(1) => {
                wrong.push(format!("{name}: {:?}", began.elapsed()));
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What a panel shows is what is true.
    let one = |sql: &str| server.query_in("megaping", sql).unwrap();
    assert_eq!(one("SELECT sum(scheduled), uniq(dst) FROM results_1m"), "21600\t60");
}

/// What a dashboard has to have so that people find their way.
#[test]
fn panels_have_titles_descriptions_and_places_of_their_own() {
    let known = ["stat", "timeseries", "table", "heatmap"];
    for entry in std::fs::read_dir(deploy().join("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), dashboard["uid"].as_str());
        assert!(dashboard["description"].as_str().is_some_and(|text| text.len() > 20));
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let text =
                |key: &str| panel[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", path.display()));
            assert!(
                ids.insert(panel["id"].as_u64())
                    && !text("title").is_empty()
                    && !text("description").is_empty()
            );
            assert!(known.contains(&text("type")));
            assert_eq!(panel["datasource"]["uid"], "megaping-clickhouse");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(cells.insert((x, y)), "{}: {} covers another", path.display(), text("title"));
                }
            }
        }
        let links = dashboard.to_string();
        for target in links.split("/d/").skip(1).map(|rest| rest.split('?').next().unwrap()) {
            assert!(deploy().join(format!("dashboards/{target}.json")).exists(), "a link to {target}");
        }
    }
}
