//! What a process that ended without closing its spool left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::segment::Segment;
use crate::{StoreError, files};

/// What [`super::Spool::open`] found of earlier processes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Segments that wait to be archived.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Files whose tail was torn off in the middle of a record, and the bytes that were cut.
    pub torn: Vec<(PathBuf, u64)>,
}

/// Cuts torn tails, seals what is open; returns the sealed segments, oldest first.
pub fn recover(dir: &Path) -> Result<(Vec<PathBuf>, Recovery), StoreError> {
    let mut recovery = Recovery::default();
    for path in files::list(dir, files::OPEN)? {
        if let Some(bytes) = close_open_segment(&path)? {
            recovery.torn.push((path, bytes));
        }
    }
    let mut sealed = files::list(dir, files::SEALED)?;
    let mut unreadable = Vec::new();
    for path in &sealed {
        match Segment::open(path) {
            Ok(segment) => {
                recovery.segments += 1;
                recovery.rows += segment.rows();
            }
            Err(StoreError::NotASegment { .. }) => unreadable.push(path.clone()),
            Err(error) => return Err(error),
        }
    }
    for path in unreadable {
        keep_aside(&path)?;
        sealed.retain(|p| *p != path);
    }
    Ok((sealed, recovery))
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
