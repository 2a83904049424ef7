//! Lets somebody see what the rings of a run carry: `pcap-dump --via SOCKET`.
//!
//! ```text
//!   shard -> Tap -> (bounded, lock-free, pooled) -> Taps: a thread that sorts by time and writes to one socket
//! ```
//!
//! `AF_XDP` and the kernel ring take packets away from tcpdump; this is what their shards saw, with what became of it. One
//! client at a time; whoever may open the socket is the one: its owner, and a group where one is named.

mod bytes;
mod freeze;
mod serve;
mod tap;

use std::path::{Path, PathBuf};

use megaping_capture::{Hello, protocol};

pub use bytes::Renderer;
pub use freeze::{FreezeError, freeze};
pub use serve::{CaptureError, Naming, Socket, Taps, listen};
pub use tap::{Link, Tap};

/// Who may look at packets, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureOptions {
    /// The socket for `pcap-dump --via`.
    pub socket: PathBuf,
    /// Bytes of the newest packets that are kept in memory; zero for none.
    pub keep: u64,
    /// Where the maps of the program's tap are pinned.
    pub pins: Option<PathBuf>,
    /// The number of a group whose members may look on.
    pub group: Option<u32>,
}

/// What a client is told of the engine.
#[must_use]
pub fn hello(backend: &str, shards: u16, interface: Option<&str>, pins: Option<&Path>) -> Hello {
    let word =
        |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let cpu = word("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    Hello {
        version: protocol::VERSION,
        pid: std::process::id(),
        backend: backend.to_owned(),
        shards,
        interface: interface.map(str::to_owned),
        hardware: model.unwrap_or(std::env::consts::ARCH).to_owned(),
        os: format!("Linux {}", word("/proc/sys/kernel/osrelease")),
        pins: pins.map(Path::to_owned),
        application: format!("megaping {}", env!("CARGO_PKG_VERSION")),
        ..Hello::default()
    }
}
