//! `megaping trace`: paths to as many targets as there are, each told as soon as its end is known.
//!
//! ```text
//!   shard threads: Trace ── PathRow ──> desk, lane ──> main thread: Assembler ── Traced ──> Routes: changed? ──> lines,
//!                                                                                                        store
//! ```

mod assemble;
mod changes;
mod desk;
mod keeper;
mod output;
mod run;

pub use assemble::{Assembler, Hop, Traced};
pub use run::{TraceError, run};
