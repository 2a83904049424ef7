//! `megaping upload`: a spool that was left behind, or carried elsewhere, to `ClickHouse`.

mod delivery;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use megaping_store::clickhouse::SetupError;
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
    let options = SpoolOptions { upload: true, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(&upload.dir, options)?;
    let mut delivery = Delivery::start(upload.options.clone(), spool.shelf())?;
    delivery.submit(spool.take_for_upload());
    let begun = Instant::now();
    while !delivery.is_idle() && upload.within.is_none_or(|within| begun.elapsed() < within) {
        std::thread::sleep(LOOK);
        delivery.look();
    }
    let tally = delivery.close(Duration::ZERO);
    println!("{}", serde_json::to_string(&tally).expect("numbers under names"));
    let is_whole = tally.segments_left == 0 && tally.segments_refused == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
