//! What this project set out to reach, against what was measured.

use super::plan::{self, SIZE, SUSTAINED_PPS};
use super::report::{Addresses, Case, Measured, Part, VersusReport};
use super::tool::Tool;

/// One aim.
pub struct Aim {
    /// In words.
    pub what: String,
    /// What it should be.
    pub wanted: String,
    /// What it is; none where it was not measured.
    pub measured: Option<String>,
    /// Whether that is enough.
    pub met: Option<bool>,
}

const XDP: Tool = Tool::Megaping("xdp");
const KERNEL: Tool = Tool::Megaping("kernel");

/// All of them.
pub fn aims(report: &VersusReport) -> Vec<Aim> {
    let judge = Judge { report };
    let answered = |tool, shards| judge.full(tool, shards, |m| Some(m.answered_pps));
    let machine_ns = |tool, shards| judge.full(tool, shards, |m| m.machine_ns);
    let (zmap, zmap_ns) = (answered(Tool::Zmap, 1), machine_ns(Tool::Zmap, 1));
    let (bare_1, bare_2) = (answered(Tool::Bare, 1), answered(Tool::Bare, 2));
    let best = |tool| answered(tool, 1).into_iter().chain(answered(tool, 2)).max_by(f64::total_cmp);
    let mut aims = vec![
        share("xdp, one queue, of bare AF_XDP", answered(XDP, 1), bare_1, 0.85),
        share("xdp, two queues, of bare AF_XDP", answered(XDP, 2), bare_2, 0.75),
        times("xdp's answers a second, of zmap's", best(XDP), zmap, 2.5),
        most("xdp's processor time a probe, of zmap's", ratio(machine_ns(XDP, 1), zmap_ns), 1.0 / 3.0, "", 2),
        judge.sustained(XDP, f64::INFINITY),
    ];
    for tool in [XDP, Tool::Megaping("uring"), KERNEL] {
        aims.extend(
            [(1_000, 1.0), (10_000, 4.0)].map(|(rate_pps, percent)| judge.percent(tool, rate_pps, percent)),
        );
    }
    aims.extend([
        judge.rtt(XDP, 15.0),
        least("kernel, one shard, answers a second", answered(KERNEL, 1), 3e6),
        least("kernel, two shards, answers a second", answered(KERNEL, 2), 4.5e6),
        times("kernel's answers a second, of zmap's", best(KERNEL), zmap, 9.0),
        times("kernel's answers a second, of bare AF_XDP's, one of each", answered(KERNEL, 1), bare_1, 2.0),
        judge.sustained(KERNEL, 400.0),
        judge.throttled(KERNEL),
        judge.rtt(KERNEL, 10.0),
    ]);
    aims
}

struct Judge<'a> {
    report: &'a VersusReport,
}

impl Judge<'_> {
    fn full(&self, tool: Tool, shards: u16, figure: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        let (_, case) = plan::full(tool, shards, Addresses::V4, SIZE);
        self.report.median(&case, figure)
    }

    fn percent(&self, tool: Tool, rate_pps: u64, most_percent: f64) -> Aim {
        let (_, case) = plan::with(tool, Part::Rate, Addresses::V4, Some(rate_pps));
        let used = self.report.median(&case, |m| Some(m.process_cores * 100.0));
        let what = format!("{} at {rate_pps} probes a second, of one core", name(tool));
        most(&what, used, most_percent, " %", 2)
    }

    fn rtt(&self, tool: Tool, within_us: f64) -> Aim {
        let p99 = |m: &Measured| m.ours.as_ref()?.rtt_us.get("p99").copied().flatten();
        let (_, slow) = plan::with(tool, Part::Rate, Addresses::V4, Some(1_000));
        let more =
            self.full(tool, 1, p99).zip(self.report.median(&slow, p99)).map(|(full, slow)| full - slow);
        most(
            &format!("{}: p99 of the RTT at full rate, over that at 1,000 a second", name(tool)),
            more,
            within_us,
            " us",
            1,
        )
    }

    fn long(&self, tool: Tool, part: Part) -> Option<&Measured> {
        let (_, case) = plan::long(tool, part);
        self.report.runs.iter().rfind(|run| run.case == case)?.measured.as_ref()
    }

    fn sustained(&self, tool: Tool, most_ns: f64) -> Aim {
        let run = self.long(tool, Part::Sustained);
        let bounded = most_ns.is_finite();
        let mut what =
            format!("{}: a million a second for a minute, nothing astray, ledger = world", name(tool));
        if bounded {
            what += ", machine time a probe, less the far end's";
        } else {
            what = format!(
                "{}: more than a million answers a second for a minute, nothing astray, ledger = world",
                name(tool)
            );
        }
        Aim {
            what,
            wanted: if bounded { format!("<= {most_ns:.0} ns") } else { ">= 1.00 M/s".to_owned() },
            measured: run.map(|run| {
                format!(
                    "{:.3} M/s, {:.0} ns{}",
                    if bounded { run.requests_pps } else { run.answered_pps } / 1e6,
                    near_ns(run).unwrap_or(f64::NAN),
                    but(run)
                )
            }),
            met: run.map(|run| {
                let keeps = if bounded { keeps_rate(run) } else { run.answered_pps > SUSTAINED_PPS as f64 };
                keeps && astray(run).is_empty() && near_ns(run).is_some_and(|ns| ns <= most_ns)
            }),
        }
    }

    fn throttled(&self, tool: Tool) -> Aim {
        let run = self.long(tool, Part::Throttled);
        Aim {
            what: format!("{}: a million a second with 40 % of a core each for shard and store", name(tool)),
            wanted: ">= 1.00 M/s".to_owned(),
            measured: run.map(|run| format!("{:.3} M/s{}", run.requests_pps / 1e6, but(run))),
            met: run.map(|run| keeps_rate(run) && astray(run).is_empty()),
        }
    }
}

/// A window's ends may fall between two bursts.
fn keeps_rate(run: &Measured) -> bool {
    run.requests_pps >= SUSTAINED_PPS as f64 * 0.999
}

/// Processor time a request without that of the world's end of the cable, where the kernel told it.
fn near_ns(run: &Measured) -> Option<f64> {
    Some(run.machine_ns? - run.far_ns.unwrap_or(0.0))
}

/// What did not end as it should, in words; nothing where all did.
pub fn astray(run: &Measured) -> String {
    let Some(ours) = &run.ours else { return String::new() };
    let unsent: u64 = ours.unsent.values().sum();
    let mut parts = Vec::new();
    for (count, what) in [
        (ours.unaccounted, "unaccounted"),
        (ours.false_loss, "falsely lost"),
        (unsent.cast_signed(), "unsent"),
    ] {
        if count != 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if !ours.equals_world {
        parts.push("ledger and world differ".to_owned());
    }
    parts.join(", ")
}

/// The same behind a figure.
fn but(run: &Measured) -> String {
    let astray = astray(run);
    if astray.is_empty() { astray } else { format!(", {astray}") }
}

fn name(tool: Tool) -> String {
    tool.name().trim_start_matches("megaping ").to_owned()
}

fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    of.zip(to.filter(|to| *to > 0.0)).map(|(of, to)| of / to)
}

fn share(what: &str, of: Option<f64>, to: Option<f64>, wanted: f64) -> Aim {
    let share = ratio(of, to);
    Aim {
        what: what.to_owned(),
        wanted: format!(">= {:.0} %", wanted * 100.0),
        measured: share.map(|share| format!("{:.0} %", share * 100.0)),
        met: share.map(|share| share >= wanted),
    }
}

fn times(what: &str, of: Option<f64>, to: Option<f64>, wanted: f64) -> Aim {
    let times = ratio(of, to);
    Aim {
        what: what.to_owned(),
        wanted: format!(">= {wanted} times"),
        measured: times.map(|times| format!("{times:.2} times")),
        met: times.map(|times| times >= wanted),
    }
}

fn least(what: &str, measured: Option<f64>, wanted: f64) -> Aim {
    Aim {
        what: what.to_owned(),
        wanted: format!(">= {:.1} M/s", wanted / 1e6),
        measured: measured.map(|pps| format!("{:.2} M/s", pps / 1e6)),
        met: measured.map(|pps| pps >= wanted),
    }
}

fn most(what: &str, measured: Option<f64>, wanted: f64, unit: &str, digits: usize) -> Aim {
    Aim {
        what: what.to_owned(),
        wanted: format!("<= {:.*}{unit}", if wanted.fract() == 0.0 { 0 } else { digits }, wanted),
        measured: measured.map(|value| format!("{value:.digits$}{unit}")),
        met: measured.map(|value| value <= wanted),
    }
}

/// The cases of a table, whoever they are of.
pub fn is_main(case: &Case) -> bool {
    case.part == Part::Full && case.addresses == Addresses::V4 && case.size.is_none_or(|size| size == SIZE)
}
