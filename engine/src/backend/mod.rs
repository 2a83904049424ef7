//! Which way to the wire `auto` takes: one piece of code for the run and for `megaping doctor`.
//!
//! ```text
//!   gather: what the machine, the interface and this process have  ->  Facts (plain data, made up in tests)
//!   rank:   Facts -> every way, fastest first: usable, or why not, and what would make it so
//!   take:   opens them in that order; opening is the proof. What was passed over is told, once
//! ```

mod facts;
mod gather;
mod rank;
mod take;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

pub use facts::{Capabilities, Capability, Facts, Link, Release, Trial, Xdp};
pub use gather::{default_interface, gather};
pub use rank::{Candidate, Obstacle, Verdict, rank};
pub use take::{Passed, Taken, take};

/// A way to the wire that `auto` can take. The memory ring is none: it leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Probes made and answered inside XDP.
    Kernel,
    /// AF_XDP.
    Xdp,
    /// Raw sockets.
    Raw,
    /// The same through `io_uring`.
    Uring,
}

impl Kind {
    /// What the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Kernel => "kernel",
            Kind::Xdp => "xdp",
            Kind::Raw => "raw",
            Kind::Uring => "uring",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All ways, fastest first, as measured on the lab. A probe costs less by `raw` than by `uring`: the kernel's
/// share is the same, and a batch of `sendmmsg` has less to do around it.
pub const ORDER: [Kind; 4] = [Kind::Kernel, Kind::Xdp, Kind::Raw, Kind::Uring];
