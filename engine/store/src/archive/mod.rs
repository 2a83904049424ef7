//! Parquet files, the embedded default: sealed segments become files that `DuckDB`, pandas and `ClickHouse` read.
//!
//! `DIR/parquet/date=YYYY-MM-DD/hour=HH/SEGMENT-ID.parquet`, by the UTC hour of the segment's earliest row (a
//! segment that spans two hours goes with its first). Written under a temporary name, synced, renamed; only
//! then is the segment removed. The name follows from the segment alone, so that a file is made exactly once
//! whenever the power fails: where both exist, the Parquet file counts and the segment goes.
//!
//! # When
//!
//! A Parquet file costs several times what spooling its rows costs. [`Pace::WhenIdle`] makes one when half a
//! processor is free, so that archiving never competes with probing. Until then, and when a run ends with more
//! than fits in the time that [`Archiver::close`] is given, segments stay in the spool. Reports read both.
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
//! Rows are sorted by target, then time, within each row group; row groups carry statistics. The file's
//! metadata names the node (`megaping.node`).

mod columns;
mod spare;
#[cfg(test)]
mod tests;
mod worker;
mod write;

pub use worker::{Archiver, Pace};
pub use write::{Archived, archive};
