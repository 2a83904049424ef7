//! What is sent of a segment.

use std::hash::Hasher;
use std::path::Path;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::StoreError;
use crate::segment::{Kind, Piece, Segment};

/// A segment in memory, checked, ready to be sent as often as need be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// A zstd stream: the file itself, or its whole records where some are damaged.
    pub bytes: Vec<u8>,
    /// Names the content: the same for the same bytes, in every process.
    pub token: String,
    /// The node that probed.
    pub node: String,
    /// What the rows are.
    pub kind: Kind,
    /// Blocks in the stream: what the server counts as rows of the body.
    pub blocks: u64,
    /// Rows in the blocks.
    pub rows: u64,
    /// Bytes of the file that belong to no whole record, and are not sent.
    pub damaged_bytes: u64,
}

impl Load {
    /// Reads the segment at `path`; the checksum of every block is verified.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or is no segment.
    pub fn read(path: &Path) -> Result<Load, StoreError> {
        let segment = Segment::open(path)?;
        let (mut blocks, mut rows, mut damaged_bytes) = (0, 0, 0);
        // Every frame's checksum has been verified: a hash of these is one of what is sent, at no cost.
        let mut hasher = SipHasher13::new();
        for piece in segment.pieces() {
            match piece {
                Piece::Block { header, .. } => {
                    blocks += 1;
                    rows += u64::from(header.rows);
                    hasher.write_u64(header.sequence);
                    hasher.write_u32(header.compressed_len);
                    hasher.write_u32(header.compressed_crc);
                }
                Piece::Damaged { len, .. } => damaged_bytes += len as u64,
            }
        }
        let (node, kind) = (segment.header.node.clone(), segment.header.kind);
        let token = format!("{}-{:032x}", segment.header.id, hasher.finish128().as_u128());
        let bytes = if damaged_bytes == 0 { segment.into_bytes() } else { segment.into_sound_bytes() };
        Ok(Load { bytes, token, node, kind, blocks, rows, damaged_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::plain;
    use crate::{Spool, SpoolOptions};

    #[test]
    fn damaged_records_are_left_out_and_change_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let options = SpoolOptions { node: "fra1".into(), block_rows: 64, ..SpoolOptions::default() };
        let (mut spool, _) = Spool::open(dir.path(), options).unwrap();
        spool.push(&(0..192).map(plain).collect::<Vec<_>>(), 0).unwrap();
        spool.close().unwrap();
        let path = spool.take_sealed().remove(0);
        let whole = Load::read(&path).unwrap();
        let mut file = std::fs::read(&path).unwrap();
        assert_eq!(whole.bytes, file, "the file's own bytes");
        assert_eq!((whole.blocks, whole.rows, whole.damaged_bytes), (3, 192, 0));
        assert_eq!((whole.node.as_str(), Load::read(&path).unwrap()), ("fra1", whole.clone()));

        let middle = file.len() / 2;
        file[middle] ^= 1;
        std::fs::write(&path, &file).unwrap();
        let rest = Load::read(&path).unwrap();
        assert_eq!((rest.blocks, rest.rows), (2, 128));
        assert_eq!(rest.bytes.len() as u64 + rest.damaged_bytes, file.len() as u64);
        assert_ne!(rest.token, whole.token);
        assert!(zstd::decode_all(&rest.bytes[..]).is_ok());
    }
}
