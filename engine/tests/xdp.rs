//! `--backend xdp` and `--backend kernel` on the lab, end to end: their ledgers equal what the world counted, and what goes
//! wrong on the way is said, survived or refused.
//!
//! Needs root (network namespaces, eBPF) and `megaping-lab`, built in the same profile.

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use support::{Lab, MEGAPING, Run, assert_equal, count};

const FAMILIES: [(&str, &str); 2] = [("v4", "10.0.0.0-10.0.39.15"), ("v6", "fd00:1::-fd00:1::270f")];

/// The backends that have a program on the interface.
const BACKENDS: [&str; 2] = ["xdp", "kernel"];

fn ping_by(lab: &Lab, backend: &str, args: &[&str]) -> Run {
    lab.ping(&[&["--backend", backend, "-o", "none"], args].concat())
}

/// Starts megaping, and waits until its program is on the interface.
fn started(lab: &Lab, backend: &str, args: &[&str]) -> Child {
    let mut command = lab.command(MEGAPING);
    command.args(["ping", "--summary", "json", "--backend", backend]).args(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("megaping starts");
    assert!(within_seconds(10, || is_steered(lab)), "the steering program is not attached");
    child
}

fn is_steered(lab: &Lab) -> bool {
    let link = Run::of(lab.command("ip").args(["-d", "link", "show", "near"]));
    link.stdout.contains("prog/xdp")
}

fn within_seconds(seconds: u64, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < deadline {
        if done() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

fn ended(child: Child) -> Run {
    Run::from(child.wait_with_output().expect("megaping ends"))
}

#[test]
fn root_the_ledger_equals_the_worlds_counters() {
    let lab =
        Lab::up(&["--dead", "30", "--loss", "20", "--corrupt", "20", "--other-address", "10", "--verify"]);
    for (backend, (family, targets)) in BACKENDS.into_iter().flat_map(|name| FAMILIES.map(|of| (name, of))) {
        lab.reset();
        let run = ping_by(&lab, backend, &[targets, "-c", "3", "-r", "20k"]);
        let (summary, world) = (run.summary(), lab.counters());
        assert_eq!((run.code, &summary["backend"]), (0, &Value::from(backend)), "{}", run.stderr);
        assert_eq!(count(&summary["scheduled"]), 30_000);
        // Nothing between the wire and us looks at checksums.
        assert_equal(&summary, &world[family], false);
        for behaviour in ["dead", "dropped", "corrupted", "other_address"] {
            assert!(count(&world[family][behaviour]) > 100, "{family} {behaviour}: {world}");
        }
        let notes = summary["notes"].as_array().expect("a list");
        let copies = notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("copy mode")));
        assert_eq!(copies, backend == "xdp", "{summary}");
        let said = run.stderr.matches("AF_XDP in copy mode").count();
        assert_eq!(said, if copies { 2 } else { 0 }, "once, and in the summary");
        assert!(!is_steered(&lab), "nothing is left on the interface");
    }
}

#[test]
fn root_errors_are_told_apart_also_when_they_quote_eight_bytes() {
    let lab = Lab::up(&[]);
    for (backend, quote) in BACKENDS.into_iter().flat_map(|name| ["full", "8"].map(|quote| (name, quote))) {
        let path = ["--min-hops", "4", "--max-hops", "12", "--mpls", "500", "--unreachable", "100"];
        lab.set(&[&path[..], &["--quote", quote]].concat());
        for (family, targets) in [("v4", "10.0.0.0/20"), ("v6", "fd00:1::/116")] {
            lab.reset();
            let run = ping_by(&lab, backend, &[targets, "-c", "2", "-r", "20k", "--ttl", "8"]);
            let (summary, world) = (run.summary(), lab.counters());
            assert_equal(&summary, &world[family], false);
            let world = &world[family];
            assert_eq!(
                count(&summary["error_kinds"]["time_exceeded"]),
                count(&world["time_exceeded"]),
                "{quote}"
            );
            assert!(count(&world["time_exceeded"]) > 500 && count(&world["unreachable"]) > 200, "{world}");
            assert!(count(&world["mpls"]) > 200 && count(&world["replies"]) > 500, "{world}");
        }
    }
}

#[test]
fn root_two_shards_serve_a_queue_each_and_lose_nothing_between_them() {
    let lab = Lab::up(&["--dead", "20", "--loss", "10"]);
    let run = ping_by(&lab, "xdp", &["10.0.0.0/20", "fd00:1::/117", "-c", "4", "-r", "20k", "--shards", "2"]);
    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!((run.code, count(&summary["shards"])), (0, 2), "{}", run.stderr);
    assert_equal(&summary, &world["total"], false);
    assert_eq!(count(&summary["foreign"]), 0, "{summary}");
}

#[test]
fn root_arrivals_are_stamped_by_the_steering_program() {
    let lab = Lab::up(&[]);
    for backend in BACKENDS {
        let run = lab.ping(&["--backend", backend, "-o", "json", "10.0.0.0/24", "fd00:1::/120", "-c", "1"]);
        assert_eq!(run.stdout.lines().count(), 512, "{}", run.stderr);
        for line in run.stdout.lines() {
            let row: Value = serde_json::from_str(line).expect("one object a line");
            let (source, outcome) = (&row["stamp_source"], &row["outcome"]);
            assert_eq!((source, outcome), (&"xdp".into(), &"answered".into()), "{line}");
            assert!(row["rtt_us"].as_f64().is_some_and(|rtt_us| rtt_us > 0.0), "{line}");
        }
    }
}

/// Echoes a connection at the far end and talks to it from the near one; whether every byte came back.
fn tcp_through(lab: &Lab) -> bool {
    let enter = |side: &str| {
        let namespace = File::open(lab.namespace(side)).expect("it is there");
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
            .expect("this test needs root");
    };
    let bytes: Vec<u8> = (0..1u32 << 20).map(|number| ((number * 7) >> 3) as u8).collect();
    let listening = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            enter("far");
            let listener = TcpListener::bind("198.18.0.1:4789").expect("the port is free");
            listening.wait();
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut reader = stream.try_clone().expect("a descriptor is free");
            std::io::copy(&mut reader, &mut stream).expect("it is echoed");
        });
        let near = scope.spawn(|| {
            enter("near");
            listening.wait();
            let mut stream = TcpStream::connect("198.18.0.1:4789").expect("it connects");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a time");
            let mut writer = stream.try_clone().expect("a descriptor is free");
            let mut back = vec![0; bytes.len()];
            thread::scope(|scope| {
                scope.spawn(|| writer.write_all(&bytes).expect("it takes them"));
                stream.read_exact(&mut back).expect("they come back");
            });
            back == bytes
        });
        near.join().expect("no panic")
    })
}

#[test]
fn root_the_hosts_own_ping_and_tcp_are_untouched_at_full_rate() {
    BACKENDS.into_iter().for_each(untouched_beside);
}

fn untouched_beside(backend: &str) {
    let lab = Lab::up(&[]);
    let load = ["10.0.0.0/16", "-i", "0.01", "-r", "5M", "--duration", "4", "-o", "none"];
    let ours = started(&lab, backend, &load);
    let ping = lab
        .command("ping")
        .args(["-c", "20", "-i", "0.1", "10.5.0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ping starts");
    assert!(tcp_through(&lab), "TCP lost or changed bytes");
    let ping = Run::from(ping.wait_with_output().expect("ping ends"));
    assert!(ping.stdout.contains("20 packets transmitted, 20 received, 0% packet loss"), "{}", ping.stdout);
    assert!(!ping.stdout.contains("DUP"), "{}", ping.stdout);
    let summary = ended(ours).summary();
    assert!(count(&summary["answered"]) > 10_000, "{summary}");
    assert_eq!((count(&summary["invalid"]), count(&summary["foreign"])), (0, 0), "{summary}");
    let world = lab.counters();
    assert!(count(&world["v4"]["replies"]) >= count(&summary["answered"]) + 20, "{world} {summary}");
}

#[test]
fn root_while_it_runs_no_thread_has_a_capability_left() {
    let lab = Lab::up(&[]);
    let store = tempfile::tempdir().expect("a directory");
    let store = store.path().to_str().expect("UTF-8");
    for backend in ["kernel", "xdp", "raw", "uring"] {
        let mut command = lab.command(MEGAPING);
        command.args(["ping", "10.0.0.0/24", "--duration", "20", "-o", "none", "--store", store]);
        command.args(["--backend", backend, "--summary", "json"]).stderr(Stdio::piped());
        let child = command.spawn().expect("megaping starts");
        let tasks = format!("/proc/{}/task", child.id());
        let names = || {
            let tasks = fs::read_dir(&tasks).into_iter().flatten().flatten();
            tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap_or_default())
        };
        assert!(within_seconds(10, || names().any(|status| status.contains("Name:\tshard-0"))));
        let mut seen = 0;
        for status in names().filter(|status| !status.is_empty()) {
            let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(of(set), Some("0000000000000000"), "{backend} {set} {:?}", of("Name:"));
            }
            assert_eq!(of("NoNewPrivs:"), Some("1"), "{backend} {:?}", of("Name:"));
            seen += 1;
        }
        assert!(seen >= 3, "{backend}: main thread, shard and store: {seen}");
        thread::sleep(Duration::from_millis(300));
        signal(&child, "-INT");
        let run = ended(child);
        assert_eq!(run.code, 0, "{backend}: {}", run.stderr);
        assert!(count(&run.summary()["answered"]) > 0, "{backend}: {}", run.stderr);
    }
}

/// Detaches the program of the near end, as `bpftool link detach` does.
fn take_off(lab: &Lab) {
    let link = Run::of(lab.command("ip").args(["-d", "link", "show", "near"])).stdout;
    let id = link.split("prog/xdp id ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let id: u32 = id.and_then(|id| id.parse().ok()).expect("a program runs there");
    let link = libbpf_rs::query::LinkInfoIter::default().find(|link| link.prog_id == id);
    let link = link.expect("it hangs on a link").id;
    // SAFETY: numbers alone go in; the descriptor that comes out is closed again.
    let detached = unsafe {
        let fd = libbpf_rs::libbpf_sys::bpf_link_get_fd_by_id(link);
        let detached = libbpf_rs::libbpf_sys::bpf_link_detach(fd);
        libc::close(fd);
        detached
    };
    assert_eq!(detached, 0);
}

#[test]
fn root_a_program_that_is_taken_off_ends_the_run_and_says_so() {
    BACKENDS.into_iter().for_each(taken_off);
}

fn taken_off(backend: &str) {
    let lab = Lab::up(&[]);
    let running = || {
        let child = started(&lab, backend, &["10.0.0.0/24", "-i", "0.1", "-t", "0.5", "-o", "none"]);
        thread::sleep(Duration::from_millis(500));
        child
    };
    let child = running();
    take_off(&lab);
    let run = ended(child);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("our program was taken off \"near\""), "{}", run.stderr);
    assert!(count(&run.summary()["answered"]) > 100, "{}", run.stderr);

    // The interface goes, and the program with it.
    let child = running();
    assert_eq!(Run::of(lab.command("ip").args(["link", "del", "near"])).code, 0);
    let run = ended(child);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let reasons = ["taken off \"near\"", "was removed", "No such device"];
    assert!(reasons.iter().any(|reason| run.stderr.contains(reason)), "{}", run.stderr);
    assert!(count(&run.summary()["answered"]) > 100, "{}", run.stderr);
}

#[test]
fn root_an_interface_that_goes_down_and_up_is_survived() {
    BACKENDS.into_iter().for_each(down_and_up);
}

fn down_and_up(backend: &str) {
    let lab = Lab::up(&[]);
    let load = ["10.0.0.0/24", "-i", "0.1", "--duration", "4", "-t", "0.3", "-o", "json"];
    let child = started(&lab, backend, &load);
    thread::sleep(Duration::from_millis(700));
    let ip = |args: &[&str]| assert_eq!(Run::of(lab.command("ip").args(args)).code, 0);
    ip(&["link", "set", "near", "down"]);
    thread::sleep(Duration::from_secs(1));
    ip(&["link", "set", "near", "up"]);
    let run = ended(child);
    let summary = run.summary();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(count(&summary["unsent"]["interface_down"]) > 1000, "{summary}");
    // More than what went before it went down.
    assert!(count(&summary["answered"]) > 3500, "{summary}");
    assert!(run.stderr.contains("near is down") && run.stderr.contains("near is up again"), "{}", run.stderr);
    // What left just before, or while nobody had told us, is lost by our own doing.
    assert!(count(&summary["ring"]["tx_dropped"]) > 0, "{summary}");
    let lost = || run.stdout.lines().filter(|line| line.contains("\"lost\""));
    assert_eq!(lost().count() as u64, count(&summary["lost"]), "{summary}");
    let unmarked = lost().find(|line| !line.contains("\"self_inflicted\":true"));
    assert_eq!(unmarked, None, "{summary}");
}

#[test]
fn root_arrivals_that_find_no_room_mark_what_was_lost_meanwhile() {
    BACKENDS.into_iter().for_each(no_room);
}

fn no_room(backend: &str) {
    let lab = Lab::up(&["--dead", "500"]);
    let load = ["10.0.0.0/24", "-i", "0.05", "--duration", "3", "-t", "0.5", "-o", "json"];
    let child = started(&lab, backend, &load);
    let unix = Run::of(lab.command("cat").arg("/proc/net/unix")).stdout;
    let instance = unix.split("@megaping-instance-").nth(1).and_then(|rest| rest.split_whitespace().next());
    let instance: u16 = instance.and_then(|number| number.parse().ok()).expect("it holds a number");
    thread::sleep(Duration::from_millis(500));
    signal(&child, "-STOP");
    // Answers to somebody who borrows our identifier come to us, and nobody reads.
    let ident = ((instance << 10) | 7).to_string();
    for host in 70..76 {
        let to = format!("198.18.0.{host}");
        let flood = ["-q", "-e", &ident, "-l", "8000", "-c", "8000", "-W", "0.1", "-w", "1"];
        Run::of(lab.command("timeout").args(["0.3", "ping"]).args(flood).arg(to));
    }
    signal(&child, "-CONT");
    let run = ended(child);
    let summary = run.summary();
    assert!(count(&summary["ring"]["rx_dropped"]) > 1000, "{summary}");
    let marked = run.stdout.lines().filter(|line| line.contains("\"self_inflicted\":true"));
    assert!(marked.clone().count() > 0, "{summary}");
    assert!(marked.into_iter().all(|line| line.contains("\"lost\"")));
}

#[test]
fn root_what_stands_in_the_way_is_named_and_left_alone() {
    let lab = Lab::up(&[]);
    let refused = |run: &Run, words: &[&str]| {
        assert_eq!(run.code, 2, "{}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "no '{word}' in: {}", run.stderr);
        }
    };
    let once = ["-c", "1", "-t", "0.2"];
    let try_it = |args: &[&str]| ping_by(&lab, "xdp", &[&once[..], args].concat());
    refused(&try_it(&["198.18.0.2"]), &["198.18.0.2 is an address of this machine", "--backend raw"]);
    refused(&try_it(&["10.0.0.1", "-I", "nosuch0"]), &["no interface \"nosuch0\"", "`ip link` lists"]);
    refused(&try_it(&["10.0.0.1", "-S", "203.0.113.7"]), &["203.0.113.7 is no address of this machine"]);
    refused(&try_it(&["10.0.0.0/24", "--shards", "3"]), &["3 shards", "\"near\" has 2"]);
    let many = [&once[..], &["10.0.0.0/24", "--shards", "8"]].concat();
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 8) {
        refused(&ping_by(&lab, "kernel", &many), &["8 shards of --backend kernel need a core each"]);
    }

    let lacking = |capabilities: &str| {
        let mut command = lab.command("setpriv");
        command.args(["--bounding-set", capabilities, "--inh-caps", capabilities]);
        Run::of(command.args([MEGAPING, "ping", "--backend", "xdp", "10.0.0.1", "-o", "none"]).args(once))
    };
    refused(&lacking("-bpf,-sys_admin"), &["CAP_BPF"]);
    let with_bpf = "-all,+bpf,+net_admin,+perfmon,+ipc_lock";
    let mut command = lab.command("setpriv");
    command.args(["--inh-caps", with_bpf, "--ambient-caps", with_bpf, "--bounding-set", with_bpf]);
    command.args(["--reuid", "65534", "--clear-groups", MEGAPING, "ping", "--backend", "xdp", "10.0.0.1"]);
    refused(&Run::of(command.args(once)), &["CAP_NET_RAW"]);

    let program = Run::of(lab.command(&support::lab_binary()).args(["pass", "attach", "near"]));
    assert_eq!(program.code, 0, "{}", program.stderr);
    refused(&try_it(&["10.0.0.1"]), &["runs the XDP program `megaping_pass`", "not displaced"]);
    assert!(is_steered(&lab), "it is there still");
}

#[test]
fn root_a_killed_process_leaves_nothing_on_the_interface() {
    let lab = Lab::up(&[]);
    for backend in BACKENDS {
        let child = started(&lab, backend, &["10.0.0.0/24", "-o", "none"]);
        signal(&child, "-KILL");
        ended(child);
        assert!(within_seconds(5, || !is_steered(&lab)));
        let summary = ping_by(&lab, backend, &["10.0.0.0/24", "-c", "1"]).summary();
        assert_eq!(count(&summary["answered"]), 256, "{summary}");
    }
}

#[test]
fn root_auto_takes_the_kernel_and_says_why_where_it_cannot() {
    let lab = Lab::up(&[]);
    let auto = ["--backend", "auto", "10.0.0.0/24", "fd00:1::/120", "-c", "2", "-i", "0.1", "-o", "none"];
    let run = lab.ping(&auto);
    let summary = run.summary();
    assert_eq!(
        (&summary["backend"], count(&summary["answered"])),
        (&"kernel".into(), 1024),
        "{}",
        run.stderr
    );
    assert_eq!(summary["notes"], serde_json::json!([]));

    // The first has the interface: the second goes on with sockets, and both get all their answers.
    let first = started(&lab, "kernel", &["10.1.0.0/24", "-c", "20", "-i", "0.1", "-o", "none"]);
    let second = lab.ping(&auto);
    let (first, second) = (ended(first).summary(), second.summary());
    assert_eq!((&second["backend"], count(&second["answered"])), (&"raw".into(), 1024), "{second}");
    let note = second["notes"][0].as_str().expect("it says what was passed over");
    assert!(note.contains("kernel") && note.contains("megaping_kernel"), "{note}");
    assert_eq!(count(&first["answered"]), 5120, "{first}");

    // And nothing of it is in the way of who comes after.
    let raw = lab.ping(&["10.2.0.0/24", "-c", "1", "-o", "none"]).summary();
    assert_eq!((&raw["backend"], count(&raw["answered"])), (&"raw".into(), 256), "{raw}");
}
