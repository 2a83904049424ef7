//! What a process that ended without closing its spool left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Shelf;
use crate::segment::Segment;
use crate::{StoreError, files};

/// What [`super::Spool::open`] found of earlier processes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Segments that wait to be archived, or for anybody.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows that wait to be sent to `ClickHouse`.
    pub upload_rows: u64,
    /// Files whose tail was torn off in the middle of a record, and the bytes that were cut.
    pub torn: Vec<(PathBuf, u64)>,
}

/// Cuts torn tails, seals what is open, hands out to `shelves` what nobody was to take so far, and puts everything
/// on the `shelf`. Returns the segments for this process, oldest first.
pub fn recover(
    dir: &Path,
    shelves: &[PathBuf],
    shelf: &Shelf,
) -> Result<(Vec<PathBuf>, Recovery), StoreError> {
    let mut recovery = Recovery::default();
    let spool = dir.join(files::SPOOL);
    for path in files::list(&spool, files::OPEN)? {
        if let Some(bytes) = close_open_segment(&path)? {
            recovery.torn.push((path, bytes));
        }
    }
    for path in files::list(&spool, files::SEALED)? {
        files::hand_out(&path, shelves)?;
    }
    let mut sealed = Vec::new();
    for name in [files::SPOOL, files::ARCHIVE, files::UPLOAD] {
        let place = dir.join(name);
        // What stays in the spool is for those who ask for it, as long as there is no shelf for it.
        let is_ours = shelves.contains(&place) || name == files::SPOOL;
        for path in files::list(&place, files::SEALED)? {
            let Some(rows) = put(&path, shelf)? else { continue };
            if name == files::UPLOAD {
                recovery.upload_rows += rows;
            } else {
                recovery.segments += 1;
                recovery.rows += rows;
            }
            if is_ours {
                sealed.push(path);
            }
        }
        for path in [files::REFUSED, files::DAMAGED].map(|e| files::list(&place, e)) {
            for path in path? {
                let bytes = fs::metadata(&path).map_err(StoreError::io("look at", &path))?.len();
                shelf.put(path, bytes, 0, false);
            }
        }
    }
    sealed.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok((sealed, recovery))
}

/// Puts a segment of an earlier process on the shelf; returns its rows. None of one that is unreadable, which is kept
/// aside.
pub fn put(path: &Path, shelf: &Shelf) -> Result<Option<u64>, StoreError> {
    match Segment::open(path) {
        Ok(segment) => {
            let rows = segment.rows();
            shelf.put(path.to_owned(), segment.len() as u64, rows, false);
            Ok(Some(rows))
        }
        Err(StoreError::NotASegment { .. }) => keep_aside(path).map(|()| None),
        Err(error) => Err(error),
    }
}

/// Cuts and seals one file; returns the bytes cut, if any.
fn close_open_segment(path: &Path) -> Result<Option<u64>, StoreError> {
    let segment = match Segment::open(path) {
        Ok(segment) => segment,
        Err(StoreError::NotASegment { .. }) => return no_header(path),
        Err(error) => return Err(error),
    };
    let sound = segment.sound_len();
    let torn = (segment.len() - sound) as u64;
    if segment.rows() == 0 {
        files::remove(path)?;
    } else {
        if torn > 0 {
            let file = File::options().write(true).open(path).map_err(StoreError::io("open", path))?;
            file.set_len(sound as u64).map_err(StoreError::io("truncate", path))?;
            file.sync_all().map_err(StoreError::io("sync", path))?;
        }
        files::rename(path, &path.with_extension(files::SEALED))?;
    }
    Ok((torn > 0).then_some(torn))
}

/// A file without a header was torn while it was made, and holds nothing; unless its header was damaged
/// later, in which case somebody may want to look at it.
fn no_header(path: &Path) -> Result<Option<u64>, StoreError> {
    let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
    if Segment::has_block(&bytes) {
        keep_aside(path)?;
    } else {
        files::remove(path)?;
    }
    Ok(Some(bytes.len() as u64))
}

/// Renames a file that cannot be read whole: it is never deleted.
pub fn keep_aside(path: &Path) -> Result<(), StoreError> {
    files::rename(path, &path.with_extension(files::DAMAGED))
}
