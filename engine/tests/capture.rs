//! `pcap-dump --via` on the lab: what is captured is what the world saw, packet by packet, and nobody is slowed or hurt.
//!
//! Needs root (network namespaces, eBPF), `megaping-lab` and `pcap-dump`, built in the same profile, and tshark.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

fn pcap_dump() -> Command {
    let program = Path::new(MEGAPING).with_file_name("pcap-dump");
    assert!(program.exists(), "{} is not built: cargo build --workspace", program.display());
    Command::new(program)
}

/// Starts megaping with a socket for captures, and waits until it listens.
fn engine(lab: &Lab, socket: &Path, output: &str, args: &[&str]) -> Child {
    let mut command = lab.command(MEGAPING);
    command.args(["ping", "--summary", "json", "-o", output, "--capture"]).arg(socket).args(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("megaping starts");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn ended(child: Child) -> Run {
    Run::from(child.wait_with_output().expect("it ends"))
}

/// A probe: target and round.
type Probe = (String, u64);

/// What became of probes, by the engine's own lines: of the rounds from `from` on.
fn outcomes(csv: &str, from: u64) -> BTreeMap<Probe, String> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name: &str| {
        names.iter().position(|it| *it == name).unwrap_or_else(|| panic!("no {name}: {names:?}"))
    };
    let (target, seq, outcome) = (column("target"), column("seq"), column("outcome"));
    let probe = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        ((fields[target].to_owned(), fields[seq].parse().expect("a round")), fields[outcome].to_owned())
    };
    lines.map(probe).filter(|((_, seq), _)| *seq >= from).collect()
}

/// What tshark makes of a capture: what was sent, and what was made of what arrived, by probe.
fn tshark(capture: &Path) -> (BTreeMap<Probe, u64>, BTreeMap<Probe, Vec<String>>) {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "ip.check_checksum:TRUE", "-T", "json", "-r"]).arg(capture);
    let checksums = ["icmp.checksum.status", "icmpv6.checksum.status"];
    let fields = ["frame.comment", "icmp.type", "icmpv6.type", "frame.time_epoch", "_ws.malformed"];
    for field in fields.iter().chain(&checksums) {
        command.args(["-e", field]);
    }
    let output = command.stdin(Stdio::null()).output().expect("tshark is there: run 'scripts/setup test'");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packets: Value = serde_json::from_slice(&output.stdout).expect("tshark writes JSON");
    let (mut sent, mut arrived): (BTreeMap<Probe, u64>, BTreeMap<Probe, Vec<String>>) = Default::default();
    for packet in packets.as_array().expect("a list") {
        let layers = &packet["_source"]["layers"];
        let field = |name: &str| layers[name][0].as_str();
        assert!(field("_ws.malformed").is_none(), "{packet}");
        let comment = field("frame.comment").expect("every packet has one");
        let word = |name: &str| comment.split(' ').find_map(|word| word.strip_prefix(name));
        let probe = (
            word("target=").expect("a target").to_owned(),
            word("seq=").expect("a round").parse().expect("a number"),
        );
        let verdict = word("verdict=").expect("a verdict");
        assert_eq!(word("tenant="), Some("acme"), "{comment}");
        assert_eq!(matches!(verdict, "matched" | "error"), word("rtt=").is_some(), "{comment}");
        let number =
            field("icmp.type").or(field("icmpv6.type")).unwrap_or_else(|| panic!("no ICMP: {packet}"));
        let expected: &[&str] = match verdict {
            "sent" => &["8", "128"],
            "matched" => &["0", "129"],
            "error" => &["11", "3"],
            other => panic!("{other}: {comment}"),
        };
        assert!(expected.contains(&number), "{comment}: type {number}");
        if word("bytes=").is_none() {
            assert_eq!(checksums.iter().find_map(|name| field(name)), Some("1"), "{packet}");
        }
        match verdict {
            "sent" => *sent.entry(probe).or_default() += 1,
            verdict => arrived.entry(probe).or_default().push(verdict.to_owned()),
        }
    }
    (sent, arrived)
}

#[test]
fn root_every_packet_is_in_the_capture_with_what_became_of_it() {
    let lab = Lab::up(&["--loss", "30", "--verify", "--min-hops", "3", "--max-hops", "9"]);
    let dir = tempfile::tempdir().expect("a directory");
    for backend in ["raw", "xdp", "kernel"] {
        lab.reset();
        let socket = dir.path().join(format!("{backend}.sock"));
        let capture = dir.path().join(format!("{backend}.pcapng"));
        let targets = ["10.1.0.0/25", "fd00:1::/121"];
        let args = [
            "--backend",
            backend,
            "-I",
            "near",
            "--tenant",
            "acme",
            "-c",
            "5",
            "-i",
            "0.4",
            "-t",
            "0.5",
            "--ttl",
            "7",
        ];
        let (tool, run) = watched(&lab, &socket, &capture, &[&targets[..], &args[..]].concat());
        let (summary, world) = (run.summary(), lab.counters());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let both = |key: &str| count(&world["v4"][key]) + count(&world["v6"][key]);
        assert_eq!(count(&summary["sent"]), both("requests"));
        assert_eq!(
            (count(&summary["answered"]), count(&summary["errors"])),
            (both("replies"), both("time_exceeded"))
        );
        assert!(
            tool.stderr.contains("0 were dropped by a shard's ring and 0 by the socket"),
            "{}",
            tool.stderr
        );
        let mode = std::fs::metadata(&capture).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // The tool came while the first round was under way. From the second on all is there, each packet once.
        let (sent, arrived) = tshark(&capture);
        let outcomes = outcomes(&run.stdout, 1);
        assert_eq!(outcomes.len(), 256 * 4);
        for (probe, outcome) in &outcomes {
            assert_eq!(sent.get(probe), Some(&1), "{backend}: {probe:?}");
            let expected: &[&str] = match outcome.as_str() {
                "answered" => &["matched"],
                "error" => &["error"],
                _ => &[],
            };
            let found = arrived.get(probe).map_or(&[][..], Vec::as_slice);
            assert_eq!(found, expected, "{backend}: {probe:?} {outcome}");
        }
        let later = |probe: &&Probe| probe.1 >= 1;
        assert_eq!(
            sent.keys().filter(later).count(),
            outcomes.len(),
            "{backend}: what was not sent is not there"
        );
        let infos = Run::of(Command::new("capinfos").args(["-o"]).arg(&capture));
        assert!(infos.stdout.contains("Strict time order:   True"), "{}", infos.stdout);
    }
}

/// A run that waits for its tool, and both ends.
fn watched(lab: &Lab, socket: &Path, capture: &Path, args: &[&str]) -> (Run, Run) {
    let child = engine(lab, socket, "csv", args);
    let tool = pcap_dump().arg("--via").arg(socket).arg("-w").arg(capture).stderr(Stdio::piped()).spawn();
    let run = ended(child);
    (ended(tool.expect("pcap-dump starts")), run)
}

#[test]
fn root_filters_limits_and_rotation_do_what_they_say() {
    let lab = Lab::up(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let child = engine(
        &lab,
        &socket,
        "none",
        &["--backend", "xdp", "-I", "near", "10.1.0.0/24", "10.2.0.0/24", "--duration", "9"],
    );
    let tool = |args: &[&str]| Run::of(pcap_dump().arg("--via").arg(&socket).args(args));
    let text = tool(&["-c", "50", "--verdict", "matched", "--target", "10.2.0.0/24"]);
    assert_eq!((text.code, text.stdout.lines().count()), (0, 50), "{}", text.stderr);
    assert!(
        text.stdout.lines().all(|line| line.contains("verdict=matched")
            && line.contains("ICMP echo reply")
            && line.contains(" target=10.2.0.")),
        "{}",
        text.stdout
    );
    let sampled = tool(&["--duration", "1", "--sample", "10", "--direction", "out"]);
    let lines = sampled.stdout.lines().count();
    assert!((25..=75).contains(&lines), "{lines} of 512 a second, one in ten");
    // Several look at a time, each at what it wants; a fifth is one too many.
    let look = |verdict: &str| {
        let mut tool = pcap_dump();
        tool.arg("--via").arg(&socket).args(["-w", "/dev/null", "--verdict", verdict]).stderr(Stdio::null());
        tool.spawn().expect("it starts")
    };
    let mut first = look("sent");
    let mut others: Vec<Child> = (0..2).map(|_| look("late")).collect();
    std::thread::sleep(Duration::from_millis(300));
    let fourth = tool(&["-c", "5", "--verdict", "matched"]);
    assert_eq!((fourth.code, fourth.stdout.matches("verdict=matched").count()), (0, 5), "{}", fourth.stderr);
    others.push(look("late"));
    std::thread::sleep(Duration::from_millis(300));
    let fifth = tool(&["-c", "1"]);
    assert!(fifth.code == 2 && fifth.stderr.contains("enough are attached already"), "{}", fifth.stderr);
    for mut other in others {
        other.kill().expect("it lives");
        let _status = other.wait();
    }
    // Nothing is kept that was not asked for.
    let frozen = tool(&["--frozen"]);
    assert!(frozen.code == 2, "{}", frozen.stderr);
    // One that is killed leaves the engine as it was.
    first.kill().expect("it lives");
    let _status = first.wait();
    std::thread::sleep(Duration::from_millis(300));
    let files = dir.path().join("turn");
    let name = files.to_str().expect("UTF-8");
    assert_eq!(tool(&["-w", name, "-C", "1", "-W", "3", "--max-bytes", "30000"]).code, 0);
    let written: Vec<PathBuf> =
        (0..3).map(|at| PathBuf::from(format!("{name}{at}"))).filter(|path| path.exists()).collect();
    assert!(!written.is_empty());
    let zipped = dir.path().join("c.zst");
    assert_eq!(
        tool(&["-w", zipped.to_str().expect("UTF-8"), "--zstd", "--format", "pcap", "-s", "40", "-c", "100"])
            .code,
        0
    );
    let raw = Run::of(Command::new("zstd").args(["-dc"]).arg(&zipped).stdout(Stdio::piped()));
    assert!(raw.code == 0 || raw.code == -1);
    let run = ended(child);
    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!(count(&summary["sent"]), count(&world["v4"]["requests"]));
    assert_eq!(count(&summary["answered"]), count(&summary["sent"]), "who looks on loses nothing: {summary}");
    let gone = tool(&["-c", "1"]);
    assert!(gone.code == 2 && gone.stderr.contains("no engine answers"), "{}", gone.stderr);
}

#[test]
fn root_a_slow_disk_loses_captured_packets_and_no_probe() {
    let lab = Lab::up(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let child = engine(
        &lab,
        &socket,
        "none",
        &["--backend", "kernel", "-I", "near", "10.1.0.0/18", "-s", "512", "-r", "200k", "--duration", "4"],
    );
    // It writes into a pipe that nobody reads for most of the time.
    let mut tool = pcap_dump()
        .arg("--via")
        .arg(&socket)
        .args(["-w", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pipe = tool.stdout.take().expect("it is piped");
    let run = ended(child);
    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!(count(&summary["sent"]), count(&world["v4"]["requests"]));
    assert_eq!(count(&summary["answered"]), count(&summary["sent"]), "{summary}");
    drop(pipe);
    let _status = tool.wait();
}

#[test]
fn root_what_was_kept_can_be_frozen_after_it_happened() {
    let lab = Lab::up(&["--loss", "100"]);
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let args = [
        "--backend",
        "xdp",
        "-I",
        "near",
        "--capture-keep",
        "1M",
        "-i",
        "0.5",
        "--duration",
        "4",
        "10.1.0.0/24",
    ];
    let child = engine(&lab, &socket, "none", &args);
    std::thread::sleep(Duration::from_millis(2500));
    // Nobody looked until now.
    let freeze = |file: &Path| {
        Run::of(Command::new(MEGAPING).args(["capture", "freeze", "--via"]).arg(&socket).arg("-w").arg(file))
    };
    let demanded = dir.path().join("demanded.pcapng");
    let written = freeze(&demanded);
    assert!(written.code == 0 && written.stderr.contains(" packets of "), "{}", written.stderr);
    let infos = Run::of(Command::new("capinfos").args(["-o", "-k"]).arg(&demanded));
    assert!(infos.stdout.contains("Strict time order:   True"), "{}", infos.stdout);
    assert!(infos.stdout.contains("frozen on demand"), "{}", infos.stdout);
    let nowhere = freeze(Path::new("/nowhere/file"));
    assert!(
        nowhere.code == 2 && nowhere.stderr.contains("/nowhere/file: cannot be written"),
        "{}",
        nowhere.stderr
    );
    let capture = dir.path().join("frozen.pcapng");
    let mut tool = pcap_dump();
    tool.arg("--via").arg(&socket).args(["--frozen", "-w"]).arg(&capture);
    let frozen = Run::of(&mut tool);
    assert_eq!(frozen.code, 0, "{}", frozen.stderr);
    let explained = Run::of(pcap_dump().arg("--read").arg(&capture));
    let requests = explained.stdout.lines().filter(|line| line.contains("ICMP echo request")).count();
    let replies = explained.stdout.lines().filter(|line| line.contains("ICMP echo reply")).count();
    assert!(
        requests >= 256 * 4 && replies * 100 >= requests * 80 && replies < requests,
        "{requests}, {replies}"
    );
    // Again, and with a filter beside it: who looks sees what it wants, and everything is kept.
    let mut tool = pcap_dump();
    tool.arg("--via").arg(&socket).args(["-c", "20", "--direction", "in"]);
    let seen = Run::of(&mut tool);
    assert!(seen.stdout.lines().count() == 20 && !seen.stdout.contains("verdict=sent"), "{}", seen.stdout);
    let run = ended(child);
    let summary = run.summary();
    assert_eq!(count(&summary["sent"]), count(&lab.counters()["v4"]["requests"]));
}

/// A directory on a BPF file system, which this test mounts and takes away.
struct BpfFs(tempfile::TempDir);

impl BpfFs {
    fn mount() -> BpfFs {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = Run::of(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(dir.path()));
        assert_eq!(mounted.code, 0, "{}", mounted.stderr);
        BpfFs(dir)
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Frames of a capture, by the words of their comments: verdict, and why.
fn verdicts(capture: &Path) -> BTreeMap<String, usize> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-e", "frame.comment", "-e", "_ws.malformed", "-r"]).arg(capture);
    let fields = Run::of(&mut command);
    let mut found = BTreeMap::new();
    for line in fields.stdout.lines() {
        let (comment, malformed) = line.split_once('\t').expect("two fields");
        assert!(malformed.is_empty() && comment.starts_with("at=xdp queue="), "{line}");
        let words = comment.split_once("verdict=").expect("a verdict").1;
        *found.entry(words.to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn root_the_program_in_the_kernel_shows_what_it_gave_to_whom() {
    let lab = Lab::up(&["--verify"]);
    let bpf = BpfFs::mount();
    let dir = tempfile::tempdir().expect("a directory");
    for backend in ["xdp", "kernel"] {
        lab.reset();
        let (socket, pins) = (dir.path().join(format!("{backend}.sock")), bpf.0.path().join(backend));
        let pin = pins.to_str().expect("UTF-8");
        let args =
            ["--backend", backend, "-I", "near", "--capture-pin", pin, "-c", "6", "-i", "0.4", "-r", "1000"];
        let child = engine(&lab, &socket, "csv", &[&["10.1.0.0/25", "fd00:1::/121"], &args[..]].concat());
        let capture = dir.path().join(format!("{backend}.pcapng"));
        let mut tool = pcap_dump();
        tool.arg("--via").arg(&socket).args(["--at", "xdp", "-w"]).arg(&capture).stderr(Stdio::piped());
        let tool = tool.spawn().expect("pcap-dump starts");
        // Beside it: packets that are not ours.
        std::thread::sleep(Duration::from_millis(600));
        let identifier = lab.identifier_beside(1);
        let ping = Run::of(lab.command("ping").args(["-c", "3", "-i", "0.1", "-e", &identifier, "10.9.0.1"]));
        assert_eq!(ping.code, 0, "{}", ping.stdout);
        // A filter of libpcap, and a second one who looks.
        let second = Run::of(pcap_dump().arg("--via").arg(&socket).args(["--at", "xdp", "-c", "1"]));
        assert!(second.code == 2 && second.stderr.contains("attached already"), "{}", second.stderr);
        let named = Run::of(pcap_dump().arg("--via").arg(&socket).args(["--at", "xdp", "--tenant", "acme"]));
        assert!(named.code == 2 && named.stderr.contains("--tenant"), "{}", named.stderr);
        let run = ended(child);
        let tool = ended(tool);
        assert_eq!(tool.code, 0, "{}", tool.stderr);
        assert!(tool.stderr.contains("0 were dropped by a shard's ring"), "{}", tool.stderr);
        let (summary, found) = (run.summary(), verdicts(&capture));
        assert_eq!(count(&summary["answered"]), 256 * 6, "{summary}");
        // It came while the first round was under way, at the latest.
        let of = |verdict: &str| found.get(verdict).copied().unwrap_or(0);
        let rounds = |frames: usize| (256 * 5..=256 * 6).contains(&frames);
        assert!(rounds(of("redirected")), "{backend}: {found:?}");
        if backend == "kernel" {
            assert!(rounds(of("sent")), "{found:?}");
        }
        assert_eq!(of("foreign"), 3, "{backend}: {found:?}");
        let infos = Run::of(Command::new("capinfos").args(["-o", "-E"]).arg(&capture));
        assert!(infos.stdout.contains("Strict time order:   True"), "{}", infos.stdout);
        assert!(infos.stdout.contains("Ethernet"), "{}", infos.stdout);
        assert!(!pins.exists(), "the pins are gone with the engine");
    }
}

#[test]
fn root_one_who_is_killed_costs_the_program_nothing_for_long_and_filters_are_libpcaps() {
    let lab = Lab::up(&[]);
    let bpf = BpfFs::mount();
    let dir = tempfile::tempdir().expect("a directory");
    let (socket, pins) = (dir.path().join("s"), bpf.0.path().join("pins"));
    let pin = pins.to_str().expect("UTF-8");
    let args = ["--backend", "xdp", "-I", "near", "--capture-pin", pin, "10.1.0.0/24", "10.2.0.0/24"];
    let child = engine(&lab, &socket, "none", &[&args[..], &["--duration", "6", "-i", "0.5"]].concat());
    let tool = |args: &[&str]| Run::of(pcap_dump().arg("--via").arg(&socket).args(args));
    for at in ["xdp", "engine"] {
        let lines = tool(&["--at", at, "-c", "20", "icmp and src net 10.2.0.0/24"]);
        assert_eq!((lines.code, lines.stdout.lines().count()), (0, 20), "{}", lines.stderr);
        assert!(lines.stdout.lines().all(|line| line.contains(" 10.2.0.")), "{at}: {}", lines.stdout);
    }
    let wrong = tool(&["--at", "xdp", "icmp adn"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("'icmp adn' is no filter"), "{}", wrong.stderr);
    let mut killed = pcap_dump();
    killed.arg("--via").arg(&socket).args(["--at", "xdp", "-w", "/dev/null"]);
    let mut killed = killed.spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    killed.kill().expect("it lives");
    let _status = killed.wait();
    let run = ended(child);
    let (summary, world) = (run.summary(), lab.counters());
    assert_eq!(count(&summary["sent"]), count(&world["v4"]["requests"]));
    assert_eq!(count(&summary["answered"]), count(&summary["sent"]), "{summary}");
    assert!(!pins.exists(), "the pins are gone with the engine");
}

#[test]
fn root_a_target_that_loses_too_much_freezes_what_was_kept_and_says_why() {
    let lab = Lab::up(&["--loss", "900"]);
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let place = dir.path().to_str().expect("UTF-8");
    let trigger = ["--capture-keep", "1M", "--capture-trigger", "invalid,loss=50%", "--capture-dir", place];
    let args = ["-I", "near", "--backend", "xdp", "-i", "0.1", "-t", "0.2", "--duration", "3", "10.1.0.0/28"];
    let run = ended(engine(&lab, &socket, "none", &[&trigger[..], &args[..]].concat()));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let said = run.stderr.lines().find(|line| line.contains("(loss=50%)")).expect("it says so");
    let path = said.rsplit_once(" are in ").expect("where").1;
    let read = Run::of(pcap_dump().args(["--read", path]));
    let requests = read.stdout.lines().filter(|line| line.contains("ICMP echo request")).count();
    assert!(requests >= 8 * 16, "{requests}: {}", read.stderr);
    let infos = Run::of(Command::new("capinfos").args(["-k", "-o", path]));
    assert!(infos.stdout.contains("frozen because 10.1.0."), "{}", infos.stdout);
    assert!(infos.stdout.contains("Strict time order:   True"), "{}", infos.stdout);
    let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
