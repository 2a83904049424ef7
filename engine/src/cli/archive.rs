//! The flags of `megaping archive`, and those that choose rows.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use megaping_store::Status;
use megaping_store::archive::{ArchiveOptions as MakeOptions, Pace};
use megaping_store::place::PlaceUrl;
use megaping_store::report::{Filter, Prefix};

use super::args::{ArchiveFormat, ReportFormat};
use super::options::UsageError;
use super::values;

const ARCHIVE_NOTES: &str = "\
An ARCHIVE is a directory (that of --store, or one of Parquet files), or a URL: file:///DIRECTORY, s3://BUCKET/PREFIX,
gs://BUCKET/PREFIX, az://CONTAINER/PREFIX. Credentials come from the environment, as the cloud's own tools take them
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME ...), or from the
machine's role.

Examples:
  megaping archive ls results
  megaping archive verify s3://bucket/megaping
  megaping archive export results --from 2h --target 192.0.2.0/24 -o csv > rows.csv
  megaping archive compact s3://bucket/megaping
  megaping archive prune results --keep 400d

Exit status: 0, or 1 when verify has found something wrong, 2 for an error.";

#[derive(Args, Debug)]
#[command(after_help = ARCHIVE_NOTES, arg_required_else_help = true)]
pub(super) struct ArchiveArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Archive what a spool holds, now: one that was left behind, or carried elsewhere
    Make(MakeArgs),
    /// List files with their rows
    Ls(LsArgs),
    /// Read every row, and say what is wrong
    Verify(VerifyArgs),
    /// Write rows to standard output, or to a Parquet file
    Export(ExportArgs),
    /// Merge the small files of hours that are over
    Compact(CompactArgs),
    /// Remove hours that are older than you want to keep
    Prune(PruneArgs),
}

#[derive(Args, Debug)]
struct MakeArgs {
    /// The directory that a run was given as --store
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Where files go: parquet (into the store), or a URL
    #[arg(long, value_name = "FORMAT", default_value = "parquet", value_parser = values::archive)]
    #[arg(env = "MEGAPING_ARCHIVE", hide_env = true)]
    archive: ArchiveFormat,
    /// Whose results they are
    #[arg(long, value_name = "NAME", default_value = "default", env = "MEGAPING_TENANT", hide_env = true)]
    tenant: String,
}

#[derive(Args, Debug)]
struct LsArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_parser = values::place)]
    place: PlaceUrl,
    /// Form of the list: text, json or csv
    #[arg(short, long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    output: ReportFormat,
}

#[derive(Args, Debug)]
struct VerifyArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_parser = values::place)]
    place: PlaceUrl,
}

#[derive(Args, Debug)]
struct ExportArgs {
    /// Archives and stores
    #[arg(value_name = "ARCHIVE", required = true, value_parser = values::place)]
    places: Vec<PlaceUrl>,
    #[command(flatten)]
    select: SelectArgs,
    /// Form of the rows: csv, json or parquet
    #[arg(short, long, value_name = "FORMAT", default_value = "csv", hide_possible_values = true)]
    output: ExportFormat,
    /// Write into this file, which must not be there [default: standard output]
    #[arg(long, value_name = "PATH")]
    to_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct CompactArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_parser = values::place)]
    place: PlaceUrl,
    /// Promise that no other compaction runs, where the store cannot see to it
    #[arg(long)]
    alone: bool,
    /// Directory for a file while it is made [default: that of temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct PruneArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_parser = values::place)]
    place: PlaceUrl,
    /// Keep hours that are younger than this: 400d, 12h
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    keep: u64,
    /// Only those of this tenant; may be repeated
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Flags that choose rows.
#[derive(Args, Debug)]
pub(super) struct SelectArgs {
    /// Only rows to this address or block; may be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = "Rows", value_delimiter = ',')]
    target: Vec<Prefix>,
    /// Only rows of this tenant; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Rows", value_delimiter = ',')]
    tenant: Vec<String>,
    /// Only rows that ended so: answered, error, lost or unsent; may be repeated
    #[arg(long, value_name = "STATUS", help_heading = "Rows", value_delimiter = ',')]
    #[arg(hide_possible_values = true)]
    status: Vec<StatusName>,
    /// Not before this time: 2026-11-25T10:30 in UTC, or 2h for two hours ago
    #[arg(long, value_name = "TIME", help_heading = "Rows", value_parser = values::moment)]
    from: Option<u64>,
    /// Before this time
    #[arg(long, value_name = "TIME", help_heading = "Rows", value_parser = values::moment)]
    to: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusName {
    Answered,
    Error,
    Lost,
    Unsent,
}

/// The form of exported rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated, with a header line.
    Csv,
    /// An object a line.
    Json,
    /// One Parquet file.
    Parquet,
}

/// Rows of some places.
#[derive(Clone, PartialEq, Debug)]
pub struct Selection {
    /// Where they are.
    pub places: Vec<PlaceUrl>,
    /// Which.
    pub filter: Filter,
}

/// A run of `megaping archive`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct ArchiveOptions {
    /// What to do.
    pub action: ArchiveAction,
}

/// What to do about an archive.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "as the flags have it")]
pub enum ArchiveAction {
    Make { store: PathBuf, archive: MakeOptions },
    Ls { place: PlaceUrl, output: ReportFormat },
    Verify { place: PlaceUrl },
    Export { rows: Selection, output: ExportFormat, to_file: Option<PathBuf> },
    Compact { place: PlaceUrl, is_alone: bool, scratch: Option<PathBuf> },
    Prune { place: PlaceUrl, keep_ns: u64, tenants: Vec<String>, is_dry: bool },
}

/// The directory of a store stands for the Parquet files in it.
fn files_of(place: PlaceUrl) -> PlaceUrl {
    match place.dir().map(|dir| dir.join("parquet")).filter(|dir| dir.is_dir()) {
        Some(dir) => PlaceUrl::of_dir(&dir),
        None => place,
    }
}

pub(super) fn select(places: Vec<PlaceUrl>, args: SelectArgs) -> Result<Selection, UsageError> {
    let filter = Filter {
        tenants: args.tenant,
        prefixes: args.target,
        statuses: args.status.into_iter().map(StatusName::status).collect(),
        from_ns: args.from.unwrap_or(0),
        to_ns: args.to.map_or(u64::MAX, |to| to.saturating_sub(1)),
    };
    if filter.from_ns > filter.to_ns {
        return Err(UsageError::FromBehindTo);
    }
    Ok(Selection { places, filter })
}

impl StatusName {
    fn status(self) -> Status {
        match self {
            StatusName::Answered => Status::Answered,
            StatusName::Error => Status::Error,
            StatusName::Lost => Status::Lost,
            StatusName::Unsent => Status::Unsent,
        }
    }
}

pub(super) fn archive(args: ArchiveArgs) -> Result<ArchiveOptions, UsageError> {
    let action = match args.action {
        Action::Make(args) => {
            let local = MakeOptions::local(&args.store);
            let place = match args.archive {
                ArchiveFormat::Parquet => local.place.clone(),
                ArchiveFormat::Elsewhere(place) => place,
                ArchiveFormat::None => return Err(UsageError::MakeNothing),
            };
            let archive = MakeOptions { place, tenant: args.tenant, pace: Pace::AtOnce, ..local };
            ArchiveAction::Make { store: args.store, archive }
        }
        Action::Ls(args) => ArchiveAction::Ls { place: files_of(args.place), output: args.output },
        Action::Verify(args) => ArchiveAction::Verify { place: files_of(args.place) },
        Action::Export(args) => ArchiveAction::Export {
            rows: select(args.places, args.select)?,
            output: args.output,
            to_file: args.to_file,
        },
        Action::Compact(args) => ArchiveAction::Compact {
            place: files_of(args.place),
            is_alone: args.alone,
            scratch: args.scratch,
        },
        Action::Prune(args) => ArchiveAction::Prune {
            place: files_of(args.place),
            keep_ns: args.keep,
            tenants: args.tenant,
            is_dry: args.dry_run,
        },
    };
    Ok(ArchiveOptions { action })
}
