//! Segments to a real `ClickHouse`, through faults: rows and aggregates equal what was spooled, none lost, none
//! doubled.
//!
//! The server is `scripts/clickhouse-server`, which `scripts/setup test` installs.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Unsent, Verdict};
use megaping_store::clickhouse::{Client, Endpoint, Password, Server, Timeouts};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;
use serde_json::Value;

const MEGAPING: &str = env!("CARGO_BIN_EXE_megaping");
/// Destinations that rows are spread over.
const TARGETS: u64 = 50;

/// A server of one's own, which ends with it.
struct ClickHouse {
    dir: tempfile::TempDir,
    http: u16,
    tcp: u16,
    child: Child,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(dir: &Path, http: u16, tcp: u16) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/clickhouse-server");
    let mut command = Command::new(script);
    command.arg(dir).args([http.to_string(), tcp.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("python3 is there")
}

impl ClickHouse {
    fn start() -> ClickHouse {
        let (dir, http, tcp) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let child = spawn(dir.path(), http, tcp);
        let server = ClickHouse { dir, http, tcp, child };
        server.wait();
        server
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.http, self.tcp);
        self.wait();
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.try_query("SELECT 1").is_err() {
            assert!(Instant::now() < deadline, "the server does not start; run 'scripts/setup test'");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_query(&self, sql: &str) -> Result<String, String> {
        let endpoint: Endpoint = format!("http://127.0.0.1:{}/default", self.http).parse().unwrap();
        let server =
            Server { endpoints: vec![endpoint.clone()], user: None, password: Password::None, ca: None };
        let client = Client::new(server, Timeouts::default()).unwrap();
        client.query(&endpoint, sql).map(|text| text.trim().to_owned()).map_err(|e| e.to_string())
    }

    fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/megaping", self.http)
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}

fn now_ns() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// The `n`th row: both families, all verdicts, answers from elsewhere.
fn row(n: u64, begin_ns: u64) -> Outcome {
    let target = n % TARGETS;
    let destination = if target.is_multiple_of(5) {
        Addr::from_bits(0x2001_0db8 << 96 | u128::from(target) << 64 | u128::from(u64::MAX - target))
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
    let responder = if n % 23 == 3 { Addr::v4([192, 0, 2, 1]) } else { destination };
    Outcome {
        at: Nanos(begin_ns + n * 1000),
        rtt_ns: if has_answer { 1_000_000 + n.wrapping_mul(0x9e37_79b9) % 50_000_000 } else { 0 },
        target,
        destination,
        responder,
        seq: (n / TARGETS) as u32,
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

/// What was spooled so far, in the server's own words.
#[derive(Default)]
struct Ledger {
    rows: Vec<Outcome>,
}

impl Ledger {
    /// Spools `count` new rows in about `segments` segments below `dir`, and closes.
    fn spool(&mut self, dir: &Path, count: u64, segments: u64) {
        let options = SpoolOptions { node: "fra\t1".into(), block_rows: 256, ..SpoolOptions::default() };
        let (mut spool, _) = Spool::open(dir, options).unwrap();
        let (from, begin_ns) = (self.rows.len() as u64, now_ns());
        let rows: Vec<_> = (from..from + count).map(|n| row(n, begin_ns)).collect();
        for part in rows.chunks((count / segments) as usize) {
            spool.push(part, 0).unwrap();
            spool.close().unwrap();
        }
        self.rows.extend(rows);
    }

    /// Asserts that the table and both rollups hold exactly these rows.
    fn assert_equals(&self, server: &ClickHouse, when: &str) {
        let of = |target: u64| self.rows.iter().filter(move |r| r.target == target);
        for target in 0..TARGETS {
            let Some(first) = of(target).next() else { continue };
            let answered = of(target).filter(|r| r.verdict == Verdict::Answered);
            let expected = format!(
                "{}\t{}\t{}\t{}",
                of(target).count(),
                answered.clone().count(),
                answered.map(|r| r.rtt_ns).sum::<u64>(),
                of(target).map(|r| u128::from(r.at.0)).sum::<u128>(),
            );
            let dst = format!("toIPv6('{}')", first.destination);
            let raw = server.query(&format!(
                "SELECT count(), countIf(outcome = 'answered'), sumIf(rtt_ns, outcome = 'answered'), \
                 sum(toInt128(toUnixTimestamp64Nano(ts))) FROM megaping.results WHERE dst = {dst}"
            ));
            assert_eq!(raw, expected, "{when}: target {target}");
        }
        let answered = self.rows.iter().filter(|r| r.verdict == Verdict::Answered);
        let expected = format!(
            "{}\t{}\t{}\t{}",
            self.rows.len(),
            answered.clone().count(),
            answered.clone().map(|r| r.rtt_ns).sum::<u64>(),
            answered.count(),
        );
        for table in ["results_1m", "results_1h"] {
            let rollup = server.query(&format!(
                "SELECT sum(scheduled), sum(answered), sum(rtt_sum_ns), arraySum(mapValues(sumMap(hist))) \
                 FROM megaping.{table}"
            ));
            assert_eq!(rollup, expected, "{when}: {table}");
        }
    }
}

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

/// A way to the server that is cut after so many bytes of a request, for the first `cuts` connections.
fn cutting_proxy(to: u16, cuts: i64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicI64::new(cuts));
    std::thread::spawn(move || {
        let mut seed = 11u64;
        for near in listener.incoming().map_while(Result::ok) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let is_cut = left.fetch_sub(1, Ordering::Relaxed) > 0;
            // Beyond the whole request now and then: then it is the answer that is lost.
            let limit = if is_cut { (seed >> 33) % 24_000 } else { u64::MAX };
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            std::thread::spawn(move || relay(&near, &far, limit));
        }
    });
    port
}

fn relay(near: &TcpStream, far: &TcpStream, limit: u64) {
    let is_cut = limit < u64::MAX;
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n) = from.read(&mut buffer) {
            // What a cut connection's server says is lost, but for the word that lets the body come.
            let text = &buffer[..n];
            if n == 0 || (is_cut && !text.starts_with(b"HTTP/1.1 100")) || to.write_all(text).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut near.take(limit), &mut &*far);
    // A server that has all of it does its work before anybody hears of it.
    std::thread::sleep(Duration::from_millis(20));
    let _ = near.shutdown(std::net::Shutdown::Both);
    let _ = far.shutdown(std::net::Shutdown::Both);
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
