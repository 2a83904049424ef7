//! What can go wrong with files, and what would be right.

use std::io;
use std::path::{Path, PathBuf};

use crate::segment::Damage;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store's lock.
    #[error("{} is in use by another process: stop it, or choose another --store DIR", .dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The operating system refused a file operation.
    #[error("cannot {operation} {}: {source}{}", .path.display(), advice(.source))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Its error.
        source: io::Error,
    },
    /// A file that should be a segment is not.
    #[error("{} is no segment of this version: {source}; move it away, or read it with the version that wrote it", .path.display())]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Damage,
    },
    /// A Parquet file cannot be written or read.
    #[error("cannot {operation} {}: {source}{}", .path.display(), parquet_advice(.source))]
    Parquet {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The library's error.
        source: parquet::errors::ParquetError,
    },
    /// A bucket does not do what it was asked.
    #[error("cannot {operation} {url}: {source}{}", place_advice(.source))]
    Place {
        /// What was tried.
        operation: &'static str,
        /// On which object.
        url: String,
        /// The library's error.
        source: Box<object_store::Error>,
    },
    /// Rows cannot be written for others.
    #[error("cannot write the rows: {source}")]
    Export {
        /// The library's error, or the operating system's in it.
        source: parquet::errors::ParquetError,
    },
    /// Another process does what only one may do.
    #[error("another compaction is under way, says {}: wait for it, or remove that file if none is", .path.display())]
    Busy {
        /// The file that says so.
        path: PathBuf,
    },
    /// A bucket on which two processes can make the same object.
    #[error(
        "{url} does not honour conditional writes, so two compactions at a time would double rows: see that there is \
         one alone, and say so with --alone"
    )]
    Unconditional {
        /// The archive.
        url: String,
    },
    /// A store without any file.
    #[error("{} holds no results: give the directory that `megaping ping --store DIR` wrote to", .dir.display())]
    Nothing {
        /// The directory.
        dir: PathBuf,
    },
}

impl StoreError {
    /// Names the operation and path of an I/O error: for `map_err`.
    pub(crate) fn io<'a>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| StoreError::Io { operation, path: path.to_owned(), source }
    }

    /// Names the operation and path of a Parquet error: for `map_err`.
    pub(crate) fn parquet<'a, E: Into<parquet::errors::ParquetError>>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl Fn(E) -> StoreError + 'a {
        move |source| StoreError::Parquet { operation, path: path.to_owned(), source: source.into() }
    }
}

/// The library wraps what the operating system refused; all else is wrong with the file.
fn parquet_advice(error: &parquet::errors::ParquetError) -> &'static str {
    match error {
        parquet::errors::ParquetError::External(cause) => cause.downcast_ref().map_or("", advice),
        _ => "; move it away if it is damaged",
    }
}

fn place_advice(error: &object_store::Error) -> &'static str {
    let denied = "; check the credentials in the environment, and what they may do there";
    match error {
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => denied,
        object_store::Error::NotFound { .. } => "; check that the bucket is there",
        // Of a list, the library does not say which kind of refusal it was.
        _ if error.to_string().contains("403 Forbidden") => denied,
        _ => "",
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => ": free space there, or choose another --store DIR",
        io::ErrorKind::QuotaExceeded => ": raise the quota, or choose another --store DIR",
        io::ErrorKind::FileTooLarge => {
            ": raise the file size limit (ulimit -f), or choose another --store DIR"
        }
        io::ErrorKind::ReadOnlyFilesystem => ": remount it writable, or choose another --store DIR",
        io::ErrorKind::PermissionDenied => ": make it writable for this user, or choose another --store DIR",
        io::ErrorKind::NotFound => ": check the path given to --store",
        io::ErrorKind::NotADirectory => ": --store takes a directory",
        _ => "",
    }
}
