//! An uploader, and what became of what it was given.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use megaping_store::Shelf;
use megaping_store::clickhouse::SetupError;
use megaping_store::upload::{Event, UploadOptions, Uploader};
use serde::Serialize;

use crate::say::say;

/// The same failure is told again after this time.
const REPEAT: Duration = Duration::from_secs(10);

/// What became of the segments: `found = uploaded + refused + left`, in segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// Segments that were there to be sent.
    pub segments_found: u64,
    /// Those that the server has.
    pub segments_uploaded: u64,
    /// Those that it refused for good, and which are kept aside.
    pub segments_refused: u64,
    /// Those that are still to be sent.
    pub segments_left: u64,
    /// Rows of the segments that the server has.
    pub rows_uploaded: u64,
    /// Rows of those that it refused.
    pub rows_refused: u64,
    /// Bytes of the requests' bodies, of segments that the server has.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
}

impl Tally {
    /// Adds what became of another spool's.
    pub fn add(&mut self, other: &Tally) {
        self.segments_found += other.segments_found;
        self.segments_uploaded += other.segments_uploaded;
        self.segments_refused += other.segments_refused;
        self.segments_left += other.segments_left;
        self.rows_uploaded += other.rows_uploaded;
        self.rows_refused += other.rows_refused;
        self.bytes += other.bytes;
        self.failures += other.failures;
    }
}

/// Sends segments, counts what becomes of them, and tells on standard error what goes wrong.
#[derive(Debug)]
pub struct Delivery {
    uploader: Uploader,
    tally: Tally,
    /// Segments that no other attempt is made with.
    stuck: u64,
    told: Option<Instant>,
}

impl Delivery {
    /// Starts the threads that send segments of `shelf`.
    ///
    /// # Errors
    /// [`SetupError`] when nothing can be sent at all.
    pub fn start(options: UploadOptions, shelf: Arc<Shelf>) -> Result<Delivery, SetupError> {
        let uploader = Uploader::start(options, shelf)?;
        Ok(Delivery { uploader, tally: Tally::default(), stuck: 0, told: None })
    }

    /// Hands segments over.
    pub fn submit(&mut self, segments: Vec<PathBuf>) {
        self.tally.segments_found += segments.len() as u64;
        self.tally.segments_left += segments.len() as u64;
        for segment in segments {
            self.uploader.submit(segment);
        }
    }

    /// Counts and tells what has happened since the last look.
    pub fn look(&mut self) {
        let Delivery { uploader, tally, stuck, told } = self;
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
                    *stuck += 1;
                    say(format_args!("megaping: {error} (it stays in the spool)"));
                }
            }
        }
    }

    /// Whether there is nothing left to be done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tally.segments_left <= self.stuck
    }

    /// Sends what waits, for `within` at most, and says what became of everything.
    #[must_use]
    pub fn close(mut self, within: Duration) -> Tally {
        self.uploader.close(within);
        self.look();
        self.tally
    }
}
