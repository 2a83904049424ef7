//! Files below a directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Entry, Put};
use crate::{StoreError, files};

/// Ending of a file that is being written.
const TEMPORARY: &str = "tmp";

/// Every file below `dir` whose name begins with `under`, a whole number of path elements.
pub fn list(dir: &Path, under: &str) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    let mut left = vec![dir.join(under)];
    while let Some(from) = left.pop() {
        let found = match fs::read_dir(&from) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StoreError::io("list", &from)(e)),
        };
        for entry in found {
            let path = entry.map_err(StoreError::io("list", &from))?.path();
            let meta = match fs::metadata(&path) {
                Ok(meta) => meta,
                // Renamed or removed since.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("look at", &path)(e)),
            };
            if meta.is_dir() {
                left.push(path);
            } else if let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str) {
                let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
                let modified_s = modified.map_or(0, |age| age.as_secs());
                entries.push(Entry { name: name.to_owned(), bytes: meta.len(), modified_s });
            }
        }
    }
    entries.sort();
    Ok(entries)
}

/// Moves the file at `path` there, durably; it is copied where that is another file system.
pub fn put(dir: &Path, name: &str, path: &Path) -> Result<Put, StoreError> {
    let target = dir.join(name);
    if let Some(parent) = target.parent() {
        files::create_dirs(parent)?;
    }
    match fs::rename(path, &target) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            let temporary = temporary(&target);
            let copied = fs::copy(path, &temporary).map_err(StoreError::io("write", &temporary));
            let synced = copied.and_then(|_| {
                let file = File::open(&temporary).and_then(|file| file.sync_all());
                file.map_err(StoreError::io("sync", &temporary))
            });
            synced.inspect_err(|_| {
                let _ = files::remove(&temporary);
            })?;
            fs::rename(&temporary, &target).map_err(StoreError::io("rename", &temporary))?;
            files::remove(path)?;
        }
        Err(e) => return Err(StoreError::io("rename", path)(e)),
    }
    target.parent().map_or(Ok(()), files::sync_dir)?;
    Ok(Put::Made)
}

fn temporary(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    name.into()
}

/// Removes a file, and the directories that it leaves empty.
pub fn remove(dir: &Path, name: &str) -> Result<(), StoreError> {
    let path = dir.join(name);
    files::remove(&path)?;
    for parent in path.ancestors().skip(1).take_while(|parent| *parent != dir) {
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Makes a small file that only one process can make; false: there is one.
pub fn claim(dir: &Path, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        files::create_dirs(parent)?;
    }
    match File::options().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            io::Write::write_all(&mut file, bytes).map_err(StoreError::io("write", &path))?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(StoreError::io("create", &path)(e)),
    }
}
