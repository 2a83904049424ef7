//! `--help` of every command is held against a file: nobody changes a flag without noticing.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p megaping --test help` writes the files anew.

use std::path::Path;

use clap::CommandFactory;
use megaping::cli::Cli;

const WIDTH: usize = 110;

fn help(line: &[&str]) -> String {
    let command = Cli::command().term_width(WIDTH);
    command.try_get_matches_from(line).expect_err("help is no match").render().to_string()
}

fn check(name: &str, line: &[&str]) {
    let help = [&["-h"], &["--help"]].map(|flag| help(&[line, flag].concat()));
    assert_eq!(help[0], help[1], "-h and --help say the same");
    let help = &help[0];
    for line in help.lines() {
        assert!(line.chars().count() <= WIDTH, "{name}: this line is too long: {line}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, help).expect("the snapshot can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the snapshot can be read");
    assert_eq!(*help, expected, "the help has changed: if that is meant, set UPDATE_SNAPSHOTS=1");
}

#[test]
fn the_program() {
    check("help", &["megaping"]);
}

#[test]
fn ping() {
    check("help-ping", &["megaping", "ping"]);
}

#[test]
fn upload() {
    check("help-upload", &["megaping", "upload"]);
}

#[test]
fn schema() {
    check("help-schema", &["megaping", "schema"]);
}

#[test]
fn report() {
    check("help-report", &["megaping", "report"]);
}

#[test]
fn doctor() {
    check("help-doctor", &["megaping", "doctor"]);
}

#[test]
fn mtr() {
    check("help-mtr", &["megaping", "mtr"]);
}

#[test]
fn trace() {
    check("help-trace", &["megaping", "trace"]);
}

#[test]
fn archive() {
    check("help-archive", &["megaping", "archive"]);
    for command in ["make", "ls", "verify", "export", "compact", "prune"] {
        check(&format!("help-archive-{command}"), &["megaping", "archive", command]);
    }
}

#[test]
fn run() {
    check("help-run", &["megaping", "run"]);
}

#[test]
fn config() {
    check("help-config", &["megaping", "config"]);
}

#[test]
fn status() {
    check("help-status", &["megaping", "status"]);
}

#[test]
fn query() {
    check("help-query", &["megaping", "query"]);
}
