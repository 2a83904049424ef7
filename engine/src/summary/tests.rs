//! The contract of the JSON, the text, and the law.

use super::*;

fn summary() -> Summary {
    let mut rtt_ns = Histogram::new(3).unwrap();
    for us in 1..=1000_u64 {
        rtt_ns.record(us * 1000).unwrap();
    }
    Summary {
        targets: 200_000,
        scheduled: 2_000_000,
        sent: 1_999_985,
        answered: 1_900_000,
        errors: 1_234,
        error_kinds: BTreeMap::from([("host_unreachable", 34), ("time_exceeded", 1_200)]),
        lost: 98_751,
        unsent: unsent_by_name(&[12, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]),
        invalid: 5,
        elapsed_s: 10.5,
        sent_pps: per_second(1_999_985.0, 10.5),
        answered_pps: per_second(1_900_000.0, 10.5),
        rtt_us: RttUs::from_histogram_ns(&rtt_ns),
        lateness_us: LatenessUs::from_histogram_ns(&rtt_ns),
        backend: "raw".into(),
        shards: 2,
        cpu_s: 4.2,
        ring: RingSummary {
            rx_dropped: 1,
            tx_full: 2_000,
            tx_dropped: 4,
            handed_over: 30,
            migrated: 9,
            ..RingSummary::default()
        },
        store: Some(StoreSummary { produced: 2_000_000, archived: 2_000_000, ..StoreSummary::default() }),
        ..Summary::default()
    }
}

#[test]
fn the_contract_of_the_json_is_kept() {
    let json: serde_json::Value = serde_json::from_str(&summary().to_json()).unwrap();
    for key in [
        "scheduled",
        "sent",
        "answered",
        "errors",
        "lost",
        "unsent",
        "duplicates",
        "late",
        "invalid",
        "in_flight",
        "elapsed_s",
        "sent_pps",
        "answered_pps",
        "rtt_us",
        "backend",
        "shards",
        "cpu_s",
        "foreign",
        "lateness_us",
        "ring",
        "store",
        "targets",
        "error_kinds",
        "interrupted",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["unsent"], serde_json::json!({"overdue": 12, "no_route": 3}));
    assert_eq!(json["error_kinds"], serde_json::json!({"host_unreachable": 34, "time_exceeded": 1200}));
    assert_eq!(
        json["ring"],
        serde_json::json!({"rx_dropped": 1, "rx_malformed": 0, "tx_full": 2000, "tx_dropped": 4, "handed_over": 30, "migrated": 9})
    );
    assert_eq!(json["sent_pps"], 190_474.8);
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json["rtt_us"]).len(), 7);
    let p999 = json["rtt_us"]["p999"].as_f64().unwrap();
    assert!((998.0..1001.0).contains(&p999), "{p999}");

    let empty: serde_json::Value = serde_json::from_str(&Summary::default().to_json()).unwrap();
    for key in ["min", "mean", "p50", "p90", "p99", "p999", "max"] {
        assert!(empty["rtt_us"][key].is_null(), "{key}");
    }
    assert!(empty["store"].is_null() && empty["lateness_us"]["max"].is_null());
    assert_eq!(empty["unsent"], serde_json::json!({}));
}

#[test]
fn the_law_is_checked_place_by_place() {
    let balanced = summary();
    assert_eq!(balanced.check_law(), Ok(()));
    let spoil: [fn(&mut Summary); 6] = [
        |s| s.scheduled += 1,
        |s| s.answered += 1,
        |s| s.errors -= 1,
        |s| s.lost = u64::MAX,
        |s| s.in_flight += 1,
        |s| *s.unsent.entry("os_error").or_default() += 1,
    ];
    for spoil in spoil {
        let mut spoilt = balanced.clone();
        spoil(&mut spoilt);
        let error = spoilt.check_law().unwrap_err();
        assert!(error.to_string().starts_with("the ledger does not balance: scheduled 200000"), "{error}");
    }
}

#[test]
fn the_text_is_aligned() {
    let expected = "\
--- megaping: 200,000 targets, raw, 2 shards, 10.50 s ---
scheduled  2,000,000
  answered 1,900,000   95.000 %
  errors       1,234    0.062 %  time_exceeded 1,200, host_unreachable 34
  lost        98,751    4.938 %
  unsent          15    0.001 %  overdue 12, no_route 3
sent       1,999,985  190,475/s, answered 180,952/s
beside     duplicates 0, late 0, invalid 5, foreign 0
rtt        min 0.001 / mean 0.501 / p50 0.500 / p90 0.900 / p99 0.990 / p99.9 0.999 / max 1.000 ms
lateness   p50 0.500 / p99 0.990 / max 1.000 ms
cpu        4.20 s, 40 % of a core, 2,100 ns a probe
ring       arrivals dropped 1, malformed 0; way out full 2,000 times, dropped 4
shards     30 arrivals handed over, 9 targets moved to where theirs land
store      2,000,000 outcomes: archived 2,000,000, spooled 0, queued 0, rejected 0
";
    assert_eq!(summary().to_string(), expected);
}

#[test]
fn a_run_without_answers_says_so_without_figures() {
    let one = Summary { targets: 1, scheduled: 1, sent: 1, lost: 1, shards: 1, ..Summary::default() };
    let text = Summary { interrupted: true, backend: "memory".into(), ..one }.to_string();
    assert!(text.starts_with("--- megaping: 1 target, memory, 1 shard, 0.00 s, interrupted ---\n"), "{text}");
    assert!(text.contains("  lost     1  100.000 %\n") && !text.contains("rtt"), "{text}");
}
