//! The tables of docs/performance.md, from the files that were measured.

use std::fmt::Write as _;

use crate::cost::{CostReport, StageCost};
use crate::load::Family;
use crate::machine::Machine;
use crate::meter::Hardware;
use crate::resident::{MemoryReport, Store};
use crate::stage::Stage;
use crate::trace;
use crate::trace::TraceReport;
use crate::upload;
use crate::upload::UploadReport;
use crate::versus;
use crate::versus::report::VersusReport;

/// What stands between the markers.
pub fn markdown(
    cost: &CostReport,
    memory: &MemoryReport,
    trace: &TraceReport,
    upload: &UploadReport,
    versus: &VersusReport,
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ok = versus::tables::write(&mut text, versus)
        .and_then(|()| trace::tables::write(&mut text, trace))
        .and_then(|()| write_cost(&mut text, cost))
        .and_then(|()| upload::tables::write(&mut text, upload))
        .and_then(|()| write_memory(&mut text, memory));
    text
}

/// Where and how figures were measured.
///
/// # Errors
/// The writer's.
pub fn write_machine(text: &mut String, machine: &Machine, command: &str) -> std::fmt::Result {
    let Machine { cpu, cores, kernel, rustc, date } = machine;
    writeln!(text, "Measured {date} on {cpu}, {cores} cores, Linux {kernel}, {rustc}: `{command}`.\n")
}

fn write_cost(text: &mut String, cost: &CostReport) -> std::fmt::Result {
    writeln!(text, "### Time and instructions a probe\n")?;
    write_machine(text, &cost.machine, &cost.command)?;
    writeln!(
        text,
        "{} targets, one probe a second each, {} bytes of payload, round trip {} ms; median of {} \
         (lowest to highest).\n",
        thousands(cost.targets),
        cost.payload_len,
        cost.rtt_ms,
        cost.repeats
    )?;
    if let Some(why) = &cost.no_instructions {
        writeln!(text, "Instructions were not counted: {why}.\n")?;
    }
    write_hardware(text, cost)?;
    writeln!(text, "| stage | IPv4 ns | | IPv4 instructions | IPv6 ns | | IPv6 instructions |")?;
    writeln!(text, "| --- | ---: | --- | ---: | ---: | --- | ---: |")?;
    for stage in Stage::ALL {
        write!(text, "| {} |", stage.name())?;
        for family in Family::ALL {
            match cost.get(stage, family) {
                Some(cost) => write!(
                    text,
                    " {:.1} | {:.0} to {:.0} | {} |",
                    cost.ns_per_probe,
                    cost.ns_best,
                    cost.ns_worst,
                    cost.instructions_per_probe.map_or("-".to_owned(), |count| format!("{count:.0}"))
                )?,
                None => write!(text, " - | | - |")?,
            }
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    write_aims(text, cost)
}

/// What the processor's own counters say, or why they say nothing.
fn write_hardware(text: &mut String, cost: &CostReport) -> std::fmt::Result {
    let Some(first) = cost.stages.first() else { return Ok(()) };
    if let Some(why) = &first.hardware.missing {
        return writeln!(text, "The processor's own counters are not to be had: {why}.\n");
    }
    writeln!(text, "By the processor's own counters, a probe:\n")?;
    writeln!(text, "| stage | family | cycles | instructions | cache misses | branch misses |")?;
    writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: |")?;
    for StageCost { stage, family, hardware, .. } in &cost.stages {
        let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
        let Hardware { cycles, instructions, cache_misses, branch_misses, .. } = hardware;
        let figures = [cycles, instructions, cache_misses, branch_misses].map(|figure| shown(*figure));
        writeln!(text, "| {} | {} | {} |", stage.name(), family.name(), figures.join(" | "))?;
    }
    writeln!(text)
}

/// The aims, against what was reached.
fn write_aims(text: &mut String, cost: &CostReport) -> std::fmt::Result {
    writeln!(text, "| aim | | IPv4 | IPv6 |")?;
    writeln!(text, "| --- | ---: | ---: | ---: |")?;
    let ns = |stage, family| cost.get(stage, family).map(|cost| cost.ns_per_probe);
    let parts = [Stage::Schedule, Stage::Craft, Stage::Parse, Stage::Match];
    write!(text, "| schedule to match: the four stages added up | < 100 ns |")?;
    for family in Family::ALL {
        let sum: Option<f64> = parts.iter().map(|stage| ns(*stage, family)).sum();
        write!(text, " {} |", nanoseconds(sum))?;
    }
    write!(text, "\n| the same, through the shard and the memory ring, less the far end | < 100 ns |")?;
    for family in Family::ALL {
        let own = ns(Stage::Probe, family).zip(ns(Stage::FarEnd, family)).map(|(all, far)| all - far);
        write!(text, " {} |", nanoseconds(own))?;
    }
    write!(text, "\n| encoding and compression | < 60 ns |")?;
    for family in Family::ALL {
        write!(text, " {} |", nanoseconds(ns(Stage::Encode, family)))?;
    }
    write!(text, "\n| compressed bytes a row | |")?;
    for family in Family::ALL {
        let bytes = cost.get(Stage::Encode, family).and_then(|cost| cost.bytes_per_probe);
        write!(text, " {} |", bytes.map_or("-".to_owned(), |bytes| format!("{bytes:.1}")))?;
    }
    writeln!(text, "\n")
}

fn nanoseconds(ns: Option<f64>) -> String {
    ns.map_or("-".to_owned(), |ns| format!("{ns:.0} ns"))
}

fn write_memory(text: &mut String, memory: &MemoryReport) -> std::fmt::Result {
    writeln!(text, "### Memory a target\n")?;
    write_machine(text, &memory.machine, &memory.command)?;
    writeln!(text, "| list | store | targets | in flight | set | table | seats | resident | peak | aim |")?;
    writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for case in &memory.cases {
        let resident = &case.resident;
        let per_target = |bytes: u64| bytes as f64 / resident.targets as f64;
        let store = match case.store {
            Store::Drains => "keeps up",
            Store::Stalls => "stands still",
        };
        writeln!(
            text,
            "| {} | {store} | {} | {} | {:.0} B | {:.0} B | {:.0} B | **{:.0} B** | {:.0} B | <= 200 B |",
            case.family.name(),
            thousands(resident.targets),
            thousands(resident.in_flight),
            per_target(resident.set_bytes),
            per_target(resident.table_bytes),
            per_target(resident.seat_bytes),
            resident.bytes_per_target,
            resident.peak_bytes_per_target,
        )?;
    }
    Ok(())
}

/// A number with commas between its thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
