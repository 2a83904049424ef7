//! Faults of the server and of the clock: what was sent arrives once, in the table and in both rollups.

use std::path::Path;
use std::time::{Duration, Instant};

use megaping_store::clickhouse::{Endpoint, Password, Server, Timeouts};
use megaping_store::upload::{Event, UploadOptions, Uploader};
use megaping_store::{Spool, SpoolOptions};

use crate::ledger::Ledger;
use crate::proxy::slow_proxy;
use crate::server::ClickHouse;
use crate::start_with_schema;

/// Sends everything in the spool below `dir`, as the command does, but with another patience; calls `meanwhile` after
/// each failure. Returns how many attempts failed.
fn send(dir: &Path, port: u16, answer: Duration, mut meanwhile: impl FnMut()) -> u64 {
    let (mut spool, _) = Spool::open(dir, SpoolOptions { upload: true, ..SpoolOptions::default() }).unwrap();
    let endpoint: Endpoint = format!("http://127.0.0.1:{port}/megaping").parse().unwrap();
    let server = Server { endpoints: vec![endpoint], user: None, password: Password::None, ca: None };
    let timeouts = Timeouts { answer, ..Timeouts::default() };
    let tenant = "default".to_owned();
    let options = UploadOptions { server, tenant, timeouts, parallel: 4, bytes_per_s: None };
    let uploader = Uploader::start(options, spool.shelf()).unwrap();
    let segments = spool.take_for_upload();
    let (mut left, mut failures) = (segments.len(), 0);
    for segment in segments {
        uploader.submit(segment);
    }
    let begun = Instant::now();
    while left > 0 {
        assert!(begun.elapsed() < Duration::from_secs(50), "{left} segments are left");
        std::thread::sleep(Duration::from_millis(10));
        for event in uploader.events().collect::<Vec<_>>() {
            match event {
                Event::Uploaded { .. } => left -= 1,
                Event::Failed(_) => {
                    failures += 1;
                    meanwhile();
                }
                other => panic!("{other:?}"),
            }
        }
    }
    uploader.close(Duration::ZERO);
    failures
}

#[test]
fn slow_answers_failing_views_and_stepping_clocks_lose_and_double_nothing() {
    let server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut ledger = Ledger::default();

    // The server has the rows, and its answer comes when nobody waits for it any more.
    ledger.spool(dir, 4_000, 8);
    let proxy = slow_proxy(server.http, 8, Duration::from_secs(3));
    let failures = send(dir, proxy, Duration::from_secs(1), || ());
    assert!(failures >= 8, "{failures}");
    ledger.assert_equals(&server, "slow");

    view_fails_half_way(&server, dir, &mut ledger);

    ledger.spool_while_the_clock_steps(dir);
    assert_eq!(send(dir, server.http, Duration::from_secs(10), || ()), 0);
    ledger.assert_equals(&server, "clock steps");
}

/// One view has been fed when the next one fails, again and again; then it is mended.
fn view_fails_half_way(server: &ClickHouse, dir: &Path, ledger: &mut Ledger) {
    server.query("CREATE TABLE megaping.nowhere (x UInt8) ENGINE = Null");
    for name in ["before", "zz_after"] {
        server.query(&format!(
            "CREATE MATERIALIZED VIEW megaping.{name} TO megaping.nowhere AS \
             SELECT throwIf(count() > 0, 'the view fails') AS x FROM megaping.results_1m"
        ));
    }
    ledger.spool(dir, 4_000, 8);
    let mut failed = 0;
    let failures = send(dir, server.http, Duration::from_secs(10), || {
        failed += 1;
        if failed == 16 {
            for name in ["before", "zz_after"] {
                server.query(&format!("DROP VIEW megaping.{name}"));
            }
        }
    });
    assert!(failures >= 16, "{failures}");
    ledger.assert_equals(server, "view failed");
}
