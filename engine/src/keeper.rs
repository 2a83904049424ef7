//! Keeps outcomes on disk: the spool, and the archiver behind it.

use std::path::Path;
use std::time::{Duration, Instant};

use megaping_probe::Outcome;
use megaping_store::archive::{Archiver, Pace};
use megaping_store::{Spool, SpoolOptions, StoreError};

use crate::cli::ArchiveFormat;
use crate::say::say;
use crate::summary::StoreSummary;

/// Reports read the spool as well, so a segment may stay there for long: each becomes a file of its own, and few
/// large ones are read faster.
const SEGMENT_AGE: Duration = Duration::from_mins(1);

/// At its end a run makes Parquet files for this long at most; it is not held up for minutes by what came in faster
/// than it can be archived.
const LAST_ARCHIVING: Duration = Duration::from_secs(10);

/// A store that is open for writing.
pub struct Keeper {
    spool: Spool,
    archiver: Option<Archiver>,
    // Rows that came after the store had failed: accounted for, and gone.
    refused: u64,
    // Rows of earlier runs, which are archived before ours.
    recovered: u64,
}

impl Keeper {
    /// Opens the store at `dir`, and tells on standard error what an earlier run left torn.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written or is in use.
    pub fn open(dir: &Path, archive: ArchiveFormat) -> Result<Keeper, StoreError> {
        let options = SpoolOptions { node: node_name(), segment_age: SEGMENT_AGE, ..SpoolOptions::default() };
        let (spool, recovery) = Spool::open(dir, options)?;
        for (path, bytes) in &recovery.torn {
            say(format_args!(
                "megaping: {}: an earlier run was cut off; the {bytes} bytes that it had begun to write were cut",
                path.display()
            ));
        }
        let archiver = match archive {
            ArchiveFormat::Parquet => Some(Archiver::start(&spool, Pace::WhenIdle)?),
            ArchiveFormat::None => None,
        };
        let recovered = recovery.rows;
        Ok(Keeper { spool, archiver, refused: 0, recovered })
    }

    /// Takes rows.
    ///
    /// # Errors
    /// [`StoreError`] when a block cannot be written: the rows are counted as rejected.
    pub fn push(&mut self, rows: &[Outcome], unix_offset_ns: u64) -> Result<(), StoreError> {
        self.spool.push(rows, unix_offset_ns).inspect_err(|_| self.refused += rows.len() as u64)
    }

    /// Counts rows that nobody tries to write, after a failure.
    pub fn refuse(&mut self, rows: &[Outcome]) {
        self.refused += rows.len() as u64;
    }

    /// Lets time pass: writes what is old, passes on what is sealed.
    ///
    /// # Errors
    /// [`StoreError`] of the spool; the archiver's failures are told, and its segments stay in the spool.
    pub fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        self.spool.tick(now)?;
        self.pass_on();
        if let Some(error) = self.archiver.as_ref().and_then(Archiver::take_error) {
            say(format_args!("megaping: {error} (the results are safe in the spool)"));
        }
        Ok(())
    }

    fn pass_on(&mut self) {
        let sealed = self.spool.take_sealed();
        if let Some(archiver) = &self.archiver {
            for segment in sealed {
                archiver.submit(segment);
            }
        }
    }

    /// Writes all that is left, archives what there is time for, and says where every row is.
    pub fn close(mut self) -> (StoreSummary, Result<(), StoreError>) {
        let spooled = self.spool.close();
        if spooled.is_err() {
            self.spool.reject();
        }
        self.pass_on();
        let archived = self.archiver.map_or(Ok(()), |archiver| archiver.close(LAST_ARCHIVING));
        let counters = self.spool.counters();
        let archived_rows = counters.archived.saturating_sub(self.recovered).min(counters.spooled);
        let summary = StoreSummary {
            produced: 0,
            queued: 0,
            spooled: counters.spooled.saturating_sub(archived_rows),
            archived: archived_rows,
            rejected: counters.rejected + self.refused,
        };
        (summary, spooled.and(archived))
    }
}

/// This machine's name, as the kernel has it; for the segments' headers.
pub(crate) fn node_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |name| name.trim().to_owned())
}
