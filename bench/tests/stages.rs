//! Every stage runs with a small load and gives figures that can be true.

use std::process::{Command, Output};

use serde_json::Value;

const STAGES: [&str; 8] = ["schedule", "craft", "parse", "match", "probe", "far-end", "encode", "everything"];

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_megaping-bench")).args(args).output().expect("the harness starts")
}

fn json(args: &[&str]) -> Value {
    let output = bench(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
fn every_stage_measures_at_least_as_many_probes_as_asked_for() {
    for stage in STAGES {
        for family in ["v4", "v6"] {
            let report =
                json(&["stage", stage, "--family", family, "--probes", "5000", "--targets", "20000"]);
            let probes = report["probes"].as_u64().expect("a count");
            assert!((5000..100_000).contains(&probes), "{stage} {family}: {probes} probes");
            let ns = report["ns_per_probe"].as_f64().expect("a time");
            assert!(ns > 0.5 && ns < 50_000.0, "{stage} {family}: {ns} ns a probe");
            let bytes = report["bytes_per_probe"].as_f64();
            assert_eq!(bytes.is_some(), ["encode", "everything"].contains(&stage), "{stage}");
            // Less than 3 is no realistic row; 96 is no compression.
            assert!(bytes.is_none_or(|bytes| (3.0..48.0).contains(&bytes)), "{stage} {family}: {bytes:?}");
        }
    }
}

#[test]
fn a_full_second_of_probes_is_in_flight_when_memory_is_measured() {
    let report = json(&["memory", "--targets", "20000"]);
    let cases = report["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!(case["targets"], 20_000);
        assert!(case["in_flight"].as_u64().expect("a count") > 19_000, "{case}");
        assert!(case["after"].as_u64() > case["before"].as_u64(), "{case}");
        assert!(case["peak"].as_u64() >= case["after"].as_u64(), "{case}");
    }
}

#[test]
fn without_valgrind_instructions_are_missing_and_the_report_says_why() {
    let output = Command::new(env!("CARGO_BIN_EXE_megaping-bench"))
        .args(["cost", "--stages", "parse", "--family", "v4"])
        .args(["--repeats", "1", "--probes", "5000", "--targets", "20000"])
        .env("PATH", "/nonexistent")
        .output()
        .expect("the harness starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert!(report["no_instructions"].as_str().expect("a reason").contains("valgrind"), "{report}");
    assert_eq!(report["stages"][0]["instructions_per_probe"], Value::Null);
    assert!(report["stages"][0]["ns_per_probe"].as_f64() > Some(0.5));
}

#[test]
fn with_valgrind_one_more_probe_costs_a_believable_number_of_instructions() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        // The case above covers this machine.
        return;
    }
    let report = json(&[
        "cost",
        "--stages",
        "craft",
        "--family",
        "v4",
        "--repeats",
        "1",
        "--probes",
        "5000",
        "--targets",
        "20000",
        "--counted",
        "8000",
    ]);
    let count = report["stages"][0]["instructions_per_probe"].as_f64().expect("a count");
    assert!((50.0..5000.0).contains(&count), "{count} instructions to craft a probe");
}

#[test]
fn a_file_that_is_not_there_is_named_and_so_is_what_writes_it() {
    let output = bench(&["tables", "--cost", "/nonexistent/cost.json"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/nonexistent/cost.json") && said.contains("megaping-bench cost"), "{said}");
}
