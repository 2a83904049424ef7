//! One path of which everything is known, in every form.

use megaping_probe::Nanos;
use megaping_probe::trace::{CameIn, HopEnd, HopEvent, HopMarks, Labels, PathEnd, PathRow};
use megaping_wire::Addr;
use megaping_wire::extension::Label;
use serde_json::json;

use super::*;
use crate::trace::assemble::Assembler;

const TARGET: Addr = Addr::v4([192, 0, 2, 7]);

fn event(ttl: u8, end: HopEnd, responder: Addr) -> PathRow {
    let label = |(place, label)| Label { label, traffic_class: 5, bottom: place == 1, ttl: 1 };
    let labels: Labels = [16_001, 24_017].into_iter().enumerate().map(label).collect();
    let event = HopEvent {
        at: Nanos(0),
        target: 0,
        flow: 2,
        round: 3,
        ttl,
        end,
        responder,
        rtt_ns: if end == HopEnd::Lost { 0 } else { u64::from(ttl) * 1_234_567 },
        reply_hop_limit: 65 - ttl,
        quoted_hop_limit: u8::from(end == HopEnd::TimeExceeded),
        quoted_traffic_class: 8,
        marks: HopMarks::when(ttl == 2, HopMarks::NAT_SOURCE.with(HopMarks::DSCP_REWRITTEN)),
        labels: if ttl == 2 { labels } else { Labels::NONE },
    };
    let came_in = if ttl == 2 { CameIn { index: 9, mtu: 1500 } } else { CameIn::default() };
    PathRow::Hop { slot: 1, came_in, event }
}

/// Beyond the end, shared, twice asked, silent, balanced, reached.
fn rows() -> Vec<PathRow> {
    let router = |last| Addr::v4([10, 0, 0, last]);
    let end = PathEnd {
        slot: 1,
        target: 0,
        destination: TARGET,
        flow: 2,
        round: 3,
        length: 4,
        reached: true,
        complete: true,
        at: Nanos(5),
    };
    vec![
        event(30, HopEnd::Reached, TARGET),
        event(4, HopEnd::Reached, TARGET),
        event(3, HopEnd::Lost, TARGET),
        event(2, HopEnd::TimeExceeded, router(2)),
        event(2, HopEnd::TimeExceeded, router(22)),
        PathRow::Shared { slot: 1, ttl: 1, responder: Some(router(1)) },
        PathRow::End(end),
    ]
}

fn render(format: OutputFormat, rows: &[PathRow]) -> String {
    let mut printer = Printer::new(format, Vec::new()).unwrap();
    let names = Names::off();
    let showing = Showing { name: Some("host.example"), names: &names, naming: Naming::Both };
    let mut assembler = Assembler::new(1);
    for row in rows {
        assembler.take(row, |path| printer.path(path, 1_000_000_000_000_000_005, showing).unwrap());
    }
    printer.flush().unwrap();
    String::from_utf8(printer.out).unwrap()
}

#[test]
fn json_says_everything() {
    let text = render(OutputFormat::Json, &rows());
    assert_eq!(text.lines().count(), 1);
    let path: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = path["path_id"].as_str().unwrap();
    assert_eq!(id.len(), 16);
    let answered = |icmp: &str, icmp_type: u8, ttl: u8| {
        json!({"ttl": ttl, "rtt_us": f64::from(ttl) * 1234.567, "sent": 1, "received": 1, "labels": [], "icmp": icmp,
               "icmp_type": icmp_type, "icmp_code": 0, "reply_hop_limit": 65 - ttl, "marks": []})
    };
    let mut second = answered("time_exceeded", 11, 2);
    for (key, value) in [
        ("responder", json!("10.0.0.2")),
        ("sent", json!(2)),
        ("received", json!(2)),
        ("quoted_hop_limit", json!(1)),
        ("quoted_traffic_class", json!(8)),
        ("marks", json!(["nat_source", "dscp_rewritten"])),
        ("others", json!(["10.0.0.22"])),
        ("incoming_index", json!(9)),
        ("incoming_mtu", json!(1500)),
        (
            "labels",
            json!([{"label": 16001, "exp": 5, "s": 0, "ttl": 1}, {"label": 24017, "exp": 5, "s": 1, "ttl": 1}]),
        ),
    ] {
        second[key] = value;
    }
    let mut last = answered("echo_reply", 0, 4);
    last["responder"] = json!("192.0.2.7");
    let silent = json!({"ttl": 3, "responder": null, "rtt_us": null, "sent": 1, "received": 0, "labels": []});
    let shared = json!({"ttl": 1, "responder": "10.0.0.1", "rtt_us": null, "sent": 0, "received": 0, "labels": [],
                        "shared": true});
    assert_eq!(
        path,
        json!({"time": "2001-09-09T01:46:40.000000005Z", "target": "192.0.2.7", "name": "host.example", "flow": 2,
               "round": 3, "reached": true, "complete": true, "path_id": id, "probes": 5,
               "hops": [shared, second, silent, last]})
    );
}

#[test]
fn csv_has_a_line_a_hop_and_as_many_fields_in_each() {
    let text = render(OutputFormat::Csv, &rows());
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|fields| fields.len() == lines[0].len()), "{text}");
    let column = |name: &str| lines[0].iter().position(|field| *field == name).unwrap();
    assert_eq!(lines[2][column("labels")], "16001/5/0/1 24017/5/1/1");
    assert_eq!(lines[2][column("marks")], "nat_source dscp_rewritten");
    assert_eq!((lines[1][column("shared")], lines[3][column("responder")]), ("true", ""));
    let PathRow::End(end) = rows()[6] else { panic!("the last row is the end") };
    let nothing = render(OutputFormat::Csv, &[PathRow::End(PathEnd { length: 0, reached: false, ..end })]);
    assert_eq!(nothing.lines().nth(1).unwrap().split(',').count(), lines[0].len());
}

#[test]
fn text_reads_like_traceroute() {
    let text = render(OutputFormat::Text, &rows());
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("host.example (192.0.2.7) flow 2 round 3: reached in 4 hops, 5 probes, path ")
    );
    assert_eq!(lines[1], format!("  1  {:<40} (as on other paths)", "10.0.0.1"));
    assert!(lines[2].contains("    2.469 ms  10.0.0.22  [MPLS: Lbl 16001 TC 5 S 0 TTL 1]"), "{text}");
    assert!(lines[2].ends_with("nat_source  dscp_rewritten  tos=0x08"), "{text}");
    assert_eq!((lines[3], lines.len()), ("  3  *", 5));
    assert_eq!(render(OutputFormat::None, &rows()), "");
}

#[test]
fn silent_hops_behind_the_last_answer_are_told_and_the_search_for_the_end_is_not() {
    let router = Addr::v4([10, 0, 0, 1]);
    let PathRow::End(end) = rows()[6] else { panic!("the last row is the end") };
    let end = PathRow::End(PathEnd { length: 0, reached: false, ..end });
    let ttls = |rows: &[PathRow], first_hop: u8| {
        let (mut assembler, mut ttls) = (Assembler::new(first_hop), Vec::new());
        for row in rows {
            assembler.take(row, |path| ttls = path.hops.iter().map(|hop| hop.ttl).collect());
        }
        ttls
    };
    let lost = |ttl| event(ttl, HopEnd::Lost, TARGET);
    let rows = [lost(30), event(2, HopEnd::TimeExceeded, router), lost(1), lost(3), lost(4), lost(9), end];
    assert_eq!(ttls(&rows, 1), [1, 2, 3, 4]);
    assert_eq!(ttls(&[lost(30), lost(1), lost(2), end], 1), [1, 2]);
    assert_eq!(ttls(&[lost(30), lost(5), end], 5), [5]);
    assert_eq!(ttls(&[lost(30), end], 1), [0u8; 0]);
}
