//! Sealed segments to `ClickHouse`: soon, compressed, exactly once.
//!
//! ```text
//!   DIR/upload/ID.seg ──> queue ──> upload-0   the newest first: what happens now is seen now
//!                               └─> upload-1.. the oldest first: a backlog shrinks
//!                                     │ POST, the file's own bytes
//!                                     v
//!                     acknowledged: removed; refused for good: DIR/upload/ID.refused
//! ```
//!
//! **No re-encoding.** A segment is a zstd stream of `MessagePack` blocks of columns; the server unpacks it
//! with [`statement()`]. The file's bytes are the request's body.
//!
//! **Exactly once.** A segment's token is its name and the hash of what is sent; the server drops an insert
//! whose token it has seen (`insert_deduplication_token`, for as many inserts as the table's window says).
//! So a request whose answer was lost is sent again without harm. An answer counts only when it says that at
//! least as many blocks were read, and rows written, as were sent. The file goes only after that.
//!
//! **Nothing is lost.** A segment stays in the spool until it is acknowledged; what a server refuses for good
//! is kept aside under another name, and the rest goes on. Failures are told, and tried again with growing,
//! jittered pauses, at the next endpoint first.

mod load;
mod queue;
mod statement;
mod throttle;
mod worker;

pub use load::Load;
pub use statement::{path_statement, statement};
pub use throttle::Throttle;
pub use worker::{Event, UploadOptions, Uploader};
