//! The flags of `megaping query`.

use clap::{Args, ValueEnum};
use megaping_store::place::PlaceUrl;
use megaping_store::query::Dimension;

use super::archive::{self, SelectArgs};
use super::args::ReportFormat;
use super::options::UsageError;
use super::values;
use crate::query::{QueryOptions, Worst};

const EXAMPLES: &str = "\
Loss is what was sent and not answered; an ICMP error is no answer. Quantiles are within 2.2 %; memory does not
grow with the rows, but with the groups.

Examples:
  megaping query results --by hour
  megaping query results --by target --worst loss --top 20
  megaping query s3://bucket/archive --by tenant,prefix --from 24h -o csv
  megaping query results --target 192.0.2.0/24 --by target --sparkline";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct QueryArgs {
    /// Stores and archives: directories, and URLs of buckets
    #[arg(value_name = "ARCHIVE", required = true, value_parser = values::place)]
    pub places: Vec<PlaceUrl>,
    /// Group by any of target, tenant, prefix, minute, hour, day, by comma [default: all rows together]
    #[arg(long, value_name = "WHAT", value_delimiter = ',', hide_possible_values = true)]
    pub by: Vec<By>,
    /// Lengths of prefixes, of IPv4 and of IPv6
    #[arg(long, value_name = "V4,V6", default_value = "24,48", value_parser = lengths)]
    pub prefix_len: (u8, u8),
    /// The worst groups first, by loss, p50 or p99 [default: by their keys]
    #[arg(long, value_name = "FIGURE", hide_possible_values = true)]
    pub worst: Option<Worst>,
    /// Show so many groups [default: all]
    #[arg(long, value_name = "N", value_parser = values::top)]
    pub top: Option<usize>,
    /// Show the course of round trips over time (reads twice)
    #[arg(long)]
    pub sparkline: bool,
    /// Form of the answer: text, json or csv
    #[arg(short, long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub output: ReportFormat,
    #[command(flatten)]
    pub select: SelectArgs,
}

/// What rows are grouped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum By {
    /// Where probes went.
    Target,
    /// Whose they were.
    Tenant,
    /// The block of the target.
    Prefix,
    /// When.
    Minute,
    /// When.
    Hour,
    /// When.
    Day,
}

fn lengths(text: &str) -> Result<(u8, u8), String> {
    let pair = text.split_once(',').and_then(|(v4, v6)| Some((v4.parse().ok()?, v6.parse().ok()?)));
    let good = pair.filter(|(v4, v6)| *v4 <= 32u8 && *v6 <= 128u8);
    good.ok_or_else(|| "two lengths are wanted, up to 32 and up to 128, as in 24,48".to_owned())
}

pub(super) fn query(args: QueryArgs) -> Result<QueryOptions, UsageError> {
    let dimension = |by: &By| match by {
        By::Target => Dimension::Target,
        By::Tenant => Dimension::Tenant,
        By::Prefix => Dimension::Prefix(args.prefix_len.0, args.prefix_len.1),
        By::Minute => Dimension::Time(60),
        By::Hour => Dimension::Time(3600),
        By::Day => Dimension::Time(86_400),
    };
    let by = args.by.iter().map(dimension).collect();
    Ok(QueryOptions {
        rows: archive::select(args.places, args.select)?,
        by,
        worst: args.worst,
        top: args.top,
        sparkline: args.sparkline,
        output: args.output,
    })
}
