//! A report of a store that another thread is writing: every row that was durable is in it, once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Verdict};
use megaping_store::archive::{ArchiveOptions, Archiver, Pace};
use megaping_store::report::Reader;
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;

fn row(n: u32) -> Outcome {
    let address = Addr::v4((0x0a00_0000 + n % 64).to_be_bytes());
    Outcome {
        at: Nanos(1_700_000_000_000_000_000 + u64::from(n)),
        rtt_ns: u64::from(n) + 1,
        target: (n % 64).into(),
        destination: address,
        responder: address,
        seq: n,
        error_ns: 0,
        size: 56,
        flow: 0,
        verdict: Verdict::Answered,
        hop_limit: 64,
        reply_hop_limit: 55,
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}

fn at_once(dir: &Path) -> ArchiveOptions {
    ArchiveOptions { pace: Pace::AtOnce, merge_age: Duration::ZERO, ..ArchiveOptions::local(dir) }
}

#[test]
fn every_durable_row_is_seen_once_while_files_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        block_rows: 64,
        segment_bytes: 4 << 10,
        block_age: Duration::ZERO,
        ..SpoolOptions::default()
    };
    let (mut spool, _) = Spool::open(dir.path(), options).unwrap();
    let (spooled, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let archiver = Archiver::start(&spool, at_once(spool.dir())).unwrap();
            for n in (0..20_000).step_by(40) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                spool.push(&(n..n + 40).map(row).collect::<Vec<_>>(), 0).unwrap();
                spool.tick(Instant::now()).unwrap();
                spool.take_sealed().into_iter().for_each(|s| archiver.submit(s));
                spooled.store(spool.counters().spooled, Ordering::Release);
            }
            spool.close().unwrap();
            spool.take_sealed().into_iter().for_each(|s| archiver.submit(s));
            archiver.close(Duration::MAX).unwrap();
        });
        while spooled.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        for _ in 0..60 {
            let durable = spooled.load(Ordering::Acquire);
            let reader = Reader::open(dir.path()).unwrap();
            let mut seen = BTreeSet::new();
            let damaged = reader.rows(|row| assert!(seen.insert(row.seq), "row {} twice", row.seq)).unwrap();
            assert_eq!(damaged, 0);
            let missing = (0..durable as u32).find(|n| !seen.contains(n));
            assert_eq!(missing, None, "{durable} rows were durable");
            let report = reader.report().unwrap();
            assert_eq!(report.total.counts.answered, seen.len() as u64, "the same files, the same rows");
            assert_eq!(report.total.rtt.unwrap().min_ns, 1);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let report = Reader::open(dir.path()).unwrap().report().unwrap();
    assert_eq!(report.total.counts.scheduled, spool.counters().accepted);
    assert_eq!(report.targets.len(), 64);
}
