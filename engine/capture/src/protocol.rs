//! What is said on the tap's socket before frames flow: one line of JSON each way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Filter;

/// What is spoken here; both sides must speak the same.
pub const VERSION: u32 = 1;
/// A question is no longer than this, in bytes.
pub const ASK_MAX: usize = 64 << 10;

/// What somebody wants of an engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Packets, from now on: a hello, then frames until either side leaves.
    Attach(Filter),
    /// What the engine keeps: a hello, then frames of it, and counts as the last.
    Freeze,
    /// What the engine says of itself: a hello, and no more.
    Hello,
    /// One of these, by somebody who has a tenant's token: it is answered with what is that tenant's.
    WithToken {
        /// The token.
        token: String,
        /// The question.
        ask: Box<Ask>,
    },
}

/// The engine's answer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The engine's process.
    pub pid: u32,
    /// Its ring.
    pub backend: String,
    /// Its shards.
    pub shards: u16,
    /// Interface that probes leave by, where it is known.
    pub interface: Option<String>,
    /// The machine, for the file's header.
    pub hardware: String,
    /// Its operating system.
    pub os: String,
    /// Where the tap of the program in the kernel is pinned, if it is.
    #[serde(default)]
    pub pins: Option<PathBuf>,
    /// The engine's name and version.
    pub application: String,
}

/// Why the engine says no.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// A sentence.
    pub refused: String,
}

/// How many packets there were for somebody who looks on: `seen = delivered + dropped_ring + dropped_socket`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Packets that the filter wanted.
    pub seen: u64,
    /// Those for which the ring between shard and tap thread had no room.
    pub dropped_ring: u64,
    /// Those for which the socket had no room: the reader is too slow.
    pub dropped_socket: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_json() {
        let ask = Ask::Attach(Filter { sample: 100, ..Filter::default() });
        let line = serde_json::to_string(&ask).unwrap();
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), ask);
        assert_eq!(serde_json::from_str::<Ask>("\"freeze\"").unwrap(), Ask::Freeze);
        assert!(serde_json::from_str::<Ask>("{\"attach\":{\"tenant\":1}}").is_err());
    }
}
