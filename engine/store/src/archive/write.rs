//! The segments of one plan to one Parquet file an hour, exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::columns;
use super::merged;
use super::meta::{Digest, FileMeta};
use super::partition::{HOUR_NS, Partition};
use super::plan::Plan;
use crate::place::Place;
use crate::report::Seen;
use crate::segment::{BlockDecoder, Piece, Segment};
use crate::{StoreError, StoredRow, files, spool};

/// Rows of a row group: they are held in memory, at about 100 bytes each, to be sorted together.
pub const GROUP_ROWS: usize = 262_144;

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

/// What became of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Archived {
    /// Its files, as paths below the place; none where no row was whole.
    pub files: Vec<String>,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of segments that were damaged: those are then kept aside as `*.damaged`, not removed.
    pub damaged_bytes: u64,
}

/// Makes the files of a plan, then removes its segments. Files that an earlier attempt completed are left as they are.
///
/// # Errors
/// [`StoreError`] when a segment cannot be read or a file not be written; the segments are then untouched.
pub fn carry_out(
    dir: &Path,
    place: &Place,
    plan: &mut Plan,
    decoder: &mut BlockDecoder,
) -> Result<Archived, StoreError> {
    let mut archived = Archived::default();
    let paths: Vec<PathBuf> =
        plan.segments.iter().map(|name| dir.join(name)).filter(|path| path.exists()).collect();
    let mut damaged = BTreeMap::new();
    for path in &paths {
        let segment = Segment::open(path)?;
        let is_empty = segment.rows() == 0;
        archived.rows += segment.rows();
        if is_empty || segment.damaged_len() > 0 {
            damaged.insert(path.clone(), if is_empty { segment.len() as u64 } else { segment.damaged_len() });
        }
    }
    if !plan.is_done {
        for unix_hour in hours(&paths, decoder)? {
            let partition = Partition { tenant: plan.tenant.clone(), unix_hour };
            let name = partition.file(&format!("{}.parquet", plan.id));
            let rows = match rows_there(place, &partition, &name, &paths)? {
                Some(rows) => rows,
                None => make(
                    dir,
                    place,
                    plan,
                    &name,
                    &mut Job { paths: &paths, unix_hour, decoder, damaged: &mut damaged },
                )?,
            };
            if rows > 0 {
                archived.files.push(name);
            }
        }
        plan.done(dir)?;
    }
    for path in paths {
        if damaged.contains_key(&path) { spool::keep_aside(&path)? } else { files::remove(&path)? }
    }
    archived.damaged_bytes = damaged.values().sum();
    plan.end(dir)?;
    Ok(archived)
}

/// One hour of the rows of some segments.
struct Job<'a> {
    paths: &'a [PathBuf],
    unix_hour: u64,
    decoder: &'a mut BlockDecoder,
    /// Which segments hold bytes that nobody can read, and how many.
    damaged: &'a mut BTreeMap<PathBuf, u64>,
}

fn make(dir: &Path, place: &Place, plan: &Plan, name: &str, job: &mut Job) -> Result<u64, StoreError> {
    let temporary = plan.temporary(dir, "parquet.tmp");
    let rows = write(&temporary, job)?;
    let put = if rows > 0 { place.put(name, &temporary).map(drop) } else { Ok(()) };
    files::remove(&temporary)?;
    put.map(|()| rows)
}

/// How many rows a file of the partition has that holds all of these segments': their own, or one that it was merged
/// into.
fn rows_there(
    place: &Place,
    partition: &Partition,
    name: &str,
    paths: &[PathBuf],
) -> Result<Option<u64>, StoreError> {
    let ids: Vec<String> = paths.iter().map(|path| id(path)).collect();
    for entry in place.list(&partition.to_string())? {
        if entry.name != name && !merged::is_merged(&entry.name) {
            continue;
        }
        let path = place.path_of(&entry.name);
        let meta = match FileMeta::read(&place.read(&entry)?) {
            Ok(meta) => meta,
            // Torn, by a machine that went down as it was written: it is made anew.
            Err(_) if entry.name == name => continue,
            Err(source) => return Err(StoreError::parquet("read", &path)(source)),
        };
        if ids.iter().all(|id| meta.segments.contains(id)) {
            return Ok(Some(meta.rows));
        }
    }
    Ok(None)
}

fn id(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The hours that have rows.
fn hours(paths: &[PathBuf], decoder: &mut BlockDecoder) -> Result<BTreeSet<u64>, StoreError> {
    let mut hours = BTreeSet::new();
    for path in paths {
        let segment = Segment::open(path)?;
        let mut is_plain = true;
        for piece in segment.pieces() {
            if let Piece::Block { header, .. } = piece {
                is_plain &= header.first_ns / HOUR_NS == header.last_ns / HOUR_NS;
                hours.insert(header.first_ns / HOUR_NS);
            }
        }
        if !is_plain {
            segment.blocks(decoder, |rows| {
                hours.extend(rows.iter().map(|row| row.unix_ns / HOUR_NS));
                Ok::<_, StoreError>(())
            })?;
        }
    }
    Ok(hours)
}

fn write(target: &Path, job: &mut Job) -> Result<u64, StoreError> {
    if let Some(parent) = target.parent() {
        files::create_dirs(parent)?;
    }
    let file = File::create(target).map_err(StoreError::io("create", target))?;
    let written = fill(&file, target, job);
    let synced = written.and_then(|rows| {
        file.sync_all().map_err(StoreError::io("sync", target))?;
        Ok(rows)
    });
    synced.inspect_err(|_| {
        // The next attempt begins anew; until then the space may be needed.
        let _ = files::remove(target);
    })
}

fn fill(file: &File, target: &Path, job: &mut Job) -> Result<u64, StoreError> {
    let failed = StoreError::parquet("write", target);
    let mut hour = None;
    for path in job.paths {
        let segment = Segment::open(path)?;
        let hour = match &mut hour {
            Some(hour) => hour,
            none => none.insert(Hour::begin(file, &segment.header.node).map_err(&failed)?),
        };
        let bad = segment.blocks(job.decoder, |rows| hour.add(rows, job.unix_hour).map_err(&failed))?;
        if bad > 0 {
            job.damaged.insert(path.clone(), bad);
        }
        hour.meta.segments.push(segment.header.id.clone());
    }
    hour.map_or(Ok(0), |hour| hour.end().map_err(failed))
}

/// The file of one hour while it grows.
struct Hour<'a> {
    writer: ArrowWriter<&'a File>,
    group: Vec<StoredRow>,
    meta: FileMeta,
    digest: Digest,
}

impl<'a> Hour<'a> {
    fn begin(file: &'a File, node: &str) -> Result<Hour<'a>, ParquetError> {
        let writer = ArrowWriter::try_new(file, columns::schema(), Some(properties()?.build()))?;
        let meta = FileMeta { node: node.to_owned(), ..FileMeta::default() };
        Ok(Hour { writer, group: Vec::new(), meta, digest: Digest::default() })
    }

    fn add(&mut self, rows: &[StoredRow], unix_hour: u64) -> Result<(), ParquetError> {
        if self.group.len() + rows.len() > GROUP_ROWS {
            self.flush()?;
        }
        for row in rows.iter().filter(|row| row.unix_ns / HOUR_NS == unix_hour) {
            self.digest.add(&Seen::from(row));
            self.group.push(*row);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        // Blocks are sorted already: a stable sort merges them.
        self.group.sort_by_key(|row| (row.destination, row.unix_ns));
        let schema = columns::schema();
        for slice in self.group.chunks(16_384) {
            self.writer.write(&columns::batch(&schema, &self.meta.node, slice)?)?;
        }
        self.meta.rows += self.group.len() as u64;
        self.group.clear();
        self.writer.flush()
    }

    fn end(mut self) -> Result<u64, ParquetError> {
        self.flush()?;
        self.meta.digest = Some(self.digest.0);
        for entry in self.meta.entries() {
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.close()?;
        Ok(self.meta.rows)
    }
}

/// How each column is encoded.
pub fn properties() -> Result<WriterPropertiesBuilder, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (encoding, columns) in ENCODINGS {
        for &column in columns {
            let column = ColumnPath::from(column);
            builder = builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
    }
    Ok(builder)
}
