//! Walking the records of a segment file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::header::{BLOCK_RECORD, BlockHeader, FileHeader};
use super::{BlockDecoder, Damage};
use crate::path::{PathDecoder, StoredPath};
use crate::{StoreError, StoredRow};

/// A segment file in memory.
///
/// Every record is found and checked on its own: damage loses the record it is in, never the ones around it,
/// and a tail that was torn off while it was written is just the last damage.
#[derive(Debug)]
pub struct Segment {
    /// What the file says of itself.
    pub header: FileHeader,
    /// Where the first record begins.
    body_at: usize,
    bytes: Vec<u8>,
}

/// A stretch of a segment file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A whole record whose checksums are right.
    Block {
        /// Where it ends in the file.
        end: usize,
        /// Its header.
        header: BlockHeader,
        /// Its zstd frame.
        frame: &'a [u8],
    },
    /// Bytes that belong to no whole record.
    Damaged {
        /// Where they begin in the file.
        offset: usize,
        /// How many.
        len: usize,
        /// What is wrong with the first of them.
        damage: Damage,
    },
}

impl Segment {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or does not begin with a segment's header.
    pub fn open(path: &Path) -> Result<Segment, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        Segment::read(&file, u64::MAX, path)
    }

    /// Reads the first `limit` bytes of a file that is open already; `path` is for messages.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or does not begin with a segment's header.
    pub fn read(file: &File, limit: u64, path: &Path) -> Result<Segment, StoreError> {
        let len = file.metadata().map_or(0, |file| file.len()).min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1);
        file.take(limit).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        Segment::from_bytes(bytes)
            .map_err(|damage| StoreError::NotASegment { path: path.to_owned(), source: damage })
    }

    /// A segment of bytes that are in memory already.
    ///
    /// # Errors
    /// [`Damage`] when they do not begin with a segment's header.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Segment, Damage> {
        let (header, body_at) = FileHeader::read(&bytes)?;
        Ok(Segment { header, body_at, bytes })
    }

    /// The file's records and damages, in order, without a gap.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut at = self.body_at;
        std::iter::from_fn(move || {
            let piece = next_piece(&self.bytes, at)?;
            at = match piece {
                Piece::Block { end, .. } => end,
                Piece::Damaged { offset, len, .. } => offset + len,
            };
            Some(piece)
        })
    }

    /// Where the last whole record ends: what follows is a torn tail.
    #[must_use]
    pub fn sound_len(&self) -> usize {
        let ends =
            self.pieces().filter_map(|p| if let Piece::Block { end, .. } = p { Some(end) } else { None });
        ends.last().unwrap_or(self.body_at)
    }

    /// The file's bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes of its header and its whole records: a zstd stream of blocks.
    #[must_use]
    pub fn into_sound_bytes(self) -> Vec<u8> {
        let mut sound = self.bytes[..self.body_at].to_vec();
        for piece in self.pieces() {
            if let Piece::Block { end, frame, .. } = piece {
                sound.extend_from_slice(&self.bytes[end - BLOCK_RECORD - frame.len()..end]);
            }
        }
        sound
    }

    /// Whether a block header with a right checksum is anywhere in `bytes`.
    pub(crate) fn has_block(bytes: &[u8]) -> bool {
        next_header(bytes, 0).is_some()
    }

    /// Rows in all whole records.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.pieces()
            .map(|p| if let Piece::Block { header, .. } = p { u64::from(header.rows) } else { 0 })
            .sum()
    }

    /// Bytes that belong to no whole record.
    #[must_use]
    pub fn damaged_len(&self) -> u64 {
        self.pieces().map(|p| if let Piece::Damaged { len, .. } = p { len as u64 } else { 0 }).sum()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the file holds nothing but its header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.body_at
    }

    /// Decodes every block of paths that can be, calling `each` with its rows. Returns the bytes that could not be.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn paths<E>(
        &self,
        decoder: &mut PathDecoder,
        mut each: impl FnMut(&[StoredPath]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (mut rows, mut damaged) = (Vec::new(), 0);
        for piece in self.pieces() {
            match piece {
                Piece::Damaged { len, .. } => damaged += len as u64,
                Piece::Block { header, frame, .. } => {
                    rows.clear();
                    match decoder.decode(&header, frame, &mut rows) {
                        Ok(()) => each(&rows)?,
                        Err(_) => damaged += (BLOCK_RECORD + frame.len()) as u64,
                    }
                }
            }
        }
        Ok(damaged)
    }

    /// Decodes every block of outcomes that can be, calling `each` with its rows (sorted by destination, then time).
    /// Returns the bytes that could not be.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn blocks<E>(
        &self,
        decoder: &mut BlockDecoder,
        mut each: impl FnMut(&[StoredRow]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (mut rows, mut damaged) = (Vec::new(), 0);
        for piece in self.pieces() {
            match piece {
                Piece::Damaged { len, .. } => damaged += len as u64,
                Piece::Block { header, frame, .. } => {
                    rows.clear();
                    match decoder.decode(&header, frame, &mut rows) {
                        Ok(()) => each(&rows)?,
                        Err(_) => damaged += (BLOCK_RECORD + frame.len()) as u64,
                    }
                }
            }
        }
        Ok(damaged)
    }
}

fn next_piece(bytes: &[u8], at: usize) -> Option<Piece<'_>> {
    if at >= bytes.len() {
        return None;
    }
    Some(match record(&bytes[at..]) {
        Ok((header, frame)) => Piece::Block { end: at + BLOCK_RECORD + frame.len(), header, frame },
        Err(damage) => {
            let end = next_header(bytes, at + 1).unwrap_or(bytes.len());
            Piece::Damaged { offset: at, len: end - at, damage }
        }
    })
}

fn record(bytes: &[u8]) -> Result<(BlockHeader, &[u8]), Damage> {
    let header = BlockHeader::read(bytes)?;
    let frame = bytes[BLOCK_RECORD..]
        .get(..header.compressed_len as usize)
        .ok_or(Damage("cut off in a compressed block"))?;
    if crc32fast::hash(frame) != header.compressed_crc {
        return Err(Damage("wrong checksum of a compressed block"));
    }
    Ok((header, frame))
}

/// Where the next block header with a right checksum is, from `from` on.
fn next_header(bytes: &[u8], from: usize) -> Option<usize> {
    let prefix = BlockHeader::prefix();
    let found = |&i: &usize| bytes[i..].starts_with(&prefix) && BlockHeader::read(&bytes[i..]).is_ok();
    (from..bytes.len()).find(found)
}
