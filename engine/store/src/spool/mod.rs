//! The spool: rows on disk before they count.
//!
//! ```text
//!   push ──> buffer ──── full or old ────> encode, write, fdatasync ──> counted as spooled
//!            (memory)                      DIR/spool/ID.open
//!                                               │ big or old: a hard link for each who is to take it
//!                                               ├─> DIR/archive/ID.seg ──> Parquet
//!                                               └─> DIR/upload/ID.seg ──> ClickHouse
//! ```
//!
//! Each consumer removes its own link, so none has to know of the other. Where nobody is to take it, a segment
//! stays in `DIR/spool`, until a later process has somebody who does.
//!
//! `accepted = buffered + spooled + rejected`, always. After a failed write the rows stay in the buffer, the
//! file is cut back to its last whole record, and the next push, tick or close tries again.

mod active;
mod recover;
mod shelf;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use megaping_probe::{Nanos, Outcome};

pub use recover::Recovery;
pub(crate) use recover::keep_aside;
pub use shelf::{Dropped, Shelf, Waiting};

use crate::path::{PathEncoder, StoredPath};
use crate::segment::{BlockEncoder, Kind, MAX_BLOCK_ROWS};
use crate::{StoreError, files};
use active::Active;

/// How the spool cuts rows into blocks and files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpoolOptions {
    /// What is kept: outcomes, or paths.
    pub kind: Kind,
    /// The node's name, written into every segment.
    pub node: String,
    /// Rows of a full block, at most [`MAX_BLOCK_ROWS`].
    pub block_rows: usize,
    /// A row waits no longer than this for its block to be written.
    pub block_age: Duration,
    /// A segment of this many bytes is sealed.
    pub segment_bytes: u64,
    /// A segment that was begun this long ago is sealed.
    pub segment_age: Duration,
    /// Whether segments go to the archive.
    pub archive: bool,
    /// Whether segments go to `ClickHouse`.
    pub upload: bool,
}

impl Default for SpoolOptions {
    fn default() -> SpoolOptions {
        SpoolOptions {
            kind: Kind::Outcomes,
            node: String::new(),
            block_rows: MAX_BLOCK_ROWS,
            block_age: Duration::from_secs(1),
            segment_bytes: 16 << 20,
            segment_age: Duration::from_secs(5),
            archive: false,
            upload: false,
        }
    }
}

/// Where the rows of this process are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Rows that [`Spool::push`] took.
    pub accepted: u64,
    /// Rows in memory.
    pub buffered: u64,
    /// Rows that are durable in a segment.
    pub spooled: u64,
    /// Rows that reached a Parquet file, those recovered from earlier processes included.
    pub archived: u64,
    /// Rows given up by [`Spool::reject`].
    pub rejected: u64,
}

/// Writes rows into segments, durably. One process at a time has a directory's spool.
pub struct Spool {
    dir: PathBuf,
    segments: PathBuf,
    options: SpoolOptions,
    _lock: File,
    encoder: BlockEncoder,
    /// Rows with Unix times, in the order they came.
    buffer: Vec<Outcome>,
    /// Paths in the order they came; a spool holds either.
    paths: PathEncoder,
    /// When a tick first saw the oldest row in the buffer.
    seen: Option<Instant>,
    active: Option<Active>,
    /// Directories of those who take segments.
    shelves: Vec<PathBuf>,
    shelf: Arc<Shelf>,
    /// Names of sealed segments that nobody was told of yet.
    sealed: Vec<PathBuf>,
    accepted: u64,
    spooled: u64,
    rejected: u64,
    archived: Arc<AtomicU64>,
}

impl Spool {
    /// Opens the store at `dir`, making it if need be, and recovers what earlier processes left.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Io`] when it cannot be written.
    pub fn open(dir: &Path, options: SpoolOptions) -> Result<(Spool, Recovery), StoreError> {
        let segments = dir.join(files::SPOOL);
        files::create_dirs(&segments)?;
        let lock = files::lock(dir)?;
        let wanted = [(options.archive, files::ARCHIVE), (options.upload, files::UPLOAD)];
        let shelves: Vec<_> = wanted.iter().filter(|(is, _)| *is).map(|(_, name)| dir.join(name)).collect();
        shelves.iter().try_for_each(|shelf| files::create_dirs(shelf))?;
        let shelf = Arc::default();
        let (sealed, recovery) = recover::recover(dir, &shelves, &shelf)?;
        let options = SpoolOptions { block_rows: options.block_rows.clamp(1, MAX_BLOCK_ROWS), ..options };
        let spool = Spool {
            dir: dir.to_owned(),
            segments,
            _lock: lock,
            encoder: BlockEncoder::new().map_err(StoreError::io("prepare zstd for", dir))?,
            buffer: Vec::with_capacity(if options.kind == Kind::Paths { 0 } else { options.block_rows }),
            paths: PathEncoder::default(),
            options,
            seen: None,
            active: None,
            shelves,
            shelf,
            sealed,
            accepted: 0,
            spooled: 0,
            rejected: 0,
            archived: Arc::default(),
        };
        Ok((spool, recovery))
    }

    /// Takes rows whose times are `unix_offset_ns` before Unix time. A block that is full by now is written
    /// first, so the buffer never holds more than one block, or one push where that is longer.
    ///
    /// # Errors
    /// [`StoreError::Io`] when that block cannot be written. None of `rows` was taken then: push them again.
    pub fn push(&mut self, rows: &[Outcome], unix_offset_ns: u64) -> Result<(), StoreError> {
        if self.buffer.len() + rows.len() > self.options.block_rows {
            self.write_buffer()?;
        }
        self.buffer.extend(
            rows.iter().map(|row| Outcome { at: Nanos(row.at.0.wrapping_add(unix_offset_ns)), ..*row }),
        );
        self.accepted += rows.len() as u64;
        Ok(())
    }

    /// Takes a path. A block that is full by now is written first.
    ///
    /// # Errors
    /// [`StoreError::Io`] when that block cannot be written. The path was not taken then: push it again.
    pub fn push_path(&mut self, path: &StoredPath) -> Result<(), StoreError> {
        if self.paths.is_full() {
            self.write_buffer()?;
        }
        self.paths.push(path);
        self.accepted += 1;
        Ok(())
    }

    fn buffered(&self) -> usize {
        self.buffer.len() + self.paths.len()
    }

    /// Writes a block that is full or old, and seals a segment that is big or old. Ages count from the first
    /// tick that sees them: call it a few times per [`SpoolOptions::block_age`].
    ///
    /// # Errors
    /// [`StoreError::Io`]; no row is lost, and the next call tries again.
    pub fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        if self.buffered() > 0 {
            let seen = *self.seen.get_or_insert(now);
            let full = self.buffer.len() >= self.options.block_rows || self.paths.is_full();
            if full || now.saturating_duration_since(seen) >= self.options.block_age {
                self.write_buffer()?;
            }
        }
        if let Some(active) = &mut self.active {
            let seen = *active.seen.get_or_insert(now);
            if now.saturating_duration_since(seen) >= self.options.segment_age {
                self.seal()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and seals it. May be called again after an error.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the rows that could not be written are still buffered.
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.write_buffer()?;
        self.seal()
    }

    /// Gives up the rows in the buffer, which [`Spool::close`] could not write; returns how many.
    pub fn reject(&mut self) -> u64 {
        let rows = self.buffered() as u64;
        self.rejected += rows;
        self.buffer.clear();
        self.paths.clear();
        self.seen = None;
        rows
    }

    /// Segments that were sealed or recovered since the last call, for [`crate::archive::Archiver`]; where there is
    /// neither archive nor upload, those that stay in the spool.
    pub fn take_sealed(&mut self) -> Vec<PathBuf> {
        self.take(|path| !shelf::is_upload(path))
    }

    /// Segments that were sealed or recovered since the last call, for [`crate::upload::Uploader`].
    pub fn take_for_upload(&mut self) -> Vec<PathBuf> {
        self.take(shelf::is_upload)
    }

    fn take(&mut self, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let (taken, rest) = std::mem::take(&mut self.sealed).into_iter().partition(|path| is_wanted(path));
        self.sealed = rest;
        taken
    }

    /// Takes over what waits to be uploaded in another store on the same file system, which no process has; returns how
    /// many rows.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a process has it; [`StoreError::Io`], and what was not taken over stays there.
    pub fn adopt(&mut self, dir: &Path) -> Result<u64, StoreError> {
        let options = SpoolOptions { upload: true, ..SpoolOptions::default() };
        let (mut other, recovery) = Spool::open(dir, options)?;
        let ours = self.dir.join(files::UPLOAD);
        files::create_dirs(&ours)?;
        for path in other.take_for_upload() {
            let to = ours.join(path.file_name().unwrap_or_default());
            std::fs::rename(&path, &to).map_err(StoreError::io("rename", &path))?;
            recover::put(&to, &self.shelf)?;
            self.sealed.push(to);
        }
        files::sync_dir(&ours)?;
        Ok(recovery.upload_rows)
    }

    /// The sealed segments, to be shared with those who take them.
    #[must_use]
    pub fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// Rows in the segment that is being written.
    #[must_use]
    pub fn unsealed_rows(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.rows)
    }

    /// Bytes on the disk that wait for somebody.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shelf.bytes() + self.active.as_ref().map_or(0, Active::len)
    }

    /// Where the rows are.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.accepted,
            buffered: self.buffered() as u64,
            spooled: self.spooled,
            archived: self.archived.load(Ordering::Relaxed),
            rejected: self.rejected,
        }
    }

    /// The store's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn archived(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.archived)
    }

    fn write_buffer(&mut self) -> Result<(), StoreError> {
        while self.buffered() > 0 {
            let active = match &mut self.active {
                Some(active) => active,
                none => none.insert(Active::create(&self.segments, &self.options.node, self.options.kind)?),
            };
            let (rows, record) = match self.options.kind {
                Kind::Outcomes => {
                    let rows = self.buffer.len().min(self.options.block_rows);
                    (rows, self.encoder.encode(&self.buffer[..rows], active.blocks))
                }
                Kind::Paths => (self.paths.len(), self.paths.encode(active.blocks)),
            };
            let record = record.map_err(StoreError::io("compress a block for", &self.segments))?;
            active.append(record, rows as u64)?;
            self.spooled += rows as u64;
            match self.options.kind {
                Kind::Outcomes => drop(self.buffer.drain(..rows)),
                Kind::Paths => self.paths.clear(),
            }
            self.seen = None;
            if active.len() >= self.options.segment_bytes {
                self.seal()?;
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        if let Some(active) = &mut self.active {
            let paths = active.seal(&self.shelves)?;
            for path in paths {
                self.shelf.put(path.clone(), active.len(), active.rows, true);
                self.sealed.push(path);
            }
            self.active = None;
        }
        Ok(())
    }
}
