//! Command lines in, options or sentences out.

use clap::error::ErrorKind;

use super::*;
use crate::targets::{Family, Place, TargetBuilder};

fn run(line: &str) -> Result<Request, clap::Error> {
    parse_from(std::iter::once("megaping").chain(line.split_whitespace()))
}

fn ping(line: &str) -> PingOptions {
    match run(&format!("ping {line}")) {
        Ok(Request::Ping(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_are_those_of_the_help() {
    let options = ping("192.0.2.1");
    assert_eq!(options.targets.items, ["192.0.2.1"]);
    assert_eq!(
        (options.count, options.duration_ns, options.rate_pps, options.seed),
        (None, None, None, None)
    );
    assert_eq!((options.interval_ns, options.timeout_ns), (None, 1_000_000_000));
    assert_eq!((options.payload_len, options.hop_limit, options.dscp, options.shards), (32, 64, 0, 1));
    assert_eq!((options.payload, options.backend), (Payload::Random, Backend::Auto));
    assert_eq!((options.output, options.summary), (OutputFormat::Text, SummaryFormat::Text));
    assert_eq!((options.store, options.archive), (None, ArchiveFormat::Parquet));
}

#[test]
fn every_flag_is_read() {
    let options = ping(
        "-c 3 -i 200ms -r 1.5M -t 2 -s 56 --duration 1m --ttl 9 --dscp ef --backend raw --shards 2 -I eth0 \
         -S 192.0.2.7 -S 2001:db8::7 -o json --summary none --store DIR --archive none --file a --file - --exclude b --seed 7 \
         --payload pattern:c0FFee 10.0.0.0/8 fd00::1",
    );
    assert_eq!((options.count, options.rate_pps, options.seed), (Some(3), Some(1_500_000), Some(7)));
    assert_eq!((options.interval_ns, options.timeout_ns), (Some(200_000_000), 2_000_000_000));
    assert_eq!(options.duration_ns, Some(60_000_000_000));
    assert_eq!((options.payload_len, options.hop_limit, options.dscp, options.shards), (56, 9, 46, 2));
    assert_eq!(options.payload, Payload::Pattern(vec![0xc0, 0xff, 0xee]));
    assert_eq!(options.interface.as_deref(), Some("eth0"));
    assert_eq!((options.store.as_deref(), options.archive), (Some("DIR".as_ref()), ArchiveFormat::None));
    assert_eq!(options.source_v4.unwrap().to_string(), "192.0.2.7");
    assert_eq!(options.source_v6.unwrap().to_string(), "2001:db8::7");
    assert_eq!((options.targets.files.len(), options.targets.excludes.len()), (2, 1));
    assert_eq!(options.targets.items.len(), 2);
    assert_eq!(ping("-4 x").targets.family, Some(Family::V4));
    assert_eq!(ping("-6 x").targets.family, Some(Family::V6));
    for (name, dscp) in [("0", 0), ("63", 63), ("AF41", 34), ("af11", 10), ("cs7", 56), ("le", 1), ("va", 44)]
    {
        assert_eq!(ping(&format!("--dscp {name} x")).dscp, dscp, "{name}");
    }
    for (text, pps) in [("1", 1), ("10k", 10_000), ("0.5K", 500), ("1000M", 1_000_000_000)] {
        assert_eq!(ping(&format!("-r {text} x")).rate_pps, Some(pps), "{text}");
    }
    let Ok(Request::Report(report)) = run("report DIR --sort p99 --top 5 -o csv") else { panic!() };
    assert_eq!((report.sort, report.top, report.output), (SortKey::P99, Some(5), ReportFormat::Csv));
    let Ok(Request::Doctor(doctor)) = run("doctor eth0 --measure --target ::ffff:192.0.2.1 -o json") else {
        panic!()
    };
    assert_eq!((doctor.interface.as_deref(), doctor.output), (Some("eth0"), DoctorFormat::Json));
    assert_eq!(doctor.measure.unwrap().target.unwrap().to_string(), "192.0.2.1");
    let Ok(Request::Doctor(doctor)) = run("doctor") else { panic!() };
    assert_eq!((doctor.interface, doctor.measure), (None, None));
    let Ok(Request::Report(report)) = run("report --store DIR") else { panic!() };
    assert_eq!(report.store.to_str(), Some("DIR"));
}

#[test]
fn every_mistake_is_a_clear_sentence_and_exit_code_two() {
    for (line, words) in [
        ("ping", "no target: name one"),
        ("ping --exclude x", "no target"),
        ("ping x -c 0", "'--count <N>': a whole number from 1"),
        ("ping x -c -1", "unexpected argument '-1'"),
        ("ping x -i 0", "longer than zero"),
        ("ping x -i soon", "'soon' is not a time"),
        ("ping x -r 0", "1 to 1000M"),
        ("ping x -r 0.5", "a whole number of probes a second"),
        ("ping x -r 1001M", "1 to 1000M"),
        ("ping x -r fast", "as in 500, 10k or 1.5M"),
        ("ping x --duration 0", "longer than zero"),
        ("ping x -t 0", "longer than zero"),
        ("ping x -t 61", "at most 60 s"),
        ("ping x --shards 0", "from 1 to 8"),
        ("ping x --shards 9", "from 1 to 8"),
        ("ping x -s 23", "header needs 24 bytes"),
        ("ping x -s 65001", "from 24 to 65000"),
        ("ping x --ttl 0", "from 1 to 255"),
        ("ping x --ttl 256", "from 1 to 255"),
        ("ping x --dscp 64", "0 to 63"),
        ("ping x --dscp af14", "af11 to af43"),
        ("ping x --payload pattern:", "pattern:c0ffee"),
        ("ping x --payload pattern:abc", "pattern:c0ffee"),
        ("ping x --payload pattern:é", "pattern:c0ffee"),
        ("ping x --payload noise", "random, zero"),
        ("ping x -I /dev/null", "1 to 15 characters"),
        ("ping x -S here", "an address of this machine"),
        ("ping x -S 0.0.0.0", "an address of this machine"),
        ("ping x -4 -6", "cannot be used with"),
        ("ping x -S 192.0.2.1 -S 192.0.2.2", "given twice for IPv4"),
        ("ping x -4 -S fd00::1", "of the other family"),
        ("ping x -I eth0 --backend memory", "-I chooses a way out"),
        ("ping x -S fd00::1 --backend memory", "-S chooses a way out"),
        ("ping x --backend pigeon", "raw"),
        ("ping -f - -f -", "named twice"),
        ("ping -f - --exclude -", "named twice"),
        ("ping x -o xml", "csv"),
        ("ping x --archive tar", "parquet"),
        ("ping x --spool-max 1G", "--store and --clickhouse"),
        ("ping x --store d --spool-max 10k", "1M at least"),
        ("ping x --store d --spool-max much", "500M or 1.5G"),
        ("ping x --clickhouse db:8123", "http://HOST:8123/DATABASE"),
        ("ping x --clickhouse http://me:secret@db", "MEGAPING_CLICKHOUSE_PASSWORD"),
        ("ping x --clickhouse http://db --upload-bandwidth 0", "1 at least"),
        ("ping x --clickhouse http://db --upload-parallel 17", "1..=16"),
        ("upload --spool d", "--clickhouse"),
        ("schema apply --cluster a'b --clickhouse http://db", "no name of a cluster"),
        ("report", "no directory"),
        ("report a --store b", "cannot be used with"),
        ("report a --top 0", "from 1"),
        ("doctor a b", "unexpected argument 'b'"),
        ("doctor /dev/null", "1 to 15 characters"),
        ("doctor -o csv", "text, json"),
        ("doctor eth0 --target 192.0.2.1", "--measure"),
        ("doctor eth0 --measure --target here", "the address of one host"),
        ("doctor eth0 --measure --target 224.0.0.1", "the address of one host"),
        ("fly", "fly"),
        ("", "Usage"),
    ] {
        let error = run(line).expect_err(line);
        let message = error.to_string();
        assert!(message.contains(words), "{line}: {message}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    for line in [
        "--help",
        "help",
        "help ping",
        "ping --help",
        "report -h",
        "doctor -h",
        "--version",
        "ping --version",
    ] {
        let error = run(line).expect_err(line);
        assert!(matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{line}");
        assert_eq!(error.exit_code(), 0, "{line}");
    }
}

#[test]
fn where_results_go_is_read() {
    let options = ping(
        "x --clickhouse http://a,https://b/icmp --tenant acme --clickhouse-user me --clickhouse-password-file p \
         --clickhouse-ca ca.pem --upload-parallel 3 --upload-bandwidth 1.5M --spool-max 20G --spool-full drop-oldest",
    );
    let upload = options.upload.unwrap();
    let endpoints: Vec<_> = upload.server.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["http://a:8123", "https://b:8443"]);
    assert_eq!((upload.tenant.as_str(), upload.parallel, upload.bytes_per_s), ("acme", 3, Some(1_500_000)));
    assert_eq!((upload.server.user.as_deref(), upload.server.ca), (Some("me"), Some("ca.pem".into())));
    assert!(matches!(upload.server.password, megaping_store::clickhouse::Password::File(_)));
    let limit = SpoolLimit { bytes: 20_000_000_000, policy: SpoolFull::DropOldest };
    assert_eq!(options.spool_limit, Some(limit));
    assert_eq!((ping("x").upload, ping("x").spool_limit), (None, None));
}

#[test]
fn a_source_address_needs_a_target_of_its_family() {
    let mut builder = TargetBuilder::new(None);
    builder.add("10.0.0.1", &Place::command_line()).unwrap();
    let targets = builder.build().unwrap();
    assert_eq!(ping("-S 192.0.2.7 10.0.0.1").check_targets(&targets), Ok(()));
    let error = ping("-S fd00::7 10.0.0.1").check_targets(&targets).unwrap_err().to_string();
    assert_eq!(error, "-S fd00::7 is given, and there is no IPv6 target: leave it out, or add one");
}
