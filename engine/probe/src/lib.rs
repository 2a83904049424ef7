//! What to send and what came back, as pure functions of time.
//!
//! ```text
//!       work -> core.next_order -> Order  ==> craft ==> (a ring) ==> parse ==>  Arrival -> core.on_arrival
//!                    |                                                              |
//!                    +--> in-flight table <-----------------------------------------+
//!                                  |
//!                          Outcome (answered, error, lost, unsent)      ledger: counts of all of it
//! ```
//!
//! No clock, no socket, no thread, and no allocation after `new`: the same code runs on a live ring and under
//! a simulated network. [`border`] is the wall between the core and every way to the wire.

pub mod border;
pub mod core;
pub mod craft;
pub mod fleet;
pub mod identity;
pub mod inflight;
pub mod ledger;
pub mod outcome;
pub mod pace;
pub mod parse;
pub mod ping;
pub mod schedule;
pub mod time;
pub mod trace;
pub mod work;

pub use border::{
    Arrival, Down, Evidence, HEADER_LEN, Integrity, Kind, Order, Quoted, Ring, RingCounters, Sent, Stamp,
};
pub use core::{Core, Plan};
pub use craft::Craft;
pub use fleet::{Circle, CirclePlan, Fleet, Share};
pub use identity::Identity;
pub use ledger::Ledger;
pub use outcome::{Marks, Outcome, StampSource, Unsent, Verdict};
pub use ping::{Ping, PingPlan};
pub use schedule::{Appointment, Targets, Timing};
pub use time::Nanos;
pub use work::{Class, Task, Work};
