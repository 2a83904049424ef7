//! Results in a real `ClickHouse`, through faults: rows and aggregates equal the ledger, none lost, none doubled.

mod engine;
mod faults;
mod full;
mod grafana;
mod ledger;
mod paths;
mod proxy;
mod schema;
mod server;
mod tenants;
mod tls;
mod upload;

const MEGAPING: &str = env!("CARGO_BIN_EXE_megaping");

/// A server with our tables.
fn start_with_schema() -> server::ClickHouse {
    let server = server::ClickHouse::start();
    let mut schema = std::process::Command::new(MEGAPING);
    let output = schema.args(["schema", "apply", "--clickhouse", &server.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server
}
