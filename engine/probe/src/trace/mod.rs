//! Paths: echo requests whose hop limits end on the way, and what the routers there answer.
//!
//! ```text
//!   schedule ── a path's turn ──> Path: what to ask next ──> FIFO of paths with something to ask ──> Task
//!                                   ^   ^                                                             |
//!            Routers: known below? ─┘   └──── on_end <── HopEvent <── Reader <── Outcome, Arrival <───+
//!                                                           └──> Witness (rows: hops, shared hops, ends)
//! ```
//!
//! - [`event`]: what became of one probe towards a hop. [`row`]: that, and the ends of paths, as others hear it.
//! - [`path`]: what to ask next of one path. [`routers`]: hops that many paths share.
//! - [`live`]: some paths, watched round by round.
//! - [`read`]: quotes and extensions. [`work`]: all of it as a [`crate::Work`].

pub mod event;
pub mod live;
pub mod path;
pub mod read;
pub mod routers;
pub mod row;
mod slots;
pub mod work;

pub use event::{HopEnd, HopEvent, HopMarks, Labels};
pub use live::{Live, LivePlan};
pub use path::{MAX_HOPS, Rules};
pub use read::{CameIn, Reader};
pub use row::{PathEnd, PathRow, Witness};
pub use work::{Trace, TracePlan};
