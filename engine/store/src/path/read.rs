//! Stored paths, read back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{PathDecoder, StoredPath};
use crate::segment::{Kind, Segment};
use crate::{StoreError, files};

/// Where the spool of paths is, below a store's directory: beside that of outcomes, which it has nothing to do with.
pub const PATHS: &str = "paths";

/// The spool of paths of the store at `dir`.
#[must_use]
pub fn spool_of(dir: &Path) -> PathBuf {
    dir.join(PATHS)
}

/// Whether the store at `dir` has paths.
#[must_use]
pub fn are_in(dir: &Path) -> bool {
    spool_of(dir).join(files::SPOOL).is_dir()
}

/// Calls `each` with every path and change of the store at `dir`, segment by segment, also while another process writes.
/// Returns the bytes of damaged records that hold rows nobody can read.
///
/// # Errors
/// [`StoreError`] naming the file that cannot be read.
pub fn read(dir: &Path, mut each: impl FnMut(&StoredPath)) -> Result<u64, StoreError> {
    let spool = spool_of(dir).join(files::SPOOL);
    let mut decoder = PathDecoder::new().map_err(StoreError::io("prepare zstd for", dir))?;
    let mut damaged = 0;
    // The open one first: one that is sealed meanwhile is found under its other name, and read once.
    let open = files::list(&spool, files::OPEN)?;
    let sealed = files::list(&spool, files::SEALED)?;
    for path in
        sealed.iter().chain(open.iter().filter(|path| !sealed.contains(&path.with_extension(files::SEALED))))
    {
        let is_sealed = path.extension().is_some_and(|ending| ending == files::SEALED);
        let file = match File::open(path) {
            Ok(file) => file,
            // Sealed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_sealed => {
                let sealed = path.with_extension(files::SEALED);
                File::open(&sealed).map_err(StoreError::io("open", &sealed))?
            }
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        let segment = match Segment::read(&file, u64::MAX, path) {
            Ok(segment) => segment,
            // One that is being made has no header yet.
            Err(StoreError::NotASegment { .. }) if !is_sealed => continue,
            Err(error) => return Err(error),
        };
        if segment.header.kind != Kind::Paths {
            continue;
        }
        let Ok(bad) = segment.paths(&mut decoder, |rows| {
            rows.iter().for_each(&mut each);
            Ok::<_, std::convert::Infallible>(())
        });
        damaged += if is_sealed { bad } else { 0 };
    }
    Ok(damaged)
}
