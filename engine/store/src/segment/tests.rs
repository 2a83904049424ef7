//! The whole format: round trips, torn and damaged files.

use std::convert::Infallible;

use megaping_probe::{Nanos, Outcome};
use proptest::prelude::*;

use super::testing::{outcome, plain};
use super::{BlockDecoder, BlockEncoder, FileHeader, Kind, Piece, Segment};
use crate::StoredRow;

fn header() -> FileHeader {
    FileHeader {
        node: "fra1".into(),
        created_unix_ns: 1_700_000_000_000_000_000,
        id: "test".into(),
        kind: Kind::Outcomes,
    }
}

/// A file of these blocks and where each record begins.
fn file(blocks: &[Vec<Outcome>]) -> (Vec<u8>, Vec<usize>) {
    let mut encoder = BlockEncoder::new().unwrap();
    let mut bytes = header().to_record();
    let mut starts = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        starts.push(bytes.len());
        bytes.extend_from_slice(encoder.encode(block, i as u64).unwrap());
    }
    (bytes, starts)
}

/// The rows of each block that can be read, and the damaged bytes.
fn read(bytes: &[u8]) -> (Vec<Vec<StoredRow>>, u64) {
    let Ok(segment) = Segment::from_bytes(bytes.to_vec()) else { return (Vec::new(), bytes.len() as u64) };
    let mut blocks = Vec::new();
    let Ok(damaged) = segment.blocks(&mut BlockDecoder::new().unwrap(), |rows| {
        blocks.push(rows.to_vec());
        Ok::<_, Infallible>(())
    });
    (blocks, damaged)
}

fn stored(block: &[Outcome]) -> Vec<StoredRow> {
    let mut rows: Vec<_> = block.iter().map(|o| StoredRow::new(o, 0)).collect();
    rows.sort_by_key(|r| (r.target, r.unix_ns));
    rows
}

fn three_blocks() -> Vec<Vec<Outcome>> {
    (0..3).map(|k| (0..5).map(|i| plain(k * 5 + i)).collect()).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        blocks in proptest::collection::vec(proptest::collection::vec(outcome(), 1..80), 1..4)
    ) {
        let (bytes, _) = file(&blocks);
        let (read, damaged) = read(&bytes);
        prop_assert_eq!(damaged, 0);
        prop_assert_eq!(read, blocks.iter().map(|b| stored(b)).collect::<Vec<_>>());
    }

    #[test]
    fn mutated_bytes_never_panic_and_never_make_rows_up(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let blocks = three_blocks();
        let (mut bytes, _) = file(&blocks);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let expected: Vec<_> = blocks.iter().map(|b| stored(b)).collect();
        for block in read(&bytes).0 {
            prop_assert!(expected.contains(&block));
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes: Vec<u8>) {
        let (file, _) = file(&three_blocks()[..1]);
        read(&bytes);
        read(&[&header().to_record()[..], &bytes].concat());
        let mut decoder = BlockDecoder::new().unwrap();
        let segment = Segment::from_bytes(file).unwrap();
        let Some(Piece::Block { header, .. }) = segment.pieces().next() else { panic!("a block") };
        // As if every checksum were right: the columns themselves are anything.
        let frame = zstd::bulk::compress(&bytes, 1).unwrap();
        let lying = super::BlockHeader { raw_len: bytes.len() as u32, ..header };
        let mut rows = Vec::new();
        prop_assert!(decoder.decode(&lying, &frame, &mut rows).is_err() && rows.is_empty());
    }
}

#[test]
fn a_file_cut_at_any_byte_loses_only_the_torn_record() {
    let blocks = three_blocks();
    let (bytes, starts) = file(&blocks);
    for len in 0..=bytes.len() {
        let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|&&end| end <= len).count();
        let (read, _) = read(&bytes[..len]);
        assert_eq!(read, blocks[..whole].iter().map(|b| stored(b)).collect::<Vec<_>>(), "cut at {len}");
        if let Ok(segment) = Segment::from_bytes(bytes[..len].to_vec()) {
            let sound = starts.get(whole).copied().unwrap_or(bytes.len());
            assert_eq!(segment.sound_len(), sound, "cut at {len}");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_loses_only_its_record() {
    let blocks = three_blocks();
    let (bytes, starts) = file(&blocks);
    for at in starts[0]..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let hit = starts.iter().rposition(|&s| s <= at).unwrap();
        let mut expected: Vec<_> = blocks.iter().map(|b| stored(b)).collect();
        expected.remove(hit);
        let (read, damaged) = read(&flipped);
        assert_eq!(read, expected, "byte {at}");
        let end = starts.get(hit + 1).copied().unwrap_or(bytes.len());
        assert_eq!(damaged as usize, end - starts[hit], "byte {at}");
    }
    for at in 0..starts[0] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(Segment::from_bytes(flipped).is_err(), "byte {at} of the file header");
    }
}

#[test]
fn the_whole_file_is_one_zstd_stream_of_message_pack() {
    let blocks = three_blocks();
    let (bytes, _) = file(&blocks);
    let raw = zstd::decode_all(&bytes[..]).unwrap();
    let mut rest = &raw[..];
    for block in &blocks {
        let rows: u64 = rmp::decode::read_int(&mut rest).unwrap();
        assert_eq!(rows, block.len() as u64);
        let base: u64 = rmp::decode::read_int(&mut rest).unwrap();
        assert_eq!(base, block.iter().map(|r| r.at.0).min().unwrap());
        for column in 0..super::COLUMNS {
            let len = rmp::decode::read_array_len(&mut rest).unwrap();
            assert!((1..=block.len() as u32).contains(&len), "column {column}");
            for _ in 0..len {
                rmp::decode::read_int::<i64, _>(&mut rest).unwrap();
            }
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn equal_rows_take_a_few_bytes() {
    let block = vec![plain(7); 1000];
    let (bytes, starts) = file(&[block]);
    assert!(bytes.len() - starts[0] < 160, "{} bytes", bytes.len() - starts[0]);
}

#[test]
fn a_full_block_of_the_longest_values_is_read_back() {
    let mut row = plain(0);
    let block: Vec<Outcome> = (0..super::MAX_BLOCK_ROWS as u64)
        .map(|i| {
            let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            row.at = Nanos(mixed);
            row.rtt_ns = !mixed;
            row.target = mixed.rotate_left(32);
            row
        })
        .collect();
    let (bytes, _) = file(std::slice::from_ref(&block));
    assert_eq!(read(&bytes), (vec![stored(&block)], 0));
}

#[test]
fn a_long_node_name_is_cut_at_a_character() {
    let paths = FileHeader { kind: Kind::Paths, ..header() };
    assert_eq!(FileHeader::read(&paths.to_record()).unwrap().0, paths);
    let long = FileHeader { node: "ü".repeat(300), ..header() };
    let (read, len) = FileHeader::read(&long.to_record()).unwrap();
    assert_eq!((read.node, len), ("ü".repeat(127), long.to_record().len()));
}
