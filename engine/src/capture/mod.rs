//! Lets somebody see what the rings of a run carry: `pcap-dump --via SOCKET`.
//!
//! ```text
//!   shard -> Tap -> (bounded, lock-free, pooled) -> Taps: a thread that sorts by time and writes to one socket
//! ```
//!
//! `AF_XDP` and the kernel ring take packets away from tcpdump; this is what their shards saw, with what became of it. Whoever
//! may open the socket sees all of it: its owner, and a group where one is named. On the tenants' socket a token is needed,
//! and shows that tenant's packets alone. What is kept of the newest packets is frozen on demand, or by a trigger.

mod bytes;
mod client;
mod freeze;
mod kept;
mod serve;
mod socket;
mod tap;
mod trigger;

use std::path::{Path, PathBuf};

use megaping_capture::{Hello, protocol};

pub use bytes::Renderer;
pub use freeze::{FreezeError, freeze};
pub use serve::{Naming, Scene, Taps, Tokens};
pub use socket::{CaptureError, Sockets, listen};
pub use tap::{Link, Tap};
pub use trigger::Trigger;

/// Who may look at packets, and where.
#[derive(Clone, PartialEq, Debug)]
pub struct CaptureOptions {
    /// The socket for `pcap-dump --via`.
    pub socket: PathBuf,
    /// Bytes of the newest packets that are kept in memory; zero for none.
    pub keep: u64,
    /// Where the maps of the program's tap are pinned.
    pub pins: Option<PathBuf>,
    /// The number of a group whose members may look on.
    pub group: Option<u32>,
    /// A socket for whoever has a tenant's token, who sees that tenant's packets alone.
    pub tenants: Option<PathBuf>,
    /// What freezes the kept packets.
    pub triggers: Vec<Trigger>,
    /// Where files of those go.
    pub dir: PathBuf,
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
    }
}

#[cfg(test)]
mod tests {
    use megaping_capture::{At, Captured, Direction, Verdict};
    use megaping_wire::Addr;

    /// A packet for the tests of this room.
    pub(super) fn captured() -> Captured {
        Captured {
            time_ns: 0,
            error_ns: 0,
            at: At::Engine,
            shard: 0,
            direction: Direction::In,
            verdict: Verdict::Matched,
            probe: Some((1, 0)),
            key: 0,
            rtt_ns: None,
            destination: Addr::v4([10, 0, 0, 1]),
            tenant: "acme".into(),
            measurement: String::new(),
            remark: String::new(),
            rebuilt: false,
            original_len: 20,
            bytes: vec![0x45; 20],
        }
    }
}
