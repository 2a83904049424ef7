//! `megaping mtr` on the lab: reports equal the world's path, and the screen is driven through a pseudo-terminal.
//!
//! Needs root (network namespaces, eBPF) and `megaping-lab`, built in the same profile.

mod support;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use megaping_loader::WorldConfig;
use megaping_loader::world::model::{Voice, Way, path_length, router};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

const V4: &str = "10.1.2.3";
const V6: &str = "fd00:1::7";
/// Ten to fourteen hops; a sixth of the routers silent, a quarter with labels.
const WORLD: [&str; 10] =
    ["--min-hops", "10", "--max-hops", "14", "--mpls", "250", "--silent", "160", "--nat-source", "100"];

fn world() -> WorldConfig {
    WorldConfig {
        min_hops: 10,
        max_hops: 14,
        mpls_ppm: 250_000,
        silent_ppm: 160_000,
        nat_source_ppm: 100_000,
        ..WorldConfig::default()
    }
}

fn mtr(lab: &Lab, args: &[&str]) -> Run {
    Run::of(lab.command(MEGAPING).arg("mtr").args(args))
}

fn documents(run: &Run) -> Vec<Value> {
    let all = serde_json::Deserializer::from_str(&run.stdout).into_iter().collect::<Result<_, _>>();
    all.unwrap_or_else(|error| panic!("{error}: {} {}", run.stdout, run.stderr))
}

/// One report against the world's model, hop by hop.
fn assert_is_the_worlds_path(report: &Value, to: &str, rounds: u64) {
    let (config, to): (_, IpAddr) = (world(), to.parse().expect("an address"));
    let length = path_length(&config, to);
    let hubs = report["hubs"].as_array().expect("a list");
    assert_eq!(hubs.len(), usize::from(length), "{report:#}");
    assert_eq!(report["reached"], true);
    for (hub, hop) in hubs.iter().zip(1u8..) {
        assert_eq!((count(&hub["count"]), count(&hub["Snt"])), (hop.into(), rounds), "{hub:#}");
        let truth = router(&config, &Way::to(to), hop);
        if hop == length {
            assert_eq!(hub["host"], to.to_string());
            assert_eq!(count(&hub["Rcv"]), rounds);
        } else if truth.voice == Voice::Silent {
            assert_eq!((&hub["host"], &hub["verdict"]), (&"???".into(), &"silent".into()), "{hub:#}");
        } else {
            assert_eq!(hub["host"], truth.address.to_string(), "{hub:#}");
            assert_eq!(count(&hub["Rcv"]), rounds);
            let responder = &hub["responders"][0];
            let labels = responder["labels"].as_array().expect("a list");
            let labels: Vec<u64> = labels.iter().map(|label| count(&label["label"])).collect();
            assert_eq!(labels, truth.labels.iter().map(|label| u64::from(*label)).collect::<Vec<_>>());
            let marks = responder["marks"].as_array().expect("a list");
            assert_eq!(marks.contains(&"nat_source".into()), truth.nat.is_some(), "{hub:#}");
        }
    }
    let path: Vec<Option<String>> = (1..=length)
        .map(|hop| {
            let truth = router(&config, &Way::to(to), hop);
            if hop == length {
                Some(to.to_string())
            } else {
                (truth.voice != Voice::Silent).then(|| truth.address.to_string())
            }
        })
        .collect();
    assert_eq!(report["flows"][0]["path"], serde_json::json!(path));
}

#[test]
fn root_reports_equal_the_worlds_path_on_every_backend_and_in_every_form() {
    let lab = Lab::up(&WORLD);
    for backend in ["raw", "uring"] {
        lab.reset();
        let run =
            mtr(&lab, &["-n", "--json", "-c", "5", "-i", "0.1", "-t", "0.3", "--backend", backend, V4, V6]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let reports = documents(&run);
        assert_eq!(reports.len(), 2);
        for (report, to) in reports.iter().zip([V4, V6]) {
            let report = &report["report"];
            assert_eq!((&report["mtr"]["dst"], &report["mtr"]["backend"]), (&to.into(), &backend.into()));
            assert_is_the_worlds_path(report, to, 5);
        }
        // What is beyond the end was asked in the first round alone, and little of it.
        let world = lab.counters();
        let shown: u64 = reports
            .iter()
            .flat_map(|report| {
                report["report"]["hubs"].as_array().expect("a list").iter().map(|hub| count(&hub["Snt"]))
            })
            .sum();
        let seen = count(&world["total"]["requests"]);
        assert!((shown..shown + 40).contains(&seen), "{seen} sent, {shown} shown");
    }
    let text = mtr(&lab, &["-rn", "-c", "2", "-i", "0.1", "-t", "0.2", V4]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    let length = usize::from(path_length(&world(), V4.parse().expect("an address")));
    let hops = |run: &Run, sign: &str| run.stdout.lines().filter(|line| line.contains(sign)).count();
    assert_eq!(hops(&text, ".|-- "), length, "{}", text.stdout);
    let csv = mtr(&lab, &["-Cn", "-c", "2", "-i", "0.1", "-t", "0.2", V4, V6]);
    assert_eq!(hops(&csv, ",OK,10.1.2.3,"), length, "{}", csv.stdout);
}

#[test]
fn root_flows_find_siblings_and_the_unreachable_is_said() {
    let lab = Lab::up(&["--min-hops", "8", "--ecmp", "600", "--ecmp-width", "4"]);
    let run = mtr(&lab, &["-n", "--json", "-c", "4", "-i", "0.2", "-t", "0.2", "--flows", "8", V4]);
    let report = &documents(&run)[0]["report"];
    let config =
        WorldConfig { min_hops: 8, max_hops: 8, ecmp_ppm: 600_000, ecmp_width: 4, ..WorldConfig::default() };
    let to: IpAddr = V4.parse().expect("an address");
    let mut siblings = 0;
    for hop in 1..8u8 {
        let of_flow = |flow: u32| router(&config, &Way { flow, ..Way::to(to) }, hop).address.to_string();
        let truth: std::collections::BTreeSet<String> = (0..=0xffff).map(of_flow).collect();
        let responders = report["hubs"][usize::from(hop) - 1]["responders"].as_array().expect("a list");
        assert!(
            responders.iter().all(|one| one["ip"].as_str().is_some_and(|ip| truth.contains(ip))),
            "{hop}"
        );
        siblings += responders.len() - 1;
    }
    assert!(siblings > 0, "{report:#}");
    let ids: std::collections::BTreeSet<&str> = report["flows"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|flow| flow["path_id"].as_str())
        .collect();
    assert!(ids.len() > 1, "{ids:?}");
    assert!(report["flows"].as_array().expect("a list").iter().all(|flow| flow["changes_total"] == 0));

    lab.set(&["--min-hops", "6", "--unreachable", "1000"]);
    let run = mtr(&lab, &["-n", "--json", "-c", "2", "-i", "0.2", "-t", "0.2", V4]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let report = &documents(&run)[0]["report"];
    let hubs = report["hubs"].as_array().expect("a list");
    assert_eq!((hubs.len(), &report["reached"]), (6, &false.into()));
    assert_eq!(hubs[5]["responders"][0]["icmp"], "host_unreachable");
}

#[test]
fn root_a_path_change_is_told_once_with_both_paths() {
    // The lab first: it takes its time.
    let lab = Lab::up(&["--min-hops", "8"]);
    let uptime = std::fs::read_to_string("/proc/uptime").expect("the kernel tells it");
    let now: u64 = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).expect("a number");
    let change_at = now + 4;
    let at = change_at.to_string();
    lab.set(&["--min-hops", "8", "--change", "1000", "--change-at", &at]);
    let run = mtr(&lab, &["-n", "--json", "-c", "35", "-i", "0.2", "-t", "0.3", V4]);
    let report = &documents(&run)[0]["report"];
    let flow = &report["flows"][0];
    assert_eq!(flow["changes_total"], 1, "{flow:#}");
    let change_at_ns = change_at * 1_000_000_000;
    let config = WorldConfig {
        min_hops: 8,
        max_hops: 8,
        change_ppm: 1_000_000,
        change_at_ns,
        ..WorldConfig::default()
    };
    let to: IpAddr = V4.parse().expect("an address");
    let path = |at_ns: u64| -> Vec<String> {
        let hop = |hop| router(&config, &Way { at_ns, ..Way::to(to) }, hop).address.to_string();
        (1..8).map(hop).chain([V4.to_owned()]).collect()
    };
    assert_eq!(flow["changes"][0]["before"], serde_json::json!(path(0)));
    assert_eq!(flow["changes"][0]["after"], serde_json::json!(path(change_at_ns)));
    assert_eq!(flow["path"], flow["changes"][0]["after"]);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let run = Run::of(std::process::Command::new(MEGAPING).args(["mtr", "-n", "127.0.0.1"]));
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("no terminal to draw on: --report"), "{}", run.stderr);
}

/// megaping on a terminal, and what a person would see there.
struct Tty {
    seen: Arc<Mutex<vt100::Parser>>,
    input: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has rows and columns")
}

impl Tty {
    fn start(lab: &Lab, (cols, rows): (u16, u16), args: &[&str]) -> Tty {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new("ip");
        let of_lab = lab.command(MEGAPING);
        command.args(of_lab.get_args());
        command.arg("mtr");
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.cwd(support::root());
        let child = pair.slave.spawn_command(command).expect("megaping starts");
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(cols), 0)));
        let (mut output, parser) = (pair.master.try_clone_reader().expect("a reader"), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                parser.lock().expect("no panic").process(&bytes[..len]);
            }
        });
        let input = pair.master.take_writer().expect("a writer");
        Tty { seen, input, child, master: pair.master }
    }

    fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).and_then(|()| self.input.flush()).expect("it reads");
    }

    fn screen(&self) -> String {
        self.seen.lock().expect("no panic").screen().contents()
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so(&self.screen()) {
            assert!(Instant::now() < deadline, "never seen: {what}\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Its exit code; the terminal must be as it was before.
    fn end(&mut self) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        };
        let restored = || {
            let seen = self.seen.lock().expect("no panic");
            !seen.screen().alternate_screen() && !seen.screen().hide_cursor()
        };
        while !restored() {
            assert!(Instant::now() < deadline, "the terminal is not given back");
            std::thread::sleep(Duration::from_millis(20));
        }
        code
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ended = self.child.kill();
    }
}

#[test]
fn root_the_screen_obeys_keys_and_gives_the_terminal_back() {
    let lab = Lab::up(&WORLD);
    let mut tty = Tty::start(&lab, (80, 24), &["-n", "-i", "0.2", "-t", "0.3", V4, V6]);
    let length = path_length(&world(), V4.parse().expect("an address"));
    tty.wait("the path", |screen| screen.contains(&format!("reached in {length} hops")));
    assert!(tty.seen.lock().expect("no panic").screen().alternate_screen());
    tty.press("?");
    tty.wait("the help", |screen| screen.contains("this help"));
    tty.press("\u{1b}");
    tty.wait("no help", |screen| !screen.contains("this help"));
    tty.press("\t");
    tty.wait("the other target", |screen| screen.starts_with(&format!(" megaping mtr  {V6}")));
    tty.press("j");
    tty.wait("jitter", |screen| screen.contains("Jmax"));
    tty.press("oLS5\r");
    tty.wait("three columns", |screen| screen.contains("p50") && !screen.contains("Jmax"));
    tty.press("p");
    tty.wait("a pause", |screen| screen.contains("PAUSED"));
    std::thread::sleep(Duration::from_millis(400));
    lab.reset();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(count(&lab.counters()["total"]["requests"]), 0, "it probes while it rests");
    tty.press("p");
    tty.wait("no pause", |screen| !screen.contains("PAUSED"));
    tty.press("Q");
    assert_eq!(tty.end(), 0);
    tty.wait("the report", |screen| screen.contains(".|-- ") && screen.contains("HOST:"));
}

#[test]
fn root_signals_and_resizes_find_the_terminal_in_order() {
    let lab = Lab::up(&WORLD);
    for signal in ["TERM", "INT"] {
        let mut tty = Tty::start(&lab, (120, 40), &["-n", "-i", "0.2", "-t", "0.3", V4]);
        tty.wait("the path", |screen| screen.contains("reached in"));
        let size = PtySize { rows: 16, cols: 60, pixel_width: 0, pixel_height: 0 };
        tty.master.resize(size).expect("a terminal can be resized");
        tty.seen.lock().expect("no panic").screen_mut().set_size(cells(16), cells(60));
        tty.wait("a small picture", |screen| screen.contains("? help") && !screen.contains("changes"));
        // `ip netns exec` becomes the program, so the child is megaping itself.
        let pid = tty.child.process_id().expect("it runs").to_string();
        Run::of(std::process::Command::new("kill").args([&format!("-{signal}"), &pid]));
        assert_eq!(tty.end(), 0);
    }
    // Ctrl-C is a key in raw mode.
    let mut tty = Tty::start(&lab, (80, 24), &["-n", V4]);
    tty.wait("the path", |screen| screen.contains("reached in"));
    tty.press("\u{3}");
    assert_eq!(tty.end(), 0);
}
