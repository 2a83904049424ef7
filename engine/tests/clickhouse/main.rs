//! Results in a real `ClickHouse`, through faults: rows and aggregates equal the ledger, none lost, none doubled.

mod engine;
mod ledger;
mod proxy;
mod server;
mod upload;

const MEGAPING: &str = env!("CARGO_BIN_EXE_megaping");
