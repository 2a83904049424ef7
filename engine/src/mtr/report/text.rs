//! mtr's report.
//!
//! ```text
//! HOST: probe-7                     Loss%   Snt   Last   Avg  Best  Wrst StDev
//!   1.|-- 192.0.2.1                  0.0%    10    0.4   0.5   0.4   0.9   0.1
//!   2.|-- ???                       100.0    10    0.0   0.0   0.0   0.0   0.0
//! ```

use std::io::{self, Write};

use super::Facts;
use crate::mtr::field::{Field, Value};
use crate::mtr::model::{Change, Findings, Hop, Model, Target, path_id};
use crate::mtr::words;
use crate::names::Names;
use crate::output::unix_seconds;

/// The width of a host's column where names are cut.
const HOST: usize = 25;

/// `100.0` has no room for its percent sign, as in mtr.
fn value(value: Value) -> String {
    match value {
        Value::Share(share) if share >= 1.0 => "100.0".to_owned(),
        Value::Share(share) => format!("{:.1}%", share * 100.0),
        Value::Count(count) => count.to_string(),
        Value::Time(ns) => format!("{:.1}", ns / 1e6),
    }
}

const fn width(field: Field) -> usize {
    match field {
        Field::Last => 7,
        _ => 6,
    }
}

pub(super) fn write(
    out: &mut impl Write,
    wide: bool,
    facts: &Facts,
    model: &Model,
    names: &Names,
) -> io::Result<()> {
    writeln!(out, "Start: {}", unix_seconds(facts.started_unix_s))?;
    for (target, title) in model.targets().iter().zip(&facts.titles) {
        if model.targets().len() > 1 {
            writeln!(out, "Target: {title}")?;
        }
        one(out, wide, facts, target, names)?;
    }
    Ok(())
}

fn one(out: &mut impl Write, wide: bool, facts: &Facts, target: &Target, names: &Names) -> io::Result<()> {
    let path = target.path(None);
    let findings = Findings::on(path);
    let hosts = path.hops().map(|(_, hop)| facts.naming.of_hop(hop, names).chars().count());
    let host = if wide { hosts.max().unwrap_or(0).max(facts.source.len()).max(HOST) } else { HOST };
    let head = |field: &Field| format!("{:>width$}", field.title(), width = width(*field));
    let heads = facts.fields.iter().map(head).collect::<Vec<_>>().concat();
    // `HOST: ` is two places shorter than what stands before a hop's host.
    writeln!(out, "HOST: {:<width$.width$}{heads}", facts.source, width = host + 2)?;
    for (ttl, hop) in path.hops() {
        let name = facts.naming.of_hop(hop, names);
        let cell = |field: &Field| format!("{:>width$}", value(field.of(hop)), width = width(*field));
        let cells = facts.fields.iter().map(cell).collect::<Vec<_>>().concat();
        let line = format!("{ttl:>3}.|-- {name:<host$.host$}{cells}");
        let notes = words::notes(hop, findings.verdict(ttl)).join(", ");
        writeln!(out, "{}", format!("{} {notes}", line.trim_end()).trim_end())?;
        beside(out, facts, hop, names)?;
    }
    conclusions(out, target, &findings)
}

/// The other responders, and the label stacks.
fn beside(out: &mut impl Write, facts: &Facts, hop: &Hop, names: &Names) -> io::Result<()> {
    for (rank, responder) in hop.ranked().into_iter().enumerate() {
        if rank > 0 {
            let share = responder.received as f64 / hop.received.max(1) as f64 * 100.0;
            writeln!(out, "    |  `|-- {} ({share:.0}%)", facts.naming.of(&responder.addr, names))?;
        }
        for label in words::labels(responder).iter().filter(|_| facts.mpls) {
            writeln!(out, "    |  +-- {label}")?;
        }
    }
    Ok(())
}

fn conclusions(out: &mut impl Write, target: &Target, findings: &Findings) -> io::Result<()> {
    let path = target.path(None);
    if path.end().is_none_or(|end| !end.reached) {
        writeln!(out, "     The destination did not answer.")?;
    }
    if let Some(loss) = findings.loss_begins {
        writeln!(
            out,
            "     Loss begins at hop {} (confidence {}).",
            loss.ttl,
            words::percent(loss.confidence)
        )?;
    }
    if let Some(delay) = findings.delay_begins {
        writeln!(
            out,
            "     Hop {} adds {:.1} ms, most of the delay.",
            delay.ttl,
            delay.added_ns as f64 / 1e6
        )?;
    }
    for (flow, path) in target.flows().iter().enumerate() {
        for change in path.changes().iter() {
            writeln!(out, "     Flow {flow}: {}", change_line(change))?;
        }
    }
    Ok(())
}

/// A change in a line.
#[must_use]
pub fn change_line(change: &Change) -> String {
    let place = usize::from(change.first_hop.max(1)) - 1;
    let name = |route: &[Option<megaping_wire::Addr>]| {
        route.get(place).copied().flatten().map_or_else(|| "???".to_owned(), |addr| addr.to_string())
    };
    format!(
        "the path changed in round {} from hop {} on: {} -> {} ({} -> {}).",
        change.round,
        change.first_hop,
        name(&change.before),
        name(&change.after),
        words::id(path_id(&change.before)),
        words::id(path_id(&change.after)),
    )
}
