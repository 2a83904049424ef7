//! Outcomes to disk and onward. Never sees a packet.
//!
//! ```text
//!   shard ── batch ──> store thread
//!                      spool:   buffer ── sort, encode, zstd ──> DIR/spool/ID.open   (pwrite, fdatasync)
//!                                                                      │ big or old: a link for each who takes it
//!                                                                      ├──> DIR/upload/ID.seg ──> ClickHouse
//!      archive: a thread of its own ──────────────> DIR/archive/ID.seg <┘
//!                                                            │
//!                                                            v
//!                                                 DIR/parquet/tenant=.../date=.../hour=.../ID.parquet
//!                                                            │
//!   report <── every row once, from Parquet and from the segments that have no Parquet file yet
//! ```
//!
//! - [`batch`]: boxes of outcomes between shard and store thread, and the seats in them.
//! - [`segment`]: the file format, with the table of its columns; [`path`]: paths in it.
//! - [`spool`]: rows that are durable before they count.
//! - [`archive`]: Parquet files, with their schema.
//! - [`clickhouse`], [`schema`], [`upload`]: segments to a database server, exactly once.
//! - [`report`]: figures per destination, read back.
//!
//! # The third law
//!
//! `outcomes produced = queued + spooled + rejected`: what a shard handed over is in a lane, or
//! [`Counters::accepted`] by the spool, and there `accepted = buffered + spooled + rejected` holds at any
//! moment. A row counts as spooled when its block is durable; from then on it is in a segment, in the Parquet
//! file made of it, in `ClickHouse`, or in a `*.damaged` or `*.refused` file that was kept aside, through any crash.
//! No file with rows is deleted before its successor is durable, but by a user's order ([`spool::Shelf::drop_oldest`]).

pub mod archive;
pub mod batch;
pub mod clickhouse;
mod error;
mod files;
pub mod path;
pub mod place;
pub mod query;
pub mod report;
mod row;
pub mod schema;
pub mod segment;
pub mod spool;
pub mod upload;

pub use error::StoreError;
pub use row::{Status, StoredRow};
pub use spool::{Counters, Recovery, Shelf, Spool, SpoolOptions};
