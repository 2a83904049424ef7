//! The program as it is called: exit codes, messages, standard input, closed pipes.

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::{pcap, request_v4};
use pcap_file::DataLink;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pcap-dump"))
}

fn run(capture: &[u8], flags: &[&str]) -> Output {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(capture).unwrap();
    program().arg("--read").arg(file.path()).args(flags).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn exit_codes_tell_good_from_bad() {
    let good = run(&pcap(DataLink::RAW, &[request_v4(1)]), &[]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(text(&good.stdout).lines().count(), 1);
    assert!(text(&good.stderr).starts_with("packets 1: requests 1, "));

    for at in [3, 30] {
        let mut packet = request_v4(1);
        packet[at] ^= 1;
        let bad = run(&pcap(DataLink::RAW, &[packet]), &["--only", "requests"]);
        assert_eq!(bad.status.code(), Some(1), "{}", text(&bad.stderr));
    }
}

#[test]
fn json_goes_to_both_outputs() {
    let output = run(&pcap(DataLink::RAW, &[request_v4(9)]), &["--json"]);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["class"], &line["seq"]), (&"request".into(), &9.into()));
    let summary: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&summary["packets"], &summary["bad_checksum"]), (&1.into(), &0.into()));
}

#[test]
fn errors_name_the_file_and_keep_what_was_read() {
    let mut capture = pcap(DataLink::RAW, &[request_v4(1), request_v4(2)]);
    capture.truncate(capture.len() - 1);
    for (bytes, message, lines) in [
        (&capture[..], "ends in the middle of", 1),
        (b"hello", "neither pcap nor pcapng", 0),
        (b"", "it is empty", 0),
    ] {
        let output = run(bytes, &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.starts_with("pcap-dump: /") && stderr.contains(message), "{stderr}");
        assert_eq!((text(&output.stdout).lines().count(), stderr.lines().count()), (lines, lines + 1));
    }
    for (path, message) in [("/nowhere/file.pcap", "No such file"), ("/", "Is a directory")] {
        let output = program().args(["--read", path]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(&format!("pcap-dump: {path}: cannot read it: {message}")), "{stderr}");
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for flags in [&[][..], &["--read"], &["--read", "-", "--only", "everything"]] {
        assert_eq!(program().args(flags).output().unwrap().status.code(), Some(2), "{flags:?}");
    }
}

#[test]
fn a_dash_is_standard_input() {
    let mut child = program()
        .args(["--read", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&pcap(DataLink::RAW, &[request_v4(1)])).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("echo request, id 4660, seq 1,"));

    let output = program().args(["--read", "-"]).stdin(Stdio::null()).output().unwrap();
    assert!(text(&output.stderr).starts_with("pcap-dump: standard input: it is empty"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let packets: Vec<_> = (0..5000).map(request_v4).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pcap(DataLink::RAW, &packets)).unwrap();
    let mut child = program()
        .arg("--read")
        .arg(file.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}
