//! The archive in a directory and in a bucket of a real S3 server (`SigV4`), read back by `DuckDB` and `ClickHouse`: counts
//! and sums are the ledger's, after crashes too.
//!
//! `scripts/setup test` installs the server (s3s-fs), `DuckDB` and `ClickHouse`.

#[allow(dead_code, reason = "a part of it is enough here")]
#[path = "clickhouse/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Unsent, Verdict};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;
use serde_json::Value;

use server::{ClickHouse, free_port};

const MEGAPING: &str = env!("CARGO_BIN_EXE_megaping");
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
/// Seconds before the end of an hour, so that every store has rows of two.
const BEGIN_NS: u64 = 1_764_025_200_000_000_000 - 30_000_000_000;
/// Rows are so far apart.
const STEP_NS: u64 = 6_000_000;

/// The `n`th row: both families, all ends, answers from elsewhere.
fn row(n: u64) -> Outcome {
    let target = n % 50;
    let destination = if target.is_multiple_of(5) {
        Addr::from_bits(0x2001_0db8 << 96 | u128::from(target))
    } else {
        Addr::v4((0x0a00_0000 + target as u32).to_be_bytes())
    };
    let verdict = match n % 23 {
        3 => Verdict::Error { icmp_type: 11, code: 1 },
        7 => Verdict::Lost,
        11 => Verdict::Unsent(Unsent::NoRoute),
        _ => Verdict::Answered,
    };
    let has_answer = matches!(verdict, Verdict::Answered | Verdict::Error { .. });
    Outcome {
        at: Nanos(BEGIN_NS + n * STEP_NS),
        rtt_ns: if has_answer { 1_000_000 + n.wrapping_mul(0x9e37_79b9) % 50_000_000 } else { 0 },
        target,
        destination,
        responder: if n % 23 == 3 { Addr::v4([192, 0, 2, 1]) } else { destination },
        seq: (n / 50) as u32,
        error_ns: 2000,
        size: 56,
        flow: 0,
        verdict,
        hop_limit: 64,
        reply_hop_limit: if has_answer { 55 } else { 0 },
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}

/// Spools rows `from..to` in `segments` segments below `dir`.
fn spool(dir: &Path, from: u64, to: u64, segments: u64) {
    let options =
        SpoolOptions { node: "fra-1".into(), block_rows: 512, archive: true, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(dir, options).unwrap();
    let rows: Vec<_> = (from..to).map(row).collect();
    for part in rows.chunks(((to - from) / segments) as usize) {
        spool.push(part, 0).unwrap();
        spool.close().unwrap();
    }
}

/// Rows by hour, and what they add up to: count, answered, sum of round trips, sum of times.
type Sums = BTreeMap<u64, (u64, u64, u64, u128)>;

fn ledger(rows: u64) -> Sums {
    let mut sums = Sums::new();
    for row in (0..rows).map(row) {
        let sum = sums.entry(row.at.0 / 3_600_000_000_000).or_default();
        sum.0 += 1;
        sum.1 += u64::from(row.verdict == Verdict::Answered);
        sum.2 += row.rtt_ns;
        sum.3 += u128::from(row.at.0);
    }
    sums
}

fn sums_of(table: &str) -> Sums {
    let number = |text: &str| text.trim().parse::<u128>().unwrap();
    let line = |line: &str| {
        let f: Vec<u128> = line.split('\t').map(number).collect();
        (f[0] as u64, (f[1] as u64, f[2] as u64, f[3] as u64, f[4]))
    };
    table.lines().filter(|text| !text.is_empty()).map(line).collect()
}

/// What `DuckDB` finds below a directory, by the hours that paths tell.
fn duckdb(files: &Path) -> Sums {
    let script = format!(
        "import sys; sys.path.insert(0, {TOOLS:?} + '/duckdb'); import duckdb\n\
         sql = \"SELECT epoch(strptime(date::VARCHAR || ' ' || hour, '%Y-%m-%d %H'))::BIGINT // 3600, count(*), \
         count(*) FILTER (outcome = 'answered'), sum(rtt_ns)::HUGEINT, sum(epoch_ns(ts)::HUGEINT) \
         FROM read_parquet('{}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false) \
         WHERE epoch_ns(ts) // 3600000000000 = epoch(strptime(date::VARCHAR || ' ' || hour, '%Y-%m-%d %H'))::BIGINT // 3600 \
         GROUP BY 1 ORDER BY 1\"\n\
         for r in duckdb.sql(sql).fetchall(): print(*r, sep='\\t')",
        files.display()
    );
    let output = Command::new("python3").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    sums_of(&String::from_utf8_lossy(&output.stdout))
}

/// A server of one's own with the bucket `archive`, which ends with it.
struct S3 {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl S3 {
    fn start() -> S3 {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::create_dir(dir.path().join("archive")).unwrap();
        let mut command = Command::new(format!("{TOOLS}/s3s-fs/bin/s3s-fs"));
        command.args(["--host", "127.0.0.1", "--access-key", "probe", "--secret-key", "secret"]);
        command
            .args(["--port", &port.to_string()])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("s3s-fs is there: run 'scripts/setup test'");
        let server = S3 { dir, port, child };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the S3 server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("archive/mp")
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with what it needs to speak to `s3`.
fn megaping(s3: Option<&S3>, arguments: &[&str]) -> Command {
    let mut command = Command::new(MEGAPING);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(s3) = s3 {
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", s3.port));
        command.env("AWS_ACCESS_KEY_ID", "probe").env("AWS_SECRET_ACCESS_KEY", "secret");
    }
    command
}

fn run(s3: Option<&S3>, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = megaping(s3, arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
}

fn run_json(s3: Option<&S3>, arguments: &[&str]) -> Value {
    let (code, out, err) = run(s3, arguments);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"))
}

fn names(files: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![files.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.push(path.strip_prefix(files).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Archives, loses what a crash loses, archives again, merges, and looks at every step that `DuckDB` finds the ledger.
fn life(s3: Option<&S3>, url: &str, files: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let make = ["archive", "make", store, "--archive", url, "--tenant", "acme"];

    // Twelve segments become one file an hour.
    spool(dir.path(), 0, 6_000, 12);
    let copies: Vec<_> = fs::read_dir(dir.path().join("archive"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    assert_eq!(copies.len(), 12);
    let made = run_json(s3, &make);
    assert_eq!((&made["segments"], &made["rows"]), (&12.into(), &6_000.into()));
    assert_eq!(duckdb(files), ledger(6_000));
    let first = names(files);
    assert_eq!(first.len(), 2);
    assert!(first[0].starts_with("tenant=acme/date=2025-11-24/hour=22/"), "{first:?}");

    // Killed when the files were there and the segments not yet removed: with its plan, nothing is done twice.
    let id = Path::new(&first[0]).file_stem().unwrap().to_str().unwrap().to_owned();
    let mut segments: Vec<_> =
        copies.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap()).collect();
    segments.sort_unstable();
    let segments: Vec<_> = segments.iter().map(|name| format!("archive/{name}")).collect();
    let plan = serde_json::json!({"id": id, "tenant": "acme", "place": url, "segments": segments});
    for (bytes, path) in &copies {
        fs::write(path, bytes).unwrap();
    }
    fs::write(dir.path().join(format!("archive/{id}.plan")), plan.to_string()).unwrap();
    run_json(s3, &make);
    assert_eq!((duckdb(files), names(files)), (ledger(6_000), first));

    // Killed at any moment of its work, and begun again.
    for (round, wait_ms) in [0u64, 5, 12, 25].into_iter().enumerate() {
        let from = 6_000 + round as u64 * 1_000;
        spool(dir.path(), from, from + 1_000, 4);
        let mut child = megaping(s3, &make).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        let _ = child.kill();
        let _ = child.wait();
        run_json(s3, &make);
        assert_eq!(duckdb(files), ledger(from + 1_000), "killed after {wait_ms} ms");
    }
    let before = run_json(s3, &["archive", "verify", url]);
    assert_eq!((&before["rows"], &before["problems"]), (&10_000.into(), &0.into()));

    // Small files are merged; the rows are the same, by their sum. A part that is left over is told, and removed.
    let part = names(files).pop().unwrap();
    let bytes = fs::read(files.join(&part)).unwrap();
    let merged = run_json(s3, &["archive", "compact", url]);
    assert_eq!(
        (&merged["made"], &merged["merged"]),
        (&1.into(), &5.into()),
        "the first hour is one file already"
    );
    let after = run_json(s3, &["archive", "verify", url]);
    assert_eq!((&after["digest"], &after["files"]), (&before["digest"], &2.into()));
    assert_eq!(duckdb(files), ledger(10_000));
    fs::write(files.join(&part), bytes).unwrap();
    let (code, _, err) = run(s3, &["archive", "verify", url]);
    assert!(code == 1 && err.contains("archive compact"), "{err}");
    let (_, rows, _) = run(s3, &["archive", "export", url, "-o", "json"]);
    assert_eq!(rows.lines().count(), 10_000, "whoever knows what replaces what counts each row once");
    run_json(s3, &["archive", "compact", url]);
    assert_eq!(names(files).len(), 2);
    assert_eq!(duckdb(files), ledger(10_000));
    listed_exported_and_pruned(s3, url, files);
}

fn listed_exported_and_pruned(s3: Option<&S3>, url: &str, files: &Path) {
    let (_, csv, _) = run(s3, &["archive", "ls", url, "-o", "csv"]);
    let rows: u64 =
        csv.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(rows, 10_000, "{csv}");
    let select = [
        "--target",
        "10.0.0.0/29",
        "--status",
        "answered",
        "--from",
        "2025-11-24T22:59:45",
        "--to",
        "2025-11-24T23:00:10Z",
    ];
    let (code, csv, err) = run(s3, &[&["archive", "export", url][..], &select[..]].concat());
    assert_eq!(code, 0, "{err}");
    let is_wanted = |row: &Outcome| {
        row.destination.is_v4()
            && row.target < 8
            && row.verdict == Verdict::Answered
            && (BEGIN_NS + 15_000_000_000..BEGIN_NS + 40_000_000_000).contains(&row.at.0)
    };
    let mut expected: Vec<_> = (0..10_000).map(row).filter(is_wanted).map(|row| row.rtt_ns).collect();
    let header: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "rtt_ns").unwrap();
    let mut found: Vec<u64> =
        csv.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("all.parquet");
    let (code, _, err) =
        run(s3, &["archive", "export", url, "-o", "parquet", "--to-file", file.to_str().unwrap()]);
    assert!(code == 0 && fs::metadata(&file).unwrap().len() > 1000, "{err}");

    let pruned = run_json(s3, &["archive", "prune", url, "--keep", "1d", "--dry-run"]);
    assert_eq!((&pruned["removed"], names(files).len()), (&2.into(), 2));
    run_json(s3, &["archive", "prune", url, "--keep", "1d", "--tenant", "other"]);
    assert_eq!(names(files).len(), 2);
    run_json(s3, &["archive", "prune", url, "--keep", "1d"]);
    assert_eq!(names(files).len(), 0);
}

#[test]
fn a_directory_holds_the_ledger_through_crash_and_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/mp", dir.path().display());
    life(None, &url, &dir.path().join("mp"));
}

#[test]
fn a_bucket_holds_the_ledger_through_crash_and_compaction() {
    let s3 = S3::start();
    life(Some(&s3), "s3://archive/mp", &s3.files());

    // Wrong credentials are told with what would be right, and the segments stay.
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path(), 0, 100, 1);
    let mut command = megaping(
        Some(&s3),
        &["archive", "make", dir.path().to_str().unwrap(), "--archive", "s3://archive/mp"],
    );
    let output = command.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("credentials in the environment"), "{text}");
    let (code, _, err) =
        run(Some(&s3), &["archive", "make", dir.path().to_str().unwrap(), "--archive", "s4://archive/mp"]);
    assert!(code == 2 && err.contains("s4"), "{err}");
    // What was begun goes where it was to go.
    let make = ["archive", "make", dir.path().to_str().unwrap(), "--archive", "s3://archive/mp"];
    assert_eq!(run_json(Some(&s3), &make)["rows"], 100, "they were kept");
}

#[test]
fn a_run_archives_into_a_bucket_and_clickhouse_reads_its_ledger() {
    let (s3, server) = (S3::start(), ClickHouse::start());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let ping =
        ["ping", "10.0.0.0/24", "-c", "40", "-i", "0.01", "-t", "0.2", "-r", "1M", "--backend", "memory"];
    let keep = ["-o", "none", "--summary", "json", "--store", store, "--archive", "s3://archive/mp"];
    let (code, _, err) = run(Some(&s3), &[&ping[..], &keep[..]].concat());
    assert_eq!(code, 0, "{err}");
    let summary: Value = serde_json::from_str(err.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&summary["store"]["spooled"], &summary["store"]["archived"]),
        (&0.into(), &10_240.into()),
        "{err}"
    );
    let found = server.query(&format!(
        "SELECT count(), countIf(outcome = 'answered'), countIf(outcome = 'lost'), uniqExact(destination), \
         uniqExact(destination, seq) FROM s3('http://127.0.0.1:{}/archive/mp/**.parquet', 'probe', 'secret', 'Parquet')",
        s3.port
    ));
    let of = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(
        found,
        format!("{}\t{}\t{}\t256\t10240", of("scheduled"), of("answered"), of("lost")),
        "{summary}"
    );
}
