//! A Parquet file to read from, wherever it is.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::bucket::Bucket;

/// Bytes that are fetched at a time where the reader does not say how many it wants.
const AHEAD: u64 = 256 << 10;

/// A file that is open for reading; an object is fetched by ranges, as they are needed.
#[derive(Debug)]
pub enum Source {
    /// On a local disk.
    File(File),
    /// In a bucket.
    Object(Object),
}

/// An object whose length is known.
#[derive(Clone, Debug)]
pub struct Object {
    pub bucket: Arc<Bucket>,
    pub name: String,
    pub bytes: u64,
}

impl Object {
    fn range(&self, from: u64, len: u64) -> io::Result<Bytes> {
        self.bucket.range(&self.name, from, len).map_err(io::Error::other)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        match self {
            Source::File(file) => Length::len(file),
            Source::Object(object) => object.bytes,
        }
    }
}

impl ChunkReader for Source {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Source::File(file) => Box::new(ChunkReader::get_read(file, start)?),
            Source::Object(object) => Box::new(BufReader::with_capacity(
                AHEAD as usize,
                Ranged { object: object.clone(), at: start },
            )),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Source::File(file) => file.get_bytes(start, length),
            Source::Object(object) => Ok(object.range(start, length as u64)?),
        }
    }
}

/// An object from somewhere on.
struct Ranged {
    object: Object,
    at: u64,
}

impl Read for Ranged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (buffer.len() as u64).min(self.object.bytes.saturating_sub(self.at));
        if len == 0 {
            return Ok(0);
        }
        let bytes = self.object.range(self.at, len)?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.at += len as u64;
        Ok(len)
    }
}
