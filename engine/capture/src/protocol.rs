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
    /// What the engine keeps, written to a file now: a hello, with the file's path in `frozen`.
    Freeze,
    /// What the engine says of itself: a hello, and no more.
    Hello,
    /// What is needed to tell our packets from others: a hello, with `secret`. For the owner alone.
    Secret,
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
    /// Where a frozen capture is, and how many packets are in it.
    pub frozen: Option<(PathBuf, u64)>,
    /// What [`Ask::Secret`] wants.
    pub secret: Option<Secret>,
}

/// Why the engine says no.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// A sentence.
    pub refused: String,
}

/// What tells an engine's packets from others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Secret {
    /// The number of the instance.
    pub instance: u16,
    /// The key of the MAC, as 32 hexadecimal digits.
    pub key: String,
    /// How long a probe waits, in nanoseconds.
    pub timeout_ns: u64,
}

impl Secret {
    /// Puts a key into its text.
    #[must_use]
    pub fn new(instance: u16, key: [u8; 16], timeout_ns: u64) -> Secret {
        use std::fmt::Write as _;
        let key = key.iter().fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        });
        Secret { instance, key, timeout_ns }
    }

    /// The key; none where the text is no key.
    #[must_use]
    pub fn key(&self) -> Option<[u8; 16]> {
        let digits = self.key.as_bytes();
        let mut key = [0; 16];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        (digits.len() == 32).then_some(key)
    }
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
    fn a_key_leads_back_and_anything_else_is_none() {
        let key = std::array::from_fn(|index| (index * 17) as u8);
        let secret = Secret::new(5, key, 1);
        assert_eq!(secret.key(), Some(key));
        for wrong in ["", "00", "zz", &"0".repeat(31), &"0".repeat(33), &"é".repeat(16)] {
            assert_eq!(Secret { key: wrong.to_owned(), ..secret.clone() }.key(), None, "{wrong}");
        }
    }

    #[test]
    fn questions_are_json() {
        let ask = Ask::Attach(Filter { sample: 100, ..Filter::default() });
        let line = serde_json::to_string(&ask).unwrap();
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), ask);
        assert_eq!(serde_json::from_str::<Ask>("\"freeze\"").unwrap(), Ask::Freeze);
        assert!(serde_json::from_str::<Ask>("{\"attach\":{\"tenant\":1}}").is_err());
    }
}
