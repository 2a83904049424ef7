//! Every stored row once, wherever it is: Parquet files, and the segments that have none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{
    Array, AsArray, DictionaryArray, PrimitiveArray, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{ArrowPrimitiveType, Int8Type, UInt32Type, UInt64Type};
use megaping_wire::Addr;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use crate::segment::{BlockDecoder, Segment};
use crate::{Status, StoreError, files};

/// The part of a row that reports are made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seen {
    /// When the probe left, or was due: Unix nanoseconds.
    pub unix_ns: u64,
    /// Where it went.
    pub destination: Addr,
    /// The target's index in the run's target set.
    pub target: u64,
    /// Which round of the target.
    pub seq: u32,
    /// How it ended.
    pub status: Status,
    /// Round trip, zero without an answer.
    pub rtt_ns: u64,
}

const COLUMNS: [&str; 6] = ["ts", "destination", "target", "seq", "outcome", "rtt_ns"];

/// Where segments are, in the order in which they come there. What is to be uploaded alone is the server's.
const SEGMENTS: [(&str, &str); 4] = [
    (files::SPOOL, files::OPEN),
    (files::SPOOL, files::SEALED),
    (files::SPOOL, files::REFUSED),
    (files::ARCHIVE, files::SEALED),
];

/// A segment that has no Parquet file yet, held open: it can be read after the archiver has removed it.
#[derive(Debug)]
struct Pending {
    path: PathBuf,
    file: File,
    /// Bytes when it was found: what another process appends later is not part of this report.
    len: u64,
    sealed: bool,
}

/// A store's files at one moment, also while another process writes it.
#[derive(Debug)]
pub struct Files {
    parquet: Vec<PathBuf>,
    pending: Vec<Pending>,
}

impl Files {
    /// Finds every row once. Segments are opened first, Parquet files listed afterwards: whatever the
    /// archiver does meanwhile, a row is in one of the two, and a segment whose file appeared is skipped.
    pub fn find(dir: &Path) -> Result<Files, StoreError> {
        let mut segments = BTreeMap::new();
        // Twice, because a file that is renamed while a directory is read may be missed once.
        for _ in 0..2 {
            for (place, ending) in SEGMENTS {
                for path in files::list(&dir.join(place), ending)? {
                    if let Some(pending) = open(path)? {
                        segments.insert(stem(&pending.path), pending);
                    }
                }
            }
        }
        let parquet = parquet_files(dir)?;
        let archived: BTreeSet<OsString> = parquet.iter().map(|path| stem(path)).collect();
        segments.retain(|id, _| !archived.contains(id));
        if parquet.is_empty() && segments.is_empty() && !dir.join(files::SPOOL).is_dir() {
            return Err(StoreError::Nothing { dir: dir.to_owned() });
        }
        Ok(Files { parquet, pending: segments.into_values().collect() })
    }

    /// Calls `each` with every row; returns the bytes of damaged records in sealed segments.
    pub fn rows(&self, mut each: impl FnMut(Seen)) -> Result<u64, StoreError> {
        for path in &self.parquet {
            read_parquet(path, &mut each).map_err(StoreError::parquet("read", path))?;
        }
        let mut decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", Path::new(".")))?;
        let mut damaged = 0;
        for pending in &self.pending {
            damaged += pending.read(&mut decoder, &mut each)?;
        }
        Ok(damaged)
    }
}

impl Pending {
    fn read(&self, decoder: &mut BlockDecoder, each: &mut impl FnMut(Seen)) -> Result<u64, StoreError> {
        io::Seek::rewind(&mut &self.file).map_err(StoreError::io("read", &self.path))?;
        let segment = match Segment::read(&self.file, self.len, &self.path) {
            Ok(segment) => segment,
            // One that is being made has no header yet.
            Err(StoreError::NotASegment { .. }) if !self.sealed => return Ok(0),
            Err(error) => return Err(error),
        };
        let damaged = segment.blocks(decoder, |rows| {
            for row in rows {
                each(Seen {
                    unix_ns: row.unix_ns,
                    destination: row.destination,
                    target: row.target,
                    seq: row.seq,
                    status: row.verdict.into(),
                    rtt_ns: row.rtt_ns,
                });
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(if self.sealed { damaged } else { 0 })
    }
}

fn open(path: PathBuf) -> Result<Option<Pending>, StoreError> {
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Ok((len, file)) => {
            let sealed = path.extension().is_some_and(|e| e != files::OPEN);
            Ok(Some(Pending { path, file, len, sealed }))
        }
        // Sealed or archived since it was listed: it turns up under its other name, or as Parquet.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("open", &path)(e)),
    }
}

fn stem(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}

/// All Parquet files below `DIR/parquet/date=*/hour=*`, oldest first.
fn parquet_files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for date in subdirectories(&dir.join(files::PARQUET))? {
        for hour in subdirectories(&date)? {
            found.extend(files::list(&hour, "parquet")?);
        }
    }
    Ok(found)
}

fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list", dir)(e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        if path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_parquet(path: &Path, each: &mut impl FnMut(Seen)) -> Result<(), ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    for batch in builder.with_projection(mask).with_batch_size(16_384).build()? {
        read_batch(&batch?, each)?;
    }
    Ok(())
}

fn read_batch(batch: &RecordBatch, each: &mut impl FnMut(Seen)) -> Result<(), ParquetError> {
    let ts: &TimestampNanosecondArray = column(batch, "ts", |a| a.as_primitive_opt())?;
    let destination: &StringArray = column(batch, "destination", |a| a.as_string_opt())?;
    let target: &PrimitiveArray<UInt64Type> = numbers(batch, "target")?;
    let seq: &PrimitiveArray<UInt32Type> = numbers(batch, "seq")?;
    let rtt: &PrimitiveArray<UInt64Type> = numbers(batch, "rtt_ns")?;
    let outcome: &DictionaryArray<Int8Type> = column(batch, "outcome", |a| a.as_dictionary_opt())?;
    let names: &StringArray = outcome.values().as_string_opt().ok_or_else(|| unlike("outcome"))?;
    let statuses: Vec<Option<Status>> =
        names.iter().map(|name| Status::ALL.into_iter().find(|s| Some(s.name()) == name)).collect();
    let (mut text, mut address) = ("", None);
    for i in 0..batch.num_rows() {
        if address.is_none() || destination.value(i) != text {
            text = destination.value(i);
            address = text.parse::<std::net::IpAddr>().ok().map(Addr::from);
        }
        let status = outcome.key(i).and_then(|key| statuses.get(key).copied().flatten());
        each(Seen {
            unix_ns: ts.value(i).cast_unsigned(),
            destination: address.ok_or_else(|| unlike("destination"))?,
            target: target.value(i),
            seq: seq.value(i),
            status: status.ok_or_else(|| unlike("outcome"))?,
            rtt_ns: if rtt.is_null(i) { 0 } else { rtt.value(i) },
        });
    }
    Ok(())
}

fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ParquetError> {
    column(batch, name, |a| a.as_primitive_opt())
}

fn column<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    cast: impl FnOnce(&'a dyn Array) -> Option<&'a T>,
) -> Result<&'a T, ParquetError> {
    batch.column_by_name(name).and_then(|array| cast(array.as_ref())).ok_or_else(|| unlike(name))
}

fn unlike(name: &str) -> ParquetError {
    ParquetError::General(format!("column {name} is not as megaping writes it"))
}
