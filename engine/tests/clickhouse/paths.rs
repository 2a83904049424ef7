//! Paths and their changes in ClickHouse: each once, and what the tables say is what was traced.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{MEGAPING, start_with_schema};

/// Writes paths into a store as a run would: 40 destinations, two rounds; one in eight changes at hop 3.
pub fn store(dir: &Path, base_ns: u64) -> (u64, u64) {
    use megaping_store::path::{Before, StoredHop, StoredPath, spool_of};
    use megaping_store::segment::Kind;
    use megaping_store::{Spool, SpoolOptions};
    use megaping_wire::Addr;

    let options = SpoolOptions { kind: Kind::Paths, node: "fra1".into(), ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(&spool_of(dir), options).unwrap();
    let (mut paths, mut changes) = (0, 0);
    for round in 0..2u32 {
        for host in 0..40u8 {
            let destination = if host % 4 == 0 {
                Addr::from_bits(0x2001_0db8 << 96 | u128::from(host))
            } else {
                Addr::v4([10, 0, 0, host])
            };
            let turn = if host % 8 == 1 { round as u8 } else { 0 };
            let hop = |ttl: u8| StoredHop {
                ttl,
                responder: (ttl != 2).then(|| {
                    if ttl == 5 {
                        destination
                    } else {
                        Addr::v4([192, 0, 2, ttl * 16 + if ttl == 3 { turn } else { 0 }])
                    }
                }),
                rtt_ns: u64::from(ttl) * 1_000_000,
                sent: 2,
                received: if ttl == 2 { 0 } else { 2 },
                icmp: if ttl == 5 { (0, 0) } else { (11, 0) },
                reply_hop_limit: 64 - ttl,
                labels: if ttl == 4 { vec![0x0010_0140, 0x0020_0140] } else { Vec::new() },
                ..StoredHop::default()
            };
            let path = StoredPath {
                unix_ns: base_ns + u64::from(round) * 60_000_000_000 + u64::from(host) * 1_000_000,
                destination,
                flow: 0,
                round,
                reached: true,
                complete: true,
                length: 5,
                id: u64::MAX - u64::from(host) * 2 - u64::from(turn),
                probes: 10,
                hops: (1..=5).map(hop).collect(),
                before: None,
            };
            spool.push_path(&path).unwrap();
            paths += 1;
            if turn == 1 {
                let route = path
                    .hops
                    .iter()
                    .map(|hop| if hop.ttl == 3 { Some(Addr::v4([192, 0, 2, 48])) } else { hop.responder });
                let before = Before { first_hop: 3, id: path.id + 1, route: route.collect() };
                spool.push_path(&StoredPath { before: Some(before), ..path }).unwrap();
                changes += 1;
            }
        }
    }
    spool.close().unwrap();
    (paths, changes)
}

#[test]
fn paths_and_changes_arrive_once_and_whole() {
    let server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    // The table keeps a month.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let base_ns = (now.as_secs() - 600) * 1_000_000_000;
    let (paths, changes) = store(dir.path(), base_ns);
    // The same files again, as after a crash between the server's answer and their removal.
    let copy = tempfile::tempdir().unwrap();
    assert!(
        Command::new("cp")
            .arg("-a")
            .arg(dir.path().join("paths"))
            .arg(copy.path())
            .status()
            .unwrap()
            .success()
    );
    for store in [dir.path(), copy.path()] {
        let output = Command::new(MEGAPING)
            .args(["upload", "--tenant", "acme", "--clickhouse", &server.url(), "--spool"])
            .arg(store)
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout} {}", String::from_utf8_lossy(&output.stderr));
        let tally: Value = serde_json::from_str(stdout.trim()).unwrap();
        assert_eq!(tally["rows_uploaded"], paths + changes);
    }
    let ask = |sql: &str| server.query(sql);
    assert_eq!(
        ask("SELECT kind, count() FROM megaping.paths GROUP BY kind ORDER BY kind"),
        format!("path\t{paths}\nchange\t{changes}")
    );
    assert_eq!(ask("SELECT count() FROM megaping.path_changes"), changes.to_string());
    let one = "SELECT tenant, node, flow, round, reached, complete, length, probes, `hops.ttl`, `hops.rtt_ns`, `hops.received`, \
               `hops.icmp`, `labels.ttl`, hex(`labels.entry`[2]), arrayMap(r -> toString(r), `hops.responder`), toUnixTimestamp64Nano(ts) \
               FROM megaping.paths WHERE dst = toIPv6('10.0.0.9') AND kind = 'path' AND round = 1";
    let expected = format!(
        "acme\tfra1\t0\t1\ttrue\ttrue\t5\t10\t[1,2,3,4,5]\t[1000000,2000000,3000000,4000000,5000000]\t[2,0,2,2,2]\t\
         [2816,2816,2816,2816,0]\t[4,4]\t200140\t\
         ['::ffff:192.0.2.16','::','::ffff:192.0.2.49','::ffff:192.0.2.64','::ffff:10.0.0.9']\t{}",
        base_ns + 60_009_000_000
    );
    assert_eq!(ask(one), expected);
    let change = "SELECT first_hop, before_id - path_id, toString(before[3]), toString(after[3]) FROM megaping.path_changes \
                  WHERE dst = toIPv6('10.0.0.9')";
    assert_eq!(ask(change), "3\t1\t::ffff:192.0.2.48\t::ffff:192.0.2.49");
}
