//! Keeps outcomes on disk: the spool, and behind it the archiver and the uploader.

mod limit;
pub mod state;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use megaping_probe::{Outcome, Unsent, Verdict};
use megaping_store::archive::{ArchiveOptions, Archiver};
use megaping_store::clickhouse::SetupError;
use megaping_store::{Recovery, Spool, SpoolOptions, StoreError};

use crate::cli::{ArchiveFormat, PingOptions};
use crate::say::say;
use crate::summary::{StoreSummary, UploadSummary};
use crate::upload::Delivery;
use limit::Limiter;

/// Reports read the archive's segments as well, so one may stay there for long: few large ones are read faster.
const SEGMENT_AGE: Duration = Duration::from_mins(1);

/// With an upload a segment is sealed when it is this old. A result is then on its way at most 2.4 s after its verdict:
/// it waits 0.05 s in its batch, up to 1 s for its block, up to 1 s for its segment, and for three looks.
pub(crate) const UPLOAD_AGE: Duration = Duration::from_secs(1);

/// At its end a run archives and uploads for this long at most; it is not held up for minutes by what came in faster
/// than it can be taken.
pub(crate) const LAST_WORK: Duration = Duration::from_secs(10);

/// Why outcomes cannot be kept.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(
        "there is no home directory for results that wait for ClickHouse: name a directory with --store DIR"
    )]
    NoHome,
}

/// With many stores on one disk a block of each waits so much longer for each of them, up to a bound: every block is
/// made durable by itself, and a disk does that some hundred times a second.
const BLOCK_AGE_PER_STORE: Duration = Duration::from_millis(50);
const LONGEST_BLOCK_AGE: Duration = Duration::from_secs(10);

/// What keeps the outcomes of a run.
pub trait Keep: Send {
    /// Takes rows, as far as there is room for them.
    ///
    /// # Errors
    /// [`StoreError`] when a block cannot be written: the rows are counted as rejected.
    fn push(&mut self, rows: &[Outcome], unix_offset_ns: u64) -> Result<(), StoreError>;

    /// Counts rows that nobody tries to write, after a failure.
    fn refuse(&mut self, rows: &[Outcome]);

    /// Lets time pass: writes what is old, passes on what is sealed.
    ///
    /// # Errors
    /// [`StoreError`] of the spool; the failures of those who take segments are told, and theirs stay in the spool.
    fn tick(&mut self, now: Instant) -> Result<(), StoreError>;

    /// Whether there is room for what is under way, and no more.
    fn is_shedding(&self) -> bool;

    /// Writes all that is left, archives and sends what there is time for, and says where every row is.
    fn close(self: Box<Self>) -> (Kept, Result<(), StoreError>);
}

/// A store that is open for writing.
pub struct Keeper {
    dir: PathBuf,
    spool: Spool,
    archiver: Option<Archiver>,
    delivery: Option<Delivery>,
    limiter: Option<Limiter>,
    is_shedding: bool,
    // Rows that there was no room for, or that came after the store had failed: accounted for, and gone.
    refused: u64,
    // What earlier runs left: it is archived before ours.
    recovery: Recovery,
}

/// Where the outcomes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Those of this run.
    pub store: StoreSummary,
    /// Those that were to be sent, where any were.
    pub upload: Option<UploadSummary>,
}

impl Kept {
    /// Adds what another store kept.
    pub fn add(&mut self, other: &Kept) {
        let (mine, theirs) = (&mut self.store, &other.store);
        mine.spooled += theirs.spooled;
        mine.archived += theirs.archived;
        mine.dropped += theirs.dropped;
        mine.rejected += theirs.rejected;
        if let Some(theirs) = &other.upload {
            let mine = self.upload.get_or_insert_default();
            mine.rows += theirs.rows;
            mine.uploaded += theirs.uploaded;
            mine.refused += theirs.refused;
            mine.dropped += theirs.dropped;
            mine.waiting += theirs.waiting;
            mine.segments += theirs.segments;
            mine.bytes += theirs.bytes;
            mine.failures += theirs.failures;
        }
    }
}

/// The directory that outcomes are kept below; none where nothing is kept, or where there is no home for them.
#[must_use]
pub fn place(options: &PingOptions) -> Option<PathBuf> {
    match &options.store {
        Some(dir) => Some(dir.clone()),
        None => options.upload.as_ref().and_then(|_| state::base()),
    }
}

impl Keeper {
    /// Opens the store that `options` ask for, if they do, and tells on standard error what an earlier run left torn.
    ///
    /// # Errors
    /// [`KeepError`] when the directory cannot be written or is in use, or nothing can be sent.
    pub fn open(options: &PingOptions) -> Result<Option<Keeper>, KeepError> {
        Keeper::open_among(options, 1)
    }

    /// The same for one of `stores` stores that this process writes.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open_among(options: &PingOptions, stores: usize) -> Result<Option<Keeper>, KeepError> {
        let has_archive = options.store.is_some() && options.archive != ArchiveFormat::None;
        let usual = SpoolOptions::default();
        let spool_options = SpoolOptions {
            node: node_name(),
            block_age: usual.block_age.max(BLOCK_AGE_PER_STORE * stores as u32).min(LONGEST_BLOCK_AGE),
            segment_age: if options.upload.is_some() { UPLOAD_AGE } else { SEGMENT_AGE },
            segment_bytes: Limiter::segment_bytes(options.spool_limit, usual.segment_bytes),
            archive: has_archive,
            upload: options.upload.is_some(),
            ..usual
        };
        let (dir, spool, recovery) = match (&options.store, &options.upload) {
            (Some(dir), _) => {
                let (spool, recovery) = Spool::open(dir, spool_options)?;
                (dir.clone(), spool, recovery)
            }
            (None, Some(upload)) => {
                let base = state::base().ok_or(KeepError::NoHome)?;
                state::open(&state::of_service(&base, upload), &spool_options)?
            }
            (None, None) => return Ok(None),
        };
        for (path, bytes) in &recovery.torn {
            say(format_args!(
                "megaping: {}: an earlier run was cut off; the {bytes} bytes that it had begun to write were cut",
                path.display()
            ));
        }
        let archive = has_archive.then(|| {
            let local = ArchiveOptions { tenant: options.tenant.clone(), ..ArchiveOptions::local(&dir) };
            match &options.archive {
                ArchiveFormat::Elsewhere(place) => ArchiveOptions { place: place.clone(), ..local },
                _ => local,
            }
        });
        let archiver = archive.map(|archive| Archiver::start(&spool, archive)).transpose()?;
        let upload = options.upload.clone();
        let delivery = upload.map(|upload| Delivery::start(upload, spool.shelf())).transpose()?;
        let limiter = options.spool_limit.map(Limiter::new);
        let (is_shedding, refused) = (false, 0);
        Ok(Some(Keeper { dir, spool, archiver, delivery, limiter, is_shedding, refused, recovery }))
    }

    fn pass_on(&mut self) {
        let sealed = self.spool.take_sealed();
        if let Some(archiver) = &self.archiver {
            for segment in sealed {
                archiver.submit(segment);
            }
        }
        let sealed = self.spool.take_for_upload();
        if let Some(delivery) = &mut self.delivery {
            delivery.submit(sealed);
        }
    }
}

impl Keep for Keeper {
    fn push(&mut self, rows: &[Outcome], unix_offset_ns: u64) -> Result<(), StoreError> {
        let has_room = self.limiter.as_mut().map_or(Ok(true), |limiter| limiter.make_room(&self.spool));
        let pushed = match has_room {
            Ok(true) => self.spool.push(rows, unix_offset_ns),
            Ok(false) => {
                let is_shed = |row: &&Outcome| row.verdict == Verdict::Unsent(Unsent::Shed);
                let kept: Vec<Outcome> = rows.iter().filter(|row| !is_shed(row)).copied().collect();
                self.refused += (rows.len() - kept.len()) as u64;
                return self.spool.push(&kept, unix_offset_ns).inspect_err(|_| self.refuse(&kept));
            }
            Err(error) => Err(error),
        };
        pushed.inspect_err(|_| self.refuse(rows))
    }

    fn refuse(&mut self, rows: &[Outcome]) {
        self.refused += rows.len() as u64;
    }

    fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        self.spool.tick(now)?;
        self.pass_on();
        if let Some(error) = self.archiver.as_ref().and_then(Archiver::take_error) {
            say(format_args!("megaping: {error} (the results are safe in the spool)"));
        }
        if let Some(delivery) = &mut self.delivery {
            delivery.look();
        }
        if let Some(limiter) = &mut self.limiter {
            self.is_shedding = limiter.look(&self.spool, now);
        }
        Ok(())
    }

    fn is_shedding(&self) -> bool {
        self.is_shedding
    }

    fn close(mut self: Box<Self>) -> (Kept, Result<(), StoreError>) {
        let spooled = self.spool.close();
        if spooled.is_err() {
            self.spool.reject();
        }
        self.pass_on();
        // Both work at the same time.
        let begun = Instant::now();
        let archived = self.archiver.take().map_or(Ok(()), |archiver| archiver.close(LAST_WORK));
        let tally =
            self.delivery.take().map(|delivery| delivery.close(LAST_WORK.saturating_sub(begun.elapsed())));
        let (counters, dropped) = (self.spool.counters(), self.spool.shelf().dropped());
        let archived_rows = counters.archived.saturating_sub(self.recovery.rows).min(counters.spooled);
        let store = StoreSummary {
            produced: 0,
            queued: 0,
            spooled: counters.spooled.saturating_sub(archived_rows + dropped.own),
            archived: archived_rows,
            dropped: dropped.own,
            rejected: counters.rejected + self.refused,
        };
        let waiting = self.spool.shelf().waiting_for_upload();
        let upload = tally.map(|tally| UploadSummary {
            rows: self.recovery.upload_rows + counters.spooled,
            uploaded: tally.rows_uploaded,
            refused: tally.rows_refused,
            dropped: dropped.upload,
            waiting: waiting.rows + self.spool.unsealed_rows(),
            segments: tally.segments_uploaded,
            bytes: tally.bytes,
            failures: tally.failures,
        });
        if let Some(upload) = upload.filter(|upload| upload.waiting > 0) {
            say(format_args!(
                "megaping: {} outcomes wait for ClickHouse in {}: the next run sends them, or 'megaping upload'",
                upload.waiting,
                self.dir.display()
            ));
        }
        (Kept { store, upload }, spooled.and(archived))
    }
}

/// This machine's name, as the kernel has it; for the segments' headers.
pub(crate) fn node_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |name| name.trim().to_owned())
}
