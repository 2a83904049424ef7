//! A path as a paragraph for people, in the manner of traceroute.

use std::io::Write;

use megaping_probe::trace::HopMarks;
use megaping_wire::Addr;

use super::Line;
use crate::mtr::words;
use crate::output::digits::thousandths;
use crate::trace::assemble::Hop;
use crate::trace::changes::Change;

/// Responders are written this wide at least.
const WIDTH: usize = 40;

pub(super) fn path(out: &mut Vec<u8>, line: &Line<'_>) {
    // Writing to a vector cannot fail.
    let _ = head(out, line);
    for one in line.path.hops {
        let _ = hop(out, line, one);
    }
}

/// `example.com (192.0.2.1): reached in 12 hops, 13 probes, path 0123456789abcdef`
fn head(out: &mut Vec<u8>, line: &Line<'_>) -> std::io::Result<()> {
    let (path, end) = (line.path, line.path.end);
    match line.showing.name {
        Some(name) => write!(out, "{name} ({})", end.destination)?,
        None => write!(out, "{}", end.destination)?,
    }
    if end.flow > 0 {
        write!(out, " flow {}", end.flow)?;
    }
    if end.round > 0 {
        write!(out, " round {}", end.round)?;
    }
    let hops = if end.length == 1 { "hop" } else { "hops" };
    match (end.reached, end.length) {
        (true, length) => write!(out, ": reached in {length} {hops}")?,
        (false, 0) => write!(out, ": not reached")?,
        (false, length) => write!(out, ": refused at hop {length}")?,
    }
    if !end.complete {
        write!(out, ", given up")?;
    }
    let probes = if path.probes == 1 { "probe" } else { "probes" };
    write!(out, ", {} {probes}", path.probes)?;
    if path.unsent > 0 {
        write!(out, " ({} more not sent)", path.unsent)?;
    }
    writeln!(out, ", path {}", words::id(path.id))
}

/// `192.0.2.1: path changed at hop 4, from 100.68.1.2 to 100.68.3.4: path 0123456789abcdef is now fedcba9876543210`
pub(super) fn change(out: &mut Vec<u8>, line: &Line<'_>, change: &Change) -> std::io::Result<()> {
    let end = line.path.end;
    write!(out, "{}", line.showing.name.map_or_else(|| end.destination.to_string(), ToOwned::to_owned))?;
    if end.flow > 0 {
        write!(out, " flow {}", end.flow)?;
    }
    let place = usize::from(change.first_hop).saturating_sub(1);
    let at = |route: &[Option<Addr>]| {
        route.get(place).copied().flatten().map_or_else(|| "*".to_owned(), |addr| addr.to_string())
    };
    let (before, after) = change.ids();
    writeln!(
        out,
        ": path changed at hop {}, from {} to {}: path {} is now {}",
        change.first_hop,
        at(&change.before),
        at(&change.after),
        words::id(before),
        words::id(after)
    )
}

/// ` 4  100.68.1.2                                  0.123 ms  [MPLS: Lbl 16001 TC 0 S 1 TTL 1] !H`
fn hop(out: &mut Vec<u8>, line: &Line<'_>, hop: &Hop) -> std::io::Result<()> {
    write!(out, "{:>3}  ", hop.ttl)?;
    let Some(responder) = hop.responder else {
        return writeln!(out, "*{}", if hop.shared { " (as on other paths)" } else { "" });
    };
    let name = line.showing.naming.of(&responder, line.showing.names);
    write!(out, "{name:<WIDTH$}")?;
    if hop.shared {
        return writeln!(out, " (as on other paths)");
    }
    out.push(b' ');
    let from = out.len();
    // Thousandths of a millisecond: rounded, not cut, to the microsecond.
    thousandths(out, hop.rtt_ns.saturating_add(500) / 1000);
    let digits = out.len() - from;
    for _ in digits..9 {
        out.insert(from, b' ');
    }
    out.extend_from_slice(b" ms");
    if hop.received < hop.sent {
        write!(out, "  {} of {} answered", hop.received, hop.sent)?;
    }
    for other in &hop.others {
        write!(out, "  {}", line.showing.naming.of(other, line.showing.names))?;
    }
    if !hop.labels.is_empty() {
        for label in words::label_texts(&hop.labels) {
            write!(out, "  {label}")?;
        }
    }
    if let Some(sign) = words::error_sign(responder.is_v4(), hop.end) {
        write!(out, "  {sign}")?;
    }
    for mark in words::marks(hop.marks) {
        write!(out, "  {mark}")?;
    }
    if hop.marks.has(HopMarks::DSCP_REWRITTEN) || hop.marks.has(HopMarks::ECN_REWRITTEN) {
        write!(out, "  tos={:#04x}", hop.quoted_traffic_class)?;
    }
    writeln!(out)
}
