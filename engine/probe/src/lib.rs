//! What to send and what came back, as pure functions of time.
//!
//! No clock, no socket, no thread, and no allocation after `new`: the same code runs on a live ring and under
//! a simulated network.

pub mod border;
pub mod outcome;
pub mod time;

pub use border::{Arrival, Down, Evidence, HEADER_LEN, Integrity, Kind, Order, Quoted, Ring, RingCounters, Sent, Stamp};
pub use outcome::{Marks, Outcome, StampSource, Unsent, Verdict};
pub use time::Nanos;
