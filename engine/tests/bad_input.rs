//! What the user gets wrong on the command line, in the environment and in lists: exit status 2, and a message
//! that names the place, what is wrong, and what would be right. What the machine refuses is in
//! `bad_machine.rs`.

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support::{MEGAPING, Run};

/// A simulated network: should a case be accepted by mistake, no packet leaves.
const MEMORY: [&str; 4] = ["--backend", "memory", "-c", "1"];

fn megaping(args: &[&str]) -> Command {
    let mut command = Command::new(MEGAPING);
    command.args(args).env_clear();
    command
}

/// Exit status 2, a message with all of the words, and nothing else.
fn assert_refused(run: &Run, case: &str, words: &[&str]) {
    let Run { code, stdout, stderr } = run;
    assert_eq!(*code, 2, "{case}: {stderr}");
    assert!(stderr.starts_with("megaping: ") || stderr.starts_with("error: "), "{case}: {stderr}");
    assert!(!stderr.contains("panic") && stdout.is_empty(), "{case}: {stdout}{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{case}: no '{word}' in: {stderr}");
    }
}

fn refused(args: &[&str], words: &[&str]) {
    assert_refused(&Run::of(&mut megaping(args)), &args.join(" "), words);
}

fn refused_targets(targets: &[&str], words: &[&str]) {
    refused(&[&["ping"], &MEMORY[..], targets].concat(), words);
}

#[test]
fn targets() {
    for (target, words) in [
        ("10.0.0.0/33", ["'10.0.0.0/33'", "longer than 32", "from 0 to 32"]),
        ("fd00::/129", ["'fd00::/129'", "longer than 128", "from 0 to 128"]),
        ("10.0.0.0/x", ["'10.0.0.0/x'", "'x' is not a prefix length", "from 0 to 32"]),
        ("10.0.0/8", ["'10.0.0/8'", "not an IPv4 address", "192.0.2.1"]),
        ("host/24", ["'host/24'", "'host' is not an address", "10.0.0.0/8"]),
        ("::/0", ["'::/0'", "2^128 addresses", "use /80 or longer"]),
        ("0.0.0.0/0", ["0.0.0.0 to 0.255.255.255", "cannot be pinged", "0.0.0.0/8 into an --exclude list"]),
        ("10.0.0.9-10.0.0.1", ["'10.0.0.9-10.0.0.1'", "ends before it begins", "the lower address first"]),
        ("10.0.0.9-300", ["'10.0.0.9-300'", "'300' is not the end of a range", "10.0.0.1-99"]),
        ("10.0.0.1-fd00::1", ["'10.0.0.1-fd00::1'", "one address family", "of one family"]),
        ("10.0.0.256", ["'10.0.0.256'", "not an IPv4 address", "from 0 to 255"]),
        ("10.0.0.1:80", ["'10.0.0.1:80'", "2001:db8::1", "without brackets, port"]),
        ("http://example.com", ["'http://example.com'", "2001:db8::1", "or http://"]),
        ("fe80::1%lo", ["'fe80::1%lo'", "scope", "name the interface by -I"]),
        ("224.0.0.1", ["'224.0.0.1'", "IPv4 multicast", "the address of one host"]),
        ("no_such!host", ["'no_such!host'", "neither an address", "10.0.0.0/8"]),
        ("", ["''", "neither an address", "nor a host name"]),
    ] {
        refused_targets(&[target], &words);
    }
    refused_targets(&["-4", "fd00::1"], &["'fd00::1'", "-4 asks for IPv4 alone", "leave out -4"]);
    refused_targets(&["-6", "10.0.0.1"], &["'10.0.0.1'", "-6 asks for IPv6 alone", "leave out -6"]);
    let words = ["309000000 probes in flight", "at most 33554432", "lower --rate or --timeout"];
    refused(&["ping", "-r", "5M", "-t", "60", "10.0.0.0/8", "--backend", "memory"], &words);
}

#[test]
fn lists() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (missing, directory) = (path("missing"), path("."));
    for flag in ["--file", "--exclude"] {
        let advice = "give a file that can be read";
        refused_targets(&["10.0.0.1", flag, &missing], &[&missing, "No such file", advice]);
        refused_targets(&["10.0.0.1", flag, &directory], &[&directory, "Is a directory", advice]);
    }
    let list = path("list");
    let good = "10.0.0.1\n".repeat(16);
    for (line, words) in [
        ("10.0.0.300", ["'10.0.0.300'", "from 0 to 255"]),
        ("10.0.0.0/64", ["'10.0.0.0/64'", "from 0 to 32"]),
        ("10.0.0.17 10.0.0.18", ["'10.0.0.17 10.0.0.18'", "write one a line"]),
        ("224.0.0.17", ["'224.0.0.17'", "the address of one host"]),
    ] {
        fs::write(&list, format!("{good}{line}\n10.0.0.18\n")).expect("the list can be written");
        refused_targets(&["--file", &list], &[&format!("{list}:17: "), words[0], words[1]]);
    }
    fs::write(&list, format!("{good}example.com\n")).expect("the list can be written");
    let words = [&format!("{list}:17: 'example.com'"), "write an address, block or range"];
    refused_targets(&["10.0.0.1", "--exclude", &list], &words);
    fs::write(&list, "# nobody\n\n").expect("the list can be written");
    refused_targets(&["--file", &list], &["no target", "one item a line"]);
    fs::write(&list, "10.0.0.0/24\n").expect("the list can be written");
    let words = ["no target is left", "all 1 addresses", "excluded"];
    refused_targets(&["10.0.0.7", "--exclude", &list], &words);
}

#[test]
fn standard_input() {
    let mut command = megaping(&[&["ping", "--file", "-"], &MEMORY[..]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("megaping starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"10.0.0.1\n10.0.0.2-1\n10.0.0.3\n").expect("it is read");
    drop(stdin);
    let run = Run::from(child.wait_with_output().expect("megaping ends"));
    let words = ["standard input:2: '10.0.0.2-1'", "ends before it begins", "the lower address first"];
    assert_refused(&run, "standard input", &words);
    refused(&["ping", "-f", "-"], &["no target: the lists hold none"]);
    for args in [["ping", "-f", "-", "-f", "-"], ["ping", "-f", "-", "--exclude", "-"]] {
        refused(&args, &["standard input (-) is named twice", "put the other into a file"]);
    }
}

#[test]
fn flags_out_of_range() {
    for (flag, value, words) in [
        ("-c", "0", ["'--count <N>'", "from 1 to 4294967295"]),
        ("-c", "3x", ["'3x' for '--count <N>'", "a whole number from 1"]),
        ("-i", "0", ["'--interval <TIME>'", "longer than zero"]),
        ("-i", "soon", ["'--interval <TIME>'", "'soon' is not a time"]),
        ("-r", "0", ["'--rate <PPS>'", "as in 500, 10k or 1.5M"]),
        ("--duration", "0", ["'--duration <TIME>'", "longer than zero"]),
        ("--shards", "0", ["'--shards <N>'", "from 1 to 8"]),
        ("--size", "10", ["'--size <BYTES>'", "at least 24"]),
        ("--size", "70000", ["'--size <BYTES>'", "from 24 to 65000"]),
        ("--timeout", "100", ["'--timeout <TIME>'", "at most 60 s"]),
        ("--ttl", "0", ["'--ttl <N>'", "from 1 to 255"]),
        ("--dscp", "af14", ["'--dscp <DSCP>'", "af11 to af43"]),
        ("--output", "xml", ["'--output <FORMAT>'", "text, json, csv, none"]),
        ("--backend", "pigeon", ["'--backend <NAME>'", "auto, raw, uring, xdp, kernel, memory"]),
        ("-I", "a/b", ["'--interface <NAME>'", "as in eth0"]),
        ("-S", "here", ["'--source <ADDRESS>'", "as in 192.0.2.7"]),
    ] {
        refused(&["ping", "10.0.0.1", flag, value], &words);
    }
}

#[test]
fn flags_that_contradict_each_other() {
    let twice = ["-S is given twice for IPv4", "one address per family"];
    refused(&["ping", "10.0.0.1", "-S", "192.0.2.1", "-S", "192.0.2.2"], &twice);
    let unused = ["-S fd00::1", "no IPv6 target", "leave it out, or add one"];
    refused(&["ping", "10.0.0.1", "-S", "fd00::1"], &unused);
    let family = ["-4 asks for IPv4 alone", "-S fd00::1 is of the other family", "leave one out"];
    refused(&["ping", "10.0.0.1", "-4", "-S", "fd00::1"], &family);
    refused(&["ping", "10.0.0.1", "-4", "-6"], &["'--ipv4' cannot be used with '--ipv6'"]);
    let memory = ["-I chooses a way out", "--backend memory has none", "leave one of them out"];
    refused(&["ping", "10.0.0.1", "-I", "lo", "--backend", "memory"], &memory);
    refused(&["ping", "10.0.0.1", "-c", "1", "-c", "2"], &["'--count <N>' cannot be used multiple times"]);
    refused(&["ping"], &["no target: name one", "megaping ping 192.0.2.1", "--file PATH"]);
}

#[test]
fn typing_errors_get_a_suggestion() {
    refused(&["ping", "10.0.0.1", "--cuont", "3"], &["'--cuont'", "similar argument exists: '--count'"]);
    refused(&["10.0.0.1"], &["'10.0.0.1'", "put the command first: 'megaping ping 10.0.0.1'"]);
    refused(&["pnig", "10.0.0.1"], &["'pnig'", "'ping'"]);
    refused(&["ping", "10.0.0.1", "-o", "jsno"], &["'jsno'", "similar value exists: 'json'"]);
    refused(&["report", "DIR", "--sort", "los"], &["'los'", "similar value exists: 'loss'"]);
}

#[test]
fn a_wrong_value_of_the_environment_is_called_that() {
    for (variable, value, words) in [
        ("MEGAPING_RATE", "abc", ["'--rate <PPS>'", "as in 500, 10k or 1.5M"]),
        ("MEGAPING_SHARDS", "99", ["'--shards <N>'", "from 1 to 8"]),
        ("MEGAPING_OUTPUT", "xml", ["'--output <FORMAT>'", "text, json, csv, none"]),
    ] {
        let run = Run::of(megaping(&["ping", "10.0.0.1", "--backend", "memory"]).env(variable, value));
        let tip = format!("{variable} is set to that in the environment: correct it, or unset it");
        assert_refused(&run, variable, &[words[0], words[1], &tip]);
    }
    // A flag beats the environment, and is blamed for itself alone.
    let run = Run::of(megaping(&["ping", "10.0.0.1", "-r", "fast"]).env("MEGAPING_RATE", "abc"));
    assert_refused(&run, "-r fast", &["'fast' for '--rate <PPS>'"]);
    assert!(!run.stderr.contains("environment"), "{}", run.stderr);
}

#[test]
fn reports_of_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = dir.path().to_str().expect("UTF-8");
    let advice = "`megaping ping --store DIR`";
    refused(&["report", empty], &[empty, "holds no results", advice]);
    let missing = format!("{empty}/missing");
    refused(&["report", &missing], &[&missing, "holds no results", advice]);
    let file = format!("{empty}/file");
    fs::write(&file, "").expect("the file can be written");
    refused(&["report", &file], &[&file, "Not a directory", "--store takes a directory"]);
    refused(&["report"], &["no directory", "megaping report DIR"]);
    refused(&["report", empty, "--store", empty], &["'[DIR]' cannot be used with '--store <DIR>'"]);
    assert_eq!(fs::read_dir(empty).expect("it is there still").count(), 1, "nothing but our file");
}
