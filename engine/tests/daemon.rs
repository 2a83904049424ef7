//! `megaping run` on the lab: many tenants at once, while their configuration changes under them.
//!
//! Needs root (network namespaces, eBPF) and `megaping-lab`, built in the same profile.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

/// Tenants that ask for what they get.
const MODEST: u32 = 40;
const TARGETS: u32 = 128;
const NODE_PPS: f64 = 30_000.0;

/// A daemon whose standard error is read as it comes.
struct Daemon {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Daemon {
    fn start(mut command: Command) -> Daemon {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("megaping starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Daemon { child, lines, said: Vec::new() }
    }

    /// Waits for a line that has these words.
    fn says(&mut self, words: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("it never said {words:?}: {:#?}", self.said);
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// Waits for its end.
    fn ended(mut self) -> Run {
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        self.said.extend(self.lines.iter());
        Run { code, stdout: String::new(), stderr: self.said.join("\n") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only where a test failed is it alive still.
        let _dead = self.child.kill();
    }
}

/// A configuration of many modest tenants and a greedy one.
fn configuration(backend: &str, shards: u32, extra: &str) -> String {
    let mut text = format!(
        "[node]\nbackend = \"{backend}\"\nshards = {shards}\ninterface = \"near\"\nmax_pps = {NODE_PPS}\n\
         [store]\ndir = \"data\"\narchive = \"none\"\n"
    );
    for tenant in 0..MODEST {
        let targets = if tenant % 2 == 0 {
            format!("10.1.{tenant}.0-10.1.{tenant}.{}", TARGETS - 1)
        } else {
            format!("fd00:1::{tenant:x}:0/{}", 128 - TARGETS.ilog2())
        };
        let name = format!("modest-{tenant}");
        // What measurements differ in.
        let (interval, size, dscp) = (250 + 250 * (tenant % 3), 24 + tenant, tenant % 8);
        writeln!(
            text,
            "[[tenant]]\nname = \"{name}\"\n[[measurement]]\nname = \"m\"\ntenant = \"{name}\"\ntargets = [\"{targets}\"]\n\
             interval = \"{interval}ms\"\nsize = {size}\ndscp = {dscp}"
        )
        .expect("a text grows");
    }
    text.push_str(
        "[[tenant]]\nname = \"greedy\"\n[[measurement]]\nname = \"all\"\ntenant = \"greedy\"\n\
         targets = [\"10.64.0.0/16\"]\ninterval = \"250ms\"\n",
    );
    text + extra
}

fn modest_pps() -> f64 {
    (0..MODEST).map(|tenant| f64::from(TARGETS) * 1e3 / f64::from(250 + 250 * (tenant % 3))).sum()
}

fn write(path: &Path, text: &str) {
    // As an operator's tool does it: never half a file.
    let new = path.with_extension("new");
    fs::write(&new, text).expect("there is room");
    fs::rename(new, path).expect("the same directory");
}

/// The rows of a tenant: departures by target, and how each ended.
fn rows(dir: &Path, tenant: &str) -> BTreeMap<String, Vec<(u64, u64, String)>> {
    let store = dir.join("data").join(tenant);
    let run = Run::of(Command::new(MEGAPING).args(["archive", "export", "-o", "json"]).arg(store));
    let mut rows: BTreeMap<String, Vec<(u64, u64, String)>> = BTreeMap::new();
    for line in run.stdout.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
        let time: jiff::Timestamp = text("ts").parse().expect("a time");
        let entry = (time.as_nanosecond() as u64, count(&row["seq"]), text("outcome"));
        rows.entry(text("destination")).or_default().push(entry);
    }
    for rows in rows.values_mut() {
        rows.sort();
    }
    rows
}

fn change_and_hold(backend: &str, shards: u32) {
    let lab = Lab::up(&["--loss", "5"]);
    let dir = tempfile::tempdir().expect("a directory");
    let path: PathBuf = dir.path().join("megaping.toml");
    write(&path, &configuration(backend, shards, ""));
    let mut command = lab.command(MEGAPING);
    command.args(["run", "--summary", "json", "--duration", "8", "--config"]).arg(&path);
    let began = Instant::now();
    let mut daemon = Daemon::start(command);
    let line = daemon.says("measurements:");
    assert!(line.contains("41 begin, 0 end, 0 untouched"), "{line}");

    // Another tenant comes.
    let late = "[[tenant]]\nname = \"late\"\n[[measurement]]\nname = \"m\"\ntenant = \"late\"\n\
                targets = [\"10.2.0.0/25\", \"fd00:1::77:0/121\"]\ninterval = \"500ms\"\n";
    std::thread::sleep(Duration::from_secs(1));
    write(&path, &configuration(backend, shards, late));
    let line = daemon.says("reloaded");
    assert!(line.contains("1 begin, 0 end, 41 untouched"), "{line}");
    // A broken one changes nothing.
    write(&path, &configuration(backend, shards, "[[tenant]]\nnane = \"x\"\n"));
    daemon.says("did you mean `name`?");
    daemon.says("holds on");
    // So does one that takes a restart.
    write(&path, &configuration(backend, shards + 1, late));
    daemon.says("node.shards takes a restart");
    // One goes, and another rests; nothing else is touched. SIGHUP asks for the same again.
    let rest = configuration(backend, shards, "")
        .replace("name = \"modest-2\"\n", "name = \"modest-2\"\npaused = true\n");
    std::thread::sleep(Duration::from_millis(500));
    write(&path, &rest);
    let line = daemon.says("reloaded");
    assert!(line.contains("0 begin, 2 end, 40 untouched"), "{line}");
    daemon.signal("-HUP");
    let line = daemon.says("reloaded");
    assert!(line.contains("0 begin, 0 end, 40 untouched"), "{line}");
    let run = daemon.ended();
    assert!(began.elapsed() < Duration::from_secs(30));

    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(summary["backend"], backend);
    let both = |key: &str| count(&world["v4"][key]) + count(&world["v6"][key]);
    assert_eq!(count(&summary["sent"]), both("requests"), "{summary} {world}");
    assert_eq!(count(&summary["answered"]), both("replies"));
    assert_eq!(count(&summary["lost"]), both("dropped"));
    held(&summary, dir.path());
}

/// What must be true of each tenant at the end.
fn held(summary: &Value, dir: &Path) {
    let tenants = summary["tenants"].as_array().expect("a list");
    let of = |name: &str| tenants.iter().find(|tenant| tenant["tenant"] == name).expect("it is there");
    let sum = |key: &str| tenants.iter().map(|tenant| count(&tenant[key])).sum::<u64>();
    for key in ["scheduled", "answered", "errors", "lost"] {
        assert_eq!(sum(key), count(&summary[key]), "{key}: {summary}");
    }
    assert_eq!(summary["unsent"], serde_json::json!({ "shed": sum("shed") }), "{summary}");
    for tenant in tenants.iter().filter(|tenant| tenant["tenant"] != "greedy") {
        assert_eq!(count(&tenant["unsent"]), 0, "nobody else's excess costs {tenant}");
    }
    // What the others leave is the greedy one's: of each round the same part, to the hundredth.
    let greedy = of("greedy");
    let (sent, all) = (count(&greedy["scheduled"]) - count(&greedy["unsent"]), count(&greedy["scheduled"]));
    let part = (NODE_PPS * 0.99 - modest_pps()) / (65_536.0 * 4.0);
    let off = sent as f64 / all as f64 / part;
    assert!((0.98..1.04).contains(&off), "{off} of its part: {greedy}");

    // What a query finds is what the ledger says.
    for name in ["modest-1", "late", "greedy"] {
        let store = dir.join("data").join(name);
        let run = Run::of(Command::new(MEGAPING).args(["query", "-o", "json"]).arg(store));
        let found: Value = serde_json::from_str(run.stdout.trim()).expect("one group");
        for key in ["scheduled", "answered", "errors", "lost", "unsent"] {
            assert_eq!(found[key], of(name)[key], "{name} {key}: {found}");
        }
    }

    for tenant in [0u32, 1, 5, 38, 39] {
        let interval_ns = u64::from(250 + 250 * (tenant % 3)) * 1_000_000;
        let rows = rows(dir, &format!("modest-{tenant}"));
        assert_eq!(rows.len() as u32, TARGETS);
        for (target, rows) in rows {
            assert!(rows.len() as u64 >= 7_500_000_000 / interval_ns, "{target}: {rows:?}");
            for pair in rows.windows(2) {
                assert_eq!(pair[1].1, pair[0].1 + 1, "{target} missed a round: {rows:?}");
                let step_ns = pair[1].0 - pair[0].0;
                assert!(
                    step_ns.abs_diff(interval_ns) < 150_000_000,
                    "{target} was moved by {step_ns}: {rows:?}"
                );
            }
        }
    }
}

#[test]
fn root_tenants_keep_their_shares_and_phases_while_others_come_and_go() {
    change_and_hold("raw", 1);
}

#[test]
fn root_so_they_do_inside_the_kernel() {
    change_and_hold("kernel", 1);
}

#[test]
fn what_cannot_be_run_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("megaping.toml");
    let run = |text: &str| {
        write(&path, text);
        Run::of(Command::new(MEGAPING).args(["run", "--config"]).arg(&path))
    };
    let empty = run("");
    assert_eq!(empty.code, 2);
    assert!(empty.stderr.contains("there is nothing to probe: add a [[tenant]]"), "{}", empty.stderr);
    let wrong = run("[node]\nshard = 2\n");
    assert!(wrong.stderr.contains("megaping.toml:2:1: unknown field `shard`"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("did you mean `shards`?"), "{}", wrong.stderr);
    let none = Run::of(Command::new(MEGAPING).args(["run", "--config", "/no/such/file"]));
    assert!(none.stderr.contains("/no/such/file: cannot be read"), "{}", none.stderr);
    let shown = Run::of(Command::new(MEGAPING).args(["config", "example"]));
    write(&path, &shown.stdout);
    let checked = Run::of(Command::new(MEGAPING).args(["config", "check"]).arg(&path));
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stdout.contains("good: 2 tenants, 2 measurements"), "{}", checked.stdout);
    let meant = Run::of(Command::new(MEGAPING).args(["config", "show"]).arg(&path));
    let meant: Value = serde_json::from_str(&meant.stdout).expect("JSON");
    assert_eq!(meant["tenants"][1]["measurements"][0]["interval_s"], 0.2);
}

#[test]
fn root_a_running_engine_is_watched_and_steered() {
    let lab = Lab::up(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("megaping.toml");
    let socket = dir.path().join("control.sock");
    let control = "[control]\nsocket = \"control.sock\"\n";
    write(&path, &configuration("raw", 1, control));
    let mut command = lab.command(MEGAPING);
    command.args(["run", "--summary", "json", "--duration", "60", "--config"]).arg(&path);
    let mut daemon = Daemon::start(command);
    daemon.says("measurements:");
    let ask = |args: &[&str]| Run::of(Command::new(MEGAPING).args(args).arg("--via").arg(&socket));
    let json = |args: &[&str]| -> Value {
        let run = ask(&[args, &["-o", "json"]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        serde_json::from_str(run.stdout.trim()).expect("JSON")
    };
    std::thread::sleep(Duration::from_millis(1500));
    let status = json(&["status"]);
    assert_eq!((&status["tenants"], &status["measurements"]), (&Value::from(41), &Value::from(41)));
    assert!(status["sent_pps"].as_f64().is_some_and(|pps| (25_000.0..33_000.0).contains(&pps)), "{status}");
    let ledger = &status["ledger"];
    let unsent: u64 = ledger["unsent"].as_object().expect("an object").values().map(count).sum();
    let placed: u64 = ["in_flight", "answered", "errors", "lost"].iter().map(|key| count(&ledger[key])).sum();
    assert_eq!(count(&ledger["scheduled"]), placed + unsent, "{ledger}");
    let tenant = |name: &str| -> Value {
        let tenants = json(&["tenants"]);
        let found = tenants.as_array().expect("a list").iter().find(|tenant| tenant["name"] == name);
        found.expect("it is there").clone()
    };
    assert_eq!(
        (&tenant("modest-3")["share"], &tenant("modest-3")["paused"]),
        (&Value::from(1.0), &Value::from(false))
    );
    // Text is for people.
    let text = ask(&["status"]).stdout;
    assert!(text.contains("41 measurements") && text.contains("  in flight"), "{text}");
    assert!(ask(&["targets"]).stdout.contains("greedy/all"));

    // What the greedy one leaves when it rests is nobody's; the rest goes on.
    assert_eq!(ask(&["pause", "greedy"]).stdout, "greedy rests\n");
    std::thread::sleep(Duration::from_millis(700));
    let paused = tenant("greedy");
    assert_eq!((&paused["paused"], &paused["demand_pps"]), (&Value::from(true), &Value::from(0.0)));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(tenant("greedy")["ends"], paused["ends"], "nothing of it is due");
    assert!(
        ask(&["reload"]).stdout.contains("0 begin, 0 end, 40 untouched"),
        "a reload wakes nobody who rests"
    );
    assert_eq!(ask(&["resume", "greedy"]).stdout, "greedy goes on\n");
    let unknown = ask(&["pause", "nobody"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("there is no tenant \"nobody\""), "{}", unknown.stderr);
    write(&path, "[[tenant]]\n");
    let refused = ask(&["reload"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("megaping.toml:1:1: missing field `name`"), "{}", refused.stderr);

    let began = Instant::now();
    assert!(ask(&["drain"]).stdout.starts_with("draining"));
    let run = daemon.ended();
    assert!(began.elapsed() < Duration::from_secs(15) && !socket.exists());
    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!(count(&summary["sent"]), count(&world["v4"]["requests"]) + count(&world["v6"]["requests"]));
    let gone = ask(&["status"]);
    assert_eq!(gone.code, 2);
    assert!(gone.stderr.contains("no engine answers"), "{}", gone.stderr);
}

#[test]
fn root_a_tenants_token_captures_that_tenants_packets_alone() {
    let lab = Lab::up(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("megaping.toml");
    write(&dir.path().join("acme.token"), "acme-acme-acme-acme\n");
    write(&dir.path().join("wrong.token"), "wrong-wrong-wrong-wrong\n");
    write(
        &path,
        "[node]\nbackend = \"xdp\"\ninterface = \"near\"\n[store]\ndir = \"data\"\narchive = \"none\"\n[control]\n\
         capture = \"all.sock\"\ncapture_tenants = \"tenants.sock\"\ncapture_keep = \"4M\"\n\
         [[tenant]]\nname = \"acme\"\ntoken_file = \"acme.token\"\n[[tenant]]\nname = \"other\"\n\
         [[measurement]]\nname = \"a\"\ntenant = \"acme\"\ntargets = [\"10.1.0.0/28\"]\ninterval = \"250ms\"\n\
         [[measurement]]\nname = \"b\"\ntenant = \"other\"\ntargets = [\"10.2.0.0/28\"]\ninterval = \"250ms\"\n",
    );
    let mut command = lab.command(MEGAPING);
    command.args(["run", "--duration", "8", "--config"]).arg(&path);
    let mut daemon = Daemon::start(command);
    daemon.says("measurements:");
    let tool = |socket: &str, args: &[&str]| {
        let mut tool = Command::new(Path::new(MEGAPING).with_file_name("pcap-dump"));
        Run::of(tool.current_dir(dir.path()).args(["--via", socket, "-c", "40"]).args(args))
    };
    let both = tool("all.sock", &[]);
    assert!(both.stdout.contains("tenant=acme ") && both.stdout.contains("tenant=other "), "{}", both.stderr);
    // Whoever asks for another's gets its own.
    for args in [&["--token-file", "acme.token"][..], &["--token-file", "acme.token", "--tenant", "other"]] {
        let own = tool("tenants.sock", args);
        assert_eq!((own.code, own.stdout.lines().count()), (0, 40), "{}", own.stderr);
        assert!(own.stdout.lines().all(|line| line.contains("tenant=acme measurement=a ")), "{}", own.stdout);
    }
    let frozen = tool("tenants.sock", &["--token-file", "acme.token", "--frozen"]);
    assert!(
        frozen.stdout.lines().count() == 40 && !frozen.stdout.contains("tenant=other"),
        "{}",
        frozen.stdout
    );
    let none = tool("tenants.sock", &[]);
    assert!(none.code == 2 && none.stderr.contains("--token-file"), "{}", none.stderr);
    let wrong = tool("tenants.sock", &["--token-file", "wrong.token"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("no tenant has this token"), "{}", wrong.stderr);
    let mode =
        |name: &str| fs::metadata(dir.path().join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("all.sock"), mode("tenants.sock")), (0o600, 0o666));
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().code, 0);
}

#[test]
fn root_configuration_and_lists_may_be_elsewhere_and_last_when_that_is_gone() {
    let lab = Lab::up(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().display();
    let list = dir.path().join("list.txt");
    write(&list, "10.1.0.1\n10.1.0.2\n");
    write(
        &dir.path().join("megaping.toml"),
        &format!(
            "[node]\nbackend = \"raw\"\n[store]\ndir = \"{place}/data\"\narchive = \"none\"\n[[tenant]]\nname = \"acme\"\n\
             [[measurement]]\nname = \"a\"\ntenant = \"acme\"\nfiles = [\"file://{place}/list.txt\"]\ninterval = \"100ms\"\n"
        ),
    );
    let state = dir.path().join("state");
    let start = |duration: &str| {
        let mut command = lab.command(MEGAPING);
        command.args(["run", "--summary", "json", "--duration", duration, "--state"]).arg(&state);
        Daemon::start({
            command.args(["--config", &format!("file://{place}/megaping.toml")]);
            command
        })
    };
    let mut daemon = start("3");
    assert!(daemon.says("measurements:").contains("1 tenants, 2 targets"));
    write(&list, "10.1.0.1\n10.1.0.2\n10.1.0.3\n");
    daemon.signal("-HUP");
    assert!(daemon.says("measurements:").contains("1 tenants, 3 targets"));
    let run = daemon.ended();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let sent = count(&run.summary()["sent"]);
    assert_eq!(sent, count(&lab.counters()["v4"]["requests"]));
    // The bucket is gone: the copies are used, and it is said.
    fs::remove_file(&list).expect("it is there");
    fs::remove_file(dir.path().join("megaping.toml")).expect("it is there");
    let mut daemon = start("1");
    assert!(daemon.says("the copy is used").contains("No such file"));
    assert!(daemon.says("measurements:").contains("1 tenants, 3 targets"));
    assert_eq!(daemon.ended().code, 0);
}
