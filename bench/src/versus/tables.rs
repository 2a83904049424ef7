//! The tables of the comparison, from the file that was measured.

use std::fmt::{Result, Write};

use super::aims::{aims, astray, is_main};
use super::plan::RATES_PPS;
use super::report::{Addresses, Case, Measured, Part, VersusReport};
use crate::tables::thousands;

/// All of them.
///
/// # Errors
/// The writer's.
pub fn write(text: &mut String, report: &VersusReport) -> Result {
    writeln!(text, "### Side by side on the lab\n")?;
    crate::tables::write_machine(text, &report.machine, &report.command)?;
    if report.quick {
        writeln!(
            text,
            "**Cut short, and on a machine that was busy: these figures try the harness and compare nothing.**\n"
        )?;
    }
    let versions: Vec<String> =
        report.versions.iter().map(|(tool, version)| format!("{tool} {version}")).collect();
    writeln!(
        text,
        "{}. Windows of {} s, in turn, medians; the machine by itself used {:.3} of a core, which is taken off.\n",
        versions.join(", "),
        report.window_s,
        report.baseline_cores
    )?;
    for skipped in &report.skipped {
        writeln!(text, "Not run: {} ({}).\n", skipped.what, skipped.why)?;
    }
    write_aims(text, report)?;
    write_main(text, report)?;
    write_others(text, report)?;
    write_rates(text, report)?;
    write_long(text, report)?;
    write_world(text, report)
}

fn write_aims(text: &mut String, report: &VersusReport) -> Result {
    writeln!(text, "| aim | wanted | measured | met |\n| --- | ---: | ---: | --- |")?;
    for aim in aims(report) {
        let met = aim.met.map_or("not measured", |met| if met { "yes" } else { "**no**" });
        writeln!(
            text,
            "| {} | {} | {} | {met} |",
            aim.what,
            aim.wanted,
            aim.measured.as_deref().unwrap_or("-")
        )?;
    }
    writeln!(text)
}

fn write_main(text: &mut String, report: &VersusReport) -> Result {
    writeln!(
        text,
        "IPv4, 32 bytes of payload where a tool lets one choose, as fast as each goes; everything on for megaping\n(schedule, match, records encoded and spooled):\n"
    )?;
    writeln!(
        text,
        "| who | shards | requests/s | answered/s | machine ns | own ns | RTT p50, p99, p99.9 us | p99 over 1,000/s | astray |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
    for case in report.cases(Part::Full).into_iter().filter(|case| is_main(case)) {
        write_case(text, report, case)?;
        let rtt = |case: &Case, key: &str| {
            report.median(case, |m| m.ours.as_ref()?.rtt_us.get(key).copied().flatten())
        };
        let slow = Case { part: Part::Rate, shards: 1, rate_pps: Some(RATES_PPS[0]), ..case.clone() };
        let quantiles = ["p50", "p99", "p999"].map(|key| rtt(case, key));
        let more = quantiles[1].zip(rtt(&slow, "p99")).map(|(full, slow)| full - slow);
        match quantiles {
            [Some(p50), Some(p99), Some(p999)] => write!(text, " {p50:.1}, {p99:.1}, {p999:.0} |")?,
            _ => write!(text, " - |")?,
        }
        let worst = report.of(case).map(astray).max_by_key(String::len).unwrap_or_default();
        let is_ours = report.of(case).any(|run| run.ours.is_some());
        let worst = if is_ours && worst.is_empty() { "none" } else { &worst };
        writeln!(text, " {} | {worst} |", shown(more, 1))?;
    }
    writeln!(text)
}

fn write_case(text: &mut String, report: &VersusReport, case: &Case) -> Result {
    let figure = |figure: fn(&Measured) -> Option<f64>| report.median(case, figure);
    if figure(|m| Some(m.requests_pps)).is_none() {
        let why = report.runs.iter().find(|run| run.case == *case).and_then(|run| run.failed.as_deref());
        return write!(
            text,
            "| {} | {} | failed: {} | | | |",
            case.tool,
            case.shards,
            why.unwrap_or("no reason")
        );
    }
    write!(
        text,
        "| {} | {} | {} | {} | {} | {} |",
        case.tool,
        case.shards,
        whole(figure(|m| Some(m.requests_pps))),
        whole(figure(|m| Some(m.answered_pps))),
        whole(figure(|m| m.machine_ns)),
        whole(figure(|m| m.process_ns))
    )
}

fn write_others(text: &mut String, report: &VersusReport) -> Result {
    writeln!(text, "IPv6 and longer packets:\n")?;
    writeln!(text, "| who | shards | requests/s | answered/s | machine ns | own ns | family | payload |")?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |")?;
    for case in report.cases(Part::Full).into_iter().filter(|case| !is_main(case)) {
        write_case(text, report, case)?;
        let family = if case.addresses == Addresses::V6 { "IPv6" } else { "IPv4" };
        writeln!(text, " {family} | {} |", case.size.map_or("its own".to_owned(), |size| size.to_string()))?;
    }
    writeln!(text)
}

fn write_rates(text: &mut String, report: &VersusReport) -> Result {
    writeln!(
        text,
        "At a given rate, the whole process in percent of one core, and lateness against the schedule:\n"
    )?;
    writeln!(text, "| who | probes/s | of a core | lateness p50, p99 us | RTT p50, p99, p99.9 us |")?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    let mut cases = report.cases(Part::Rate);
    cases.sort();
    for case in cases {
        let cores = report.median(case, |m| Some(m.process_cores * 100.0));
        let late = ["p50", "p99"].map(|key| {
            shown(report.median(case, |m| m.ours.as_ref()?.lateness_us.get(key).copied().flatten()), 0)
        });
        let rtt = ["p50", "p99", "p999"].map(|key| {
            shown(report.median(case, |m| m.ours.as_ref()?.rtt_us.get(key).copied().flatten()), 1)
        });
        let rate = thousands(case.rate_pps.unwrap_or(0));
        writeln!(
            text,
            "| {} | {rate} | {} % | {} | {} |",
            case.tool,
            shown(cores, 2),
            late.join(", "),
            rtt.join(", ")
        )?;
    }
    writeln!(text)
}

fn write_long(text: &mut String, report: &VersusReport) -> Result {
    let cases: Vec<&Case> =
        [Part::Sustained, Part::Throttled].into_iter().flat_map(|part| report.cases(part)).collect();
    if cases.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "A million a second asked for, IPv4 and IPv6, one in a thousand lost, on the kernel ring a quarter of the probes\nanswered by \"time exceeded\"; *throttled*: two fifths of a core each for the shard's thread and for all others:\n"
    )?;
    writeln!(
        text,
        "| who | | seconds | requests/s | machine ns | of it far end | own ns | scheduled | stored | lateness p99 us | astray |"
    )?;
    writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
    for case in cases {
        let how = if case.part == Part::Throttled { "throttled" } else { "" };
        let Some(run) = report.of(case).last() else {
            let why = report.runs.iter().find(|run| run.case == *case).and_then(|run| run.failed.as_deref());
            writeln!(
                text,
                "| {} | {how} | failed: {} | | | | | | | | |",
                case.tool,
                why.unwrap_or("no reason")
            )?;
            continue;
        };
        let ours = run.ours.clone().unwrap_or_default();
        let astray = astray(run);
        writeln!(
            text,
            "| {} | {how} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {} |",
            case.tool,
            run.window_s,
            whole(Some(run.requests_pps)),
            whole(run.machine_ns),
            whole(run.far_ns),
            whole(run.process_ns),
            thousands(ours.scheduled),
            thousands(ours.stored),
            shown(ours.lateness_us.get("p99").copied().flatten(), 0),
            if astray.is_empty() { "none" } else { &astray }
        )?;
    }
    writeln!(text)
}

fn write_world(text: &mut String, report: &VersusReport) -> Result {
    let costs: Vec<String> = report
        .cases(Part::World)
        .into_iter()
        .filter_map(|case| {
            let ns = report.median(case, |m| m.world_ns)?;
            Some(format!("{ns:.0} ns ({})", if case.addresses == Addresses::V6 { "IPv6" } else { "IPv4" }))
        })
        .collect();
    if costs.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "The simulated world's own program takes {} of the *machine ns* of a request, by the kernel's own clock around\neach run of it (`kernel.bpf_stats_enabled`), which adds some 20 ns.\n",
        costs.join(" and ")
    )
}

fn whole(figure: Option<f64>) -> String {
    figure.map_or("-".to_owned(), |figure| thousands(figure.max(0.0).round() as u64))
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
}
