//! `ClickHouse` over HTTP(S): where it is, who we are there, and one request at a time.
//!
//! - [`Server`]: endpoints, credentials, trust: what a user configures.
//! - [`Client`]: sends a statement, with a body or without, to one endpoint; every wait has a limit.
//! - [`Failure`]: what went wrong, sorted by what helps: another endpoint, waiting, a person, or nothing.
//!
//! A server tells in the header `X-ClickHouse-Summary` how many rows it has read of an insert's body. That is the
//! acknowledgement: a status of 200 alone is none, since a body whose compressed stream just ends is taken for
//! a whole one.

mod client;
mod failure;
mod server;

pub use client::{Answer, Client, Request, Timeouts};
pub use failure::Failure;
pub use server::{Endpoint, EndpointError, Password, Server, SetupError};
