//! Where files of the archive are: a directory, or a prefix in a bucket of S3, Google Cloud Storage or Azure.
//!
//! A file is there whole or not at all. In a directory: written elsewhere, synced, renamed. In a bucket: objects are
//! whole by nature; small ones are made by a conditional write where the store honours that, which is tried on it
//! before the first one ([`Place::is_conditional`]), longer ones in parts.

mod bucket;
mod dir;
mod fetch;
mod http;
mod reader;
mod url;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use fetch::{FetchError, Fetched, fetch};
pub use reader::Source;
pub use url::{NotAPlace, PlaceUrl};

use crate::StoreError;
use bucket::Bucket;
use reader::Object;

/// A file of a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Its path below the place.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was written, Unix seconds.
    pub modified_s: u64,
}

/// What became of a file that was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// It is there now.
    Made,
    /// It was there already.
    Present,
}

/// A place that is open.
#[derive(Clone, Debug)]
pub struct Place {
    url: PlaceUrl,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Dir(PathBuf),
    Bucket(Arc<Bucket>),
}

impl Place {
    /// Opens a place; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`StoreError::Place`] when the environment does not say what is needed to ask a bucket.
    pub fn open(url: &PlaceUrl) -> Result<Place, StoreError> {
        let kind = match url.dir() {
            Some(dir) => Kind::Dir(dir),
            None => Kind::Bucket(Arc::new(Bucket::new(url)?)),
        };
        Ok(Place { url: url.clone(), kind })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &PlaceUrl {
        &self.url
    }

    /// Whether only one of two processes can make a file of the same name: tried on a bucket, once.
    ///
    /// # Errors
    /// [`StoreError::Place`] when the bucket cannot be written.
    pub fn is_conditional(&self) -> Result<bool, StoreError> {
        match &self.kind {
            Kind::Dir(_) => Ok(true),
            Kind::Bucket(bucket) => bucket.is_conditional(),
        }
    }

    /// Every file whose name begins with `under`, a whole number of path elements; by name.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be listed.
    pub fn list(&self, under: &str) -> Result<Vec<Entry>, StoreError> {
        match &self.kind {
            Kind::Dir(dir) => dir::list(dir, under),
            Kind::Bucket(bucket) => bucket.list(under),
        }
    }

    /// Puts the file at `path` there, under a name that follows from its content.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written; nothing of it is there then.
    pub fn put(&self, name: &str, path: &Path) -> Result<Put, StoreError> {
        match &self.kind {
            Kind::Dir(dir) => dir::put(dir, name, path),
            Kind::Bucket(bucket) => bucket.put(name, path),
        }
    }

    /// Makes a small file that only one process can make; false: there is one.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn claim(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        match &self.kind {
            Kind::Dir(dir) => dir::claim(dir, name, bytes),
            Kind::Bucket(bucket) => bucket.claim(name, bytes),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`StoreError`] when there is none, or it cannot be read.
    pub fn read(&self, entry: &Entry) -> Result<Source, StoreError> {
        match &self.kind {
            Kind::Dir(dir) => {
                let path = dir.join(&entry.name);
                File::open(&path).map(Source::File).map_err(StoreError::io("open", &path))
            }
            Kind::Bucket(bucket) => {
                let object =
                    Object { bucket: Arc::clone(bucket), name: entry.name.clone(), bytes: entry.bytes };
                Ok(Source::Object(object))
            }
        }
    }

    /// Removes a file; one that is gone already is fine.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Dir(dir) => dir::remove(dir, name),
            Kind::Bucket(bucket) => bucket.remove(name),
        }
    }

    /// A file's name for messages.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        match &self.kind {
            Kind::Dir(dir) => dir.join(name),
            Kind::Bucket(_) => format!("{}/{name}", self.url).into(),
        }
    }
}
