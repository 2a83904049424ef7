//! `megaping schema`: the tables in `ClickHouse`.

use std::process::ExitCode;

use megaping_store::clickhouse::{Client, Endpoint, Failure, Server, SetupError, Timeouts};
use megaping_store::schema::{self, Migration};

use crate::cli::SchemaAction;
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

/// Makes or checks the tables of every server that was named; each has its own.
///
/// # Errors
/// [`SchemaError`] of the first server where it does not work.
pub fn run(action: SchemaAction, server: Server) -> Result<ExitCode, SchemaError> {
    let endpoints = server.endpoints.clone();
    let client = Client::new(server, Timeouts::default())?;
    let mut is_complete = true;
    for endpoint in &endpoints {
        match action {
            SchemaAction::Apply => tell(endpoint, "made", &schema::apply(&client, endpoint)?),
            SchemaAction::Check => {
                let missing = schema::missing(&client, endpoint)?;
                is_complete &= missing.is_empty();
                tell(endpoint, "missing", &missing);
            }
        }
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
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
