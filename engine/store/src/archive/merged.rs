//! Files of one partition merged into one, whose rows are sorted all together.
//!
//! Row groups are sorted by themselves; this merges them, a few thousand rows of each in memory at a time. The merged
//! file names those that it replaces, and is durable before they are removed: whoever reads it passes over those that
//! are still there. Its name follows from theirs, so a merge that was cut off is done again, or finished.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fs::File;
use std::hash::Hasher;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use megaping_wire::Addr;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use siphasher::sip::SipHasher13;

use super::meta::{Digest, FileMeta};
use super::partition::Partition;
use super::write::properties;
use crate::place::{Entry, Place};
use crate::report::read_batch;
use crate::{StoreError, files};

/// How names of merged files begin: what follows is a sum over the names of their parts.
const MERGED: &str = "merged-";
/// Rows of a row group that are in memory.
const BATCH: usize = 4096;
/// Rows that are written at a time.
const WRITE: usize = 16_384;
/// Row groups that are merged at a time, at most: each holds pages of every column.
pub const MAX_GROUPS: usize = 64;

/// Whether a file, by its path, was merged of others.
#[must_use]
pub fn is_merged(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(MERGED))
}

/// A file that was merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// Its path below the archive.
    pub name: String,
    /// How many files it replaces.
    pub parts: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Its own.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
}

/// Merges `parts` of a partition, then removes them. `scratch` is a directory for the file while it is made.
///
/// # Errors
/// [`StoreError`] when a part cannot be read, is damaged, or the file cannot be written: all parts are still there.
pub fn merge(
    place: &Place,
    partition: &Partition,
    parts: &[Entry],
    scratch: &Path,
) -> Result<Merged, StoreError> {
    let name = partition.file(&format!("{MERGED}{:016x}.parquet", sum(parts)));
    let temporary = scratch.join(format!("megaping-merge-{:016x}.tmp", sum(parts)));
    let made = write(place, parts, &temporary);
    let put = made.and_then(|rows| {
        let bytes = std::fs::metadata(&temporary).map_err(StoreError::io("look at", &temporary))?.len();
        place.put(&name, &temporary)?;
        Ok((rows, bytes))
    });
    files::remove(&temporary)?;
    let (rows, bytes) = put?;
    for part in parts.iter().filter(|part| part.name != name) {
        place.remove(&part.name)?;
    }
    let bytes_before = parts.iter().map(|part| part.bytes).sum();
    Ok(Merged { name, parts: parts.len(), bytes_before, bytes, rows })
}

fn sum(parts: &[Entry]) -> u64 {
    let mut hash = SipHasher13::new();
    for part in parts {
        hash.write(part.name.as_bytes());
    }
    hash.finish()
}

fn write(place: &Place, parts: &[Entry], target: &Path) -> Result<u64, StoreError> {
    let (mut meta, mut runs) = (FileMeta { digest: Some(0), ..FileMeta::default() }, Vec::new());
    let (mut nodes, mut segments, mut schema) = (BTreeSet::new(), BTreeSet::new(), None);
    for part in parts {
        let path = place.path_of(&part.name);
        let failed = StoreError::parquet("read", &path);
        let builder = |source| ParquetRecordBatchReaderBuilder::try_new(source);
        let first = builder(place.read(part)?).map_err(&failed)?;
        let own = FileMeta::of(first.metadata());
        meta.rows += own.rows;
        meta.digest = meta.digest.zip(own.digest).map(|(a, b)| a.wrapping_add(b));
        nodes.extend(own.node.split(',').map(str::to_owned));
        segments.extend(own.segments);
        let name = part.name.rsplit('/').next().unwrap_or_default().to_owned();
        meta.replaces.extend(own.replaces.into_iter().chain([name]));
        schema.get_or_insert_with(|| first.schema().clone());
        for group in 0..first.metadata().num_row_groups() {
            let reader = builder(place.read(part)?).map_err(&failed)?;
            let reader =
                reader.with_row_groups(vec![group]).with_batch_size(BATCH).build().map_err(&failed)?;
            runs.push(reader);
        }
    }
    let Some(schema) = schema else { return Ok(0) };
    meta.node = nodes.into_iter().collect::<Vec<_>>().join(",");
    meta.segments = segments.into_iter().collect();
    let file = File::create(target).map_err(StoreError::io("create", target))?;
    merge_runs(&file, &schema, runs, &mut meta).map_err(StoreError::parquet("merge into", target))?;
    file.sync_all().map_err(StoreError::io("sync", target))?;
    Ok(meta.rows)
}

/// One row group while it is read.
struct Run {
    reader: ParquetRecordBatchReader,
    keys: Vec<(Addr, u64)>,
    next: usize,
    /// Where its batch is among those that are held.
    batch: usize,
}

impl Run {
    /// Reads on; the batch, unless the run is at its end.
    fn read(&mut self) -> Result<Option<RecordBatch>, ParquetError> {
        self.keys.clear();
        self.next = 0;
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        Ok(Some(batch))
    }
}

fn merge_runs(
    file: &File,
    schema: &SchemaRef,
    readers: Vec<ParquetRecordBatchReader>,
    meta: &mut FileMeta,
) -> Result<(), ParquetError> {
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties()?.build()))?;
    let mut merge = Merge { held: Vec::new(), picked: Vec::new(), digest: Digest::default(), rows: 0 };
    let mut runs: Vec<_> =
        readers.into_iter().map(|reader| Run { reader, keys: Vec::new(), next: 0, batch: 0 }).collect();
    let mut heap = BinaryHeap::new();
    for (index, run) in runs.iter_mut().enumerate() {
        if merge.fill(run)? {
            heap.push(Reverse((run.keys[0], index)));
        }
    }
    while let Some(Reverse((_, index))) = heap.pop() {
        let run = &mut runs[index];
        merge.picked.push((run.batch, run.next));
        run.next += 1;
        if run.next < run.keys.len() || merge.fill(run)? {
            heap.push(Reverse((run.keys[run.next], index)));
        }
        if merge.picked.len() >= WRITE {
            merge.write(&mut writer)?;
            merge.let_go(&mut runs);
        }
    }
    merge.write(&mut writer)?;
    let is_whole = merge.rows == meta.rows && meta.digest.is_none_or(|digest| digest == merge.digest.0);
    if !is_whole {
        return Err(ParquetError::General(
            "the rows are not those that were written, by their sum: 'megaping archive verify' says in which file"
                .to_owned(),
        ));
    }
    for entry in meta.entries() {
        writer.append_key_value_metadata(entry);
    }
    writer.close().map(drop)
}

/// Batches that rows are picked from, and the rows that were.
struct Merge {
    held: Vec<RecordBatch>,
    picked: Vec<(usize, usize)>,
    digest: Digest,
    rows: u64,
}

impl Merge {
    /// Reads a run's next batch; false at its end.
    fn fill(&mut self, run: &mut Run) -> Result<bool, ParquetError> {
        let Some(batch) = run.read()? else { return Ok(false) };
        read_batch(&batch, &mut |row| {
            run.keys.push((row.destination, row.unix_ns));
            self.digest.add(&row);
        })?;
        run.batch = self.held.len();
        self.held.push(batch);
        Ok(!run.keys.is_empty())
    }

    fn write(&mut self, writer: &mut ArrowWriter<&File>) -> Result<(), ParquetError> {
        if !self.picked.is_empty() {
            let held: Vec<_> = self.held.iter().collect();
            writer.write(&interleave_record_batch(&held, &self.picked)?)?;
            self.rows += self.picked.len() as u64;
            self.picked.clear();
        }
        Ok(())
    }

    /// Forgets batches that no run reads any more.
    fn let_go(&mut self, runs: &mut [Run]) {
        let mut held = Vec::with_capacity(runs.len());
        for run in runs.iter_mut().filter(|run| run.next < run.keys.len()) {
            held.push(self.held[run.batch].clone());
            run.batch = held.len() - 1;
        }
        self.held = held;
    }
}

/// A file's columns, as text, and how many row groups it has.
pub fn shape(source: crate::place::Source) -> Result<(String, usize), ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(source)?;
    let fields: Vec<_> =
        builder.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    Ok((fields.join(","), builder.metadata().num_row_groups()))
}
