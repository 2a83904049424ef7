//! Row policies: a reader sees the rows of its own tenants.
//!
//! This server takes no users by statements, so the policies' conditions come to it by its users.xml.

use std::fs;

use crate::schema::schema;
use crate::start_with_schema;

const TABLES: [&str; 5] = ["results", "results_1m", "results_1h", "targets", "node_samples"];

/// The condition of a table's policy.
fn condition(printed: &str, table: &str) -> String {
    let policy = format!("ON megaping.{table}\n    USING ");
    let (_, rest) = printed.split_once(&policy).unwrap_or_else(|| panic!("no {policy} in {printed}"));
    rest.split_once(" TO megaping_reader").unwrap().0.to_owned()
}

#[test]
fn a_reader_sees_the_rows_of_its_own_tenants() {
    let mut server = start_with_schema();
    let file = fs::read_to_string(server.dir.path().join("users.xml")).unwrap();
    let (_, printed) = schema("print", &server.url(), &["--row-policies"]);
    let filters: String = TABLES
        .iter()
        .map(|table| format!("<{table}><filter>{}</filter></{table}>", condition(&printed, table)))
        .collect::<Vec<_>>()
        .concat();
    let reader = format!(
        "<alice><password></password><networks><ip>::/0</ip></networks><profile>default</profile>\
         <databases><megaping>{filters}</megaping></databases></alice></users>"
    );
    server.kill();
    fs::write(server.dir.path().join("users.xml"), file.replace("</users>", &reader)).unwrap();
    server.restart();

    server.query("CREATE TABLE megaping.tenant_readers (reader String, tenant String) ENGINE = Memory");
    server.query("INSERT INTO megaping.tenant_readers VALUES ('alice', 'acme'), ('bob', 'other')");
    server.query(
        "INSERT INTO megaping.results (tenant, node, dst, ts, outcome, rtt_ns) \
         SELECT if(number % 3 = 0, 'acme', 'other'), 'n', '::1', now(), 'answered', 1000 FROM numbers(30)",
    );
    for tenant in ["acme", "other"] {
        server.query(&format!(
            "INSERT INTO megaping.targets (tenant, dst, name) VALUES ('{tenant}', '::1', 'x')"
        ));
        server.query(&format!("INSERT INTO megaping.node_samples VALUES ('{tenant}', 'n', 'cpu', now(), 1)"));
    }
    let sees = |user, what: &str| server.query_as(user, &format!("SELECT {what}")).unwrap();
    for (what, all, own) in [
        ("count(), uniq(tenant) FROM megaping.results", "30\t2", "10\t1"),
        ("sum(scheduled), uniq(tenant) FROM megaping.results_1m", "30\t2", "10\t1"),
        ("sum(scheduled), uniq(tenant) FROM megaping.results_1h", "30\t2", "10\t1"),
        ("count(), uniq(tenant) FROM megaping.targets", "2\t2", "1\t1"),
        ("count(), uniq(tenant) FROM megaping.node_samples", "2\t2", "1\t1"),
    ] {
        assert_eq!((sees(None, what).as_str(), sees(Some("alice"), what).as_str()), (all, own), "{what}");
    }
}
