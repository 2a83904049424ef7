//! The table of traces.

use std::fmt::{Result, Write};

use super::{TraceReport, TraceRun};
use crate::tables::{thousands, write_machine};

/// Writes it: medians of the runs of each.
///
/// # Errors
/// The writer's.
pub fn write(text: &mut String, report: &TraceReport) -> Result {
    writeln!(text, "### Traces\n")?;
    write_machine(text, &report.machine, &report.command)?;
    writeln!(
        text,
        "| who | shards | hops asked | destinations | probes/s | wanted | probes a path | machine ns | paths wrong | ledger |"
    )?;
    writeln!(text, "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
    let mut seen = Vec::new();
    for run in &report.runs {
        let key = (&run.tool, run.shards, run.every_hop);
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let same: Vec<&TraceRun> =
            report.runs.iter().filter(|other| (&other.tool, other.shards, other.every_hop) == key).collect();
        write_row(text, &same)?;
    }
    writeln!(text)
}

fn write_row(text: &mut String, same: &[&TraceRun]) -> Result {
    let Some(run) = same.first() else { return Ok(()) };
    let median = |figure: fn(&TraceRun) -> f64| {
        let mut figures: Vec<f64> = same.iter().map(|run| figure(run)).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let hops = match (run.verdict, run.every_hop) {
        (Some(_), false) => "near ones shared",
        _ => "all",
    };
    let wanted = match run.tool.as_str() {
        "megaping kernel" => ">= 1.5 M",
        "megaping xdp" => ">= 0.5 M",
        _ => "",
    };
    let verdicts = || same.iter().filter_map(|run| run.verdict);
    let (wrong, ledger) = if run.verdict.is_some() {
        let wrong: u64 = verdicts().map(|verdict| verdict.wrong).sum();
        let exact = verdicts().all(|verdict| verdict.ledger_is_the_worlds);
        (thousands(wrong), if exact { "the world's" } else { "**not the world's**" })
    } else {
        ("-".to_owned(), "-")
    };
    #[expect(clippy::cast_sign_loss, reason = "rates and times are not negative")]
    let whole = |figure: f64| thousands(figure.round() as u64);
    writeln!(
        text,
        "| {} | {} | {hops} | {} | {} | {wanted} | {:.1} | {} | {wrong} | {ledger} |",
        run.tool,
        run.shards,
        thousands(run.destinations.into()),
        whole(median(|run| run.probes_pps)),
        median(|run| run.probes as f64 / f64::from(run.destinations)),
        // Of a few probes a second it tells what the machine does by itself.
        if run.probes > 1000 { whole(median(|run| run.machine_ns)) } else { "-".to_owned() },
    )
}
