//! What a store knows of paths: how often they were traced and reached, how they changed, and at which hop a loss or a
//! delay begins.

use std::collections::BTreeMap;
use std::io::{self, Write};

use megaping_store::path::StoredPath;
use megaping_wire::Addr;
use serde_json::{Value, json};

use crate::cli::ReportFormat;
use crate::mtr::model::{Figures, Findings};
use crate::mtr::words;
use crate::output::time::Clock;

/// Round trips of a hop that a median is taken of.
const ROUND_TRIPS: usize = 64;
/// Changes of a path that are told; all are counted.
const CHANGES: usize = 100;

/// All paths of a store, by destination and flow.
#[derive(Debug, Default)]
pub struct Paths {
    paths: BTreeMap<(Addr, u16), Known>,
}

/// What is known of one path.
#[derive(Debug, Default)]
struct Known {
    traced: u64,
    reached: u64,
    changes_total: u64,
    changes: Vec<StoredPath>,
    hops: Vec<HopFigures>,
    newest_ns: u64,
    id: u64,
    length: u8,
}

#[derive(Debug, Default)]
struct HopFigures {
    sent: u64,
    received: u64,
    // The newest; where they are too many, each replaces another.
    round_trips: Vec<u64>,
}

impl Paths {
    /// Takes a row of the store.
    pub fn take(&mut self, row: &StoredPath) {
        let known = self.paths.entry((row.destination, row.flow)).or_default();
        if row.before.is_some() {
            known.changes_total += 1;
            if known.changes.len() < CHANGES {
                known.changes.push(row.clone());
            }
            return;
        }
        known.traced += 1;
        known.reached += u64::from(row.reached);
        if row.complete && row.unix_ns >= known.newest_ns {
            (known.newest_ns, known.id, known.length) = (row.unix_ns, row.id, row.length);
        }
        for hop in &row.hops {
            known.count(hop.ttl, hop.sent.into(), hop.received.into(), hop.rtt_ns);
        }
    }

    /// Prints them, `top` at most: a table, objects, or comma-separated values.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: &mut impl Write, format: ReportFormat, top: usize) -> io::Result<()> {
        let rows = self.paths.iter().take(top);
        match format {
            ReportFormat::Json => {
                for (key, known) in rows {
                    writeln!(out, "{}", known.to_json(key))?;
                }
            }
            ReportFormat::Csv => {
                writeln!(out, "path_target,flow,traced,reached,path_id,changes,loss_begins,delay_begins")?;
                for ((target, flow), known) in rows {
                    let (loss, delay) = known.onsets();
                    let text = |ttl: Option<u8>| ttl.map_or_else(String::new, |ttl| ttl.to_string());
                    let (traced, reached, changes) = (known.traced, known.reached, known.changes_total);
                    let (id, loss, delay) = (words::id(known.id), text(loss), text(delay));
                    writeln!(out, "{target},{flow},{traced},{reached},{id},{changes},{loss},{delay}")?;
                }
            }
            ReportFormat::Text => {
                writeln!(
                    out,
                    "\n{:<40} {:>4} {:>7} {:>7} {:>7}  path",
                    "paths to", "flow", "traced", "reached", "changes"
                )?;
                for (key, known) in rows {
                    known.text(out, key)?;
                }
            }
        }
        Ok(())
    }
}

impl Known {
    fn count(&mut self, ttl: u8, sent: u64, received: u64, rtt_ns: u64) {
        let Some(place) = usize::from(ttl).checked_sub(1) else { return };
        if self.hops.len() <= place {
            self.hops.resize_with(place + 1, HopFigures::default);
        }
        let Some(hop) = self.hops.get_mut(place) else { return };
        hop.sent += sent;
        hop.received += received;
        if received > 0 {
            let number = hop.received as usize % ROUND_TRIPS;
            if hop.round_trips.len() < ROUND_TRIPS {
                hop.round_trips.push(rtt_ns);
            } else if let Some(old) = hop.round_trips.get_mut(number) {
                *old = rtt_ns;
            }
        }
    }

    /// The hops at which loss and delay begin, where that can be told.
    fn onsets(&self) -> (Option<u8>, Option<u8>) {
        let figures = |(hop, ttl): (&HopFigures, u8)| {
            let mut round_trips = hop.round_trips.clone();
            round_trips.sort_unstable();
            let rtt_ns = round_trips.get(round_trips.len() / 2).copied().unwrap_or(0);
            Figures { ttl, sent: hop.sent, received: hop.received, rtt_ns }
        };
        let length = if self.length > 0 { self.length.into() } else { self.hops.len() };
        let hops: Vec<Figures> =
            self.hops.iter().take(length).zip(1u8..).map(figures).filter(|hop| hop.sent > 0).collect();
        let findings = Findings::of(&hops, self.reached > 0);
        (findings.loss_begins.map(|loss| loss.ttl), findings.delay_begins.map(|delay| delay.ttl))
    }

    fn to_json(&self, (target, flow): &(Addr, u16)) -> Value {
        let (loss, delay) = self.onsets();
        let route = |route: &mut dyn Iterator<Item = Option<Addr>>| -> Vec<Option<String>> {
            route.map(|hop| hop.map(|addr| addr.to_string())).collect()
        };
        let mut clock = Clock::default();
        let mut change = |row: &StoredPath| {
            let before = row.before.clone().unwrap_or_default();
            json!({
                "time": String::from_utf8_lossy(clock.rfc3339(row.unix_ns)), "round": row.round,
                "first_hop": before.first_hop, "before_id": words::id(before.id), "after_id": words::id(row.id),
                "before": route(&mut before.route.iter().copied()),
                "after": route(&mut row.hops.iter().map(|hop| hop.responder)),
            })
        };
        let changes: Vec<Value> = self.changes.iter().map(&mut change).collect();
        json!({
            "target": target.to_string(), "flow": flow, "traced": self.traced, "reached": self.reached,
            "path_id": words::id(self.id), "loss_begins": loss, "delay_begins": delay,
            "changes_total": self.changes_total, "changes": changes,
        })
    }

    fn text(&self, out: &mut impl Write, (target, flow): &(Addr, u16)) -> io::Result<()> {
        let (target, id) = (target.to_string(), words::id(self.id));
        let (traced, reached, changes) = (self.traced, self.reached, self.changes_total);
        write!(out, "{target:<40} {flow:>4} {traced:>7} {reached:>7} {changes:>7}  {id}")?;
        let (loss, delay) = self.onsets();
        if let Some(ttl) = loss {
            write!(out, "  loss begins at hop {ttl}")?;
        }
        if let Some(ttl) = delay {
            write!(out, "  delay begins at hop {ttl}")?;
        }
        writeln!(out)?;
        let mut clock = Clock::default();
        for row in &self.changes {
            let before = row.before.clone().unwrap_or_default();
            let time = String::from_utf8_lossy(clock.rfc3339(row.unix_ns)).into_owned();
            let (from, to, hop) = (words::id(before.id), words::id(row.id), before.first_hop);
            writeln!(out, "  {time} changed at hop {hop}: {from} became {to}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use megaping_store::path::{Before, StoredHop};

    fn path(round: u32, lost_from: Option<u8>, before: Option<Before>) -> StoredPath {
        let hop = |ttl: u8| StoredHop {
            ttl,
            responder: Some(Addr::v4([10, 0, 0, ttl])),
            rtt_ns: if ttl < 3 { 1_000_000 } else { 30_000_000 },
            sent: 1,
            received: u16::from(lost_from.is_none_or(|from| ttl < from)),
            ..StoredHop::default()
        };
        StoredPath {
            unix_ns: u64::from(round) * 1_000_000_000,
            destination: Addr::v4([192, 0, 2, 9]),
            flow: 1,
            round,
            reached: lost_from.is_none(),
            complete: true,
            length: if lost_from.is_none() { 5 } else { 0 },
            id: 0xabc,
            probes: 5,
            hops: (1..=5).map(hop).collect(),
            before,
        }
    }

    #[test]
    fn changes_and_the_hops_where_loss_and_delay_begin_are_told() {
        let mut paths = Paths::default();
        for round in 0..60 {
            paths.take(&path(round, (round % 3 == 0).then_some(4), None));
        }
        let before = Before { first_hop: 2, id: 0xdef, route: vec![None, Some(Addr::v4([10, 0, 1, 2]))] };
        paths.take(&path(60, None, Some(before)));
        let print = |format| {
            let mut out = Vec::new();
            paths.write(&mut out, format, usize::MAX).unwrap();
            String::from_utf8(out).unwrap()
        };
        let json: Value = serde_json::from_str(&print(ReportFormat::Json)).unwrap();
        assert_eq!((&json["target"], &json["flow"]), (&"192.0.2.9".into(), &1.into()));
        assert_eq!((&json["traced"], &json["reached"]), (&60.into(), &40.into()));
        assert_eq!((&json["loss_begins"], &json["delay_begins"]), (&4.into(), &3.into()), "{json:#}");
        assert_eq!((&json["changes_total"], &json["changes"][0]["first_hop"]), (&1.into(), &2.into()));
        assert_eq!(json["changes"][0]["before"], json!([null, "10.0.1.2"]));
        assert_eq!(json["changes"][0]["time"], "1970-01-01T00:01:00.000000000Z");
        let text = print(ReportFormat::Text);
        assert!(text.contains("loss begins at hop 4  delay begins at hop 3"), "{text}");
        assert!(text.contains("changed at hop 2: 0000000000000def became 0000000000000abc"), "{text}");
        assert!(print(ReportFormat::Csv).ends_with("192.0.2.9,1,60,40,0000000000000abc,1,4,3\n"));
    }
}
