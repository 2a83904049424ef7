//! Every stored row once, wherever it is: Parquet files, and the segments that have none yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use megaping_wire::Addr;

use super::{Filter, parquet};
use crate::archive::{FileMeta, HOUR_NS, Partition, columns, is_merged};
use crate::place::{Entry, Place, PlaceUrl};
use crate::segment::{BlockDecoder, Piece, Segment};
use crate::{Status, StoreError, StoredRow, files};

/// Where segments are, in the order in which they come there. What is to be uploaded alone is the server's.
const SEGMENTS: [(&str, &str); 4] = [
    (files::SPOOL, files::OPEN),
    (files::SPOOL, files::SEALED),
    (files::SPOOL, files::REFUSED),
    (files::ARCHIVE, files::SEALED),
];
/// Whose rows are that have no file yet: only there it is written whose they are.
const NOBODY: &str = "default";
/// Hours of one block that are looked for in Parquet files: a block is a second of rows.
const MAX_HOURS: u64 = 48;

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

impl From<&StoredRow> for Seen {
    fn from(row: &StoredRow) -> Seen {
        Seen {
            unix_ns: row.unix_ns,
            destination: row.destination,
            target: row.target,
            seq: row.seq,
            status: row.verdict.into(),
            rtt_ns: row.rtt_ns,
        }
    }
}

/// A segment that has no Parquet file yet, held open: it can be read after the archiver has removed it.
#[derive(Debug)]
struct Pending {
    path: PathBuf,
    file: File,
    /// Bytes when it was found: what another process appends later is not part of this report.
    len: u64,
    sealed: bool,
}

/// A Parquet file of the archive.
#[derive(Clone, Debug)]
struct Archived {
    place: Place,
    entry: Entry,
    partition: Partition,
}

impl Archived {
    fn meta(&self) -> Result<FileMeta, StoreError> {
        let path = self.place.path_of(&self.entry.name);
        FileMeta::read(&self.place.read(&self.entry)?).map_err(StoreError::parquet("read", &path))
    }
}

/// A store's files at one moment, also while another process writes it.
#[derive(Debug, Default)]
pub struct Files {
    parquet: Vec<Archived>,
    pending: Vec<Pending>,
    /// Which segments are in Parquet files of an hour, once it was asked.
    covered: RefCell<HashMap<u64, HashSet<String>>>,
}

impl Files {
    /// Adds the store at `dir`. Segments are opened first, Parquet files listed afterwards: whatever the archiver
    /// does meanwhile, a row is in one of the two, and those that are in both are passed over in the segment.
    pub fn add_store(&mut self, dir: &Path) -> Result<(), StoreError> {
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
        let before = self.parquet.len();
        self.add_place(&Place::open(&PlaceUrl::of_dir(&dir.join(files::PARQUET)))?)?;
        if self.parquet.len() == before && segments.is_empty() && !dir.join(files::SPOOL).is_dir() {
            return Err(StoreError::Nothing { dir: dir.to_owned() });
        }
        self.pending.extend(segments.into_values());
        Ok(())
    }

    /// Adds the files of an archive; none that was merged into another.
    pub fn add_place(&mut self, place: &Place) -> Result<(), StoreError> {
        let mut found = Vec::new();
        let mut replaced = HashSet::new();
        for entry in place.list("")? {
            let Some(partition) = Partition::of_file(&entry.name) else { continue };
            let archived = Archived { place: place.clone(), entry, partition };
            if is_merged(&archived.entry.name) {
                replaced
                    .extend(archived.meta()?.replaces.into_iter().map(|name| archived.partition.file(&name)));
            }
            found.push(archived);
        }
        found.retain(|archived| !replaced.contains(&archived.entry.name));
        self.parquet.extend(found);
        Ok(())
    }

    /// Calls `each` with every row that `filter` takes, and whose it is; returns the bytes of damaged records in
    /// sealed segments.
    pub fn rows(&self, filter: &Filter, mut each: impl FnMut(&str, Seen)) -> Result<u64, StoreError> {
        for archived in self.parquet.iter().filter(|archived| filter.takes_partition(&archived.partition)) {
            let source = archived.place.read(&archived.entry)?;
            let path = archived.place.path_of(&archived.entry.name);
            parquet::read(source, filter, &mut |row| each(&archived.partition.tenant, row))
                .map_err(StoreError::parquet("read", &path))?;
        }
        let mut decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", Path::new(".")))?;
        let mut damaged = 0;
        if filter.takes_tenant(NOBODY) {
            for pending in &self.pending {
                damaged += self.read_pending(pending, filter, &mut decoder, &mut |row| each(NOBODY, row))?;
            }
        }
        Ok(damaged)
    }

    /// Calls `each` with batches of the rows that `filter` takes, all their columns, and whose they are.
    pub fn batches(
        &self,
        filter: &Filter,
        mut each: impl FnMut(&str, &RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for archived in self.parquet.iter().filter(|archived| filter.takes_partition(&archived.partition)) {
            let path = archived.place.path_of(&archived.entry.name);
            let batches = parquet::batches(archived.place.read(&archived.entry)?, filter, None)
                .map_err(StoreError::parquet("read", &path))?;
            for batch in batches {
                let wanted = parquet::wanted(&batch.map_err(StoreError::parquet("read", &path))?, filter);
                each(&archived.partition.tenant, &wanted.map_err(StoreError::parquet("read", &path))?)?;
            }
        }
        let mut decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", Path::new(".")))?;
        for pending in self.pending.iter().filter(|_| filter.takes_tenant(NOBODY)) {
            self.pending_rows(pending, filter, &mut decoder, &mut |node, rows| {
                let batch = columns::batch(&columns::schema(), node, rows);
                each(NOBODY, &batch.map_err(StoreError::parquet("read", &pending.path))?)
            })?;
        }
        Ok(())
    }

    fn read_pending(
        &self,
        pending: &Pending,
        filter: &Filter,
        decoder: &mut BlockDecoder,
        each: &mut impl FnMut(Seen),
    ) -> Result<u64, StoreError> {
        self.pending_rows(pending, filter, decoder, &mut |_, rows| {
            for row in rows {
                each(Seen::from(row));
            }
            Ok(())
        })
    }

    /// Calls `each` with the node and rows of a segment that are in no file yet.
    fn pending_rows(
        &self,
        pending: &Pending,
        filter: &Filter,
        decoder: &mut BlockDecoder,
        each: &mut impl FnMut(&str, &[StoredRow]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let Some(segment) = pending.segment()? else { return Ok(0) };
        let mut archived_hours = HashSet::new();
        for unix_hour in hours(&segment) {
            if self.is_covered(&segment.header.id, unix_hour)? {
                archived_hours.insert(unix_hour);
            }
        }
        let mut wanted = Vec::new();
        let damaged = segment.blocks(decoder, |rows| {
            let is_new = |row: &&StoredRow| !archived_hours.contains(&(row.unix_ns / HOUR_NS));
            wanted.clear();
            wanted.extend(rows.iter().filter(is_new).filter(|row| filter.takes(&Seen::from(*row))));
            if wanted.is_empty() { Ok(()) } else { each(&segment.header.node, &wanted) }
        })?;
        Ok(if pending.sealed { damaged } else { 0 })
    }

    fn is_covered(&self, segment: &str, unix_hour: u64) -> Result<bool, StoreError> {
        if let Some(segments) = self.covered.borrow().get(&unix_hour) {
            return Ok(segments.contains(segment));
        }
        let mut segments = HashSet::new();
        for archived in self.parquet.iter().filter(|archived| archived.partition.unix_hour == unix_hour) {
            segments.extend(archived.meta()?.segments);
            // Files of earlier versions are of one segment, and have its name.
            segments.insert(stem(Path::new(&archived.entry.name)).to_string_lossy().into_owned());
        }
        let is_covered = segments.contains(segment);
        self.covered.borrow_mut().insert(unix_hour, segments);
        Ok(is_covered)
    }
}

/// The hours that rows of a segment may be in.
fn hours(segment: &Segment) -> HashSet<u64> {
    let mut hours = HashSet::new();
    for piece in segment.pieces() {
        if let Piece::Block { header, .. } = piece {
            let (first, last) = (header.first_ns / HOUR_NS, header.last_ns / HOUR_NS);
            // A clock that was set in between makes a long way of it, which no file follows.
            hours.extend(first..=last.min(first.saturating_add(MAX_HOURS)));
            hours.insert(last);
        }
    }
    hours
}

impl Pending {
    fn segment(&self) -> Result<Option<Segment>, StoreError> {
        io::Seek::rewind(&mut &self.file).map_err(StoreError::io("read", &self.path))?;
        match Segment::read(&self.file, self.len, &self.path) {
            Ok(segment) => Ok(Some(segment)),
            // One that is being made has no header yet.
            Err(StoreError::NotASegment { .. }) if !self.sealed => Ok(None),
            Err(error) => Err(error),
        }
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
