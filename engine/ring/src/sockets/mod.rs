//! Raw ICMP sockets, apart from how they are driven: what the raw ring and the `io_uring` ring share.
//!
//! Opening and configuring ([`config`], [`socket`], [`filter`]), what stands beside a packet ([`control`],
//! [`envelopes`]), the packets under way ([`outbox`]), what an errno means ([`verdict`]), and what to tell of an
//! arrival ([`reception`], [`stamps`]).

pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod envelopes;
pub(crate) mod filter;
pub(crate) mod outbox;
pub(crate) mod reception;
mod snmp;
pub(crate) mod socket;
pub(crate) mod stamps;
pub(crate) mod verdict;
