//! `megaping trace` on the lab: every path equals the world's, and the ledger is what the world counted.
//!
//! Needs root (network namespaces, eBPF) and `megaping-lab`, built in the same profile.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use megaping_loader::WorldConfig;
use megaping_loader::world::model::{Host, Nat, Tos, Voice, Way, host, path_length, router};
use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

fn trace(lab: &Lab, args: &[&str]) -> Run {
    let mut command = lab.command(MEGAPING);
    command.env("MEGAPING_BACKEND", "raw").env("MEGAPING_OUTPUT", "json").env("MEGAPING_SUMMARY", "json");
    Run::of(command.arg("trace").args(args))
}

/// The paths by target and flow; each is there once.
fn paths(run: &Run) -> BTreeMap<(String, u64), Value> {
    let mut paths = BTreeMap::new();
    for line in run.stdout.lines() {
        let path: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let key = (path["target"].as_str().expect("an address").to_owned(), count(&path["flow"]));
        let twice = paths.insert(key, path);
        assert!(twice.is_none(), "{twice:?}");
    }
    paths
}

/// The ledger against the world's counters.
fn assert_accounted(run: &Run, world: &Value) -> Value {
    let summary = run.summary();
    let by = |key: &str| count(&world["total"][key]);
    assert_eq!(count(&summary["sent"]), by("requests"), "{summary} {world}");
    assert_eq!(count(&summary["answered"]), by("replies"), "{summary} {world}");
    assert_eq!(count(&summary["errors"]), by("time_exceeded") + by("unreachable"), "{summary} {world}");
    let lost = by("dead") + by("dropped") + by("silent") + by("limited") + by("corrupted");
    assert_eq!(count(&summary["lost"]), lost, "{summary} {world}");
    let of = |key: &str| count(&summary[key]);
    assert_eq!((of("in_flight"), of("late"), of("duplicates")), (0, 0, 0), "{summary}");
    let told: u64 = run
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|path| count(&path["probes"]))
        .sum();
    assert_eq!(told, of("sent"), "every probe belongs to a path");
    summary
}

/// What the world's model says of a hop: the responder of each of its ways is among these.
fn siblings(config: &WorldConfig, to: IpAddr, hop: u8) -> Vec<String> {
    let of_flow = |flow: u32| router(config, &Way { flow, ..Way::to(to) }, hop).address.to_string();
    let mut all: Vec<String> =
        if config.ecmp_ppm == 0 { vec![of_flow(0)] } else { (0..4096).map(of_flow).collect() };
    all.sort_unstable();
    all.dedup();
    all
}

/// One path against the model: order, responders, silence, labels, marks, and its end. Hops that were taken from other
/// paths are counted.
fn assert_is_the_worlds(config: &WorldConfig, path: &Value) -> usize {
    let to: IpAddr = path["target"].as_str().and_then(|ip| ip.parse().ok()).expect("an address");
    let (length, alive) = (path_length(config, to), host(config, to) == Host::Alive);
    let hops = path["hops"].as_array().expect("a list");
    let told = if host(config, to) == Host::Dead { length - 1 } else { length };
    assert_eq!((&path["reached"], &path["complete"]), (&alive.into(), &true.into()), "{path:#}");
    assert!(hops.len() >= usize::from(told), "{path:#}");
    let mut shared = 0;
    for (hop, ttl) in hops.iter().zip(1u8..) {
        assert_eq!(count(&hop["ttl"]), u64::from(ttl), "{path:#}");
        let (sent, received) = (count(&hop["sent"]), count(&hop["received"]));
        if hop["shared"] == true {
            assert_eq!((sent, received, &hop["rtt_us"]), (0, 0, &Value::Null), "{path:#}");
            shared += 1;
        } else {
            assert!(sent > 0 && received <= sent, "{path:#}");
            assert_eq!(hop["rtt_us"].is_null(), received == 0, "{path:#}");
        }
        if ttl > told {
            assert!(hop["responder"].is_null(), "nobody is there: {path:#}");
        } else if ttl == length && alive {
            assert_eq!(hop["responder"], to.to_string(), "{path:#}");
        } else {
            assert_hop_is(config, to, ttl.min(length - 1).max(1), hop, path);
        }
    }
    if alive {
        assert_eq!(hops.len(), usize::from(length), "{path:#}");
    }
    shared
}

fn assert_hop_is(config: &WorldConfig, to: IpAddr, ttl: u8, hop: &Value, path: &Value) {
    let truth = router(config, &Way::to(to), ttl);
    if config.ecmp_ppm > 0 {
        let responder = hop["responder"].as_str().expect("nobody is silent where there is multi-path");
        assert!(siblings(config, to, ttl).iter().any(|one| one == responder), "{path:#}");
        return;
    }
    if hop["responder"].is_null() {
        assert_ne!(truth.voice, Voice::Full, "{path:#}");
        return;
    }
    assert_eq!(hop["responder"], truth.address.to_string(), "{path:#}");
    assert_ne!(truth.voice, Voice::Silent);
    if hop["shared"] == true {
        return;
    }
    let labels = hop["labels"].as_array().expect("a list").iter().map(|label| count(&label["label"]));
    assert!(labels.eq(truth.labels.iter().map(|label| u64::from(*label))), "{path:#}");
    let has = |mark: &str| hop["marks"].as_array().expect("a list").contains(&mark.into());
    assert_eq!(has("nat_source"), truth.nat == Some(Nat::Source), "{path:#}");
    assert_eq!(has("nat_destination"), truth.nat == Some(Nat::Destination), "{path:#}");
    assert_eq!(has("dscp_rewritten"), truth.tos == Some(Tos::Dscp), "{path:#}");
    assert_eq!(has("ecn_rewritten"), truth.tos == Some(Tos::Ecn), "{path:#}");
    assert!(!has("extensions_malformed"), "{path:#}");
    assert_eq!(hop.get("incoming_index").is_some(), truth.interface, "{path:#}");
}

const BOTH: [&str; 2] = ["10.1.2.0/25", "fd00:1::/121"];

#[test]
fn root_every_path_equals_the_worlds_whatever_its_routers_do() {
    let lab = Lab::up(&[]);
    let quiet = WorldConfig { min_hops: 4, max_hops: 14, ..WorldConfig::default() };
    let odd = WorldConfig {
        mpls_ppm: 250_000,
        silent_ppm: 160_000,
        nat_source_ppm: 100_000,
        nat_destination_ppm: 100_000,
        tos_ppm: 200_000,
        interface_ppm: 200_000,
        legacy_ppm: 300_000,
        unreachable_ppm: 100_000,
        dead_ppm: 100_000,
        ..quiet
    };
    let range = ["--min-hops", "4", "--max-hops", "14"];
    let traits = [
        "--mpls",
        "250",
        "--silent",
        "160",
        "--nat-source",
        "100",
        "--nat-destination",
        "100",
        "--tos",
        "200",
        "--interface",
        "200",
        "--legacy",
        "300",
        "--unreachable",
        "100",
        "--dead",
        "100",
    ];
    for (config, flags, quote) in
        [(&quiet, &[][..], "full"), (&odd, &traits[..], "full"), (&odd, &traits[..], "8")]
    {
        lab.set(&[&range[..], flags, &["--quote", quote]].concat());
        for backend in ["raw", "uring"] {
            lab.reset();
            let run = trace(&lab, &["-t", "0.3", "-r", "20k", "--backend", backend, BOTH[0], BOTH[1]]);
            assert_eq!(run.code, 0, "{}", run.stderr);
            let summary = assert_accounted(&run, &lab.counters());
            let all = paths(&run);
            assert_eq!((all.len(), &summary["backend"]), (256, &backend.into()));
            for path in all.values() {
                assert_is_the_worlds(config, path);
            }
        }
    }
}

#[test]
fn root_flows_find_siblings_and_limited_routers_are_asked_again() {
    let lab = Lab::up(&["--min-hops", "8", "--ecmp", "600", "--ecmp-width", "4"]);
    let config =
        WorldConfig { min_hops: 8, max_hops: 8, ecmp_ppm: 600_000, ecmp_width: 4, ..WorldConfig::default() };
    let run = trace(&lab, &["-t", "0.3", "--flows", "8", "10.1.2.3", "fd00:1::7"]);
    assert_accounted(&run, &lab.counters());
    let all = paths(&run);
    assert_eq!(all.len(), 16);
    for path in all.values() {
        assert_is_the_worlds(&config, path);
    }
    let ids: BTreeSet<&str> = all.values().filter_map(|path| path["path_id"].as_str()).collect();
    assert!(ids.len() > 4, "{ids:?}");

    // Each answers a quarter of its probes, so most of them answer one of ten, or of as many once more.
    lab.set(&["--min-hops", "8", "--limited", "300"]);
    lab.reset();
    let config = WorldConfig { min_hops: 8, max_hops: 8, limited_ppm: 300_000, ..WorldConfig::default() };
    let run = trace(&lab, &["-t", "0.2", "-q", "10", "10.1.2.0/28"]);
    assert_accounted(&run, &lab.counters());
    let mut silent = 0;
    for path in paths(&run).values() {
        assert_is_the_worlds(&config, path);
        for hop in path["hops"].as_array().expect("a list") {
            // Ten probes, and as many again where nobody answered those: one hop in 400 is silent still.
            let (sent, is_silent) = (count(&hop["sent"]), hop["responder"].is_null());
            assert!(sent == 20 || sent == 10 && !is_silent, "{path:#}");
            silent += usize::from(is_silent);
        }
    }
    assert!(silent <= 3, "{silent} of 128 hops");
}

#[test]
fn root_losses_are_made_up_for_and_nothing_is_taken_for_a_path_that_is_none() {
    let lab = Lab::up(&["--min-hops", "8", "--max-hops", "12", "--loss", "20", "--corrupt", "5"]);
    let config = WorldConfig { min_hops: 8, max_hops: 12, ..WorldConfig::default() };
    let run = trace(&lab, &["-t", "0.2", "-r", "50k", "10.1.0.0/22"]);
    let summary = run.summary();
    assert_eq!(count(&summary["sent"]), count(&lab.counters()["total"]["requests"]));
    let all = paths(&run);
    assert_eq!(all.len(), 1024);
    let mut holes = 0;
    for path in all.values() {
        if path["reached"] == true {
            holes += path["hops"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(|hop| hop["responder"].is_null())
                .count();
            assert!(
                path["hops"].as_array().expect("a list").len()
                    >= path_length(&config, "10.1.0.0".parse().expect("an address")).min(8).into()
            );
        }
    }
    let reached = all.values().filter(|path| path["reached"] == true).count();
    assert!(reached > 1015, "{reached} reached");
    assert!(holes < 20, "{holes} holes in {reached} paths");
}

#[test]
fn root_near_hops_are_taken_from_memory_unless_all_are_to_be_asked() {
    let lab = Lab::up(&["--min-hops", "8", "--max-hops", "12"]);
    let config = WorldConfig { min_hops: 8, max_hops: 12, ..WorldConfig::default() };
    let mut sent = Vec::new();
    for flags in [&[][..], &["--every-hop"][..]] {
        lab.reset();
        let run = trace(&lab, &[&["-t", "0.5", "-r", "200k", "10.0.0.0/19"], flags].concat());
        let summary = assert_accounted(&run, &lab.counters());
        let all = paths(&run);
        assert_eq!(all.len(), 8192);
        let shared: usize = all.values().map(|path| assert_is_the_worlds(&config, path)).sum();
        assert_eq!(shared as u64, count(&summary["paths"]["shared_hops"]));
        assert_eq!(shared > 0, flags.is_empty());
        sent.push(count(&summary["sent"]));
    }
    assert!(sent[0] * 10 < sent[1] * 9, "{sent:?}");
}

#[test]
fn root_the_smallest_inputs_have_a_line_each() {
    let lab = Lab::up(&["--min-hops", "3", "--dead", "1000"]);
    let one = |args: &[&str]| {
        let run = trace(&lab, &[&["-t", "0.1"], args].concat());
        let path = paths(&run).into_values().next().unwrap_or_else(|| panic!("no path: {}", run.stderr));
        assert_eq!(run.stdout.lines().count(), 1);
        (run, path)
    };
    // Two routers and nobody behind them.
    let (run, path) = one(&["10.1.2.3"]);
    assert_eq!((run.code, &path["reached"], &path["complete"]), (1, &false.into(), &true.into()));
    let hops = path["hops"].as_array().expect("a list");
    assert!(hops[..2].iter().all(|hop| hop["responder"].is_string()), "{path:#}");
    assert!(hops.len() > 2 && hops[2..].iter().all(|hop| hop["responder"].is_null()), "{path:#}");
    // A neighbour; the last hop alone; nothing of the path.
    lab.set(&[]);
    for to in ["10.1.2.3", "fd00:1::7"] {
        let (run, path) = one(&[to]);
        assert_eq!((run.code, path["hops"].as_array().map(Vec::len)), (0, Some(1)));
        assert_eq!((&path["target"], &path["hops"][0]["responder"]), (&to.into(), &to.into()));
    }
    lab.set(&["--min-hops", "6"]);
    let (_, path) = one(&["--first-hop", "5", "10.1.2.3"]);
    let ttls = |path: &Value| {
        path["hops"].as_array().expect("a list").iter().map(|hop| count(&hop["ttl"])).collect()
    };
    let (expected, told): (Vec<u64>, Vec<u64>) = (vec![5, 6], ttls(&path));
    assert_eq!(told, expected);
    let (run, path) = one(&["--max-hops", "4", "10.1.2.3"]);
    let (expected, told): (Vec<u64>, Vec<u64>) = (vec![1, 2, 3, 4], ttls(&path));
    assert_eq!((told, run.code), (expected, 1));
    // No way there: nothing leaves, and the line says so.
    Run::of(lab.command("ip").args(["route", "add", "blackhole", "10.9.0.0/16"]));
    let (run, path) = one(&["10.9.1.1"]);
    assert_eq!((run.code, &path["reached"], &path["probes"]), (1, &false.into(), &0.into()), "{path:#}");
    assert!(count(&path["unsent"]) > 0 && path["hops"] == serde_json::json!([]), "{path:#}");
}

#[test]
fn root_stopped_half_way_everything_is_accounted_for() {
    let lab = Lab::up(&["--min-hops", "8", "--max-hops", "12", "--silent", "100"]);
    let mut command = lab.command(MEGAPING);
    command.args(["trace", "-o", "json", "--summary", "json", "--backend", "raw", "-r", "5k", "-t", "0.5"]);
    let child = command.arg("10.0.0.0/16").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("megaping starts");
    std::thread::sleep(Duration::from_millis(1500));
    // `ip netns exec` becomes the program, so the child is megaping itself.
    Run::of(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]));
    let run = Run::from(child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let summary = assert_accounted(&run, &lab.counters());
    assert_eq!(summary["interrupted"], true);
    let all = paths(&run);
    let complete = all.values().filter(|path| path["complete"] == true).count() as u64;
    let of = |key: &str| count(&summary["paths"][key]);
    assert!(of("incomplete") > 0 && complete > 100, "{summary}");
    assert_eq!(all.len() as u64, of("reached") + of("refused") + of("unreached") + of("incomplete"));
}

#[test]
fn root_text_and_csv_say_the_same() {
    let lab = Lab::up(&["--min-hops", "5"]);
    let run = |form: &str| trace(&lab, &["-o", form, "-n", "-t", "0.2", "10.1.2.3", "fd00:1::7"]);
    let (text, csv) = (run("text"), run("csv"));
    assert_eq!((text.code, text.stdout.lines().count()), (0, 12), "{}", text.stdout);
    assert_eq!(text.stdout.matches(": reached in 5 hops, 6 probes, path ").count(), 2, "{}", text.stdout);
    assert_eq!((csv.code, csv.stdout.lines().count()), (0, 11), "{}", csv.stdout);
    assert!(csv.stdout.contains(",10.1.2.3,,0,0,true,true,"), "{}", csv.stdout);
}

#[test]
fn what_cannot_be_traced_is_refused_with_a_word_on_what_can() {
    for (args, words) in [
        (&[][..], "no target: name one, as in 'megaping trace 192.0.2.1'"),
        (&["--first-hop", "9", "--max-hops", "8", "192.0.2.1"][..], "--first-hop 9 is behind --max-hops 8"),
        (&["-q", "11", "192.0.2.1"][..], "1 to 10"),
        (&["--flows", "0", "192.0.2.1"][..], "1 to 64"),
        (&["--max-hops", "65", "192.0.2.1"][..], "1 to 64"),
        (&["--flows", "64", "10.0.0.0/6"][..], "at most 4294967295 are traced"),
        (&["-I", "eth0", "--backend", "memory", "192.0.2.1"][..], "-I chooses a way out"),
    ] {
        let run = Run::of(std::process::Command::new(MEGAPING).arg("trace").args(args));
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
    // The simulated network answers whatever the hop limit is.
    let run = Run::of(std::process::Command::new(MEGAPING).args([
        "trace",
        "--backend",
        "memory",
        "-o",
        "json",
        "--summary",
        "json",
        "192.0.2.0/28",
    ]));
    assert_eq!((run.code, run.stdout.lines().count()), (0, 16), "{}", run.stderr);
    assert_eq!(count(&run.summary()["paths"]["reached"]), 16);
}

#[test]
fn root_a_change_is_told_and_stored_once_with_both_paths() {
    // The lab first: it takes its time.
    let lab = Lab::up(&["--min-hops", "8"]);
    let uptime = std::fs::read_to_string("/proc/uptime").expect("the kernel tells it");
    let now: u64 = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).expect("a number");
    let change_at = now + 3;
    lab.set(&["--min-hops", "8", "--change", "1000", "--change-at", &change_at.to_string()]);
    let store = tempfile::tempdir().expect("a directory");
    let dir = store.path().to_str().expect("UTF-8");
    let to = ["10.1.2.3", "fd00:1::7"];
    let run = trace(&lab, &["-c", "20", "-i", "0.3", "-t", "0.3", "--store", dir, to[0], to[1]]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let summary = run.summary();
    assert_eq!((&summary["paths"]["changes"], &summary["paths"]["reached"]), (&2.into(), &40.into()));
    assert_eq!((&summary["store"]["produced"], &summary["store"]["spooled"]), (&42.into(), &42.into()));
    let lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let changes: Vec<&Value> = lines.iter().filter(|line| line.get("change").is_some()).collect();
    assert_eq!((lines.len(), changes.len()), (42, 2));
    let change_at_ns = change_at * 1_000_000_000;
    let config = WorldConfig {
        min_hops: 8,
        max_hops: 8,
        change_ppm: 1_000_000,
        change_at_ns,
        ..WorldConfig::default()
    };
    let path = |to: &str, at_ns: u64| -> Vec<String> {
        let way = Way { at_ns, ..Way::to(to.parse().expect("an address")) };
        (1..8).map(|hop| router(&config, &way, hop).address.to_string()).chain([to.to_owned()]).collect()
    };
    let report = Run::of(std::process::Command::new(MEGAPING).args(["report", dir, "-o", "json"]));
    let reports: Vec<Value> =
        report.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((report.code, reports.len()), (0, 2), "{}", report.stderr);
    for to in to {
        let told = changes.iter().find(|line| line["target"] == to).expect("a change of each");
        let stored = reports.iter().find(|line| line["target"] == to).expect("a line of each");
        assert_eq!((&stored["traced"], &stored["changes_total"]), (&20.into(), &1.into()));
        for change in [&told["change"], &stored["changes"][0]] {
            // All hops but the first are others: a round that meets the change half-way tells where.
            assert!(count(&change["first_hop"]) >= 2, "{change:#}");
            assert_eq!(change["before"], serde_json::json!(path(to, 0)), "{change:#}");
            assert_eq!(change["after"].as_array().map(Vec::len), Some(8), "{change:#}");
        }
        assert_eq!(told["change"]["after_id"], stored["changes"][0]["after_id"]);
        let last = lines.iter().rfind(|line| line["target"] == to && line.get("hops").is_some());
        assert_eq!(last.map(|path| &path["path_id"]), Some(&stored["path_id"]));
    }
    let text = Run::of(std::process::Command::new(MEGAPING).args(["report", dir]));
    assert_eq!(text.stdout.matches(" changed at hop ").count(), 2, "{}", text.stdout);
}

#[test]
fn root_frames_carry_traces_too_and_their_ledger_is_exact() {
    let lab = Lab::up(&["--min-hops", "8", "--max-hops", "12", "--mpls", "200"]);
    let config = WorldConfig { min_hops: 8, max_hops: 12, mpls_ppm: 200_000, ..WorldConfig::default() };
    for (backend, shards) in [("kernel", "1"), ("kernel", "2"), ("xdp", "1"), ("xdp", "2")] {
        lab.reset();
        let flags = ["--backend", backend, "--shards", shards, "-t", "0.5", "-r", "100k"];
        let run = trace(&lab, &[&flags[..], &["10.0.0.0/20", "fd00:1::/118"]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let summary = assert_accounted(&run, &lab.counters());
        assert_eq!(summary["backend"], backend);
        let all = paths(&run);
        assert_eq!(all.len(), 4096 + 1024);
        for path in all.values() {
            assert_is_the_worlds(&config, path);
        }
    }
}
