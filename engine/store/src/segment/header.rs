//! The two headers of a segment file, each the content of a zstd skippable frame (RFC 8878 section 3.1.2).

use rmp::decode;

use super::{COLUMNS, Damage, MAX_BLOCK_ROWS};

/// Magic number of the skippable frame that we use, of the sixteen there are.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Bytes of a skippable frame in front of its content: magic number and length.
const FRAME: usize = 8;
/// First bytes of a block header: "MPB" and the version of the layout.
const BLOCK_TAG: [u8; 4] = *b"MPB\x01";
/// Bytes of a block header as the skippable frame's content.
const BLOCK_LEN: usize = 48;
/// Bytes of a whole skippable frame with a block header.
pub const BLOCK_RECORD: usize = FRAME + BLOCK_LEN;
/// First element of a file header.
const FILE_MAGIC: &str = "MEGASEG";
/// Version of the file's layout.
const FILE_VERSION: u32 = 1;
/// Content of a file header, at most: a node's name is cut to fit.
const MAX_FILE_HEADER: usize = 512;
/// The longest node name that is stored, in bytes.
const MAX_NODE: usize = 255;
/// Bytes of the longest block before compression: every integer of every row in its longest form.
pub const MAX_RAW: usize = (MAX_BLOCK_ROWS + 2) * COLUMNS * 9;

/// What stands in front of every compressed block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    /// Rows in the block.
    pub rows: u32,
    /// The block's number in its file, from zero.
    pub sequence: u64,
    /// Time of the earliest row, Unix nanoseconds.
    pub first_ns: u64,
    /// Time of the latest row, Unix nanoseconds.
    pub last_ns: u64,
    /// Bytes of the block before compression.
    pub raw_len: u32,
    /// Bytes of the zstd frame that follows.
    pub compressed_len: u32,
    /// CRC-32 of that frame.
    pub compressed_crc: u32,
}

impl BlockHeader {
    /// The whole skippable frame.
    pub(crate) fn to_record(self) -> [u8; BLOCK_RECORD] {
        let mut record = [0; BLOCK_RECORD];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            record[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&SKIPPABLE.to_le_bytes());
        put(&(BLOCK_LEN as u32).to_le_bytes());
        put(&BLOCK_TAG);
        put(&self.rows.to_le_bytes());
        put(&self.sequence.to_le_bytes());
        put(&self.first_ns.to_le_bytes());
        put(&self.last_ns.to_le_bytes());
        put(&self.raw_len.to_le_bytes());
        put(&self.compressed_len.to_le_bytes());
        put(&self.compressed_crc.to_le_bytes());
        let crc = crc32fast::hash(&record[..BLOCK_RECORD - 4]);
        record[BLOCK_RECORD - 4..].copy_from_slice(&crc.to_le_bytes());
        record
    }

    /// Reads a header that [`BlockHeader::to_record`] wrote.
    ///
    /// # Errors
    /// [`Damage`] for bytes that no such call wrote: too short, another tag, a wrong sum, or sizes beyond the
    /// format's bounds.
    pub(crate) fn read(bytes: &[u8]) -> Result<BlockHeader, Damage> {
        let record: &[u8; BLOCK_RECORD] = bytes.first_chunk().ok_or(Damage("cut off in a block header"))?;
        if record[..FRAME + BLOCK_TAG.len()] != Self::prefix() {
            return Err(Damage("no block header where one should be"));
        }
        let (rest, crc) = record.split_at(BLOCK_RECORD - 4);
        if crc != crc32fast::hash(rest).to_le_bytes() {
            return Err(Damage("wrong checksum of a block header"));
        }
        let mut fields = Fields(&rest[FRAME + BLOCK_TAG.len()..]);
        let header = BlockHeader {
            rows: fields.u32(),
            sequence: fields.u64(),
            first_ns: fields.u64(),
            last_ns: fields.u64(),
            raw_len: fields.u32(),
            compressed_len: fields.u32(),
            compressed_crc: fields.u32(),
        };
        let sizes = header.rows as usize <= MAX_BLOCK_ROWS && header.raw_len as usize <= MAX_RAW;
        if header.rows == 0 || !sizes {
            return Err(Damage("sizes in a block header are beyond what this version writes"));
        }
        Ok(header)
    }

    /// The bytes that every block header begins with: what a reader looks for behind damaged bytes.
    pub(super) fn prefix() -> [u8; FRAME + BLOCK_TAG.len()] {
        let mut prefix = [0; FRAME + BLOCK_TAG.len()];
        prefix[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
        prefix[4..8].copy_from_slice(&(BLOCK_LEN as u32).to_le_bytes());
        prefix[8..].copy_from_slice(&BLOCK_TAG);
        prefix
    }
}

/// Little-endian numbers from the front of a slice that is known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (value, rest) = self.0.split_first_chunk().expect("the header's length is a constant");
        self.0 = rest;
        *value
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// What a segment file begins with: a MessagePack array of magic word, version, node, creation time, id, and, for other
/// than outcomes, kind; and its CRC-32.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// The node that probed.
    pub node: String,
    /// When the file was made, Unix nanoseconds.
    pub created_unix_ns: u64,
    /// The segment's name: unique, sorts by time, and is the name of the Parquet file made of it.
    pub id: String,
    /// What its blocks hold.
    pub kind: Kind,
}

/// What the blocks of a segment hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Kind {
    /// Outcomes, as columns: [`super::BlockDecoder`].
    #[default]
    Outcomes,
    /// Paths, as rows: [`crate::path::PathDecoder`].
    Paths,
}

/// The sixth element of the header of a segment with paths; one with outcomes has five.
const PATHS: &str = "paths";

impl FileHeader {
    /// The whole skippable frame.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        let node = &self.node[..self.node.floor_char_boundary(MAX_NODE)];
        let mut content = Vec::with_capacity(MAX_FILE_HEADER);
        let elements = if self.kind == Kind::Paths { 6 } else { 5 };
        let written = rmp::encode::write_array_len(&mut content, elements)
            .and_then(|_| rmp::encode::write_str(&mut content, FILE_MAGIC))
            .and_then(|()| rmp::encode::write_uint(&mut content, FILE_VERSION.into()))
            .and_then(|_| rmp::encode::write_str(&mut content, node))
            .and_then(|()| rmp::encode::write_uint(&mut content, self.created_unix_ns))
            .and_then(|_| rmp::encode::write_str(&mut content, &self.id));
        let written = written.and_then(|()| match self.kind {
            Kind::Outcomes => Ok(()),
            Kind::Paths => rmp::encode::write_str(&mut content, PATHS),
        });
        written.expect("a vector takes every write");
        content.extend(crc32fast::hash(&content).to_le_bytes());
        let mut record = Vec::with_capacity(FRAME + content.len());
        record.extend(SKIPPABLE.to_le_bytes());
        record.extend((content.len() as u32).to_le_bytes());
        record.extend(content);
        record
    }

    /// Reads the header at the front of a file; returns the bytes that it takes, too.
    ///
    /// # Errors
    /// [`Damage`] for bytes that are no segment file of this version.
    pub fn read(bytes: &[u8]) -> Result<(FileHeader, usize), Damage> {
        let cut = Damage("cut off in the file header");
        let (frame, rest) = bytes.split_first_chunk::<FRAME>().ok_or(cut)?;
        let (magic, len) = frame.split_at(4);
        let len = u32::from_le_bytes(*len.first_chunk().ok_or(cut)?) as usize;
        if magic != SKIPPABLE.to_le_bytes() || !(4..=MAX_FILE_HEADER).contains(&len) {
            return Err(Damage("not a segment file: it begins with something else"));
        }
        let (content, crc) = rest.get(..len).ok_or(cut)?.split_at(len - 4);
        if crc != crc32fast::hash(content).to_le_bytes() {
            return Err(Damage("wrong checksum of the file header"));
        }
        let header = Self::parse(content).ok_or(Damage("a file header of another version or program"))?;
        Ok((header, FRAME + len))
    }

    fn parse(mut content: &[u8]) -> Option<FileHeader> {
        let elements = decode::read_array_len(&mut content).ok()?;
        if text(&mut content)? != FILE_MAGIC {
            return None;
        }
        let version: u32 = decode::read_int(&mut content).ok()?;
        let node = text(&mut content)?.to_owned();
        let created_unix_ns = decode::read_int(&mut content).ok()?;
        let id = text(&mut content)?.to_owned();
        let kind = match elements {
            5 => Kind::Outcomes,
            6 if text(&mut content)? == PATHS => Kind::Paths,
            _ => return None,
        };
        (version == FILE_VERSION).then_some(FileHeader { node, created_unix_ns, id, kind })
    }
}

fn text<'a>(content: &mut &'a [u8]) -> Option<&'a str> {
    let (text, rest) = decode::read_str_from_slice(*content).ok()?;
    *content = rest;
    Some(text)
}
