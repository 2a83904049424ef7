//! The tables in `ClickHouse`: migrations, each run once, and which of them a database has.
//!
//! The files are `deploy/clickhouse/NNNN-name.sql`. The table `schema_migrations` of the same database says which
//! were run. Every statement may be run again (`IF NOT EXISTS`), so a migration that was cut off in the middle is
//! simply run again as a whole.

use crate::clickhouse::{Client, Endpoint, Failure};

/// One file of statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Its number, from 1 without a gap.
    pub version: u32,
    /// What it is about.
    pub name: &'static str,
    sql: &'static str,
}

/// All of them, in the order of their versions.
pub const MIGRATIONS: [Migration; 1] = [Migration {
    version: 1,
    name: "results",
    sql: include_str!("../../../deploy/clickhouse/0001-results.sql"),
}];

const LOG: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, \
                   applied DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version";

impl Migration {
    /// Its statements, without comments.
    fn statements(&self) -> impl Iterator<Item = String> + use<> {
        let is_text = |line: &&str| !line.trim_start().starts_with("--");
        let text: Vec<&str> = self.sql.lines().filter(is_text).collect();
        let statements: Vec<String> = text.join("\n").split(";\n").map(|s| s.trim().to_owned()).collect();
        statements.into_iter().map(|s| s.trim_end_matches(';').to_owned()).filter(|s| !s.is_empty())
    }
}

/// Makes the database if need be, and runs the migrations that it lacks; returns those.
///
/// # Errors
/// [`Failure`] of the first statement that did not succeed; what ran before it stays.
pub fn apply(client: &Client, endpoint: &Endpoint) -> Result<Vec<Migration>, Failure> {
    let default = Endpoint { database: "default".to_owned(), ..endpoint.clone() };
    client.query(&default, &format!("CREATE DATABASE IF NOT EXISTS {}", endpoint.database))?;
    client.query(endpoint, LOG)?;
    let missing = missing(client, endpoint)?;
    for migration in &missing {
        for statement in migration.statements() {
            client.query(endpoint, &statement)?;
        }
        let Migration { version, name, .. } = migration;
        client.query(
            endpoint,
            &format!("INSERT INTO schema_migrations (version, name) SETTINGS async_insert = 0 VALUES ({version}, '{name}')"),
        )?;
    }
    Ok(missing)
}

/// The migrations that a database lacks.
///
/// # Errors
/// [`Failure`], [`Failure::Setup`] where there is no database or nothing was ever applied.
pub fn missing(client: &Client, endpoint: &Endpoint) -> Result<Vec<Migration>, Failure> {
    let text = client.query(endpoint, "SELECT DISTINCT version FROM schema_migrations")?;
    let has: Vec<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    Ok(MIGRATIONS.into_iter().filter(|migration| !has.contains(&migration.version)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_gap_and_files_are_statements() {
        for (migration, expected) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(migration.version, expected);
            let statements: Vec<_> = migration.statements().collect();
            assert!(!statements.is_empty());
            for statement in statements {
                assert!(
                    statement.starts_with("CREATE ") && statement.contains("IF NOT EXISTS"),
                    "{statement}"
                );
                assert!(!statement.contains(';') && !statement.contains("--"), "{statement}");
            }
        }
    }
}
