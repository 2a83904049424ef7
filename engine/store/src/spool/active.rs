//! The segment that is being written.
//!
//! System calls: `open(O_EXCL)`, `pwrite`, `fdatasync`, `ftruncate`, `link`, `rename`, `unlink`, and `fsync` of the directory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::segment::{FileHeader, Kind};
use crate::{StoreError, files};

/// An open segment file and what is known to be good in it.
pub struct Active {
    file: File,
    path: PathBuf,
    /// Bytes that are durable; everything behind them is nothing.
    good_len: u64,
    /// A failed write may have left bytes behind `good_len`: they go before anything else is written.
    suspect: bool,
    /// Blocks written so far: the next block's number.
    pub blocks: u64,
    /// Rows in them.
    pub rows: u64,
    /// When the spool first looked at it.
    pub seen: Option<Instant>,
}

impl Active {
    /// Makes a new file with its header, durably.
    pub fn create(dir: &Path, node: &str, kind: Kind) -> Result<Active, StoreError> {
        let created_unix_ns = files::unix_now_ns();
        let id = files::new_id(created_unix_ns).map_err(StoreError::io("read", Path::new("/dev/urandom")))?;
        let path = dir.join(format!("{id}.{}", files::OPEN));
        let header = FileHeader { node: node.to_owned(), created_unix_ns, id, kind }.to_record();
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(StoreError::io("create", &path))?;
        let written = file.write_all_at(&header, 0).map_err(StoreError::io("write", &path));
        let synced = written.and_then(|()| file.sync_all().map_err(StoreError::io("sync", &path)));
        synced.and_then(|()| files::sync_dir(dir)).inspect_err(|_| {
            // It holds no row; recovery removes it should this fail too.
            let _ = files::remove(&path);
        })?;
        Ok(Active {
            file,
            path,
            good_len: header.len() as u64,
            suspect: false,
            blocks: 0,
            rows: 0,
            seen: None,
        })
    }

    /// Writes one record of `rows` rows behind the others; it is durable when this returns.
    ///
    /// After an error nothing of it counts: what may have been written is cut off, now or before the next
    /// write. Cutting also answers a failed `fdatasync`, after which the kernel may have forgotten which
    /// pages are not on the disk: the record is written again as a whole.
    pub fn append(&mut self, record: &[u8], rows: u64) -> Result<(), StoreError> {
        self.cut_back()?;
        self.suspect = true;
        let written =
            self.file.write_all_at(record, self.good_len).map_err(StoreError::io("write", &self.path));
        let synced = written.and_then(|()| self.file.sync_data().map_err(StoreError::io("sync", &self.path)));
        if let Err(error) = synced {
            // Should this fail as well, the next write or seal tries again.
            let _ = self.cut_back();
            return Err(error);
        }
        self.suspect = false;
        self.good_len += record.len() as u64;
        self.blocks += 1;
        self.rows += rows;
        Ok(())
    }

    fn cut_back(&mut self) -> Result<(), StoreError> {
        if self.suspect {
            self.file.set_len(self.good_len).map_err(StoreError::io("truncate", &self.path))?;
            self.file.sync_data().map_err(StoreError::io("sync", &self.path))?;
            self.suspect = false;
        }
        Ok(())
    }

    /// Bytes of whole records and the header.
    pub fn len(&self) -> u64 {
        self.good_len
    }

    /// Hands the complete segment out to `shelves` ([`files::hand_out`]); returns its names. May be called again
    /// after an error.
    pub fn seal(&mut self, shelves: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
        self.cut_back()?;
        files::hand_out(&self.path, shelves)
    }
}
