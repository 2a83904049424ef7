//! The segment file: what it is, byte by byte.
//!
//! ```text
//!   file   = file-header record record record ...
//!   record = block-header (56 bytes, a zstd skippable frame)
//!            one zstd frame (level 1, content checksum) = one MessagePack block of columns
//! ```
//!
//! Both headers are skippable frames (RFC 8878 section 3.1.2), so a whole segment is a valid zstd stream:
//! `zstd -dc FILE` yields the blocks one behind the other, as `FORMAT MsgPack` of ClickHouse takes them.
//!
//! The file header holds a MessagePack array `["MEGASEG", version, node, created_unix_ns, id]` and its CRC-32; a sixth
//! element, `"paths"`, says that the blocks hold paths instead of outcomes ([`crate::path`]).
//! A block header holds, little-endian: tag `"MPB" 1`, rows (u32), block number (u64), first and last time (u64
//! Unix nanoseconds), raw and compressed length (u32), CRC-32 of the compressed frame, CRC-32 of the header.
//!
//! # The columns of a block
//!
//! A block is the row count, the base time, and the columns in this order, as arrays of integers. Rows are
//! sorted by target, then time. *Delta* columns hold the difference to the row before (the first: to zero, or
//! to the base time), wrapping as `i64`: a running sum restores them.
//!
//! | # | name | kind | holds |
//! | --- | --- | --- | --- |
//! | 1 | `rows` | integer | rows in the block |
//! | 2 | `base` | integer | Unix nanoseconds of the earliest row |
//! | 3 | `dts` | delta | departure, ns |
//! | 4 | `family` | 4 or 6 | IP version of the destination |
//! | 5 | `v4` | delta | IPv4 destination, running sum modulo 2^32; zero in IPv6 rows |
//! | 6 | `v6_hi` | delta | IPv6 destination, upper 64 bits; zero in IPv4 rows |
//! | 7 | `v6_lo` | delta | IPv6 destination, lower 64 bits; zero in IPv4 rows |
//! | 8 | `responder_hi` | difference | responder minus destination, upper 64 bits, both v6-mapped |
//! | 9 | `responder_lo` | difference | the same, lower 64 bits |
//! | 10 | `target` | delta | index in the run's target set |
//! | 11 | `seq` | delta | round of the target |
//! | 12 | `rtt_ns` | u64 | round trip, zero without an answer |
//! | 13 | `error_ns` | u32 | bound of the round trip's error |
//! | 14 | `status` | u8 | 0 answered, 1 error, 2 lost, 3 unsent |
//! | 15 | `detail` | u16 | of an error: ICMP type * 256 + code; of an unsent probe: the reason's number |
//! | 16 | `hop_limit` | u8 | TTL or hop limit at departure |
//! | 17 | `reply_hop_limit` | u8 | TTL or hop limit of the answer |
//! | 18 | `size` | u16 | payload bytes |
//! | 19 | `flow` | u16 | ECMP path explored |
//! | 20 | `stamp_source` | u8 | who took the arrival stamp |
//! | 21 | `marks` | u8 | bit set of marks |
//!
//! **Constant tails are cut**: an array ends after the first element of its constant tail, so an all-equal
//! column is one element, and a reader extends it with its last element (ClickHouse:
//! `arrayResize(c, rows, c[-1])`) before it sums.

mod decode;
mod encode;
mod header;
mod msgpack;
mod read;
mod sort;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use decode::BlockDecoder;
pub use encode::BlockEncoder;
pub(crate) use header::BLOCK_RECORD;
pub use header::{BlockHeader, FileHeader, Kind};
pub use read::{Piece, Segment};

/// Rows in a block at most: a header that claims more is damaged.
pub const MAX_BLOCK_ROWS: usize = 65_536;

/// Columns that are arrays.
const COLUMNS: usize = 19;

/// Bytes that are not what this format allows; says in which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub &'static str);
