//! `scripts/lab` and `megaping-lab` end to end, with fping and ping as the probers. Needs root; every lab has a name
//! of its own and is removed by a guard.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Lab {
    name: String,
}

impl Lab {
    fn new(test: &str) -> Lab {
        Lab { name: format!("{test}-{}", std::process::id()) }
    }

    fn up(test: &str, flags: &[&str]) -> Lab {
        let lab = Lab::new(test);
        lab.ok("up", flags);
        lab
    }

    /// `scripts/lab COMMAND --name NAME ARGUMENTS`
    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lab");
        let mut run = Command::new(script);
        run.args([command, "--name", &self.name]).args(arguments).env("MEGAPING_LAB", BINARY);
        run.stdin(Stdio::null()).output().expect("scripts/lab runs")
    }

    /// The standard output of a command that must succeed.
    fn ok(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        assert!(output.status.success(), "{command} {arguments:?} (run as root?): {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The standard error of a command that must fail.
    fn fails(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        assert!(!output.status.success(), "{command} {arguments:?} succeeded");
        text(&output.stderr)
    }

    fn counters(&self) -> Value {
        serde_json::from_str(&self.ok("counters", &["--json"])).unwrap()
    }

    /// Probes each target once with fping; those that are alive by its judgement.
    fn fping(&self, flags: &[&str], targets: &[String]) -> Vec<String> {
        let mut fping = Command::new("ip");
        fping.args(["netns", "exec", &format!("{}-near", self.name), "fping"]);
        fping.args(["-a", "-r0", "-i1", "-t200"]).args(flags);
        let mut child = fping
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("fping is installed");
        child.stdin.take().unwrap().write_all(targets.join("\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        text(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn namespaces(&self) -> usize {
        let all = Command::new("ip").args(["netns", "list"]).output().unwrap();
        text(&all.stdout).lines().filter(|line| line.starts_with(&self.name)).count()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

const BINARY: &str = env!("CARGO_BIN_EXE_megaping-lab");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn v4_targets(n: u32) -> Vec<String> {
    (0..n).map(|i| format!("10.1.{}.{}", i >> 8, i & 0xff)).collect()
}

fn v6_targets(n: u32) -> Vec<String> {
    (0..n).map(|i| format!("fd00:1::{i:x}")).collect()
}

/// The law of `abi.h`.
fn assert_balanced(family: &Value) {
    let get = |name: &str| family[name].as_u64().unwrap_or_else(|| panic!("{name} in {family}"));
    let outcomes =
        ["replies", "dropped", "dead", "corrupted", "unreachable", "time_exceeded", "silent", "limited"];
    assert_eq!(get("requests"), outcomes.map(get).iter().sum::<u64>(), "{family}");
    assert_eq!(get("failed"), 0);
}

#[test]
fn root_any_destination_answers_and_every_request_is_counted() {
    let lab = Lab::up("plain", &["--verify"]);
    for target in ["10.1.2.3", "fd00:1::5", "192.0.2.77", "2001:db8::7"] {
        for size in ["0", "56", "1000", "1452"] {
            lab.ok("exec", &["ping", "-c", "3", "-i", "0.01", "-W", "2", "-s", size, target]);
        }
    }
    let counters = lab.counters();
    for family in ["v4", "v6"] {
        assert_eq!(counters[family]["requests"], 24);
        assert_eq!(counters[family]["replies"], 24);
        assert_eq!(counters[family]["malformed"], 0);
        assert_balanced(&counters[family]);
    }
    assert_eq!(counters["total"]["requests"], 48);
    lab.ok("reset", &[]);
    assert_eq!(lab.counters()["total"]["requests"], 0);
    lab.ok("down", &[]);
    assert_eq!(lab.namespaces(), 0);
    lab.ok("down", &[]);
}

#[test]
fn root_the_world_and_fping_agree_about_losses() {
    let lab = Lab::up("loss", &["--dead", "100", "--loss", "100", "--verify", "--seed", "5"]);
    let alive4 = lab.fping(&["-4"], &v4_targets(500)).len();
    let alive6 = lab.fping(&["-6"], &v6_targets(500)).len();
    let counters = lab.counters();
    for (family, alive) in [("v4", alive4), ("v6", alive6)] {
        let family = &counters[family];
        assert_eq!((&family["requests"], &family["replies"]), (&500.into(), &alive.into()));
        assert_balanced(family);
        for behaviour in ["dead", "dropped"] {
            let n = family[behaviour].as_u64().unwrap();
            assert!((25..85).contains(&n), "{behaviour}: {n}");
        }
    }
    // fping believes corrupt replies over IPv4; over IPv6 the kernel drops them before any socket.
    lab.ok("set", &["--corrupt", "1000"]);
    assert_eq!(lab.fping(&["-4"], &v4_targets(50)).len(), 50);
    assert_eq!(lab.fping(&["-6"], &v6_targets(50)).len(), 0);
    let corrupted = &lab.counters()["total"]["corrupted"];
    assert_eq!(corrupted, 100);
}

#[test]
fn root_routers_on_the_way_answer_with_and_without_labels() {
    let flags = ["--min-hops", "5", "--max-hops", "5", "--mpls"];
    for (mpls, labelled) in [("0", 0), ("1000", 80)] {
        let lab = Lab::up("hops", &[&flags[..], &[mpls]].concat());
        for (family, targets) in [("-4", v4_targets(10)), ("-6", v6_targets(10))] {
            for hop_limit in 1..=4 {
                assert!(lab.fping(&[family, "-H", &hop_limit.to_string()], &targets).is_empty());
            }
            assert_eq!(lab.fping(&[family, "-H", "5"], &targets).len(), 10);
        }
        let counters = lab.counters();
        assert_eq!(counters["total"]["time_exceeded"], 80, "fping's default size of 56, on real frames");
        assert_eq!(counters["total"]["mpls"], labelled);
        assert_balanced(&counters["v4"]);
        assert_balanced(&counters["v6"]);
        let ping = lab.run("exec", &["ping", "-c1", "-W1", "-t2", "-s0", "10.1.2.3"]);
        assert!(text(&ping.stdout).contains("From 100.66."), "{}", text(&ping.stdout));
        let ping = lab.run("exec", &["ping", "-c1", "-W1", "-t2", "-s1400", "fd00:1::5"]);
        assert!(text(&ping.stdout).contains("From fd00:72:2::"), "{}", text(&ping.stdout));
    }
}

#[test]
fn root_the_slow_world_delays_duplicates_and_counts() {
    let lab = Lab::up("slow", &[]);
    let flags = ["--delay-us", "20000", "--jitter-us", "5000", "--duplicate-permille", "200"];
    lab.ok("slow", &[&flags[..], &["--loss-permille", "100", "--reorder-permille", "100"]].concat());
    assert!(lab.fails("slow", &[]).contains("runs already"));
    let targets: Vec<String> = (1..=200).map(|i| format!("100.64.9.{i}")).collect();
    let alive4 = lab.fping(&["-4"], &targets).len();
    let targets: Vec<String> = (1..=200).map(|i| format!("fd64::{i:x}")).collect();
    let alive6 = lab.fping(&["-6"], &targets).len();
    let ping = text(&lab.run("exec", &["ping", "-c", "5", "-i", "0.05", "-W1", "100.64.1.1"]).stdout);
    let times: Vec<f64> =
        ping.split("time=").skip(1).filter_map(|t| t.split_whitespace().next()?.parse().ok()).collect();
    assert!(!times.is_empty() && times.iter().all(|ms| *ms >= 20.0), "{ping}");
    let counters: Value = serde_json::from_str(&lab.ok("slow-stop", &[])).unwrap();
    let get = |family: &str, name: &str| counters[family][name].as_u64().unwrap();
    assert_eq!((get("v4", "requests"), get("v6", "requests")), (205, 200));
    assert_eq!(get("v6", "replies"), alive6 as u64);
    assert!(get("v4", "replies") >= alive4 as u64 && get("v4", "replies") <= alive4 as u64 + 5);
    assert_eq!(get("total", "requests"), get("total", "replies") + get("total", "dropped"));
    for (name, range) in [("dropped", 15..70), ("duplicates", 40..120), ("reordered", 12..70)] {
        assert!(range.contains(&get("total", name)), "{name}: {counters}");
    }
    assert_eq!(lab.counters()["v4"]["requests"], 0, "the world in the kernel saw none of it");
}

#[test]
fn root_mistakes_are_named_and_leave_nothing() {
    let lab = Lab::new("wrong");
    assert!(lab.fails("up", &["--loss", "1001"]).contains("0 to 1000 per mille"));
    assert_eq!(lab.namespaces(), 0);
    assert!(lab.fails("up", &["--min-hops", "9", "--max-hops", "3"]).contains("no more than max-hops"));
    assert_eq!(lab.namespaces(), 0);
    assert!(lab.fails("up", &["--queues", "none"]).contains("use 1 to 64"));
    assert!(lab.fails("counters", &[]).contains("not up"));
    lab.ok("up", &[]);
    assert!(lab.fails("up", &[]).contains("is up already"));
    assert!(lab.fails("set", &["--dead", "600", "--unreachable", "500"]).contains("the sum of"));
    lab.ok("exec", &[BINARY, "pass", "attach", "near"]);
    assert!(lab.fails("exec", &[BINARY, "pass", "attach", "near"]).contains("`megaping_pass` (id"));
    assert!(lab.fails("exec", &[BINARY, "world", "attach", "near"]).contains("not displaced"));
    assert!(
        lab.fails("exec", &[BINARY, "world", "counters", "near"]).contains("does not run `megaping_world`")
    );
    assert!(lab.fails("exec", &[BINARY, "pass", "attach", "near0"]).contains("no interface `near0`"));
    lab.ok("exec", &[BINARY, "pass", "detach", "near"]);
    assert!(lab.fails("exec", &[BINARY, "pass", "detach", "near"]).contains("attach it first"));
    assert!(lab.fails("exec", &[BINARY, "slow", "near"]).contains("cannot make the TUN interface"));
    lab.ok("down", &[]);
    assert_eq!(lab.namespaces(), 0);
}
