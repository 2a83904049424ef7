//! Once, whatever happens in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Archiver, Pace, archive};
use crate::report::{Reader, Seen};
use crate::segment::BlockDecoder;
use crate::segment::testing::{outcome, plain};
use crate::{Spool, SpoolOptions, StoredRow};
use megaping_probe::Outcome;
use proptest::prelude::*;

fn spooled(dir: &Path, rows: &[Outcome]) -> (Spool, PathBuf) {
    let options = SpoolOptions { block_rows: 64, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(dir, options).unwrap();
    spool.push(rows, 0).unwrap();
    spool.close().unwrap();
    let sealed = spool.take_sealed().remove(0);
    (spool, sealed)
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
    fn rows_are_the_same_before_and_after(mut rows in proptest::collection::vec(outcome(), 1..200)) {
        for row in &mut rows {
            // The type allows a round trip without an answer, the archive does not.
            if !matches!(row.verdict, megaping_probe::Verdict::Answered | megaping_probe::Verdict::Error { .. }) {
                row.rtt_ns = 0;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let (_spool, sealed) = spooled(dir.path(), &rows);
        prop_assert_eq!(read(dir.path()), expected(&rows));
        let done = archive(dir.path(), &sealed, &mut BlockDecoder::new().unwrap()).unwrap();
        prop_assert_eq!((done.rows, done.damaged_bytes), (rows.len() as u64, 0));
        prop_assert!(!sealed.exists());
        prop_assert_eq!(read(dir.path()), expected(&rows));
    }
}

#[test]
fn a_crash_between_rename_and_remove_makes_no_second_file() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..200).map(plain).collect();
    let (_spool, sealed) = spooled(dir.path(), &rows);
    let segment = std::fs::read(&sealed).unwrap();
    let mut decoder = BlockDecoder::new().unwrap();
    let first = archive(dir.path(), &sealed, &mut decoder).unwrap();
    let parquet = first.parquet.clone().unwrap();
    let made = std::fs::metadata(&parquet).unwrap().modified().unwrap();
    std::fs::write(&sealed, &segment).unwrap();
    assert_eq!(read(dir.path()), expected(&rows), "where both exist, rows count once");
    assert_eq!(archive(dir.path(), &sealed, &mut decoder).unwrap(), first);
    assert!(!sealed.exists());
    assert_eq!(std::fs::metadata(&parquet).unwrap().modified().unwrap(), made, "the file was left alone");

    // A file that is no Parquet is made anew, and so is one that a power cut left half written.
    for junk in [&b"PAR1"[..], b""] {
        std::fs::write(&sealed, &segment).unwrap();
        std::fs::write(&parquet, junk).unwrap();
        std::fs::write(parquet.with_extension("parquet.tmp"), "half").unwrap();
        assert_eq!(archive(dir.path(), &sealed, &mut decoder).unwrap(), first);
        assert_eq!(read(dir.path()), expected(&rows));
        assert!(!parquet.with_extension("parquet.tmp").exists());
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
    let done = archive(dir.path(), &sealed, &mut BlockDecoder::new().unwrap()).unwrap();
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
    let archiver = Archiver::start(&spool, Pace::AtOnce).unwrap();
    archiver.submit(sealed);
    spool.push(&rows, 0).unwrap();
    spool.close().unwrap();
    spool.take_sealed().into_iter().for_each(|s| archiver.submit(s));
    archiver.close(Duration::MAX).unwrap();
    assert_eq!((spool.counters().spooled, spool.counters().archived), (400, 400));
    let hour = dir.path().join("parquet/date=2023-11-14/hour=22");
    assert_eq!(std::fs::read_dir(hour).unwrap().count(), 2);
}

#[test]
fn a_segment_that_cannot_be_archived_stays_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..10).map(plain).collect();
    let (spool, sealed) = spooled(dir.path(), &rows);
    std::fs::write(dir.path().join("parquet"), "in the way").unwrap();
    let archiver = Archiver::start(&spool, Pace::AtOnce).unwrap();
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
    let archiver = Archiver::start(&spool, Pace::WhenIdle).unwrap();
    archiver.submit(sealed.clone());
    archiver.close(Duration::ZERO).unwrap();
    assert!(sealed.exists() && spool.counters().archived == 0);
    assert_eq!(read(dir.path()), expected(&rows));

    // Given time at the end, it works however busy the machine is.
    let archiver = Archiver::start(&spool, Pace::WhenIdle).unwrap();
    archiver.submit(sealed.clone());
    archiver.close(Duration::from_mins(1)).unwrap();
    assert!(!sealed.exists() && spool.counters().archived == 10);
    assert_eq!(read(dir.path()), expected(&rows));
}
