//! `megaping schema`: the tables in `ClickHouse`.

use std::process::ExitCode;

use megaping_store::clickhouse::{Client, Endpoint, Failure, SetupError, Timeouts};
use megaping_store::schema::{self, Difference, Migration};

use crate::cli::{SchemaAction, SchemaRequest};
use crate::say::say;

/// Why the tables could not be made or looked at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SchemaError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// What no statement can find out.
const SECRET: &str = "they hold only if the cluster has a <secret> in remote_servers: else servers ask each other as the \
                      default user, who sees everything";

/// Makes, checks or compares the tables of every server that was named; each has its own.
///
/// # Errors
/// [`SchemaError`] of the first server where it does not work.
pub fn run(request: SchemaRequest) -> Result<ExitCode, SchemaError> {
    let SchemaRequest { action, layout, has_row_policies, server } = request;
    let endpoints = server.endpoints.clone();
    let client = Client::new(server, Timeouts::default())?;
    let mut is_complete = true;
    for endpoint in &endpoints {
        match action {
            SchemaAction::Apply => {
                tell(endpoint, "made", &schema::apply(&client, endpoint, &layout)?);
                if has_row_policies {
                    schema::apply_row_policies(&client, endpoint, &layout)?;
                    say(format_args!("{endpoint}/{}: row policies are in place", endpoint.database));
                    if layout.cluster.is_some() {
                        say(format_args!("{endpoint}: {SECRET}"));
                    }
                }
            }
            SchemaAction::Check => {
                let missing = schema::missing(&client, endpoint)?;
                is_complete &= missing.is_empty();
                tell(endpoint, "missing", &missing);
            }
            SchemaAction::Print => print!("{}", schema::print(&layout, &endpoint.database, has_row_policies)),
            SchemaAction::Diff => {
                let differences = schema::diff(&client, endpoint, &layout)?;
                is_complete &= differences.is_empty();
                show(endpoint, &differences);
            }
        }
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(endpoint: &Endpoint, differences: &[Difference]) {
    let place = format!("{endpoint}/{}", endpoint.database);
    if differences.is_empty() {
        say(format_args!("{place}: as it should be"));
    }
    for Difference { name, expected, found } in differences {
        for (sign, what) in [('-', found), ('+', expected)] {
            if let Some(what) = what {
                say(format_args!("{place}: {sign} {name} {what}"));
            }
        }
    }
}

fn tell(endpoint: &Endpoint, word: &str, migrations: &[Migration]) {
    let place = format!("{endpoint}/{}", endpoint.database);
    if migrations.is_empty() {
        say(format_args!("{place}: the schema is complete"));
    }
    for migration in migrations {
        say(format_args!("{place}: {word} {} ({})", migration.version, migration.name));
    }
}
