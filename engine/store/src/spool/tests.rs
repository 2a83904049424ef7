//! Ages, sizes, the law of the counters, and what recovery makes of leftovers.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Recovery, Spool, SpoolOptions};
use crate::segment::testing::plain;
use crate::segment::{BlockDecoder, Segment};
use crate::{StoreError, files};

fn options() -> SpoolOptions {
    SpoolOptions { node: "test".into(), block_rows: 100, ..SpoolOptions::default() }
}

fn lawful(spool: &Spool) -> super::Counters {
    let c = spool.counters();
    assert_eq!(c.accepted, c.buffered + c.spooled + c.rejected);
    c
}

fn push(spool: &mut Spool, rows: std::ops::Range<u32>) {
    spool.push(&rows.map(plain).collect::<Vec<_>>(), 0).unwrap();
}

/// The `seq` of every row in the sealed segments, sorted.
fn sealed_rows(dir: &Path) -> Vec<u32> {
    let mut seqs = Vec::new();
    for path in files::list(&dir.join(files::SPOOL), files::SEALED).unwrap() {
        let segment = Segment::open(&path).unwrap();
        let Ok(damaged) = segment.blocks(&mut BlockDecoder::new().unwrap(), |rows| {
            seqs.extend(rows.iter().map(|r| r.seq));
            Ok::<_, std::convert::Infallible>(())
        });
        assert_eq!(damaged, 0);
    }
    seqs.sort_unstable();
    seqs
}

#[test]
fn full_blocks_are_written_and_old_rows_do_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, recovery) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!(recovery, Recovery::default());
    push(&mut spool, 0..60);
    assert_eq!((lawful(&spool).buffered, lawful(&spool).spooled), (60, 0));
    push(&mut spool, 60..120);
    assert_eq!((lawful(&spool).buffered, lawful(&spool).spooled), (60, 60), "the first would not fit");
    let start = Instant::now();
    spool.tick(start).unwrap();
    spool.tick(start + Duration::from_millis(999)).unwrap();
    assert_eq!(lawful(&spool).spooled, 60);
    spool.tick(start + Duration::from_secs(1)).unwrap();
    assert_eq!((lawful(&spool).buffered, lawful(&spool).spooled), (0, 120));
    assert!(spool.take_sealed().is_empty());
    spool.tick(start + Duration::from_secs(5)).unwrap();
    assert_eq!(spool.take_sealed().len(), 1, "sealed by age");
    push(&mut spool, 120..130);
    spool.close().unwrap();
    assert_eq!(spool.take_sealed().len(), 1, "sealed by close");
    assert_eq!(lawful(&spool).accepted, 130);
    assert_eq!(sealed_rows(dir.path()), (0..130).collect::<Vec<_>>());
}

#[test]
fn a_push_longer_than_a_block_becomes_several() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(dir.path(), SpoolOptions { segment_bytes: 1, ..options() }).unwrap();
    push(&mut spool, 0..250);
    spool.close().unwrap();
    assert_eq!(spool.take_sealed().len(), 3, "every block fills a segment of one byte");
    assert_eq!(sealed_rows(dir.path()), (0..250).collect::<Vec<_>>());
}

#[test]
fn unix_time_is_the_clock_plus_the_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(dir.path(), options()).unwrap();
    spool.push(&[plain(1)], 5).unwrap();
    spool.close().unwrap();
    let segment = Segment::open(&spool.take_sealed()[0]).unwrap();
    let Ok(_) = segment.blocks(&mut BlockDecoder::new().unwrap(), |rows| {
        assert_eq!(rows[0].unix_ns, plain(1).at.0 + 5);
        Ok::<_, std::convert::Infallible>(())
    });
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), options()).unwrap();
    let Err(error @ StoreError::Locked { .. }) = Spool::open(dir.path(), options()).map(|_| ()) else {
        panic!("the directory is taken");
    };
    assert!(error.to_string().contains("another process"), "{error}");
    drop(spool);
    Spool::open(dir.path(), options()).unwrap();
}

#[test]
fn rows_given_up_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(dir.path(), options()).unwrap();
    push(&mut spool, 0..30);
    std::fs::remove_dir_all(dir.path().join(files::SPOOL)).unwrap();
    let error = spool.close().unwrap_err();
    assert!(error.to_string().contains("cannot create"), "{error}");
    assert_eq!(lawful(&spool).buffered, 30, "a failed write keeps the rows");
    assert_eq!(spool.reject(), 30);
    assert_eq!((lawful(&spool).accepted, lawful(&spool).rejected), (30, 30));
}

/// A spool whose process ended without closing it: two blocks in an open segment.
fn abandoned() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(dir.path(), options()).unwrap();
    push(&mut spool, 0..100);
    push(&mut spool, 100..200);
    push(&mut spool, 200..300);
    assert_eq!(spool.counters().spooled, 200);
    drop(spool);
    let open = files::list(&dir.path().join(files::SPOOL), files::OPEN).unwrap();
    (dir, open[0].clone())
}

#[test]
fn an_open_segment_is_sealed_with_all_its_rows() {
    let (dir, _) = abandoned();
    let (mut spool, recovery) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!(recovery, Recovery { segments: 1, rows: 200, ..Recovery::default() });
    assert_eq!(spool.take_sealed().len(), 1);
    assert_eq!(sealed_rows(dir.path()), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let (dir, path) = abandoned();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (_, recovery) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!((recovery.segments, recovery.rows), (1, 100));
    assert_eq!(recovery.torn.len(), 1);
    assert_eq!(recovery.torn[0].0, path);
    assert!(recovery.torn[0].1 > 100);
    assert_eq!(sealed_rows(dir.path()), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_file_without_rows_goes_and_one_with_a_damaged_header_is_kept_aside() {
    let (dir, path) = abandoned();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let empty = path.with_file_name("empty.open");
    std::fs::write(&empty, b"P*M").unwrap();
    let (_, recovery) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!((recovery.segments, recovery.torn.len()), (0, 2));
    assert!(!empty.exists() && !path.exists());
    assert_eq!(std::fs::read(path.with_extension(files::DAMAGED)).unwrap(), bytes);
}

#[test]
fn a_segment_is_handed_to_each_who_is_to_take_it_and_by_recovery_too() {
    let dir = tempfile::tempdir().unwrap();
    let names = |dir: &Path, shelf: &str| files::list(&dir.join(shelf), files::SEALED).unwrap().len();
    let counts = |dir: &Path| [files::SPOOL, files::ARCHIVE, files::UPLOAD].map(|shelf| names(dir, shelf));
    let both = SpoolOptions { archive: true, upload: true, ..options() };
    let (mut spool, _) = Spool::open(dir.path(), both).unwrap();
    push(&mut spool, 0..30);
    spool.close().unwrap();
    assert_eq!((counts(dir.path()), spool.shelf().waiting_for_upload().rows), ([0, 1, 1], 30));
    assert_eq!((spool.take_sealed().len(), spool.take_for_upload().len()), (1, 1));
    let archived = files::list(&dir.path().join(files::ARCHIVE), files::SEALED).unwrap().remove(0);
    assert_eq!(spool.bytes(), std::fs::metadata(archived).unwrap().len(), "the disk holds it once");
    // Nobody in particular: it stays, and the next process has somebody.
    drop(spool);
    let (mut spool, recovery) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!((recovery.rows, recovery.upload_rows), (30, 30));
    assert_eq!((spool.take_sealed().len(), spool.take_for_upload().len()), (0, 0));
    push(&mut spool, 30..70);
    spool.close().unwrap();
    assert_eq!(counts(dir.path()), [1, 1, 1]);
    drop(spool);
    let (mut spool, recovery) = Spool::open(dir.path(), SpoolOptions { upload: true, ..options() }).unwrap();
    assert_eq!((recovery.rows, recovery.upload_rows, counts(dir.path())), (30, 70, [0, 1, 2]));
    assert_eq!((spool.take_sealed().len(), spool.take_for_upload().len()), (0, 2));
}

#[test]
fn what_another_run_left_is_taken_over_unless_it_still_runs() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let upload = || SpoolOptions { upload: true, ..options() };
    let (mut spool, _) = Spool::open(ours.path(), upload()).unwrap();
    let (mut other, _) = Spool::open(theirs.path(), upload()).unwrap();
    push(&mut other, 0..30);
    other.close().unwrap();
    assert!(matches!(spool.adopt(theirs.path()), Err(StoreError::Locked { .. })));
    drop(other);
    assert_eq!(spool.adopt(theirs.path()).unwrap(), 30);
    assert_eq!(spool.adopt(theirs.path()).unwrap(), 0);
    let taken = spool.take_for_upload();
    assert!(taken.len() == 1 && taken[0].starts_with(ours.path()) && taken[0].exists());
    assert_eq!(spool.shelf().waiting_for_upload().rows, 30);
}

#[test]
fn a_path_that_is_a_file_is_refused_with_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Spool::open(&file, options()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("--store takes a directory"), "{error}");
}
