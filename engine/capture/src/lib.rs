//! What an engine and those who look on say to each other: captured packets, filters, and files of them.
//!
//! ```text
//!   shard --(bounded ring)--> tap thread --(Unix socket: hello, then frames)--> pcap-dump --> pcapng | pcap | text
//!                                 `--> the last seconds, kept --(freeze)--> pcapng
//! ```
//!
//! [`packet`] is one captured packet and its form on the socket, [`protocol`] what is said before and between,
//! [`client`] the side that asks, [`filter`] what is wanted, [`verdict`] what the engine made of a packet, [`pcapng`] the file.

pub mod client;
pub mod filter;
pub mod packet;
pub mod pcapng;
pub mod protocol;
pub mod verdict;

pub use filter::{Facts, Filter, Prefix};
pub use packet::{At, Captured, Direction, Frame, FrameError};
pub use protocol::{Ask, Counts, Hello, Refusal};
pub use verdict::Verdict;
