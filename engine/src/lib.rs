//! The `megaping` program: command line, targets, shard loop, output.
//!
//! Read [`shard`] first: the whole path of a probe is on that page. [`mailbox`] is what shards say to each other. [`run`]
//! wires it, [`adapter`] makes a ring of packets one of orders and arrivals, [`kernel`] the one in the kernel, [`sink`]
//! is the store thread.

pub mod adapter;
pub mod archive;
pub mod backend;
pub mod capture;
pub mod cli;
pub mod daemon;
pub mod doctor;
pub mod duration;
pub mod instance;
pub mod keeper;
pub mod kernel;
pub mod mailbox;
pub mod mtr;
pub mod names;
pub mod net;
pub mod output;
pub mod privileges;
pub mod progress;
pub mod query;
pub mod report;
pub mod responder;
pub mod run;
pub mod say;
pub mod schema;
pub mod shard;
pub mod sink;
pub mod summary;
pub mod targets;
pub mod trace;
pub mod upload;
