//! A disk that is full: the message says what would be right, no row is lost, and a retry succeeds.
//!
//! The child runs in a mount namespace of its own, with a tmpfs of half a megabyte as its disk; both end with
//! it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Verdict};
use megaping_store::archive::{ArchiveOptions, Archiver, Pace};
use megaping_store::report::Reader;
use megaping_store::{Spool, SpoolOptions, StoreError};
use megaping_wire::Addr;

const DIR: &str = "MEGAPING_TEST_FULL_DIR";

fn row(n: u64) -> Outcome {
    let noise = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let address = Addr::v4((0x0a00_0000 + n as u32).to_be_bytes());
    Outcome {
        // Within an hour, so that one Parquet file holds all.
        at: Nanos(1_700_000_000_000_000_000 + (noise >> 24)),
        rtt_ns: noise >> 16,
        target: n,
        destination: address,
        responder: address,
        seq: n as u32,
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

fn rows_read(dir: &Path) -> Vec<u32> {
    let mut seqs = Vec::new();
    assert_eq!(Reader::open(dir).unwrap().rows(|row| seqs.push(row.seq)).unwrap(), 0);
    seqs.sort_unstable();
    seqs
}

fn lawful(spool: &Spool) -> u64 {
    let c = spool.counters();
    assert_eq!(c.accepted, c.buffered + c.spooled + c.rejected);
    c.spooled
}

/// The child: does nothing unless the parent started it.
fn at_once(dir: &Path) -> ArchiveOptions {
    ArchiveOptions { pace: Pace::AtOnce, merge_age: Duration::ZERO, ..ArchiveOptions::local(dir) }
}

#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 352 << 10]).unwrap();
    let options = SpoolOptions { block_rows: 1000, segment_bytes: 1 << 20, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(dir, options.clone()).unwrap();
    let batch = |k: u64| (k * 500..k * 500 + 500).map(row).collect::<Vec<_>>();
    let (mut k, error) = (
        0,
        loop {
            let k = spool.counters().accepted / 500;
            assert!(k < 1000, "a disk of 160 KB must be full by now");
            if let Err(error) = spool.push(&batch(k), 0) {
                break error;
            }
        },
    );
    assert!(
        matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    );
    let text = error.to_string();
    assert!(text.contains("free space") && text.contains("--store DIR") && text.contains(".open"), "{text}");
    let spooled = lawful(&spool);
    assert!(spooled > 0 && spool.counters().buffered > 0);
    for _ in 0..3 {
        assert!(spool.push(&batch(spool.counters().accepted / 500), 0).is_err(), "still full");
    }
    assert_eq!(lawful(&spool), spooled);
    assert_eq!(rows_read(dir), (0..spooled as u32).collect::<Vec<_>>(), "no half record, no row lost");

    // Space again: the same rows are written behind the last whole record.
    std::fs::remove_file(&ballast).unwrap();
    while k < 4 {
        spool.push(&batch(spool.counters().accepted / 500), 0).unwrap();
        k += 1;
    }
    spool.tick(Instant::now()).unwrap();
    spool.close().unwrap();
    let accepted = spool.counters().accepted;
    assert_eq!(lawful(&spool), accepted);
    assert_eq!(rows_read(dir), (0..accepted as u32).collect::<Vec<_>>());

    // Full while archiving: the segment stays until its Parquet file is whole.
    let segment = spool.take_sealed().remove(0);
    let mut free = vec![1; 1 << 20];
    while std::fs::write(&ballast, &free).is_err() {
        free.truncate(free.len() - 4096);
    }
    let archiver = Archiver::start(&spool, at_once(spool.dir())).unwrap();
    archiver.submit(segment.clone());
    let text = archiver.close(Duration::MAX).unwrap_err().to_string();
    assert!(text.contains("/archive/") && text.contains("free space"), "{text}");
    assert!(segment.exists());
    std::fs::remove_file(&ballast).unwrap();
    let archiver = Archiver::start(&spool, at_once(spool.dir())).unwrap();
    archiver.submit(segment.clone());
    archiver.close(Duration::MAX).unwrap();
    assert!(!segment.exists());
    assert_eq!(rows_read(dir), (0..accepted as u32).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_loses_nothing_and_a_retry_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut unshare = Command::new("unshare");
    // Anybody may mount a tmpfs where they are root of their own user namespace.
    unshare.args(if root { &["--mount"][..] } else { &["--mount", "--map-root-user"][..] });
    let script = "mount -t tmpfs -o size=512k none \"$1\" && exec \"$2\" --exact child --nocapture";
    unshare.args(["sh", "-c", script, "sh"]).arg(dir.path()).arg(std::env::current_exe().unwrap());
    let output = unshare.env(DIR, dir.path()).output().expect("util-linux has unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}
