//! The figures in docs/performance.md are those that were measured.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_tables_in_the_docs_are_what_the_measured_files_make() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let output = Command::new(env!("CARGO_BIN_EXE_megaping-bench"))
        .arg("tables")
        .arg("--cost")
        .arg(docs.join("measured/cost.json"))
        .arg("--memory")
        .arg(docs.join("measured/memory.json"))
        .arg("--trace")
        .arg(docs.join("measured/trace.json"))
        .arg("--upload")
        .arg(docs.join("measured/upload.json"))
        .arg("--versus")
        .arg(docs.join("measured/versus.json"))
        .output()
        .expect("the harness starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tables = String::from_utf8(output.stdout).expect("tables are text");

    let page = fs::read_to_string(docs.join("performance.md")).expect("the page is there");
    let (_, rest) = page.split_once("<!-- bench:begin -->\n").expect("where the tables begin");
    let (shown, _) = rest.split_once("<!-- bench:end -->\n").expect("where the tables end");
    assert!(shown.contains("| schedule |") && shown.contains("| IPv6 |"), "no tables in the page:\n{shown}");
    assert_eq!(shown, tables, "run 'scripts/bench tables' to bring the page up to date");
}

#[test]
fn the_pictures_in_the_docs_are_what_the_measured_file_makes() {
    let measured = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/measured");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&dir).expect("a directory");
    let mut harness = Command::new(env!("CARGO_BIN_EXE_megaping-bench"));
    harness.arg("plots").arg("--versus").arg(measured.join("versus.json")).arg("--dir").arg(&dir);
    let output = harness.output().expect("the harness starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["answered.svg", "cost.svg", "cpu.svg", "rtt.svg"] {
        let drawn = fs::read_to_string(dir.join(name)).expect("it was drawn");
        let shown = fs::read_to_string(measured.join(name)).expect("the docs have it");
        assert!(
            drawn.contains("<svg") && drawn == shown,
            "run 'scripts/bench tables' to bring {name} up to date"
        );
    }
}
