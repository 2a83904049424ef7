//! Files that survive a crash: directories, names, locks, and the order of writes that makes them durable.
//!
//! A file's content is durable after `fsync` of the file, its name after `fsync` of the directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::StoreError;

/// Where segments are written, below the store's directory, and where those wait that nobody is to take.
pub const SPOOL: &str = "spool";
/// Where sealed segments wait to become Parquet files, and the archiver's plans are.
pub const ARCHIVE: &str = "archive";
/// Where sealed segments wait to be sent to `ClickHouse`.
pub const UPLOAD: &str = "upload";
/// Where Parquet files are, below the store's directory.
pub const PARQUET: &str = "parquet";
/// Ending of a segment that is being written.
pub const OPEN: &str = "open";
/// Ending of a segment that is complete.
pub const SEALED: &str = "seg";
/// Ending of a segment that `ClickHouse` refused for good, kept aside.
pub const REFUSED: &str = "refused";
/// Ending of a segment with damaged records, kept aside.
pub const DAMAGED: &str = "damaged";

/// Makes names in `dir` durable.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io("sync directory", dir))
}

/// Makes `dir` and its parents, durably. Touches nothing when it is there.
pub fn create_dirs(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dirs(parent)?;
    }
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io("create directory", dir)(e)),
        _ => dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_dir),
    }
}

/// Renames a file within its directory, durably.
pub fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("rename", from))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file; one that is gone already is fine.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Gives a segment to everyone who is to take it: a hard link `DIR/ID.seg` in each of `shelves`, then its old name
/// goes. Without shelves it becomes `ID.seg` where it is. Returns its new names. May be called again after an
/// error or a crash: what was linked already is not linked again.
pub fn hand_out(path: &Path, shelves: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
    let sealed = path.with_extension(SEALED);
    if shelves.is_empty() {
        if path != sealed && path.exists() {
            rename(path, &sealed)?;
        }
        return Ok(vec![sealed]);
    }
    let name = sealed.file_name().unwrap_or_default();
    let links: Vec<PathBuf> = shelves.iter().map(|shelf| shelf.join(name)).collect();
    for (link, shelf) in links.iter().zip(shelves) {
        match fs::hard_link(path, link) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && link.exists() => {}
            // A file system without hard links.
            Err(e) if [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported].contains(&e.kind()) => {
                copy(path, link)?;
            }
            other => other.map_err(StoreError::io("link", link))?,
        }
        sync_dir(shelf)?;
    }
    remove(path)?;
    path.parent().map_or(Ok(()), sync_dir)?;
    Ok(links)
}

/// A durable copy that is whole or not there.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let temporary = to.with_extension("tmp");
    fs::copy(from, &temporary).map_err(StoreError::io("copy", from))?;
    File::open(&temporary).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", &temporary))?;
    rename(&temporary, to)
}

/// Takes the store's lock for as long as the returned file lives; the kernel lets go of it with the process.
pub fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path)(e)),
    }
}

/// Files below `dir` with this ending, sorted by name; none where there is no such directory.
pub fn list(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list", dir)(e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        if path.extension().is_some_and(|e| e == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Now, in Unix nanoseconds.
pub fn unix_now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// A name for a new segment: sorts by time to the millisecond, and is unique by 64 random bits.
pub fn new_id(unix_ns: u64) -> io::Result<String> {
    let mut random = [0; 8];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut random)?;
    let t = Civil::new(unix_ns);
    let seconds = unix_ns / 1_000_000_000;
    let (minute, second, milli) = (seconds / 60 % 60, seconds % 60, unix_ns / 1_000_000 % 1000);
    Ok(format!(
        "{:04}{:02}{:02}T{:02}{minute:02}{second:02}{milli:03}-{:016x}",
        t.year,
        t.month,
        t.day,
        t.hour,
        u64::from_be_bytes(random)
    ))
}

/// A date and hour in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// Year of the Gregorian calendar.
    pub year: u64,
    /// Month, from 1.
    pub month: u64,
    /// Day of the month, from 1.
    pub day: u64,
    /// Hour of the day.
    pub hour: u64,
}

impl Civil {
    /// Hours from the Unix epoch to the beginning of this one; none for what no calendar has, or is before 1970.
    pub fn unix_hours(self) -> Option<u64> {
        let (year, month, day) = (self.year, self.month, self.day);
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || self.hour > 23 {
            return None;
        }
        let leaps = |year: u64| year / 4 - year / 100 + year / 400;
        let lengths = month_lengths(year);
        let is_day = (1..=lengths[month as usize - 1]).contains(&day);
        let before: u64 = lengths[..month as usize - 1].iter().sum();
        let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + day - 1;
        is_day.then_some(days * 24 + self.hour)
    }

    /// The date and hour that hold a Unix time.
    pub fn new(unix_ns: u64) -> Civil {
        let hours = unix_ns / 3_600_000_000_000;
        let mut days = hours / 24;
        let mut year = 1970;
        loop {
            let length = 365 + u64::from(is_leap(year));
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        let mut month = 1;
        for length in month_lengths(year) {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        Civil { year, month, day: days + 1, hour: hours % 24 }
    }
}

fn month_lengths(year: u64) -> [u64; 12] {
    [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_handed_out_once_to_each_however_often_it_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let shelves = [ARCHIVE, UPLOAD].map(|name| dir.path().join(name));
        for shelf in &shelves {
            fs::create_dir(shelf).unwrap();
        }
        let open = dir.path().join("a.open");
        fs::write(&open, "rows").unwrap();
        fs::hard_link(&open, shelves[0].join("a.seg")).unwrap();
        for _ in 0..2 {
            let links = hand_out(&open, &shelves).unwrap();
            assert_eq!(links, shelves.clone().map(|shelf| shelf.join("a.seg")));
            assert!(!open.exists() && links.iter().all(|link| fs::read(link).unwrap() == b"rows"));
        }
        fs::write(&open, "rows").unwrap();
        for _ in 0..2 {
            assert_eq!(hand_out(&open, &[]).unwrap(), [open.with_extension(SEALED)]);
        }
        assert!(!open.exists());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Seconds as `date -u +%s -d ...` gives them.
        for (seconds, expected) in [
            (0, (1970, 1, 1, 0)),
            (951_782_399, (2000, 2, 28, 23)),
            (951_782_400, (2000, 2, 29, 0)),
            (1_709_251_199, (2024, 2, 29, 23)),
            (1_735_689_599, (2024, 12, 31, 23)),
            (4_107_542_400, (2100, 3, 1, 0)),
        ] {
            let t = Civil::new(seconds * 1_000_000_000);
            assert_eq!((t.year, t.month, t.day, t.hour), expected, "{seconds}");
            assert_eq!(t.unix_hours(), Some(seconds / 3600), "{seconds}");
        }
        assert_eq!(Civil::new(u64::MAX).year, 2554);
        for (year, month, day, hour) in [(1969, 1, 1, 0), (2023, 2, 29, 0), (2024, 0, 1, 0), (2024, 1, 1, 24)]
        {
            assert_eq!(Civil { year, month, day, hour }.unix_hours(), None);
        }
    }
}
