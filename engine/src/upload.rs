//! `megaping upload`: a spool that was left behind, or carried elsewhere, to `ClickHouse`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use megaping_store::clickhouse::SetupError;
use megaping_store::upload::{Event, Uploader};
use megaping_store::{Spool, SpoolOptions, StoreError};
use serde::Serialize;

use crate::cli::SpoolUpload;
use crate::say::say;

/// The same failure is told again after this time.
const REPEAT: Duration = Duration::from_secs(10);
/// How often events are looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Why an upload could not begin.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UploadError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the segments: `found = uploaded + refused + left`, in segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Tally {
    segments_found: u64,
    segments_uploaded: u64,
    segments_refused: u64,
    segments_left: u64,
    rows_uploaded: u64,
    rows_refused: u64,
    bytes: u64,
    failures: u64,
}

/// Sends every segment of a spool; ends when all is acknowledged or refused, or the time is over. The last line
/// on standard output is a JSON object of what became of them.
///
/// # Errors
/// [`UploadError`] when the spool cannot be opened or nothing can be sent at all.
pub fn run(upload: &SpoolUpload) -> Result<ExitCode, UploadError> {
    let (mut spool, _) = Spool::open(&upload.dir, SpoolOptions::default())?;
    let uploader = Uploader::start(upload.options.clone())?;
    let mut tally = Tally::default();
    for segment in spool.take_sealed() {
        tally.segments_found += 1;
        uploader.submit(segment);
    }
    tally.segments_left = tally.segments_found;
    let begun = Instant::now();
    let mut told = None;
    let mut stuck = 0;
    while tally.segments_left > stuck && upload.within.is_none_or(|within| begun.elapsed() < within) {
        stuck += take(&uploader, &mut tally, &mut told);
        std::thread::sleep(LOOK);
    }
    uploader.close(Duration::ZERO);
    take(&uploader, &mut tally, &mut told);
    println!("{}", serde_json::to_string(&tally).expect("numbers under names"));
    let is_whole = tally.segments_left == 0 && tally.segments_refused == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Counts and tells what has happened; returns how many segments have no more attempts.
fn take(uploader: &Uploader, tally: &mut Tally, told: &mut Option<Instant>) -> u64 {
    let mut stuck = 0;
    for event in uploader.events() {
        match event {
            Event::Uploaded { rows, bytes } => {
                tally.segments_uploaded += 1;
                tally.segments_left -= 1;
                tally.rows_uploaded += rows;
                tally.bytes += bytes;
            }
            Event::Refused { rows, path, failure } => {
                tally.segments_refused += 1;
                tally.segments_left -= 1;
                tally.rows_refused += rows;
                say(format_args!("megaping: {failure}; it is kept as {}", path.display()));
            }
            Event::Failed(failure) => {
                tally.failures += 1;
                if told.is_none_or(|at| at.elapsed() >= REPEAT) {
                    say(format_args!("megaping: {failure} (trying again)"));
                    *told = Some(Instant::now());
                }
            }
            Event::Stuck(error) => {
                stuck += 1;
                say(format_args!("megaping: {error} (it stays in the spool)"));
            }
        }
    }
    stuck
}
