//! How a database differs from what the migrations make.
//!
//! The server itself says it: the tables are made once more in an empty database beside, and its descriptions of both
//! are compared. The other database is removed again.

use std::collections::BTreeMap;

use super::{Layout, create};
use crate::clickhouse::{Client, Endpoint, Failure};

/// One line a column, an engine, or a view's query; what they are called, and what they are.
const DESCRIPTION: &str = "
    SELECT concat(table, '.', name),
           concat(type, ' ', default_kind, ' ', default_expression, ' ', compression_codec)
    FROM system.columns WHERE database = currentDatabase()
    UNION ALL
    SELECT name, concat(engine_full, ' ', as_select) FROM system.tables WHERE database = currentDatabase()
    FORMAT TSVRaw";

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The table, or the table and its column.
    pub name: String,
    /// What it should be; none: it should not be there.
    pub expected: Option<String>,
    /// What it is; none: it is missing.
    pub found: Option<String>,
}

/// How the database at `endpoint` differs from what `layout` should be. Tables of other names are nobody's business.
///
/// # Errors
/// [`Failure`]; the account needs the right to make and remove a database.
pub fn diff(client: &Client, endpoint: &Endpoint, layout: &Layout) -> Result<Vec<Difference>, Failure> {
    let database = format!("{}_expected_{}", endpoint.database, std::process::id());
    let beside = Endpoint { database: database.clone(), ..endpoint.clone() };
    let expected = create(client, &beside, layout).and_then(|()| describe(client, &beside));
    let removed = client.query(endpoint, &format!("DROP DATABASE IF EXISTS {database} SYNC"));
    let expected = expected?;
    removed?;
    let found = describe(client, endpoint)?;
    let is_ours = |name: &str| expected.contains_key(name.split('.').next().unwrap_or(name));
    let mut names: Vec<&String> = expected.keys().chain(found.keys().filter(|name| is_ours(name))).collect();
    names.sort();
    names.dedup();
    let of = |name: &String| (expected.get(name).cloned(), found.get(name).cloned());
    let differences = names.into_iter().map(|name| (name, of(name))).filter(|(_, (a, b))| a != b);
    Ok(differences
        .map(|(name, (expected, found))| Difference { name: name.clone(), expected, found })
        .collect())
}

fn describe(client: &Client, endpoint: &Endpoint) -> Result<BTreeMap<String, String>, Failure> {
    let text = client.query(endpoint, DESCRIPTION)?;
    // Descriptions name the database that they are of.
    let (quoted, dotted) = (format!(", '{}', ", endpoint.database), format!("{}.", endpoint.database));
    let line = |line: &str| {
        let (name, what) = line.split_once('\t')?;
        let what = what.replace(&quoted, ", ").replace(&dotted, "");
        Some((name.to_owned(), what.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    Ok(text.lines().filter_map(line).collect())
}
