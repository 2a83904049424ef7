//! What the machine refuses, and who stops listening: exit status 2 where that is an error, a message that says
//! what would be right, every probe and every outcome accounted for, and nothing left behind.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

/// A probe a millisecond through a simulated network, for longer than any test takes.
const STEADY: [&str; 8] = ["ping", "10.0.0.0/24", "-r", "1k", "--duration", "60", "--backend", "memory"];

fn assert_refused(run: &Run, words: &[&str]) {
    let Run { code, stdout, stderr } = run;
    assert_eq!(*code, 2, "{stderr}");
    assert!(stderr.starts_with("megaping: ") && !stderr.contains("panic") && stdout.is_empty(), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no '{word}' in: {stderr}");
    }
}

/// The law of the store, in the summary of a run in which the law of probes holds.
fn lawful_store(summary: &Value) -> &Value {
    let store = &summary["store"];
    let of = |key: &str| count(&store[key]);
    assert_eq!(of("produced"), of("queued") + of("spooled") + of("archived") + of("rejected"), "{store}");
    assert_eq!(of("produced"), count(&summary["scheduled"]) - count(&summary["in_flight"]), "{summary}");
    store
}

/// Starts megaping and waits for its first outcome.
fn started(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(MEGAPING);
    command.args(args).args(["--summary", "json"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("megaping starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it speaks UTF-8");
    assert!(line.contains(" answered "), "{line}");
    (child, out)
}

#[test]
fn root_an_unknown_host_an_interface_and_a_source_that_are_not_there() {
    // A network of its own, with a loopback and nothing else: no query for the name gets out.
    let alone = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", MEGAPING, "ping"]);
        Run::of(command.args(["-c", "1"]).args(args))
    };
    let words = ["'nosuchhost.invalid' cannot be resolved", "check the name, or give an address"];
    assert_refused(&alone(&["nosuchhost.invalid"]), &words);
    let dir = tempfile::tempdir().expect("a directory");
    let list = dir.path().join("list");
    fs::write(&list, "10.0.0.1\n\nnosuchhost.invalid # gone\n").expect("the list can be written");
    let list = list.to_str().expect("UTF-8");
    assert_refused(
        &alone(&["-f", list]),
        &[&format!("{list}:3: 'nosuchhost.invalid'"), "cannot be resolved"],
    );

    let store = dir.path().join("store");
    let stored = ["--store", store.to_str().expect("UTF-8"), "127.0.0.1"];
    let words = ["no interface \"nosuch0\"", "`ip link` lists"];
    assert_refused(&alone(&[&["-I", "nosuch0"], &stored[..]].concat()), &words);
    let words = ["203.0.113.7 is no address of this machine", "`ip address` lists"];
    assert_refused(&alone(&[&["-S", "203.0.113.7"], &stored[..]].concat()), &words);
    assert!(!store.exists(), "a run that could not start leaves no directory");
}

#[test]
fn root_without_privilege() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let program = dir.path().join("megaping");
    fs::copy(MEGAPING, &program).expect("the program can be copied");
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(&program);
        Run::of(command.arg("ping").args(["-c", "1"]).args(args))
    };
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (store, list, closed) = (path("store"), path("list"), path("closed"));

    let words = ["raw sockets need CAP_NET_RAW", "run as root", "setcap cap_net_raw+ep"];
    assert_refused(&nobody(&["127.0.0.1", "--store", &store]), &words);
    assert!(!Path::new(&store).exists(), "a run that could not start leaves no directory");

    fs::write(&list, "127.0.0.1\n").expect("the list can be written");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o000)).expect("it is ours");
    assert_refused(&nobody(&["-f", &list]), &[&list, "Permission denied", "a file that can be read"]);

    fs::create_dir(&closed).expect("the directory can be made");
    let words = [&closed, "Permission denied", "make it writable", "another --store DIR"];
    assert_refused(&nobody(&["127.0.0.1", "--backend", "memory", "--store", &closed]), &words);
    assert_eq!(fs::read_dir(&closed).expect("it is there").count(), 0);
}

/// Mounts a small disk where only its child sees it, runs the command that follows, and reports what it stored.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=256k none "$1" || exit 99
    dir=$1 megaping=$2; shift
    "$@" --store "$dir"; code=$?
    "$megaping" report "$dir" -o json || exit 98
    exit $code"#;

fn assert_full(run: &Run) {
    let (summary, stderr) = (run.summary(), &run.stderr);
    assert_eq!(run.code, 2, "{stderr}");
    let store = lawful_store(&summary);
    let safe = count(&store["spooled"]) + count(&store["archived"]);
    assert!(safe > 0 && count(&store["rejected"]) > 0, "{store}");
    assert!(count(&summary["scheduled"]) < 200_000, "it stopped: {summary}");
    for word in ["megaping: cannot write ", ".open: No space left", "free space there", "another --store DIR"]
    {
        assert!(stderr.contains(word), "no '{word}' in: {stderr}");
    }
    assert!(!stderr.contains("panic"), "{stderr}");
    let rows = run.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line"));
    let reported = rows.map(|row: Value| count(&row["scheduled"])).sum::<u64>();
    assert_eq!(reported, safe, "what is counted as safe can be read");
}

#[test]
fn root_a_full_disk_ends_the_run_and_every_outcome_is_accounted_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = dir.path().to_str().expect("UTF-8");
    let on_disk = ["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", disk, MEGAPING, "ping", "--summary", "json"];
    let load = ["10.0.0.0/14", "-c", "1", "-r", "20k", "-t", "0.3", "-o", "none"];
    assert_full(&Run::of(Command::new("unshare").args(on_disk).args(load).args(["--backend", "memory"])));

    // The dead are under way still when the disk is full, and end after it.
    let lab = Lab::up(&["--dead", "500"]);
    let run = Run::of(lab.command("unshare").args(on_disk).args(load));
    assert_full(&run);
    assert!(count(&run.summary()["lost"]) > 1000, "{}", run.stderr);
    drop(lab);
    let ours = format!("megaping-test-{}-", std::process::id());
    let left = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    assert_eq!(left.filter(|name| name.file_name().to_string_lossy().starts_with(&ours)).count(), 0);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
    assert!(!mounts.contains(disk), "{mounts}");
    assert_eq!(fs::read_dir(disk).expect("the directory below is there").count(), 0);
}

#[test]
fn a_store_that_is_a_file_or_in_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (file, store) = (path("file"), path("store"));
    fs::write(&file, "precious").expect("the file can be written");
    let one = |store: &str| {
        let mut command = Command::new(MEGAPING);
        Run::of(command.args(["ping", "10.0.0.1", "-c", "1", "--backend", "memory", "--store", store]))
    };
    assert_refused(&one(&file), &[&file, "Not a directory", "--store takes a directory"]);
    assert_eq!(fs::read_to_string(&file).expect("it is there still"), "precious");

    let (first, out) = started(&[&STEADY[..], &["--store", &store]].concat());
    let words = [&store, "is in use by another process", "stop it, or choose another --store DIR"];
    assert_refused(&one(&store), &words);
    let pid = first.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success()));
    std::io::copy(&mut { out }, &mut std::io::sink()).expect("the rest is read");
    let run = Run::from(first.wait_with_output().expect("megaping ends"));
    let summary = run.summary();
    assert_eq!((run.code, count(&lawful_store(&summary)["rejected"])), (0, 0), "{}", run.stderr);
}

#[test]
fn whoever_has_read_enough_ends_the_run_quietly() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    for format in ["text", "json", "csv"] {
        let mut command = Command::new(MEGAPING);
        command.args(STEADY).args(["-o", format, "--summary", "json", "--store"]).arg(&store);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().expect("megaping starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        out.read_line(&mut line).expect("it speaks UTF-8");
        drop(out);
        let mut error = String::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        std::io::Read::read_to_string(&mut stderr, &mut error).expect("it speaks UTF-8");
        let code = child.wait().expect("megaping ends").code().unwrap_or(-1);
        let run = Run { code, stdout: line, stderr: error };
        assert_eq!((run.code, run.stderr.lines().count()), (0, 1), "{format}: {}", run.stderr);
        let summary = run.summary();
        assert!(count(&summary["scheduled"]) < 30_000, "it ended early: {summary}");
        assert_eq!(count(&lawful_store(&summary)["rejected"]), 0, "what nobody reads is kept all the same");
    }
    let report = Command::new(MEGAPING)
        .arg("report")
        .arg(&store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut report = report.expect("megaping starts");
    drop(report.stdout.take());
    let run = Run::from(report.wait_with_output().expect("megaping ends"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn closed_and_full_streams() {
    let one = ["ping", "10.0.0.1", "-c", "1", "--backend", "memory"];
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let run = Command::new(MEGAPING).args(one).args(["--summary", "json"]).stdout(full()).output();
    let run = Run::from(run.expect("megaping starts"));
    assert_eq!((run.code, count(&run.summary()["answered"])), (2, 1), "{}", run.stderr);
    let last = run.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("megaping: standard output cannot be written: No space left"), "{last}");

    // Nobody to complain to is no reason to fail.
    let run = Command::new(MEGAPING).args(one).stderr(full()).output();
    assert_eq!(run.expect("megaping starts").status.code(), Some(0));
    let mut child = Command::new(MEGAPING).args(one).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let child = child.as_mut().expect("megaping starts");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("megaping ends").code(), Some(0));
}
