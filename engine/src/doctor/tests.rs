//! The report over made-up facts.

use serde_json::Value;

use super::gather::quota;
use super::measure::on_link_v6;
use super::*;
use crate::backend::{Capabilities, Link, Release, Trial, Xdp};

/// A burstable instance at EC2 with too many queues for XDP, and a little too long packets.
fn ec2() -> Diagnosis {
    let facts = Facts {
        kernel: Release::parse("6.1.0-40-cloud-amd64"),
        capabilities: Capabilities(u64::MAX),
        memlock_bytes: Some(8 << 20),
        raw_sockets: Trial::works(),
        io_uring: Trial::works(),
        xdp_sockets: Trial::works(),
        live_frames: Trial::works(),
        link: Some(Link {
            name: "ens5".into(),
            up: true,
            loopback: false,
            mtu: 9001,
            driver: Some("ena".into()),
            xdp: Xdp::default(),
        }),
    };
    let machine = Machine {
        cpus: 2,
        numa_nodes: Some(1),
        steal_permille: Some(31.4),
        cpu_quota: None,
        huge_pages_free: Some(0),
        huge_page_bytes: Some(2 << 20),
        clock_source: Some("tsc".into()),
        btf: true,
        bpf_jit: Some(1),
        receive_buffer_max_bytes: Some(212_992),
        io_uring_disabled: Some(0),
        vendor: Some("Amazon EC2".into()),
        product: Some("t3.small".into()),
    };
    let nic = Nic {
        driver_version: Some("6.1.0-40-cloud-amd64".into()),
        firmware: None,
        bus: Some("0000:00:05.0".into()),
        numa_node: None,
        queues: Some(Queues { rx: 2, tx: 2, rx_max: 2, tx_max: 2, combined: true }),
        rings: Some(Rings { rx: 1024, tx: 512, rx_max: 16_384, tx_max: 1024 }),
        stamps: Some(Stamps { software_transmit: true, software_receive: true, ..Stamps::default() }),
        allowance_exceeded: vec![
            ("bw_in_allowance_exceeded".into(), 0),
            ("conntrack_allowance_exceeded".into(), 1234),
        ],
        carrier: true,
    };
    Diagnosis::new(facts, machine, Some(nic))
}

/// Nobody on a laptop that is not connected.
fn nobody() -> Diagnosis {
    let mut diagnosis = ec2();
    let mut facts = diagnosis.facts.clone();
    facts.kernel = Release::parse("5.10.0-30-amd64");
    facts.capabilities = Capabilities(0);
    facts.memlock_bytes = Some(64 << 10);
    facts.raw_sockets = Trial::refused("raw sockets need CAP_NET_RAW");
    facts.io_uring =
        Trial::refused("lacks io_uring multishot RECVMSG, which needs Linux 6.0; this is 5.10.0-30-amd64");
    facts.xdp_sockets = Trial::unknown();
    facts.live_frames = Trial::refused("may not load a program");
    facts.link = None;
    diagnosis.machine.vendor = None;
    diagnosis.machine.btf = false;
    diagnosis.machine.clock_source = Some("hpet".into());
    diagnosis.machine.cpu_quota = Some(0.4);
    Diagnosis::new(facts, diagnosis.machine, None)
}

/// `UPDATE_SNAPSHOTS=1 cargo test -p megaping doctor` writes the files anew.
fn snapshot(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).expect("the snapshot can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the snapshot can be read");
    assert_eq!(text, expected, "the report has changed: if that is meant, set UPDATE_SNAPSHOTS=1");
}

#[test]
fn the_text_is_that_of_the_snapshots_and_fits_eighty_columns() {
    let mut measured = ec2();
    measured.measured = vec![Measured {
        backend: Kind::Raw,
        target: "192.0.2.1".parse().unwrap(),
        seconds: 1.0,
        sent_pps: 812_345.6,
        answered_pps: 812_001.0,
        cpu_ns_per_probe: 1234.4,
    }];
    for (name, diagnosis) in [("doctor-ec2", measured), ("doctor-nobody", nobody())] {
        let text = text::render(&diagnosis, 80);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{name}: this line is too long: {line}");
        }
        snapshot(name, &text);
    }
}

#[test]
fn every_problem_has_a_fix_and_narrow_terminals_lose_no_word() {
    for diagnosis in [ec2(), nobody()] {
        for finding in diagnosis.findings() {
            assert!(finding.mark != Mark::Problem || finding.fix.is_some(), "{finding:?}");
            assert!(!finding.text.ends_with('.') && !finding.text.is_empty(), "{finding:?}");
        }
        let words = |width| {
            let text = text::render(&diagnosis, width);
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(60), words(100));
    }
}

#[test]
fn the_json_holds_the_same_under_stable_keys() {
    let value: Value = serde_json::from_str(&json::render(&ec2())).expect("it is JSON");
    for key in [
        "version",
        "backends",
        "memlock_bytes",
        "raw_sockets",
        "io_uring",
        "xdp_sockets",
        "live_frames",
        "measured",
    ] {
        assert!(!value[key].is_null(), "{key}: {value}");
    }
    assert_eq!(value["backend"], "kernel");
    assert_eq!(value["backends"][2]["name"], "raw");
    assert_eq!(value["interface"]["driver"], "ena");
    assert_eq!(value["interface"]["xdp"]["native"], Value::Null);
    assert_eq!(value["interface"]["queues"]["rx_max"], 2);
    assert_eq!(value["interface"]["allowance_exceeded"]["conntrack_allowance_exceeded"], 1234);
    assert_eq!(value["capabilities"]["cap_net_raw"], true);
    assert_eq!(value["machine"]["product"], "t3.small");
    assert_eq!(value["kernel"]["release"], "6.1.0-40-cloud-amd64");
    let marks: Vec<_> =
        value["findings"].as_array().unwrap().iter().map(|finding| &finding["mark"]).collect();
    assert!(
        marks.iter().any(|mark| *mark == "problem") && marks.iter().any(|mark| *mark == "ok"),
        "{marks:?}"
    );

    let value: Value = serde_json::from_str(&json::render(&nobody())).expect("it is JSON");
    assert_eq!((&value["backend"], &value["interface"]), (&Value::Null, &Value::Null));
    assert!(value["backends"][0]["obstacles"][0]["fix"].is_string(), "{value}");
}

#[test]
fn a_cgroups_quota_is_read() {
    assert_eq!(quota("40000 100000\n"), Some(0.4));
    for text in ["max 100000", "", "1 0", "x y", "5"] {
        assert_eq!(quota(text), None, "{text}");
    }
}

#[test]
fn a_neighbour_of_ipv6_is_told_from_what_lies_behind_a_router() {
    let table = "\
        fd006d70000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     near\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd006d70000000000000000000000001 00000400 00000001 00000000 00000003     near\n";
    let is = |target: &str, interface| on_link_v6(table, target.parse().unwrap(), interface);
    assert!(is("fd00:6d70::1", "near"));
    assert!(!is("fd00:6d70::1", "far"), "another interface");
    assert!(!is("2001:db8::1", "near"), "behind the router");
    assert!(!on_link_v6("", "fd00:6d70::1".parse().unwrap(), "near"));
}
