//! Reading a store back: counts, loss, round trips and jitter per destination.
//!
//! A store can be read while another process writes it; a report holds every row that was durable when it
//! was opened, once. It takes eight bytes of memory a row, and about 200 a destination.

mod filter;
mod fold;
mod parquet;
mod source;

use std::path::Path;

use arrow::array::RecordBatch;
use megaping_wire::Addr;

pub use filter::{Filter, NotAPrefix, Prefix};
pub(crate) use parquet::{read as read_file, read_batch};
pub use source::Seen;

use crate::place::{Place, PlaceUrl};
use crate::{StoreError, files};
use source::Files;

/// Whether a directory is what `--store` names, and not an archive itself.
fn is_store(dir: &Path) -> bool {
    [files::SPOOL, files::PARQUET].iter().any(|part| dir.join(part).is_dir())
}

/// Stores and archives that are open for reading.
#[derive(Debug, Default)]
pub struct Reader {
    files: Files,
}

impl Reader {
    /// Finds the files of the store at `dir`.
    ///
    /// # Errors
    /// [`StoreError::Nothing`] when there is no store, [`StoreError::Io`] when it cannot be read.
    pub fn open(dir: &Path) -> Result<Reader, StoreError> {
        let mut reader = Reader::default();
        reader.files.add_store(dir)?;
        Ok(reader)
    }

    /// Finds the files of archives and stores; a directory without a spool is an archive.
    ///
    /// # Errors
    /// [`StoreError::Nothing`] for a directory that is neither, [`StoreError`] of what cannot be read.
    pub fn open_all(places: &[PlaceUrl]) -> Result<Reader, StoreError> {
        let mut reader = Reader::default();
        for url in places {
            match url.dir() {
                Some(dir) if is_store(&dir) => reader.files.add_store(&dir)?,
                Some(dir) if !dir.is_dir() => return Err(StoreError::Nothing { dir }),
                _ => reader.files.add_place(&Place::open(url)?)?,
            }
        }
        Ok(reader)
    }

    /// Calls `each` with every stored row, in no order that means anything. Returns the bytes of damaged
    /// records that hold rows nobody can read.
    ///
    /// # Errors
    /// [`StoreError`] naming the file that cannot be read.
    pub fn rows(&self, mut each: impl FnMut(Seen)) -> Result<u64, StoreError> {
        self.files.rows(&Filter::default(), |_, row| each(row))
    }

    /// Calls `each` with every row that `filter` takes and whose it is; otherwise as [`Reader::rows`].
    ///
    /// # Errors
    /// As there.
    pub fn rows_of(&self, filter: &Filter, each: impl FnMut(&str, Seen)) -> Result<u64, StoreError> {
        self.files.rows(filter, each)
    }

    /// Calls `each` with batches of the rows that `filter` takes, all their columns, and whose they are.
    ///
    /// # Errors
    /// [`StoreError`] naming the file that cannot be read, or what `each` returns.
    pub fn batches(
        &self,
        filter: &Filter,
        each: impl FnMut(&str, &RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.files.batches(filter, each)
    }

    /// The figures of every destination.
    ///
    /// # Errors
    /// [`StoreError`] naming the file that cannot be read.
    pub fn report(&self) -> Result<Report, StoreError> {
        let mut census = fold::Census::default();
        let damaged_bytes = self.rows(|row| census.count(&row))?;
        let span = census.span();
        let mut answers = census.answers();
        self.rows(|row| answers.store(&row))?;
        let (targets, total) = answers.finish();
        Ok(Report { targets, total, span, damaged_bytes })
    }
}

/// What a store holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Every destination, by address.
    pub targets: Vec<TargetReport>,
    /// All of them together; its address means nothing, and its jitter is that of consecutive round trips of
    /// the same destination.
    pub total: TargetReport,
    /// Unix nanoseconds of the earliest and the latest row.
    pub span: Option<(u64, u64)>,
    /// Bytes of damaged records that could not be read.
    pub damaged_bytes: u64,
}

/// The figures of one destination.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TargetReport {
    /// Where the probes went.
    pub destination: Addr,
    /// How they ended.
    pub counts: Counts,
    /// Round trips of the answered ones.
    pub rtt: Option<Rtt>,
}

/// How probes ended. `scheduled = answered + errors + lost + unsent`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// All of them.
    pub scheduled: u64,
    /// Answered in time.
    pub answered: u64,
    /// Answered by an ICMP error.
    pub errors: u64,
    /// Not answered in time.
    pub lost: u64,
    /// Never sent.
    pub unsent: u64,
}

impl Counts {
    /// Probes that left.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.scheduled - self.unsent
    }

    /// The share of sent probes that no echo reply answered, from 0 to 1; none where none was sent.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.sent() > 0).then(|| 1.0 - self.answered as f64 / self.sent() as f64)
    }

    fn add(&mut self, other: &Counts) {
        self.scheduled += other.scheduled;
        self.answered += other.answered;
        self.errors += other.errors;
        self.lost += other.lost;
        self.unsent += other.unsent;
    }
}

/// Round trips in nanoseconds: exact, quantiles by nearest rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rtt {
    /// The shortest.
    pub min_ns: u64,
    /// The smallest that at least half of them do not exceed.
    pub median_ns: u64,
    /// The smallest that at least 99 % of them do not exceed.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Their mean, rounded down.
    pub mean_ns: u64,
    /// The mean absolute difference between round trips that follow each other in time, lost ones left out;
    /// none for fewer than two. (Not the smoothed estimate of RFC 3550, which depends on where it starts.)
    pub jitter_ns: Option<u64>,
}
