//! The same tables on one server or on many.
//!
//! On a cluster each table `T` of the migrations becomes `T_local`, which holds the rows of one shard, and `T`, which
//! is `Distributed` over all of them: whoever reads or writes `T` need not know. Views feed one local table from
//! another. Rows of one destination are always on the same shard, so that a segment that is sent twice is recognized
//! by every shard.

/// Where tables live.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// A cluster of the server's `remote_servers`; none: one server.
    pub cluster: Option<String>,
    /// Whether replicas of a shard hold the same rows, by Keeper and the macros `shard` and `replica`.
    pub is_replicated: bool,
}

/// Rows of a table are spread by one of these, the first that it has.
const KEYS: [&str; 2] = ["dst", "node"];
/// Words before the name of a table.
const BEFORE_NAMES: [&str; 4] = ["EXISTS", "TO", "FROM", "JOIN"];
const TABLE: &str = "CREATE TABLE IF NOT EXISTS ";
/// Where replicas find each other, and who they are.
const REPLICA: &str = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'";

impl Layout {
    /// The statements that stand for `statement` here; `tables` are the names of all tables there are.
    pub(super) fn lay_out(&self, statement: &str, tables: &[&str], database: &str) -> Vec<String> {
        let mut local = statement.to_owned();
        if self.is_replicated && local.starts_with(TABLE) {
            local = replicated(&local);
        }
        let Some(cluster) = self.cluster.as_ref().filter(|_| !local.starts_with("CREATE DICTIONARY")) else {
            return vec![local.replace("{target_database}", database)];
        };
        let mut statements = vec![localized(&local, tables).replace("{target_database}", database)];
        if let Some(name) = table_of(statement) {
            let key = KEYS.into_iter().find(|key| has_column(statement, key));
            // A table made like another one has the same key as that.
            let key = key.unwrap_or(KEYS[0]);
            statements.push(format!(
                "{TABLE}{name} AS {name}_local ENGINE = Distributed('{cluster}', '{database}', '{name}_local', \
                 sipHash64(tenant, {key}))"
            ));
        }
        statements
    }
}

/// The name of the table that a statement makes, if it makes one.
pub(super) fn table_of(statement: &str) -> Option<&str> {
    statement.strip_prefix(TABLE)?.split([' ', '(', '\n']).next()
}

fn has_column(statement: &str, name: &str) -> bool {
    statement
        .lines()
        .any(|line| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
}

/// Names of tables with `_local` behind them.
fn localized(statement: &str, tables: &[&str]) -> String {
    let is_table = statement.starts_with(TABLE);
    let mut before = "";
    let mut text = String::with_capacity(statement.len() + 64);
    for word in statement.split_inclusive([' ', '\n']) {
        let name = word.trim_end();
        let names_one = BEFORE_NAMES.contains(&before) || (is_table && before == "AS");
        text.push_str(name);
        if names_one && tables.contains(&name) {
            text.push_str("_local");
        }
        text.push_str(&word[name.len()..]);
        if !name.is_empty() {
            before = name;
        }
    }
    text
}

/// The same table with a replicated engine.
fn replicated(statement: &str) -> String {
    let statement =
        statement.replace("non_replicated_deduplication_window", "replicated_deduplication_window");
    let Some((head, rest)) = statement.split_once("ENGINE = ") else { return statement };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (engine, rest) = rest.split_at(end);
    match rest.strip_prefix('(') {
        Some(arguments) => format!("{head}ENGINE = Replicated{engine}({REPLICA}, {arguments}"),
        None => format!("{head}ENGINE = Replicated{engine}({REPLICA}){rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: [&str; 2] = ["results", "results_1m"];

    fn cluster(is_replicated: bool) -> Layout {
        Layout { cluster: Some("all".into()), is_replicated }
    }

    #[test]
    fn a_table_becomes_a_local_and_a_distributed_one() {
        let statement = "CREATE TABLE IF NOT EXISTS results (\n    results UInt8,\n    node String)\nENGINE = MergeTree\n\
                         SETTINGS non_replicated_deduplication_window = 7";
        let laid = cluster(false).lay_out(statement, &TABLES, "db");
        assert!(
            laid[0].starts_with("CREATE TABLE IF NOT EXISTS results_local (\n    results UInt8,"),
            "{}",
            laid[0]
        );
        assert_eq!(
            laid[1],
            "CREATE TABLE IF NOT EXISTS results AS results_local ENGINE = \
             Distributed('all', 'db', 'results_local', sipHash64(tenant, node))"
        );
        let laid = cluster(true).lay_out(statement, &TABLES, "db");
        assert!(laid[0].contains(&format!("ENGINE = ReplicatedMergeTree({REPLICA})\n")), "{}", laid[0]);
        assert!(laid[0].ends_with("SETTINGS replicated_deduplication_window = 7"), "{}", laid[0]);
        assert_eq!(Layout::default().lay_out(statement, &TABLES, "db"), [statement]);
    }

    #[test]
    fn views_feed_local_tables_from_local_tables() {
        let view = "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO results_1m AS\nSELECT x AS results\nFROM results\nGROUP BY x";
        let expected = "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO results_1m_local AS\nSELECT x AS results\n\
                        FROM results_local\nGROUP BY x";
        assert_eq!(cluster(false).lay_out(view, &TABLES, "db"), [expected]);
        let like =
            "CREATE TABLE IF NOT EXISTS results_1h AS results_1m\nENGINE = ReplacingMergeTree(updated)";
        let laid = cluster(true).lay_out(like, &["results_1m", "results_1h"], "db");
        assert_eq!(
            laid[0],
            format!(
                "CREATE TABLE IF NOT EXISTS results_1h_local AS results_1m_local\n\
                 ENGINE = ReplicatedReplacingMergeTree({REPLICA}, updated)"
            )
        );
    }
}
