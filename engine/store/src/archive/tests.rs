//! Once, whatever happens in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ArchiveOptions, Archived, Archiver, Digest, FileMeta, HOUR_NS, Pace, Plan, carry_out};
use crate::place::{Place, PlaceUrl};
use crate::report::{Reader, Seen};
use crate::segment::BlockDecoder;
use crate::segment::testing::{outcome, plain};
use crate::{Spool, SpoolOptions, StoredRow};
use megaping_probe::{Nanos, Outcome};
use proptest::prelude::*;

fn spooled(dir: &Path, rows: &[Outcome]) -> (Spool, PathBuf) {
    let options = SpoolOptions { block_rows: 64, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(dir, options).unwrap();
    spool.push(rows, 0).unwrap();
    spool.close().unwrap();
    let sealed = spool.take_sealed().remove(0);
    (spool, sealed)
}

fn place(dir: &Path) -> PlaceUrl {
    PlaceUrl::of_dir(&dir.join("parquet"))
}

fn options(dir: &Path, pace: Pace) -> ArchiveOptions {
    ArchiveOptions { tenant: "acme".to_owned(), pace, ..ArchiveOptions::local(dir) }
}

fn plan(dir: &Path, segments: &[PathBuf]) -> Plan {
    let name = |path: &PathBuf| path.strip_prefix(dir).unwrap().to_owned();
    Plan {
        id: segments[0].file_stem().unwrap().to_str().unwrap().to_owned(),
        tenant: "acme".to_owned(),
        place: place(dir).to_string(),
        segments: segments.iter().map(name).collect(),
        is_done: false,
    }
}

/// Carries out a plan that is on the disk, as a process does that finds it there.
fn resume(dir: &Path) -> Archived {
    let mut plans = Plan::left(dir).unwrap();
    assert_eq!(plans.len(), 1);
    let done =
        carry_out(dir, &Place::open(&place(dir)).unwrap(), &mut plans[0], &mut BlockDecoder::new().unwrap());
    let done = done.unwrap();
    assert!(Plan::left(dir).unwrap().is_empty());
    done
}

fn archive(dir: &Path, segments: &[PathBuf]) -> Archived {
    plan(dir, segments).begin(dir).unwrap();
    resume(dir)
}

fn read(dir: &Path) -> Vec<Seen> {
    let mut rows = Vec::new();
    Reader::open(dir).unwrap().rows(|row| rows.push(row)).unwrap();
    rows.sort();
    rows
}

fn expected(rows: &[Outcome]) -> Vec<Seen> {
    let mut seen: Vec<_> = rows
        .iter()
        .map(|row| StoredRow::new(row, 0))
        .map(|r| Seen {
            unix_ns: r.unix_ns,
            destination: r.destination,
            target: r.target,
            seq: r.seq,
            status: r.verdict.into(),
            rtt_ns: r.rtt_ns,
        })
        .collect();
    seen.sort();
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn rows_are_the_same_before_and_after(
        mut rows in proptest::collection::vec(outcome(), 1..200),
        begin in 0..u64::MAX / 2,
    ) {
        for row in &mut rows {
            // Four hours, on either side of some border.
            row.at.0 = begin + row.at.0 % (3 * HOUR_NS);
            // The type allows a round trip without an answer, the archive does not.
            if !matches!(row.verdict, megaping_probe::Verdict::Answered | megaping_probe::Verdict::Error { .. }) {
                row.rtt_ns = 0;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let (_spool, sealed) = spooled(dir.path(), &rows);
        prop_assert_eq!(read(dir.path()), expected(&rows));
        let done = archive(dir.path(), std::slice::from_ref(&sealed));
        prop_assert_eq!((done.rows, done.damaged_bytes), (rows.len() as u64, 0));
        prop_assert!(!sealed.exists());
        prop_assert_eq!(read(dir.path()), expected(&rows));
        let hours: std::collections::BTreeSet<_> = rows.iter().map(|row| row.at.0 / HOUR_NS).collect();
        prop_assert_eq!(done.files.len(), hours.len());
    }
}

/// Two segments of 100 rows a minute, around the end of an hour.
fn two_segments(dir: &Path) -> (Vec<Outcome>, Vec<PathBuf>) {
    let rows: Vec<_> = (0..200u32)
        .map(|n| Outcome {
            at: Nanos(HOUR_NS * 470_000 - 1_800_000_000_000 + u64::from(n) * 18_000_000_000),
            ..plain(n)
        })
        .collect();
    let (mut spool, _) =
        Spool::open(dir, SpoolOptions { block_rows: 64, ..SpoolOptions::default() }).unwrap();
    for part in rows.chunks(100) {
        spool.push(part, 0).unwrap();
        spool.close().unwrap();
    }
    let sealed = spool.take_sealed();
    (rows, sealed)
}

#[test]
fn segments_are_merged_into_one_file_an_hour_that_says_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, sealed) = two_segments(dir.path());
    let done = archive(dir.path(), &sealed);
    let id = sealed[0].file_stem().unwrap().to_str().unwrap();
    assert_eq!(
        done.files,
        [
            format!("tenant=acme/date=2023-08-14/hour=07/{id}.parquet"),
            format!("tenant=acme/date=2023-08-14/hour=08/{id}.parquet"),
        ]
    );
    assert_eq!(read(dir.path()), expected(&rows));
    let place = Place::open(&place(dir.path())).unwrap();
    let (mut counted, mut digest) = (0, 0u64);
    for entry in place.list("").unwrap() {
        let meta = FileMeta::read(&place.read(&entry).unwrap()).unwrap();
        assert_eq!((meta.node.as_str(), meta.segments.len(), meta.replaces.len()), ("", 2, 0));
        counted += meta.rows;
        digest = digest.wrapping_add(meta.digest.unwrap());
    }
    let mut whole = Digest::default();
    for row in &expected(&rows) {
        whole.add(row);
    }
    assert_eq!((counted, digest), (200, whole.0));
}

/// Puts a directory into the state of a crash: the segments, their bytes, and what was archived.
type Crash = fn(&Path, &[PathBuf], &[Vec<u8>], &Archived);

#[test]
fn whatever_a_crash_interrupts_is_begun_again_and_no_row_doubled_or_lost() {
    // What is on the disk after each step of a plan, and then nobody was there to take the next one.
    let crashes: [(&str, Crash); 5] = [
        ("all files were made, and the plan is not done", |_, sealed, bytes, _| {
            sealed.iter().zip(bytes).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        }),
        ("one file was made, of two", |dir, sealed, bytes, done| {
            sealed.iter().zip(bytes).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
            std::fs::remove_file(dir.join("parquet").join(&done.files[1])).unwrap();
        }),
        ("a file is torn, and a temporary one is left", |dir, sealed, bytes, done| {
            sealed.iter().zip(bytes).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
            std::fs::write(dir.join("parquet").join(&done.files[1]), "PAR1").unwrap();
            std::fs::write(dir.join("archive").join("x.parquet.tmp"), "half").unwrap();
        }),
        ("the plan is done, and a segment is there", |dir, sealed, bytes, _| {
            std::fs::write(&sealed[1], &bytes[1]).unwrap();
            let plan = std::fs::read_dir(dir.join("archive")).unwrap().next().unwrap().unwrap().path();
            std::fs::rename(&plan, plan.with_extension("done")).unwrap();
        }),
        ("a segment was given up for want of room", |_, sealed, bytes, _| {
            std::fs::write(&sealed[1], &bytes[1]).unwrap();
        }),
    ];
    for (when, crash) in crashes {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (rows, sealed) = two_segments(dir);
        let bytes: Vec<_> = sealed.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let done = archive(dir, &sealed);
        plan(dir, &sealed).begin(dir).unwrap();
        crash(dir, &sealed, &bytes, &done);
        if !when.contains("torn") {
            assert!(read(dir) == expected(&rows), "{when}: as it is");
        }
        resume(dir);
        assert!(read(dir) == expected(&rows), "{when}: begun again");
        assert!(sealed.iter().all(|path| !path.exists()), "{when}");
    }
}

#[test]
fn a_damaged_segment_is_kept_aside_and_its_whole_rows_are_archived() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..192).map(plain).collect();
    let (_spool, sealed) = spooled(dir.path(), &rows);
    let mut bytes = std::fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&sealed, &bytes).unwrap();
    let done = archive(dir.path(), std::slice::from_ref(&sealed));
    assert_eq!(done.rows, 128);
    assert!(done.damaged_bytes > 0 && !sealed.exists());
    assert_eq!(std::fs::read(sealed.with_extension("damaged")).unwrap(), bytes);
    assert_eq!(read(dir.path()).len(), 128);
}

#[test]
fn the_thread_drains_at_close_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..200).map(plain).collect();
    let (mut spool, sealed) = spooled(dir.path(), &rows);
    let archiver = Archiver::start(&spool, options(dir.path(), Pace::AtOnce)).unwrap();
    archiver.submit(sealed);
    spool.push(&rows, 0).unwrap();
    spool.close().unwrap();
    spool.take_sealed().into_iter().for_each(|s| archiver.submit(s));
    archiver.close(Duration::MAX).unwrap();
    assert_eq!((spool.counters().spooled, spool.counters().archived), (400, 400));
    let hour = dir.path().join("parquet/tenant=acme/date=2023-11-14/hour=22");
    assert_eq!(std::fs::read_dir(hour).unwrap().count(), 1, "both segments are in one file");
}

#[test]
fn a_segment_that_cannot_be_archived_stays_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..10).map(plain).collect();
    let (spool, sealed) = spooled(dir.path(), &rows);
    std::fs::write(dir.path().join("parquet"), "in the way").unwrap();
    let archiver = Archiver::start(&spool, options(dir.path(), Pace::AtOnce)).unwrap();
    archiver.submit(sealed.clone());
    let error = archiver.close(Duration::MAX).unwrap_err().to_string();
    assert!(error.contains("parquet"), "{error}");
    assert!(sealed.exists());
    std::fs::remove_file(dir.path().join("parquet")).unwrap();
    assert_eq!(read(dir.path()), expected(&rows));
}

#[test]
fn what_there_is_no_time_for_stays_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..10).map(plain).collect();
    let (spool, sealed) = spooled(dir.path(), &rows);
    let archiver = Archiver::start(&spool, options(dir.path(), Pace::WhenIdle)).unwrap();
    archiver.submit(sealed.clone());
    archiver.close(Duration::ZERO).unwrap();
    assert!(sealed.exists() && spool.counters().archived == 0);
    assert_eq!(read(dir.path()), expected(&rows));

    // Given time at the end, it works however busy the machine is.
    let archiver = Archiver::start(&spool, options(dir.path(), Pace::WhenIdle)).unwrap();
    archiver.submit(sealed.clone());
    archiver.close(Duration::from_mins(1)).unwrap();
    assert!(!sealed.exists() && spool.counters().archived == 10);
    assert_eq!(read(dir.path()), expected(&rows));
}
