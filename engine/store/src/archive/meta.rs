//! What a file of the archive says of itself, and the sum that its rows have to have.

use std::hash::Hasher;

use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use siphasher::sip::SipHasher13;

use crate::place::Source;
use crate::report::Seen;

const NODE: &str = "megaping.node";
const SEGMENTS: &str = "megaping.segments";
const REPLACES: &str = "megaping.replaces";
const DIGEST: &str = "megaping.digest";

/// The `megaping.*` entries of a Parquet file's metadata.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileMeta {
    /// The node that probed; several, by comma, in a file that was merged of theirs.
    pub node: String,
    /// The segments whose rows of this hour are in it.
    pub segments: Vec<String>,
    /// Files of the same directory that were merged into this one: it counts, and they do not.
    pub replaces: Vec<String>,
    /// The [`Digest`] of its rows; none in files of earlier versions.
    pub digest: Option<u64>,
    /// How many they are.
    pub rows: u64,
}

impl FileMeta {
    /// Reads a file's footer.
    ///
    /// # Errors
    /// The library's, for what is no Parquet file or cannot be read.
    pub fn read(source: &Source) -> Result<FileMeta, ParquetError> {
        ParquetMetaDataReader::new().parse_and_finish(source).map(|meta| FileMeta::of(&meta))
    }

    pub(crate) fn of(meta: &ParquetMetaData) -> FileMeta {
        let file = meta.file_metadata();
        let value = |key: &str| {
            let entries = file.key_value_metadata()?;
            entries.iter().find(|entry| entry.key == key)?.value.clone()
        };
        let words = |key: &str| -> Vec<String> {
            value(key).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        FileMeta {
            node: value(NODE).unwrap_or_default(),
            segments: words(SEGMENTS),
            replaces: words(REPLACES),
            digest: value(DIGEST).and_then(|text| u64::from_str_radix(&text, 16).ok()),
            rows: u64::try_from(file.num_rows()).unwrap_or(0),
        }
    }

    /// The entries, as a writer takes them.
    pub(crate) fn entries(&self) -> Vec<KeyValue> {
        let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
        let mut entries = vec![entry(NODE, self.node.clone()), entry(SEGMENTS, self.segments.join(" "))];
        if !self.replaces.is_empty() {
            entries.push(entry(REPLACES, self.replaces.join(" ")));
        }
        entries.extend(self.digest.map(|digest| entry(DIGEST, format!("{digest:016x}"))));
        entries
    }
}

/// The sum of a hash of every row: the same in whichever order they come, and added up when files are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest(pub u64);

impl Digest {
    /// Adds a row. Not secret: it finds damage, not malice.
    pub fn add(&mut self, row: &Seen) {
        let mut hash = SipHasher13::new();
        hash.write_u64(row.unix_ns);
        hash.write_u128(row.destination.to_bits());
        hash.write_u64(row.target);
        hash.write_u32(row.seq);
        hash.write_u8(row.status as u8);
        hash.write_u64(row.rtt_ns);
        self.0 = self.0.wrapping_add(hash.finish());
    }
}
