//! What lies sealed in the spool: who still has to take it, and how much of the disk it holds.
//!
//! A segment that several consumers take lies in a directory of each, as hard links of one file. Each removes its
//! own; the last one frees the disk. The shelf knows them all, so that bytes count once, and so that the oldest
//! segment can be given up without anybody working on it at that moment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{StoreError, files};

/// The sealed segments of one spool; shared with those who take them.
#[derive(Debug, Default)]
pub struct Shelf {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By name, so the oldest comes first.
    segments: BTreeMap<OsString, Held>,
    bytes: u64,
    dropped: Dropped,
}

/// One file on the disk.
#[derive(Debug)]
struct Held {
    bytes: u64,
    rows: u64,
    /// Whether this process wrote it.
    is_own: bool,
    /// Whether its rows are in a Parquet file.
    is_archived: bool,
    places: Vec<Place>,
}

/// One of its names.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Somebody is working on it.
    is_busy: bool,
}

/// Rows that were given up for want of room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dropped {
    /// Rows that this process wrote, which nobody had archived.
    pub own: u64,
    /// Rows that were never sent to `ClickHouse`.
    pub upload: u64,
}

/// Segments that wait to be sent, or were refused for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Segments.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down one name of a segment; `bytes` and `rows` count once, however many names it has.
    pub(super) fn put(&self, path: PathBuf, bytes: u64, rows: u64, is_own: bool) {
        let mut state = self.lock();
        let id = stem(&path).to_owned();
        let place = Place { path, is_busy: false };
        if let Some(held) = state.segments.get_mut(&id) {
            held.places.push(place);
            return;
        }
        state.segments.insert(id, Held { bytes, rows, is_own, is_archived: false, places: vec![place] });
        state.bytes += bytes;
    }

    /// Begins to work on a segment: it is not given up meanwhile. False where it was given up already.
    pub(crate) fn claim(&self, path: &Path) -> bool {
        self.with(path, |place| place.is_busy = true).is_some()
    }

    /// Leaves a claimed segment where it is.
    pub(crate) fn release(&self, path: &Path) {
        self.with(path, |place| place.is_busy = false);
    }

    /// A claimed segment was set aside under another name.
    pub(crate) fn renamed(&self, path: &Path, to: &Path) {
        self.with(path, |place| *place = Place { path: to.to_owned(), is_busy: false });
    }

    /// A claimed segment was taken, and its name is gone.
    pub(crate) fn taken(&self, path: &Path) {
        let mut state = self.lock();
        let Some(held) = state.segments.get_mut(stem(path)) else { return };
        held.is_archived |= !is_upload(path);
        held.places.retain(|place| place.path != path);
        if held.places.is_empty() {
            state.remove(stem(path));
        }
    }

    fn with<T>(&self, path: &Path, change: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let mut state = self.lock();
        let held = state.segments.get_mut(stem(path))?;
        held.places.iter_mut().find(|place| place.path == path).map(change)
    }

    /// Bytes that sealed segments hold on the disk, whatever they wait for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What was given up so far.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.lock().dropped
    }

    /// What waits to be sent to `ClickHouse`.
    #[must_use]
    pub fn waiting_for_upload(&self) -> Waiting {
        let state = self.lock();
        let is_waiting = |place: &Place| is_upload(&place.path) && is_sealed(&place.path);
        let waiting = state.segments.values().filter(|held| held.places.iter().any(is_waiting));
        waiting.fold(Waiting::default(), |sum, held| Waiting {
            segments: sum.segments + 1,
            rows: sum.rows + held.rows,
        })
    }

    /// Gives up the oldest segment that nobody works on; false where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file cannot be removed; what was removed of it counts as given up.
    pub fn drop_oldest(&self) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let is_free = |held: &Held| held.places.iter().all(|place| !place.is_busy);
        let Some(id) = state.segments.iter().find(|(_, held)| is_free(held)).map(|(id, _)| id.clone()) else {
            return Ok(false);
        };
        let Some(held) = state.remove(&id) else { return Ok(false) };
        if held.is_own && !held.is_archived {
            state.dropped.own += held.rows;
        }
        // What was refused for good is accounted for as that.
        if held.places.iter().any(|place| is_upload(&place.path) && is_sealed(&place.path)) {
            state.dropped.upload += held.rows;
        }
        held.places.iter().try_for_each(|place| files::remove(&place.path))?;
        Ok(true)
    }
}

impl State {
    fn remove(&mut self, id: &OsStr) -> Option<Held> {
        let held = self.segments.remove(id)?;
        self.bytes -= held.bytes;
        Some(held)
    }
}

fn stem(path: &Path) -> &OsStr {
    path.file_stem().unwrap_or_default()
}

pub(super) fn is_upload(path: &Path) -> bool {
    path.parent().and_then(Path::file_name) == Some(files::UPLOAD.as_ref())
}

fn is_sealed(path: &Path) -> bool {
    path.extension() == Some(files::SEALED.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shelf with segments of 10 bytes and 3 rows, and the names in which they lie.
    fn shelf(dir: &Path, names: &[&str]) -> (Shelf, Vec<PathBuf>) {
        let shelf = Shelf::default();
        let paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        for path in &paths {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
            shelf.put(path.clone(), 10, 3, true);
        }
        (shelf, paths)
    }

    #[test]
    fn bytes_count_once_and_go_with_the_last_who_takes_them() {
        let dir = tempfile::tempdir().unwrap();
        let (shelf, paths) = shelf(dir.path(), &["archive/a.seg", "upload/a.seg", "upload/b.seg"]);
        assert_eq!((shelf.bytes(), shelf.waiting_for_upload()), (20, Waiting { segments: 2, rows: 6 }));
        shelf.taken(&paths[1]);
        assert_eq!((shelf.bytes(), shelf.waiting_for_upload()), (20, Waiting { segments: 1, rows: 3 }));
        shelf.taken(&paths[0]);
        assert_eq!(shelf.bytes(), 10);
        shelf.renamed(&paths[2], &paths[2].with_extension(files::REFUSED));
        assert_eq!((shelf.bytes(), shelf.waiting_for_upload()), (10, Waiting::default()));
    }

    #[test]
    fn the_oldest_that_nobody_works_on_is_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["archive/a.seg", "upload/a.seg", "upload/b.seg", "archive/c.seg", "upload/c.seg"];
        let (shelf, paths) = shelf(dir.path(), &names);
        assert!(shelf.claim(&paths[1]));
        assert!(shelf.drop_oldest().unwrap());
        assert!(paths[0].exists() && !paths[2].exists() && !shelf.claim(&paths[2]));
        assert_eq!(shelf.dropped(), Dropped { own: 3, upload: 3 });
        shelf.release(&paths[1]);
        shelf.taken(&paths[0]);
        assert!(shelf.drop_oldest().unwrap());
        assert_eq!(shelf.dropped(), Dropped { own: 3, upload: 6 }, "a is in the archive");
        assert!(shelf.drop_oldest().unwrap() && !shelf.drop_oldest().unwrap());
        assert_eq!((shelf.dropped(), shelf.bytes()), (Dropped { own: 6, upload: 9 }, 0));
    }
}
