//! Looking after an archive: compaction, verification, retention.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::merged::{self, MAX_GROUPS, Merged, is_merged, merge};
use super::meta::{Digest, FileMeta};
use super::partition::{HOUR_NS, Partition};
use crate::place::{Entry, Place};
use crate::report::{Filter, read_file};
use crate::{StoreError, files};

/// There while a compaction runs; nobody else begins one.
const COMPACTING: &str = "_megaping/compacting";
/// A compaction that began before this is none any more.
const STALE_S: u64 = 6 * 3600;
/// Hours that ended so long ago get no more files, but for those of nodes that were cut off.
const SETTLED_HOURS: u64 = 1;
/// Files of this size are left as they are.
const LARGE: u64 = 128 << 20;
/// Files that are looked at together.
const TOGETHER: usize = 256;

/// A file of an archive and the partition that its path tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveFile {
    /// Where it is.
    pub entry: Entry,
    /// Whose rows, and of which hour.
    pub partition: Partition,
}

/// The files of an archive, by name.
///
/// # Errors
/// [`StoreError`] when it cannot be listed.
pub fn list(place: &Place) -> Result<Vec<ArchiveFile>, StoreError> {
    let of = |entry: Entry| {
        let partition = Partition::of_file(&entry.name)?;
        Some(ArchiveFile { entry, partition })
    };
    Ok(place.list("")?.into_iter().filter_map(of).collect())
}

fn by_partition(files: Vec<ArchiveFile>) -> BTreeMap<Partition, Vec<Entry>> {
    let mut partitions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        partitions.entry(file.partition).or_default().push(file.entry);
    }
    partitions
}

/// What a file says of itself.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn meta(place: &Place, entry: &Entry) -> Result<FileMeta, StoreError> {
    let path = place.path_of(&entry.name);
    FileMeta::read(&place.read(entry)?).map_err(StoreError::parquet("read", &path))
}

/// Merges small files of hours that are over, and finishes what an earlier compaction had begun. One at a time: where
/// the store does not honour conditional writes nobody can see to that, and `is_alone` has to promise it.
///
/// # Errors
/// [`StoreError::Busy`] when another one runs, [`StoreError`] of the first file where it does not work.
pub fn compact(
    place: &Place,
    scratch: &Path,
    is_alone: bool,
    mut each: impl FnMut(&Merged),
) -> Result<(), StoreError> {
    if !is_alone {
        if !place.is_conditional()? {
            return Err(StoreError::Unconditional { url: place.url().to_string() });
        }
        lock(place)?;
    }
    let done = compact_all(place, scratch, &mut each);
    if !is_alone {
        place.remove(COMPACTING)?;
    }
    done
}

fn lock(place: &Place) -> Result<(), StoreError> {
    let now_s = files::unix_now_ns() / 1_000_000_000;
    for _ in 0..2 {
        if place.claim(COMPACTING, format!("since {now_s} (Unix time)\n").as_bytes())? {
            return Ok(());
        }
        let there = place.list("_megaping")?.into_iter().find(|entry| entry.name == COMPACTING);
        if there.is_some_and(|entry| entry.modified_s + STALE_S > now_s) {
            break;
        }
        place.remove(COMPACTING)?;
    }
    Err(StoreError::Busy { path: place.path_of(COMPACTING) })
}

fn compact_all(place: &Place, scratch: &Path, each: &mut impl FnMut(&Merged)) -> Result<(), StoreError> {
    let this_hour = files::unix_now_ns() / HOUR_NS;
    for (partition, mut entries) in by_partition(list(place)?) {
        finish(place, &partition, &mut entries)?;
        if partition.unix_hour + SETTLED_HOURS >= this_hour {
            continue;
        }
        entries.retain(|entry| entry.bytes < LARGE);
        for entries in entries.chunks(TOGETHER) {
            for parts in together(place, entries)?.iter().filter(|parts| parts.len() > 1) {
                each(&merge(place, &partition, parts, scratch)?);
            }
        }
    }
    Ok(())
}

/// Removes files that were merged into another one.
fn finish(place: &Place, partition: &Partition, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
    let mut replaced = Vec::new();
    for entry in entries.iter().filter(|entry| is_merged(&entry.name)) {
        replaced.extend(meta(place, entry)?.replaces.into_iter().map(|name| partition.file(&name)));
    }
    for entry in entries.iter().filter(|entry| replaced.contains(&entry.name)) {
        place.remove(&entry.name)?;
    }
    entries.retain(|entry| !replaced.contains(&entry.name));
    Ok(())
}

/// Files of the same columns, as many as can be merged at once.
fn together(place: &Place, entries: &[Entry]) -> Result<Vec<Vec<Entry>>, StoreError> {
    let mut kinds: BTreeMap<String, Vec<(usize, Vec<Entry>)>> = BTreeMap::new();
    for entry in entries {
        let path = place.path_of(&entry.name);
        let (columns, groups) =
            merged::shape(place.read(entry)?).map_err(StoreError::parquet("read", &path))?;
        let lots = kinds.entry(columns).or_default();
        match lots.last_mut() {
            Some((taken, lot)) if *taken + groups <= MAX_GROUPS => {
                *taken += groups;
                lot.push(entry.clone());
            }
            _ => lots.push((groups, vec![entry.clone()])),
        }
    }
    Ok(kinds.into_values().flatten().map(|(_, lot)| lot).collect())
}

/// What is wrong with a file of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Its path below the archive.
    pub name: String,
    /// What it is, and what to do.
    pub text: String,
}

/// What was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Files, those that were merged into others left out.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// The sum over all rows ([`Digest`]).
    pub digest: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads every row of every file: whether they are as many as the footer says, have the sum that was written down, are
/// of the hour that the path says, and whether any segment was archived twice.
///
/// # Errors
/// [`StoreError`] when the archive cannot be listed; files that cannot be read are problems.
pub fn verify(place: &Place) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    for (partition, entries) in by_partition(list(place)?) {
        let metas: Vec<_> = entries.iter().map(|entry| (entry, meta(place, entry))).collect();
        let replaced: Vec<String> = metas
            .iter()
            .filter_map(|(_, meta)| meta.as_ref().ok())
            .flat_map(|meta| meta.replaces.iter().map(|name| partition.file(name)))
            .collect();
        let mut segments: HashMap<String, String> = HashMap::new();
        for (entry, meta) in metas {
            let mut problem = |text: String| {
                verified.problems.push(Problem { name: entry.name.clone(), text });
            };
            if replaced.contains(&entry.name) {
                problem("it was merged into another file, and is still there: 'megaping archive compact' removes it".into());
                continue;
            }
            verified.files += 1;
            match meta.and_then(|meta| check(place, entry, &partition, &meta).map(|found| (meta, found))) {
                Err(error) => problem(error.to_string()),
                Ok((meta, found)) => {
                    verified.rows += found.rows;
                    verified.digest = verified.digest.wrapping_add(found.digest.0);
                    found.problems.into_iter().for_each(&mut problem);
                    for segment in meta.segments {
                        if let Some(other) = segments.insert(segment.clone(), entry.name.clone()) {
                            problem(format!("rows of segment {segment} are in {other} as well"));
                        }
                    }
                }
            }
        }
    }
    Ok(verified)
}

#[derive(Default)]
struct Found {
    rows: u64,
    digest: Digest,
    problems: Vec<String>,
}

fn check(place: &Place, entry: &Entry, partition: &Partition, meta: &FileMeta) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let mut strangers = 0u64;
    let path = place.path_of(&entry.name);
    read_file(place.read(entry)?, &Filter::default(), &mut |row| {
        found.rows += 1;
        found.digest.add(&row);
        strangers += u64::from(row.unix_ns / HOUR_NS != partition.unix_hour);
    })
    .map_err(StoreError::parquet("read", &path))?;
    if found.rows != meta.rows {
        found.problems.push(format!("{} rows were read, and its footer says {}", found.rows, meta.rows));
    }
    if meta.digest.is_some_and(|digest| digest != found.digest.0) {
        found.problems.push("its rows are not those that were written, by their sum".to_owned());
    }
    // Files of earlier versions hold whole segments, which may reach into the next hour.
    if strangers > 0 && meta.digest.is_some() {
        found.problems.push(format!("{strangers} rows are of another hour than its path says"));
    }
    Ok(found)
}

/// Removes files of hours before `first_hour`, of `tenants` or everybody's; `is_dry` only says which.
///
/// # Errors
/// [`StoreError`] of the first that cannot be removed.
pub fn prune(
    place: &Place,
    first_hour: u64,
    tenants: &[String],
    is_dry: bool,
    mut each: impl FnMut(&ArchiveFile),
) -> Result<(), StoreError> {
    for file in list(place)? {
        let is_wanted = tenants.is_empty() || tenants.contains(&file.partition.tenant);
        if is_wanted && file.partition.unix_hour < first_hour {
            if !is_dry {
                place.remove(&file.entry.name)?;
            }
            each(&file);
        }
    }
    Ok(())
}
