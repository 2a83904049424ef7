//! The tables in `ClickHouse`: migrations, each run once, and which of them a database has.
//!
//! The files are `deploy/clickhouse/NNNN-name.sql`. The table `schema_migrations` of the same database says which
//! were run. Every statement may be run again (`IF NOT EXISTS`), so a migration that was cut off in the middle is
//! simply run again as a whole. A [`Layout`] spreads the same tables over a cluster.

mod diff;
mod layout;

pub use diff::{Difference, diff};
pub use layout::Layout;

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
pub const MIGRATIONS: [Migration; 3] = [
    Migration {
        version: 1,
        name: "results",
        sql: include_str!("../../../../deploy/clickhouse/0001-results.sql"),
    },
    Migration {
        version: 2,
        name: "targets-and-nodes",
        sql: include_str!("../../../../deploy/clickhouse/0002-targets-and-nodes.sql"),
    },
    Migration {
        version: 3,
        name: "paths",
        sql: include_str!("../../../../deploy/clickhouse/0003-paths.sql"),
    },
];

/// Who of several tenants may read what: no migration, since it takes an account that manages access.
const ROW_POLICIES: &str = include_str!("../../../../deploy/clickhouse/row-policies.sql");

const LOG: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, \
                   applied DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version";

/// Statements of a file, without comments.
fn statements(sql: &str) -> impl Iterator<Item = String> + use<> {
    let is_text = |line: &&str| !line.trim_start().starts_with("--");
    let text: Vec<&str> = sql.lines().filter(is_text).collect();
    let statements: Vec<String> = text.join("\n").split(";\n").map(|s| s.trim().to_owned()).collect();
    statements.into_iter().map(|s| s.trim_end_matches(';').to_owned()).filter(|s| !s.is_empty())
}

/// Statements of all migrations, as their files have them.
fn all_statements() -> Vec<String> {
    MIGRATIONS.iter().flat_map(|migration| statements(migration.sql)).collect()
}

impl Migration {
    /// Its statements for a database of some layout.
    fn statements(&self, layout: &Layout, database: &str) -> Vec<String> {
        let all = all_statements();
        let tables: Vec<&str> = all.iter().filter_map(|statement| layout::table_of(statement)).collect();
        statements(self.sql).flat_map(|statement| layout.lay_out(&statement, &tables, database)).collect()
    }
}

/// Statements of the row policies; those about any table once for each of the migrations' tables. On a cluster policies
/// are on the local tables, since the server refuses to read through one on a distributed table.
fn row_policies(layout: &Layout, database: &str) -> Vec<String> {
    let all = all_statements();
    let tables: Vec<&str> = all.iter().filter_map(|statement| layout::table_of(statement)).collect();
    let mut policies = Vec::new();
    for statement in statements(ROW_POLICIES) {
        let statement = statement.replace("{target_database}", database);
        if !statement.contains("{table}") {
            policies.push(statement);
            continue;
        }
        for table in &tables {
            if layout.cluster.is_none() || statement.starts_with("GRANT ") {
                policies.push(statement.replace("{table}", table));
            }
            if layout.cluster.is_some() {
                policies.push(statement.replace("{table}", &format!("{table}_local")));
            }
        }
    }
    policies
}

/// Makes the database if need be, and runs the migrations that it lacks; returns those.
///
/// # Errors
/// [`Failure`] of the first statement that did not succeed; what ran before it stays.
pub fn apply(client: &Client, endpoint: &Endpoint, layout: &Layout) -> Result<Vec<Migration>, Failure> {
    create_database(client, endpoint)?;
    client.query(endpoint, LOG)?;
    let missing = missing(client, endpoint)?;
    for migration in &missing {
        run(client, endpoint, &migration.statements(layout, &endpoint.database))?;
        let Migration { version, name, .. } = migration;
        client.query(
            endpoint,
            &format!("INSERT INTO schema_migrations (version, name) SETTINGS async_insert = 0 VALUES ({version}, '{name}')"),
        )?;
    }
    Ok(missing)
}

/// All statements of all migrations, as they are run in a database of some layout, and those of the row policies if
/// wanted.
#[must_use]
pub fn print(layout: &Layout, database: &str, has_row_policies: bool) -> String {
    let migrations = MIGRATIONS.iter().flat_map(|migration| migration.statements(layout, database));
    let policies = has_row_policies.then(|| row_policies(layout, database)).into_iter().flatten();
    migrations.chain(policies).collect::<Vec<_>>().join(";\n\n") + ";\n"
}

/// Makes roles and row policies, by which a tenant's readers see the rows of that tenant alone.
///
/// # Errors
/// [`Failure`] of the first statement that did not succeed.
pub fn apply_row_policies(client: &Client, endpoint: &Endpoint, layout: &Layout) -> Result<(), Failure> {
    run(client, endpoint, &row_policies(layout, &endpoint.database))
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

/// Makes a database with everything in it, without a log of migrations.
fn create(client: &Client, endpoint: &Endpoint, layout: &Layout) -> Result<(), Failure> {
    create_database(client, endpoint)?;
    for migration in MIGRATIONS {
        run(client, endpoint, &migration.statements(layout, &endpoint.database))?;
    }
    Ok(())
}

fn create_database(client: &Client, endpoint: &Endpoint) -> Result<(), Failure> {
    let default = Endpoint { database: "default".to_owned(), ..endpoint.clone() };
    client.query(&default, &format!("CREATE DATABASE IF NOT EXISTS {}", endpoint.database)).map(|_| ())
}

fn run(client: &Client, endpoint: &Endpoint, statements: &[String]) -> Result<(), Failure> {
    statements.iter().try_for_each(|statement| client.query(endpoint, statement).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_gap_and_files_are_statements() {
        for (migration, expected) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(migration.version, expected);
            let statements: Vec<_> = statements(migration.sql).collect();
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

    #[test]
    fn every_table_has_a_policy() {
        let policies = row_policies(&Layout::default(), "db").join("\n");
        for statement in all_statements() {
            let Some(table) = layout::table_of(&statement) else { continue };
            assert!(statement.contains("tenant ") || statement.contains(" AS "), "{table} has no tenant");
            assert!(policies.contains(&format!("megaping_reader ON db.{table}\n")), "{table}");
            assert!(policies.contains(&format!("GRANT SELECT ON db.{table} TO")), "{table}");
        }
        assert!(!policies.contains('{'), "{policies}");
    }
}
