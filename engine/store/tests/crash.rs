//! `kill -9` at random moments: every row that was counted as spooled is read back, once.
//!
//! The test runs itself again as a child that pushes rows, archives, and prints how many are spooled. The
//! parent kills it, reads what it had counted, and looks for every one of those rows: in the files as they
//! are, and again as Parquet after recovery.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Verdict};
use megaping_store::archive::{ArchiveOptions, Archiver, Pace};
use megaping_store::report::{Reader, Seen};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;

const DIR: &str = "MEGAPING_TEST_CRASH_DIR";
const START: u64 = 1_700_000_000_000_000_000;
const KILLS: u64 = 100;

/// The `n`th row; nothing in it is another row's.
fn row(n: u32) -> Outcome {
    let address = Addr::v4((0x0a00_0000 + n).to_be_bytes());
    Outcome {
        at: Nanos(u64::from(n) * 1000),
        rtt_ns: u64::from(n.wrapping_mul(2_654_435_761)),
        target: n.into(),
        destination: address,
        responder: address,
        seq: n,
        error_ns: 2000,
        size: 56,
        flow: 0,
        verdict: Verdict::Answered,
        hop_limit: 64,
        reply_hop_limit: 55,
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}

fn options() -> SpoolOptions {
    SpoolOptions {
        node: "crash".into(),
        block_rows: 256,
        block_age: Duration::from_millis(2),
        segment_bytes: 24 << 10,
        segment_age: Duration::from_millis(20),
        ..SpoolOptions::default()
    }
}

fn at_once(dir: &Path) -> ArchiveOptions {
    ArchiveOptions { pace: Pace::AtOnce, merge_age: Duration::ZERO, ..ArchiveOptions::local(dir) }
}

/// The child: not a test of its own, it does nothing unless the parent started it.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (mut spool, _) = Spool::open(Path::new(&dir), options()).unwrap();
    let archiver = Archiver::start(&spool, at_once(spool.dir())).unwrap();
    let start = Instant::now();
    let mut next = 0;
    // The parent kills it long before; a lost parent does not leave it running.
    while start.elapsed() < Duration::from_secs(20) {
        let rows: Vec<_> = (next..next + 90).map(row).collect();
        next += 90;
        spool.push(&rows, START).unwrap();
        spool.tick(Instant::now()).unwrap();
        spool.take_sealed().into_iter().for_each(|segment| archiver.submit(segment));
        let mut out = std::io::stdout().lock();
        writeln!(out, "spooled {}", spool.counters().spooled).unwrap();
        out.flush().unwrap();
    }
}

/// Ends the child however the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child for `life` after its first count, kills it, and returns the last count that it told.
fn run_and_kill(dir: &Path, life: Duration) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(DIR, dir);
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let out = BufReader::new(child.0.stdout.take().unwrap());
    let mut counted = None;
    let mut deadline = None;
    for line in out.split(b'\n').map_while(Result::ok) {
        // The harness prints its own line in front of the first.
        let line = String::from_utf8_lossy(&line);
        let count = line.rsplit_once("spooled ").and_then(|(_, n)| n.parse().ok());
        counted = count.or(counted);
        if count.is_some() && Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + life) {
            child.0.kill().unwrap();
        }
    }
    // A line that was cut off by the kill parses to a smaller number, never to a larger one.
    counted.expect("the child told a count")
}

fn expected(n: u64) -> Seen {
    let row = row(n as u32);
    Seen {
        unix_ns: row.at.0 + START,
        destination: row.destination,
        target: row.target,
        seq: row.seq,
        status: row.verdict.into(),
        rtt_ns: row.rtt_ns,
    }
}

/// Every counted row is there as it was pushed, and no row is there twice.
fn assert_all_there(dir: &Path, counted: u64, kill: u64, when: &str) -> usize {
    let mut found = BTreeSet::new();
    let damaged = Reader::open(dir)
        .unwrap()
        .rows(|seen| {
            assert_eq!(seen, expected(seen.seq.into()), "kill {kill}, {when}");
            assert!(found.insert(seen.seq), "kill {kill}, {when}: row {} twice", seen.seq);
        })
        .unwrap();
    assert_eq!(damaged, 0, "kill {kill}, {when}");
    let missing = (0..counted as u32).find(|n| !found.contains(n));
    assert_eq!(missing, None, "kill {kill}, {when}: {counted} rows were counted");
    found.len()
}

#[test]
fn nothing_that_was_counted_is_lost_to_kill_9() {
    let mut seed = 7u64;
    let (mut rows, mut parquet_only) = (0, 0);
    for kill in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dir = tempfile::tempdir().unwrap();
        let counted = run_and_kill(dir.path(), Duration::from_micros((seed >> 33) % 60_000));
        let found = assert_all_there(dir.path(), counted, kill, "as it was left");
        rows += counted;

        let (mut spool, recovery) = Spool::open(dir.path(), options()).unwrap();
        let archiver = Archiver::start(&spool, at_once(spool.dir())).unwrap();
        spool.take_sealed().into_iter().for_each(|segment| archiver.submit(segment));
        archiver.close(Duration::MAX).unwrap();
        assert!(spool.counters().archived >= recovery.rows);
        let left = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
        assert_eq!(left, 0, "kill {kill}: everything is archived");
        assert_eq!(assert_all_there(dir.path(), counted, kill, "as Parquet"), found, "kill {kill}");
        parquet_only += u64::from(recovery.segments == 0);
    }
    assert!(rows > 0 && parquet_only < KILLS, "the kills came in the middle of the work");
}
