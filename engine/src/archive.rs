//! `megaping archive`: looks after Parquet files.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use megaping_store::archive::export::{self, Exporter};
use megaping_store::archive::{self, ArchiveFile, ArchiveOptions as MakeOptions, Archiver, HOUR_NS, Merged};
use megaping_store::place::{Place, PlaceUrl};
use megaping_store::report::Reader;
use megaping_store::{Spool, SpoolOptions, StoreError};
use serde_json::json;

use crate::cli::{ArchiveAction, ArchiveOptions, ExportFormat, ReportFormat, Selection};
use crate::output::human_count;
use crate::say::say;

/// Why an archive could not be looked after.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// Nobody reads Parquet from a pipe.
    #[error("a Parquet file is not written to standard output: name one with --to-file PATH")]
    ParquetToPipe,
}

/// Does what was asked.
///
/// # Errors
/// [`ArchiveError`], whose message is for the user; a reader that has seen enough is no error.
pub fn run(options: &ArchiveOptions) -> Result<ExitCode, ArchiveError> {
    let done = match &options.action {
        ArchiveAction::Ls { place, output } => ls(&open(place)?, *output),
        ArchiveAction::Make { store, archive } => make(store, archive),
        ArchiveAction::Verify { place } => return verify(&open(place)?),
        ArchiveAction::Export { rows, output, to_file } => export(rows, *output, to_file.as_deref()),
        ArchiveAction::Compact { place, is_alone, scratch } => {
            let temporary = std::env::temp_dir();
            compact(&open(place)?, scratch.as_deref().unwrap_or(&temporary), *is_alone)
        }
        ArchiveAction::Prune { place, keep_ns, tenants, is_dry } => {
            prune(&open(place)?, *keep_ns, tenants, *is_dry)
        }
    };
    match done {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn is_broken_pipe(error: &ArchiveError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A place whose directory is there: a mistyped name is no empty archive.
fn open(url: &PlaceUrl) -> Result<Place, StoreError> {
    match url.dir() {
        Some(dir) if !dir.is_dir() => Err(StoreError::Nothing { dir }),
        _ => Place::open(url),
    }
}

/// Archives what a spool holds, as fast as it goes.
fn make(store: &Path, archive: &MakeOptions) -> Result<(), ArchiveError> {
    if !store.is_dir() {
        return Err(StoreError::Nothing { dir: store.to_owned() }.into());
    }
    let (mut spool, recovery) =
        Spool::open(store, SpoolOptions { archive: true, ..SpoolOptions::default() })?;
    let archiver = Archiver::start(&spool, archive.clone())?;
    spool.take_sealed().into_iter().for_each(|segment| archiver.submit(segment));
    archiver.close(Duration::MAX)?;
    let line = json!({"segments": recovery.segments, "rows": spool.counters().archived});
    Ok(writeln!(io::stdout(), "{line}")?)
}

fn ls(place: &Place, output: ReportFormat) -> Result<(), ArchiveError> {
    let mut out = BufWriter::new(io::stdout());
    match output {
        ReportFormat::Text => writeln!(out, "{:>12} {:>12}  file, below {}", "rows", "bytes", place.url())?,
        ReportFormat::Csv => writeln!(out, "file,tenant,date,hour,rows,bytes,nodes,segments")?,
        ReportFormat::Json => {}
    }
    let (mut files, mut rows, mut bytes) = (0u64, 0, 0);
    for ArchiveFile { entry, partition } in archive::list(place)? {
        let meta = archive::meta(place, &entry)?;
        files += 1;
        rows += meta.rows;
        bytes += entry.bytes;
        let (date, hour) = (partition.date(), partition.unix_hour % 24);
        match output {
            ReportFormat::Text => writeln!(
                out,
                "{:>12} {:>12}  {}",
                human_count(meta.rows),
                human_count(entry.bytes),
                entry.name
            )?,
            ReportFormat::Csv => {
                let (tenant, node) = (quoted(&partition.tenant), quoted(&meta.node));
                let (name, segments) = (quoted(&entry.name), meta.segments.len());
                writeln!(
                    out,
                    "{name},{tenant},{date},{hour},{},{},{node},{segments}",
                    meta.rows, entry.bytes
                )?;
            }
            ReportFormat::Json => {
                let line = json!({
                    "file": entry.name, "tenant": partition.tenant, "date": date, "hour": hour, "rows": meta.rows,
                    "bytes": entry.bytes, "modified": entry.modified_s, "nodes": meta.node.split(',').collect::<Vec<_>>(),
                    "segments": meta.segments.len(), "digest": meta.digest.map(|digest| format!("{digest:016x}")),
                });
                writeln!(out, "{line}")?;
            }
        }
    }
    if output == ReportFormat::Text {
        writeln!(out, "{:>12} {:>12}  {} files", human_count(rows), human_count(bytes), human_count(files))?;
    }
    Ok(out.flush()?)
}

/// A field of comma-separated values (RFC 4180 section 2).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn verify(place: &Place) -> Result<ExitCode, ArchiveError> {
    let found = archive::verify(place)?;
    for problem in &found.problems {
        say(format_args!("megaping: {}: {}", place.path_of(&problem.name).display(), problem.text));
    }
    let line = json!({
        "files": found.files, "rows": found.rows, "digest": format!("{:016x}", found.digest),
        "problems": found.problems.len(),
    });
    writeln!(io::stdout(), "{line}")?;
    Ok(ExitCode::from(u8::from(!found.problems.is_empty())))
}

fn export(rows: &Selection, output: ExportFormat, to_file: Option<&Path>) -> Result<(), ArchiveError> {
    if to_file.is_none() && output == ExportFormat::Parquet {
        return Err(ArchiveError::ParquetToPipe);
    }
    let reader = Reader::open_all(&rows.places)?;
    let out: Box<dyn Write + Send> = match to_file {
        Some(path) => Box::new(export::create(path)?),
        None => Box::new(io::stdout()),
    };
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut exporter = match output {
        ExportFormat::Csv => Exporter::csv(out)?,
        ExportFormat::Json => Exporter::Json(out),
        ExportFormat::Parquet => Exporter::parquet(out).map_err(|source| StoreError::Export { source })?,
    };
    reader.batches(&rows.filter, |tenant, batch| exporter.write(tenant, batch))?;
    Ok(exporter.finish()?)
}

fn compact(place: &Place, scratch: &Path, is_alone: bool) -> Result<(), ArchiveError> {
    let (mut made, mut parts, mut before, mut after) = (0u64, 0, 0, 0);
    archive::compact(place, scratch, is_alone, |merged: &Merged| {
        made += 1;
        parts += merged.parts;
        before += merged.bytes_before;
        after += merged.bytes;
        say(format_args!(
            "megaping: {}: {} files, {} rows",
            merged.name,
            merged.parts,
            human_count(merged.rows)
        ));
    })?;
    let line = json!({"merged": parts, "made": made, "bytes_before": before, "bytes_after": after});
    Ok(writeln!(io::stdout(), "{line}")?)
}

fn prune(place: &Place, keep_ns: u64, tenants: &[String], is_dry: bool) -> Result<(), ArchiveError> {
    let now_ns = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
    // The hour in which the limit lies is kept whole.
    let first_hour = now_ns.saturating_sub(keep_ns) / HOUR_NS;
    let (mut files, mut bytes) = (0u64, 0);
    archive::prune(place, first_hour, tenants, is_dry, |file| {
        files += 1;
        bytes += file.entry.bytes;
        if is_dry {
            say(format_args!("megaping: {} would be removed", file.entry.name));
        }
    })?;
    let line = json!({"removed": files, "bytes": bytes, "dry_run": is_dry});
    Ok(writeln!(io::stdout(), "{line}")?)
}
