//! `megaping trace` and `megaping mtr` beside what people use today, on the same lab: where they can see the same thing, their
//! tables agree. `scripts/trace-peers` has trippy, which Debian lacks, take part as well.
//!
//! Needs root (network namespaces, eBPF), `megaping-lab` built in the same profile, and Debian's mtr and traceroute.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Lab, MEGAPING, Run};

/// Responders by hop limit; none where nobody answered.
type Path = BTreeMap<u64, Option<String>>;

const TARGETS: [&str; 6] = ["10.1.2.3", "10.77.0.9", "10.200.1.1", "fd00:1::7", "fd00:1::1:2", "fd00:1::9:9"];

fn json(run: &Run) -> Value {
    serde_json::from_str(run.stdout.trim())
        .unwrap_or_else(|error| panic!("{error}: {} {}", run.stdout, run.stderr))
}

fn megaping_trace(lab: &Lab, to: &str) -> Path {
    let args =
        ["trace", "--backend", "raw", "-o", "json", "--summary", "none", "-t", "0.3", "--every-hop", to];
    let path = json(&Run::of(lab.command(MEGAPING).args(args)));
    let hops = path["hops"].as_array().expect("a list").iter();
    hops.map(|hop| (hop["ttl"].as_u64().expect("a number"), hop["responder"].as_str().map(str::to_owned)))
        .collect()
}

/// Ours or theirs: the JSON is the same where both have it.
fn by_mtr(lab: &Lab, command: &[&str], to: &str) -> Path {
    let args = ["-n", "-j", "-c", "3", "-i", "0.3", to];
    let report = json(&Run::of(lab.command(command[0]).args(&command[1..]).args(args)));
    let hubs = report["report"]["hubs"].as_array().expect("a list").iter();
    let host = |hub: &Value| hub["host"].as_str().filter(|host| *host != "???").map(str::to_owned);
    hubs.map(|hub| (hub["count"].as_u64().expect("a number"), host(hub))).collect()
}

fn traceroute(lab: &Lab, to: &str) -> Path {
    let run = Run::of(lab.command("traceroute").args(["-n", "-I", "-q", "1", "-w", "0.3", "-N", "1", to]));
    let hop = |line: &str| {
        let mut words = line.split_whitespace();
        let ttl = words.next().and_then(|word| word.parse().ok()).expect("a hop limit");
        (ttl, words.next().filter(|word| *word != "*").map(str::to_owned))
    };
    run.stdout.lines().skip(1).map(hop).collect()
}

fn trippy(lab: &Lab, program: &str, to: &str) -> Path {
    let run = Run::of(lab.command(program).args([
        "--mode",
        "json",
        "--report-cycles",
        "3",
        "--min-round-duration",
        "300ms",
        to,
    ]));
    let hops = json(&run);
    let hops = hops["hops"].as_array().expect("a list").iter();
    let first = |hop: &Value| {
        let hosts = if hop["hosts"].is_array() { &hop["hosts"] } else { &hop["hosts"]["hosts"] };
        hosts[0]["ip"].as_str().map(str::to_owned)
    };
    hops.map(|hop| (hop["ttl"].as_u64().expect("a number"), first(hop))).collect()
}

#[test]
fn root_the_same_path_is_seen_by_all() {
    let lab = Lab::up(&["--min-hops", "5", "--max-hops", "12", "--mpls", "200", "--silent", "80"]);
    // At once, since each of them waits for most of its time.
    let silent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = TARGETS.iter().map(|to| scope.spawn(|| compare(&lab, to))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the tables agree")).sum()
    });
    assert!(silent > 0, "no hop was silent: the test shows less than it says");
}

/// Holds everybody's path against ours; returns how many hops of it are silent.
fn compare(lab: &Lab, to: &str) -> usize {
    let ours = megaping_trace(lab, to);
    assert_eq!(ours.values().last(), Some(&Some(to.to_owned())), "{ours:?}");
    let family = if to.contains(':') { "-6" } else { "-4" };
    assert_eq!(by_mtr(lab, &[MEGAPING, "mtr", "--backend", "raw", family], to), ours, "megaping mtr {to}");
    assert_eq!(by_mtr(lab, &["mtr", family, "-r"], to), ours, "mtr {to}");
    assert_eq!(traceroute(lab, to), ours, "traceroute {to}");
    if let Ok(program) = std::env::var("TRIPPY") {
        assert_eq!(trippy(lab, &program, to), ours, "trippy {to}");
    }
    ours.values().filter(|responder| responder.is_none()).count()
}
