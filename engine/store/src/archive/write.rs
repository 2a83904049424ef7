//! One sealed segment to one Parquet file, exactly once.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnPath;

use super::columns;
use crate::segment::{BlockDecoder, Piece, Segment};
use crate::{StoreError, StoredRow, files, spool};

/// Rows of a row group: they are held in memory, at about 100 bytes each, to be sorted together.
const GROUP_ROWS: usize = 262_144;

/// zstd's level: 3 makes files 2 % smaller, for a second search of every page.
const LEVEL: i32 = 1;

/// Columns that are noise are split into streams of bytes; those that step or stay are stored as differences,
/// which cost next to nothing for a constant. The rest are dictionaries. Against dictionaries wherever they
/// come by default, this made a million scattered targets 2 % smaller and a thousand 2 % larger.
const ENCODINGS: [(Encoding, &[&str]); 3] = [
    (Encoding::BYTE_STREAM_SPLIT, &["ts", "rtt_ns"]),
    (
        Encoding::DELTA_BINARY_PACKED,
        &["target", "seq", "icmp_type", "icmp_code", "error_ns", "hop_limit", "size", "flow", "marks"],
    ),
    (Encoding::DELTA_BYTE_ARRAY, &["destination", "responder"]),
];

/// A segment that is archived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// Its Parquet file; none for a segment in which no row was whole.
    pub parquet: Option<PathBuf>,
    /// Rows in the file.
    pub rows: u64,
    /// Bytes of the segment that were damaged: it is then kept aside as `*.damaged`, not removed.
    pub damaged_bytes: u64,
}

/// Turns the segment at `path` into a Parquet file below `dir`, then removes the segment. A file that an
/// earlier attempt completed is left as it is.
///
/// # Errors
/// [`StoreError`] when the segment cannot be read or the file not be written; the segment is then untouched.
pub fn archive(dir: &Path, path: &Path, decoder: &mut BlockDecoder) -> Result<Archived, StoreError> {
    let segment = Segment::open(path)?;
    let parquet = parquet_path(dir, &segment);
    let (rows, damaged_bytes) = match &parquet {
        None => (0, segment.len() as u64),
        Some(target) => match complete_rows(target) {
            Some(rows) if rows >= segment.rows() => (rows, segment.damaged_len()),
            _ => write(&segment, target, decoder)?,
        },
    };
    if damaged_bytes > 0 {
        spool::keep_aside(path)?;
    } else {
        files::remove(path)?;
    }
    Ok(Archived { parquet, rows, damaged_bytes })
}

/// Where the rows of a segment go; nowhere if it has none.
pub fn parquet_path(dir: &Path, segment: &Segment) -> Option<PathBuf> {
    let first = |p| if let Piece::Block { header, .. } = p { Some(header.first_ns) } else { None };
    let t = files::Civil::new(segment.pieces().filter_map(first).min()?);
    let hour = format!("date={:04}-{:02}-{:02}/hour={:02}", t.year, t.month, t.day, t.hour);
    Some(dir.join(files::PARQUET).join(hour).join(format!("{}.parquet", segment.header.id)))
}

/// Rows of a Parquet file whose footer is readable: it was renamed after it was durable, so it is whole.
fn complete_rows(path: &Path) -> Option<u64> {
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    u64::try_from(reader.metadata().file_metadata().num_rows()).ok()
}

fn write(segment: &Segment, target: &Path, decoder: &mut BlockDecoder) -> Result<(u64, u64), StoreError> {
    let temporary = target.with_extension("parquet.tmp");
    let parent = target.parent().unwrap_or(target);
    files::create_dirs(parent)?;
    let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
    let written = fill(&file, segment, decoder).map_err(StoreError::parquet("write", &temporary));
    let synced = written.and_then(|counts| {
        file.sync_all().map_err(StoreError::io("sync", &temporary))?;
        Ok(counts)
    });
    let counts = synced.inspect_err(|_| {
        // The next attempt begins anew; until then the space may be needed.
        let _ = files::remove(&temporary);
    })?;
    files::rename(&temporary, target)?;
    Ok(counts)
}

fn fill(file: &File, segment: &Segment, decoder: &mut BlockDecoder) -> Result<(u64, u64), ParquetError> {
    let schema = columns::schema();
    let properties = properties(&segment.header.node)?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
    let mut group: Vec<StoredRow> = Vec::new();
    let mut rows = 0;
    let mut flush = |group: &mut Vec<StoredRow>| -> Result<(), ParquetError> {
        // Blocks are sorted already: a stable sort merges them.
        group.sort_by_key(|row| (row.target, row.unix_ns));
        for slice in group.chunks(16_384) {
            writer.write(&columns::batch(&schema, slice)?)?;
        }
        writer.flush()?;
        rows += group.len() as u64;
        group.clear();
        Ok(())
    };
    let damaged = segment.blocks(decoder, |block| {
        if group.len() + block.len() > GROUP_ROWS {
            flush(&mut group)?;
        }
        group.extend_from_slice(block);
        Ok::<_, ParquetError>(())
    })?;
    flush(&mut group)?;
    writer.close()?;
    Ok((rows, damaged))
}

/// How each column is encoded.
fn properties(node: &str) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(vec![KeyValue::new("megaping.node".to_owned(), node.to_owned())]));
    for (encoding, columns) in ENCODINGS {
        for &column in columns {
            let column = ColumnPath::from(column);
            builder = builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
    }
    Ok(builder.build())
}
