//! Row policies: a reader sees the rows of its own tenants.
//!
//! This server takes no users by statements, so the policies' conditions come to it by its users.xml.

use std::fs;

use crate::schema::schema;
use crate::server::ClickHouse;
use crate::start_with_schema;

const TABLES: [&str; 5] = ["results", "results_1m", "results_1h", "targets", "node_samples"];
const CLUSTER: [&str; 2] = ["--cluster", "megaping"];
const RESULTS: &str = "INSERT INTO megaping.results (tenant, node, dst, ts, outcome, rtt_ns) \
                       SETTINGS insert_distributed_sync = 1 \
                       SELECT if(number % 3 = 0, 'acme', 'other'), 'n', toIPv6(concat('::', hex(number))), now(), \
                       'answered', 1000 FROM numbers(30)";

/// The condition of a table's policy.
fn condition(printed: &str, table: &str) -> String {
    let policy = format!("ON megaping.{table}\n    USING ");
    let (_, rest) = printed.split_once(&policy).unwrap_or_else(|| panic!("no {policy} in {printed}"));
    rest.split_once(" TO megaping_reader").unwrap().0.to_owned()
}

/// Starts a server again with alice, whom the conditions of the policies that `more` flags make are about.
fn add_reader(server: &mut ClickHouse, more: &[&str]) {
    let (_, printed) = schema("print", &server.url(), &[more, &["--row-policies"]].concat());
    let mut filters = String::new();
    for table in TABLES {
        let table = if more.is_empty() { table.to_owned() } else { format!("{table}_local") };
        filters.extend(["<", &table, "><filter>", &condition(&printed, &table), "</filter></", &table, ">"]);
    }
    let reader = format!(
        "<alice><password></password><networks><ip>::/0</ip></networks><profile>default</profile>\
         <databases><megaping>{filters}</megaping></databases></alice></users>"
    );
    let path = server.dir.path().join("users.xml");
    let users = fs::read_to_string(&path).unwrap().replace("</users>", &reader);
    server.kill();
    fs::write(&path, users).unwrap();
    server.restart();
    server.query("CREATE TABLE megaping.tenant_readers (reader String, tenant String) ENGINE = MergeTree ORDER BY reader");
    server.query("INSERT INTO megaping.tenant_readers VALUES ('alice', 'acme'), ('bob', 'other')");
}

fn assert_sees(server: &ClickHouse, what: &str, all: &str, own: &str) {
    let sees = |user| server.query_as(user, &format!("SELECT {what}")).unwrap();
    assert_eq!((sees(None).as_str(), sees(Some("alice")).as_str()), (all, own), "{what}");
}

#[test]
fn a_reader_sees_the_rows_of_its_own_tenants() {
    let mut server = start_with_schema();
    add_reader(&mut server, &[]);
    server.query(RESULTS);
    for tenant in ["acme", "other"] {
        server.query(&format!(
            "INSERT INTO megaping.targets (tenant, dst, name) VALUES ('{tenant}', '::1', 'x')"
        ));
        server.query(&format!("INSERT INTO megaping.node_samples VALUES ('{tenant}', 'n', 'cpu', now(), 1)"));
    }
    for (what, all, own) in [
        ("count(), uniq(tenant) FROM megaping.results", "30\t2", "10\t1"),
        ("sum(scheduled), uniq(tenant) FROM megaping.results_1m", "30\t2", "10\t1"),
        ("sum(scheduled), uniq(tenant) FROM megaping.results_1h", "30\t2", "10\t1"),
        ("count(), uniq(tenant) FROM megaping.targets", "2\t2", "1\t1"),
        ("count(), uniq(tenant) FROM megaping.node_samples", "2\t2", "1\t1"),
    ] {
        assert_sees(&server, what, all, own);
    }
}

#[test]
fn on_a_cluster_too_whichever_server_is_asked() {
    let mut servers = ClickHouse::start_two();
    let both = format!("{},{}", servers[0].url(), servers[1].url());
    assert_eq!(schema("apply", &both, &CLUSTER).0, 0);
    for server in &mut servers {
        add_reader(server, &CLUSTER);
    }
    servers[0].query(RESULTS);
    for server in &servers {
        assert_sees(server, "count(), uniq(tenant) FROM megaping.results", "30\t2", "10\t1");
        assert_sees(server, "sum(scheduled), uniq(tenant) FROM megaping.results_1m", "30\t2", "10\t1");
    }
}
