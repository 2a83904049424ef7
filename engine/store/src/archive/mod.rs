//! Parquet files: sealed segments become files that `DuckDB` (2.0 and later), pandas, Spark and `ClickHouse` read.
//!
//! `ARCHIVE/tenant=T/date=YYYY-MM-DD/hour=HH/ID.parquet`, by the UTC hour of each row. The archive is `DIR/parquet`, or
//! any other [`crate::place`]: a directory, or a bucket.
//!
//! # Once
//!
//! Segments that become files together are written down first ([`Plan`]), with the name that the files will have. A
//! crash at any moment leaves the plan, which makes the same files under the same names, or the files. Each names the
//! segments whose rows it holds, so that readers count a row once while it is in both ([`FileMeta`]). Files that were
//! merged by [`compact`] name those that they replace, for the same reason; programs that read all files of a directory
//! see rows of an hour twice for the moment between the two.
//!
//! # When
//!
//! A Parquet file costs several times what spooling its rows costs. [`Pace::WhenIdle`] makes one when half a
//! processor is free, so that archiving never competes with probing, and when there is enough for a file that is worth
//! it. Until then, and when a run ends with more than fits in the time that [`Archiver::close`] is given, segments stay
//! in the spool. Reports read both.
//!
//! # Schema
//!
//! | column | type | null | holds |
//! | --- | --- | --- | --- |
//! | `ts` | timestamp\[ns, UTC\] | | departure, or when it was due |
//! | `destination` | utf8 | | where the probe went |
//! | `target` | u64 | | index in the run's target set |
//! | `seq` | u32 | | round of the target |
//! | `outcome` | dictionary utf8 | | `answered`, `error`, `lost`, `unsent` |
//! | `reason` | dictionary utf8 | answered, lost | which error, or why it was not sent |
//! | `icmp_type`, `icmp_code` | u8 | no error | as on the wire |
//! | `responder` | utf8 | the destination | who answered, where it is somebody else |
//! | `rtt_ns` | u64 | no answer | round trip |
//! | `error_ns` | u32 | | the round trip is true within this |
//! | `hop_limit` | u8 | | TTL or hop limit at departure |
//! | `reply_hop_limit` | u8 | no answer | TTL or hop limit of the answer |
//! | `size` | u16 | | payload bytes |
//! | `flow` | u16 | | ECMP path explored |
//! | `stamp_source` | dictionary utf8 | | `user`, `kernel`, `xdp`, `hardware`, `virtual` |
//! | `marks` | u8 | | bit 0: other responder; 1: loss that may be our own; quoted otherwise than sent: 2: destination, 3: source, 4: class |
//!
//! And `node`, utf8: the machine that probed. `tenant`, `date` and `hour` are in the path, as Hive has them.
//!
//! Rows are sorted by destination, then time: within each row group, and in a merged file altogether. Row groups carry
//! statistics. The file's metadata has `megaping.node`, `megaping.segments`, `megaping.replaces` (of merged files) and
//! `megaping.digest`, the sum of a hash over the rows, which `megaping archive verify` computes again.

pub(crate) mod columns;
pub mod export;
mod merged;
mod meta;
mod partition;
mod plan;
mod spare;
#[cfg(test)]
mod tests;
mod upkeep;
mod worker;
mod write;

pub use merged::{Merged, is_merged};
pub use meta::{Digest, FileMeta};
pub use partition::{HOUR_NS, Partition};
pub use plan::Plan;
pub use upkeep::{ArchiveFile, Problem, Verified, compact, list, meta, prune, verify};
pub use worker::{ArchiveOptions, Archiver, Pace};
pub use write::{Archived, carry_out};
