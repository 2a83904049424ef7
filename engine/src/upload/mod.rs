//! `megaping upload`: a spool that was left behind, or carried elsewhere, to `ClickHouse`.

mod delivery;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use megaping_store::clickhouse::SetupError;
use megaping_store::path;
use megaping_store::segment::Kind;
use megaping_store::{Spool, SpoolOptions, StoreError};

pub use delivery::{Delivery, Tally};

use crate::cli::SpoolUpload;

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

/// Sends every segment of a spool that is to be sent, or that nobody was to take so far; ends when all is acknowledged
/// or refused, or the time is over. The last line on standard output is a JSON object of what became of them.
///
/// # Errors
/// [`UploadError`] when the spool cannot be opened or nothing can be sent at all.
pub fn run(upload: &SpoolUpload) -> Result<ExitCode, UploadError> {
    let mut sending = vec![open(&upload.dir, Kind::Outcomes, upload)?];
    // Paths have a spool of their own, beside that of outcomes.
    if path::are_in(&upload.dir) {
        sending.push(open(&path::spool_of(&upload.dir), Kind::Paths, upload)?);
    }
    let begun = Instant::now();
    let is_idle = |sending: &[(Spool, Delivery)]| sending.iter().all(|(_, delivery)| delivery.is_idle());
    while !is_idle(&sending) && upload.within.is_none_or(|within| begun.elapsed() < within) {
        std::thread::sleep(LOOK);
        for (_, delivery) in &mut sending {
            delivery.look();
        }
    }
    let mut tally = Tally::default();
    for (_spool, delivery) in sending {
        tally.add(&delivery.close(Duration::ZERO));
    }
    println!("{}", serde_json::to_string(&tally).expect("numbers under names"));
    let is_whole = tally.segments_left == 0 && tally.segments_refused == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A spool and whoever sends what is in it.
fn open(dir: &Path, kind: Kind, upload: &SpoolUpload) -> Result<(Spool, Delivery), UploadError> {
    let (mut spool, _) = Spool::open(dir, SpoolOptions { kind, upload: true, ..SpoolOptions::default() })?;
    let mut delivery = Delivery::start(upload.options.clone(), spool.shelf())?;
    delivery.submit(spool.take_for_upload());
    Ok((spool, delivery))
}
