//! The program on the lab, end to end: its summary equals what the world counted.
//!
//! Needs root (network namespaces, eBPF) and `megaping-lab`, built in the same profile.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Lab, MEGAPING, Run, assert_equal, count};

#[test]
fn root_the_ledger_equals_the_worlds_counters() {
    let lab =
        Lab::up(&["--dead", "30", "--loss", "20", "--corrupt", "20", "--other-address", "10", "--verify"]);
    let families = [("v4", "10.0.0.0-10.0.78.31"), ("v6", "fd00:1::-fd00:1::4e1f")];
    for (backend, (family, targets)) in
        ["raw", "uring"].into_iter().flat_map(|ring| families.map(|of| (ring, of)))
    {
        lab.reset();
        let run = lab.ping(&[targets, "-c", "3", "-r", "20k", "-o", "none", "--backend", backend]);
        let (summary, world) = (run.summary(), lab.counters());
        assert_eq!((run.code, &summary["backend"]), (0, &Value::from(backend)));
        assert_eq!(count(&summary["scheduled"]), 60_000);
        assert_equal(&summary, &world[family], family == "v6");
        for behaviour in ["dead", "dropped", "corrupted", "other_address"] {
            assert!(count(&world[family][behaviour]) > 300, "{family} {behaviour}: {world}");
        }
    }
}

#[test]
fn root_errors_from_routers_and_hosts_are_told_apart() {
    let lab = Lab::up(&["--min-hops", "4", "--max-hops", "12", "--mpls", "500", "--unreachable", "100"]);
    for quote in ["full", "8"] {
        lab.set(&[
            "--min-hops",
            "4",
            "--max-hops",
            "12",
            "--mpls",
            "500",
            "--unreachable",
            "100",
            "--quote",
            quote,
        ]);
        for (family, targets) in [("v4", "10.0.0.0/20"), ("v6", "fd00:1::/116")] {
            lab.reset();
            let run = lab.ping(&[targets, "-c", "2", "-r", "20k", "--ttl", "8", "-o", "none"]);
            let (summary, world) = (run.summary(), lab.counters());
            assert_equal(&summary, &world[family], false);
            let world = &world[family];
            let kinds = &summary["error_kinds"];
            assert_eq!(count(&kinds["time_exceeded"]), count(&world["time_exceeded"]), "quote {quote}");
            assert!(count(&world["time_exceeded"]) > 500 && count(&world["unreachable"]) > 200, "{world}");
            assert!(count(&world["mpls"]) > 200, "{world}");
            assert!(count(&world["replies"]) > 500, "{world}");
        }
    }
}

#[test]
fn root_outcomes_on_standard_output_and_in_the_store_are_the_summarys() {
    let lab = Lab::up(&["--dead", "50", "--loss", "50"]);
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().to_str().expect("UTF-8");
    let run =
        lab.ping(&["10.1.0.0/24", "fd00:2::/120", "-c", "4", "-i", "0.2", "-o", "json", "--store", store]);
    let summary = run.summary();
    assert_eq!(count(&summary["scheduled"]), 2048);
    let mut answered = 0;
    for line in run.stdout.lines() {
        let row: Value = serde_json::from_str(line).expect("one object a line");
        if row["outcome"] == "answered" {
            answered += 1;
            assert!(row["rtt_us"].as_f64().is_some_and(|rtt_us| rtt_us > 0.0), "{line}");
            assert_eq!(row["responder"], row["target"]);
            assert_eq!(row["stamp_source"], "kernel");
            assert_eq!(count(&row["reply_hop_limit"]), 64);
        }
    }
    assert_eq!(run.stdout.lines().count(), 2048);
    assert_eq!(answered, count(&summary["answered"]));
    let stored = &summary["store"];
    assert_eq!(
        (count(&stored["produced"]), count(&stored["archived"]), count(&stored["queued"])),
        (2048, 2048, 0),
        "{stored}"
    );

    let report = Run::of(std::process::Command::new(MEGAPING).args(["report", store, "-o", "json"]));
    let rows: Vec<Value> =
        report.stdout.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert_eq!(rows.len(), 512, "{}", report.stderr);
    let sum = |key: &str| rows.iter().map(|row| count(&row[key])).sum::<u64>();
    assert_eq!(sum("sent"), count(&summary["sent"]));
    assert_eq!(sum("answered"), count(&summary["answered"]));
    assert_eq!(sum("lost"), count(&summary["lost"]));
}

#[test]
fn root_the_slow_world_delays_reorders_and_doubles() {
    let lab = Lab::up(&[]);
    let world = ["--delay-us", "30000", "--jitter-us", "20000", "--reorder-permille", "50"];
    lab.slow(&[&world[..], &["--duplicate-permille", "50", "--loss-permille", "30"]].concat());
    let run = lab.ping(&["100.64.0.0/24", "fd64::/120", "-c", "4", "-i", "0.5", "-o", "none"]);
    let (summary, world) = (run.summary(), lab.slow_stop());
    let world = world.get("total").unwrap_or(&world);
    assert_eq!(count(&summary["sent"]), 2048);
    assert_eq!(count(&summary["sent"]), count(&world["requests"]), "{world}");
    assert_eq!(count(&summary["answered"]), count(&world["replies"]), "{summary} {world}");
    assert_eq!(count(&summary["lost"]), count(&world["dropped"]));
    assert_eq!(count(&summary["duplicates"]), count(&world["duplicates"]));
    assert!(count(&world["duplicates"]) > 20 && count(&world["dropped"]) > 20, "{world}");
    let rtt_us = |key: &str| summary["rtt_us"][key].as_f64().expect("there were answers");
    assert!(rtt_us("min") >= 29_000.0 && rtt_us("p50") > 30_000.0, "{summary}");
}

#[test]
fn root_peers_beside_us_keep_their_results_and_we_ours() {
    let lab = Lab::up(&[]);
    let ours = lab
        .command(MEGAPING)
        .args([
            "ping",
            "10.5.0.0/22",
            "fd00:5::/118",
            "-c",
            "4",
            "-i",
            "0.5",
            "-o",
            "none",
            "--summary",
            "json",
        ])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("megaping starts");
    let second = lab
        .command(MEGAPING)
        .args(["ping", "10.5.0.0/22", "-c", "4", "-i", "0.5", "-o", "none", "--summary", "json"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a second megaping starts");
    let identifier = lab.identifier_beside(2);
    let ping = Run::of(lab.command("ping").args(["-c", "15", "-i", "0.1", "-e", &identifier, "10.5.0.1"]));
    let fping =
        Run::of(lab.command("fping").args(["-q", "-C", "3", "-p", "300", "-i", "2", "10.5.0.1", "10.5.0.2"]));
    assert!(ping.stdout.contains("15 packets transmitted, 15 received, 0% packet loss"), "{}", ping.stdout);
    assert!(!ping.stdout.contains("DUP") && !ping.stdout.contains("wrong"), "{}", ping.stdout);
    assert_eq!(fping.code, 0, "{}", fping.stderr);
    assert!(!fping.stderr.contains(" -") && fping.stderr.lines().count() == 2, "{}", fping.stderr);
    for (run, sent) in [(ours, 8192), (second, 4096)] {
        let run = Run::from(run.wait_with_output().expect("megaping ends"));
        let summary = run.summary();
        assert_eq!((count(&summary["sent"]), count(&summary["answered"])), (sent, sent), "{summary}");
        assert_eq!((count(&summary["invalid"]), count(&summary["duplicates"])), (0, 0), "{summary}");
    }
}

#[test]
fn root_tshark_finds_nothing_wrong_with_a_thousand_requests_of_each_family() {
    let lab = Lab::up(&["--verify"]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("requests.pcap");
    let file = file.to_str().expect("UTF-8");
    let mut capture = lab
        .command("tcpdump")
        .args(["-i", "near", "-Q", "out", "-U", "-w", file, "-c", "2000", "icmp or icmp6"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("tcpdump starts");
    std::thread::sleep(Duration::from_secs(1));
    let targets = ["10.2.0.0-10.2.3.231", "fd00:3::-fd00:3::3e7"];
    let run = lab
        .ping(&[&targets[..], &["-c", "1", "-r", "1000", "-s", "57", "--dscp", "ef", "-o", "none"]].concat());
    assert_eq!(count(&run.summary()["answered"]), 2000);
    let deadline = Instant::now() + Duration::from_secs(10);
    while capture.try_wait().expect("tcpdump can be waited for").is_none() {
        assert!(Instant::now() < deadline, "tcpdump has not seen 2,000 requests");
        std::thread::sleep(Duration::from_millis(50));
    }
    let tshark = |filter: &str| {
        let run = Run::of(
            std::process::Command::new("tshark")
                .args(["-r", file, "-o", "ip.check_checksum:TRUE", "-Y", filter])
                .env("LC_ALL", "C.UTF-8"),
        );
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout.lines().count()
    };
    assert_eq!(
        tshark("icmp.type == 8 && icmp.checksum.status == 1 && ip.dsfield.dscp == 46 && ip.flags.df == 1"),
        1000
    );
    assert_eq!(tshark("icmpv6.type == 128 && icmpv6.checksum.status == 1 && ipv6.tclass.dscp == 46"), 1000);
    assert_eq!(tshark("_ws.malformed || ip.checksum.status == 0 || icmp.checksum.status == 0"), 0);
    assert_eq!(tshark("icmpv6.checksum.status == 0"), 0);
}

#[test]
fn root_two_shards_share_the_targets_and_not_the_replies() {
    let lab = Lab::up(&["--loss", "10"]);
    let run =
        lab.ping(&["10.0.0.0/18", "fd00:1::/118", "-c", "2", "-r", "20k", "--shards", "2", "-o", "none"]);
    let summary = run.summary();
    assert_equal(&summary, &lab.counters()["total"], false);
    assert_eq!((count(&summary["shards"]), count(&summary["scheduled"])), (2, 2 * (16_384 + 1024)));
    assert_eq!(count(&summary["foreign"]), 0);
}

#[test]
fn root_after_a_stall_the_overdue_are_skipped_and_nothing_bursts() {
    let lab = Lab::up(&[]);
    let run = lab
        .command(MEGAPING)
        .args(["ping", "10.0.0.0/24", "-i", "0.256", "--duration", "4", "-o", "json", "--summary", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("megaping starts");
    std::thread::sleep(Duration::from_secs(1));
    // `ip netns exec` has become megaping: its process number is the child's.
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &run.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    signal("-STOP");
    std::thread::sleep(Duration::from_millis(1500));
    signal("-CONT");
    let run = Run::from(run.wait_with_output().expect("megaping ends"));
    let summary = run.summary();
    let overdue = count(&summary["unsent"]["overdue"]);
    assert!((900..2000).contains(&overdue), "1,500 probes came due in the stall: {summary}");
    assert_eq!(count(&summary["scheduled"]), 4000);
    assert_eq!(run.stdout.lines().filter(|line| line.contains("\"overdue\"")).count() as u64, overdue);
    // A thousand a second is the plan; a burst would be most of what was missed, at once.
    let mut times: Vec<f64> = run
        .stdout
        .lines()
        .filter(|line| !line.contains("\"unsent\""))
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("one object a line");
            let time = row["time"].as_str().expect("a time").to_owned();
            time[17..29].trim_end_matches('Z').parse::<f64>().expect("seconds")
                + 60.0 * time[14..16].parse::<f64>().expect("minutes")
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let densest = times.windows(301).map(|window| window[300] - window[0]).fold(f64::INFINITY, f64::min);
    assert!(densest > 0.15, "300 probes within {densest} s");
}

#[test]
fn root_ctrl_c_stops_sending_waits_and_sums_up_and_a_second_one_leaves() {
    let lab = Lab::up(&["--dead", "1000"]);
    for twice in [false, true] {
        let run = lab
            .command(MEGAPING)
            .args(["ping", "10.0.0.0/24", "-i", "1", "-t", "2", "-o", "none", "--summary", "json"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("megaping starts");
        let interrupt = || {
            let sent = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status();
            assert!(sent.is_ok_and(|status| status.success()));
        };
        std::thread::sleep(Duration::from_millis(700));
        interrupt();
        let since = Instant::now();
        if twice {
            std::thread::sleep(Duration::from_millis(200));
            interrupt();
        }
        let run = Run::from(run.wait_with_output().expect("megaping ends"));
        if twice {
            assert!(since.elapsed() < Duration::from_secs(1));
            assert_eq!(run.code, 130);
        } else {
            let summary = run.summary();
            assert!(since.elapsed() > Duration::from_millis(1500), "it waited the timeout out");
            assert_eq!((run.code, &summary["interrupted"]), (1, &Value::Bool(true)));
            assert!(count(&summary["lost"]) > 100 && count(&summary["in_flight"]) == 0, "{summary}");
        }
    }
}
