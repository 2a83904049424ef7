//! The tools that are compared: how each is started so that it does its best, and how its own words are read.
//!
//! What was learnt about each, so that it is not held back by its defaults: zmap and masscan get the gateway's MAC
//! address (they find none on a veth), no rate limit, no list of addresses to leave out (private ones are on
//! it), and write into files, not to a terminal; zmap filters nothing and prints the address alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::lab::{FAR_MAC, Lab, NEAR_V4, NEAR_V6};
use super::report::{Addresses, Case, Own};
use crate::Result;

/// A program to compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// This project's, by the name of its backend.
    Megaping(&'static str),
    /// AF_XDP sockets and nothing else: the ceiling.
    Bare,
    /// zmap's echo scan.
    Zmap,
    /// masscan --ping.
    Masscan,
    /// fping.
    Fping,
    /// scamper's ping.
    Scamper,
    /// mtr's report.
    Mtr,
}

/// How a tool is brought to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It ends by itself.
    Itself,
    /// By SIGINT, and it says what it did.
    Interrupt,
    /// By SIGINT, after which it takes in what has come, and then by SIGKILL: it would wait for ever.
    Kill,
}

/// The backends that megaping may have.
pub const BACKENDS: [&str; 4] = ["raw", "uring", "xdp", "kernel"];

impl Tool {
    /// As tables have it.
    pub fn name(self) -> String {
        match self {
            Tool::Megaping(backend) => format!("megaping {backend}"),
            Tool::Bare => "bare AF_XDP".to_owned(),
            Tool::Zmap => "zmap".to_owned(),
            Tool::Masscan => "masscan".to_owned(),
            Tool::Fping => "fping".to_owned(),
            Tool::Scamper => "scamper".to_owned(),
            Tool::Mtr => "mtr".to_owned(),
        }
    }

    /// Whether it attaches an XDP program of its own to the near end.
    pub fn brings_program(self) -> bool {
        matches!(self, Tool::Bare | Tool::Megaping("xdp" | "kernel"))
    }

    /// How it ends.
    pub fn end(self) -> End {
        match self {
            Tool::Fping => End::Interrupt,
            Tool::Masscan => End::Kill,
            _ => End::Itself,
        }
    }

    /// What says its version, and which word of which line it is.
    pub fn version(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Tool::Megaping(_) | Tool::Bare => ("megaping", &["--version"]),
            Tool::Zmap => ("zmap", &["--version"]),
            Tool::Masscan => ("masscan", &["--version"]),
            Tool::Fping => ("fping", &["--version"]),
            Tool::Scamper => ("scamper", &["-v"]),
            Tool::Mtr => ("mtr", &["--version"]),
        }
    }

    /// The words of its command, for a run that sends for `seconds`. What it needs and leaves lies in `scratch`.
    ///
    /// # Errors
    /// When a list cannot be written.
    pub fn command(self, case: &Case, seconds: f64, lab: &Lab, scratch: &Path) -> Result<Vec<String>> {
        let file = |name: &str| scratch.join(name).display().to_string();
        let v6 = case.addresses == Addresses::V6;
        let whole_seconds = seconds.ceil();
        let line = match self {
            Tool::Megaping(backend) => {
                let binary = lab.binary("megaping");
                return Ok(megaping(case, backend, seconds, &binary.display().to_string(), &file("store")));
            }
            Tool::Bare => {
                let binary = lab.binary("examples").join("bare_xdp");
                let size = case.size.unwrap_or(32);
                format!("{} near {} {seconds} {size}", binary.display(), case.shards)
            }
            Tool::Zmap => format!(
                "zmap -M icmp_echoscan -i near -G {FAR_MAC} -S {NEAR_V4} -r 100000000 -T {} -t {whole_seconds} -c 1 \
                 -b /dev/null -C /dev/null --disable-syslog -q -v 1 -m {} -O csv -f saddr -o {} 10.0.0.0/8",
                case.shards,
                file("meta.json"),
                file("found")
            ),
            Tool::Masscan => {
                let mac = FAR_MAC.replace(':', "-");
                let (target, source) = if v6 { ("fd00:1::/104", NEAR_V6) } else { ("10.0.0.0/8", NEAR_V4) };
                let found = file("found");
                format!(
                    "masscan --range {target} --ping --rate 100000000 -e near --router-mac {mac} --source-ip {source} \
                     --wait 1 -oL {found}"
                )
            }
            Tool::Fping => {
                let list = file("list");
                fs::write(&list, addresses(case.addresses, FPING_TARGETS))?;
                format!("fping -q -s -r 0 -i 0 -t 500 -b {} -f {list}", case.size.unwrap_or(32))
            }
            Tool::Scamper => {
                let (list, out) = (file("list"), file("found"));
                fs::write(&list, addresses(case.addresses, (whole_seconds * 10_000.0) as u32))?;
                format!("scamper -p 10000 -c ping+-c+1+-P+icmp-echo -O text -o {out} -f {list}")
            }
            Tool::Mtr => {
                let target = if v6 { "fd00:1::1" } else { "10.0.0.1" };
                let cycles = (seconds / MTR_INTERVAL_S) as u32;
                format!("mtr -n -r -j -i {MTR_INTERVAL_S} -G 1 -c {cycles} {target}")
            }
        };
        // A plus is a space within a word.
        Ok(line.split_whitespace().map(|word| word.replace('+', " ")).collect())
    }

    /// What it says it did.
    ///
    /// # Errors
    /// When it does not say.
    pub fn own(self, stdout: &str, stderr: &str, scratch: &Path) -> Result<Own> {
        let read = |name: &str| {
            fs::read_to_string(scratch.join(name))
                .map_err(|error| format!("it left no file '{name}': {error}"))
        };
        match self {
            Tool::Megaping(_) => super::ours::own(stderr),
            Tool::Bare => counts(stdout, "sent", "answered"),
            Tool::Zmap => counts(&read("meta.json")?, "total_sent", "success_unique"),
            Tool::Masscan => {
                let found = read("found")?.lines().filter(|line| line.starts_with("open icmp")).count();
                Ok(Own { sent: None, answered: found as u64 })
            }
            Tool::Fping => {
                let of = |what: &str| {
                    stderr.lines().find_map(|line| line.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
                };
                let answered = of("ICMP Echo Replies received").ok_or("it says nothing of replies")?;
                Ok(Own { sent: of("ICMP Echos sent"), answered })
            }
            Tool::Scamper => {
                let found = read("found")?;
                let received = found.lines().filter(|line| line.contains(" bytes from ")).count();
                Ok(Own { sent: None, answered: received as u64 })
            }
            Tool::Mtr => mtr(stdout),
        }
    }
}

/// fping has 65,535 sequence numbers, and uses none twice within ten seconds.
const FPING_TARGETS: u32 = 65_000;
/// mtr takes no shorter interval than this without losing count of its own probes.
const MTR_INTERVAL_S: f64 = 0.001;

fn megaping(case: &Case, backend: &str, seconds: f64, binary: &str, store: &str) -> Vec<String> {
    let mut line =
        format!("{binary} ping --backend {backend} --shards {} -I near -o none --archive none", case.shards);
    let size = case.size.unwrap_or(32);
    // Writing to a string cannot fail.
    let _ok = write!(line, " --summary json --store {store} -s {size} --duration {seconds}");
    let _ok = match case.rate_pps {
        // Far more targets than are in flight at a time; a run with a count skips none that are late.
        None => write!(line, " -c 1000 -r 10M"),
        Some(rate_pps) => write!(line, " -i 1 -r {rate_pps}"),
    };
    if case.part as u8 >= super::report::Part::Sustained as u8 && backend == "kernel" {
        line += " --ttl 10";
    }
    let blocks: &[&str] = match case.addresses {
        Addresses::V4 => &["10.0.0.0/8"],
        Addresses::V6 => &["fd00:1::/104"],
        Addresses::Both => &["10.0.0.0/9", "fd00:1::/105"],
    };
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match case.rate_pps {
        None => words.extend(blocks.iter().map(|block| (*block).to_owned())),
        Some(rate_pps) => words.extend(ranges(case.addresses, rate_pps as u32)),
    }
    words
}

/// As many targets as probes a second, so that each is probed once a second.
fn ranges(addresses: Addresses, targets: u32) -> Vec<String> {
    let v4 = |n: u32| format!("10.0.0.0-{}", std::net::Ipv4Addr::from_bits(0x0a00_0000 + n - 1));
    let v6 = |n: u32| format!("fd00:1::-fd00:1::{:x}:{:x}", (n - 1) >> 16, (n - 1) & 0xffff);
    match addresses {
        Addresses::V4 => vec![v4(targets)],
        Addresses::V6 => vec![v6(targets)],
        Addresses::Both => vec![v4(targets / 2), v6(targets - targets / 2)],
    }
}

/// A list of addresses, one a line.
fn addresses(addresses: Addresses, n: u32) -> String {
    let mut list = String::new();
    for i in 0..n {
        let _ok = match addresses {
            Addresses::V6 => writeln!(list, "fd00:1::{:x}:{:x}", i >> 16, i & 0xffff),
            _ => writeln!(list, "{}", std::net::Ipv4Addr::from_bits(0x0a00_0000 + i)),
        };
    }
    list
}

fn counts(json: &str, sent: &str, answered: &str) -> Result<Own> {
    let value: serde_json::Value = serde_json::from_str(json.trim())?;
    let answered = value[answered].as_u64().ok_or_else(|| format!("it says no '{answered}'"))?;
    Ok(Own { sent: value[sent].as_u64(), answered })
}

fn mtr(stdout: &str) -> Result<Own> {
    let value: serde_json::Value = serde_json::from_str(stdout)?;
    let last = value["report"]["hubs"].as_array().and_then(|hubs| hubs.last()).ok_or("no hop answered")?;
    let sent = last["Snt"].as_u64().ok_or("it says nothing of probes sent")?;
    let loss_percent = last["Loss%"].as_f64().ok_or("it says nothing of loss")?;
    Ok(Own { sent: Some(sent), answered: (sent as f64 * (1.0 - loss_percent / 100.0)).round() as u64 })
}
