//! mtr's JSON: its keys and their order where they exist, ours behind them. Times are milliseconds there as they
//! are in mtr.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Facts;
use crate::mtr::field::{Field, Value};
use crate::mtr::model::{Change, Findings, Hop, Model, Path, Responder, Route, Target, Verdict, path_id};
use crate::mtr::words;
use crate::names::Names;

#[derive(Serialize)]
struct Document<'a> {
    report: Report<'a>,
}

#[derive(Serialize)]
struct Report<'a> {
    mtr: Head<'a>,
    hubs: Vec<Hub<'a>>,
    reached: bool,
    loss_begins: Option<LossBegins>,
    delay_begins: Option<DelayBegins>,
    flows: Vec<Flow>,
}

#[derive(Serialize)]
struct Head<'a> {
    src: &'a str,
    dst: &'a str,
    tos: u8,
    tests: u32,
    psize: String,
    bitpattern: &'static str,
    ip: String,
    backend: &'static str,
    start_unix_s: u64,
}

struct Hub<'a> {
    ttl: u8,
    hop: &'a Hop,
    facts: &'a Facts,
    names: &'a Names,
    verdict: Verdict,
}

#[derive(Serialize)]
struct LossBegins {
    count: u8,
    confidence: f64,
}

#[derive(Serialize)]
struct DelayBegins {
    count: u8,
    added_ms: f64,
}

#[derive(Serialize)]
struct Flow {
    #[serde(rename = "flow")]
    number: usize,
    path_id: String,
    reached: bool,
    path: Vec<Option<String>>,
    changes_total: u64,
    changes: Vec<ChangeOut>,
}

#[derive(Serialize)]
struct ChangeOut {
    round: u32,
    count: u8,
    before_id: String,
    after_id: String,
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
}

#[derive(Serialize)]
struct ResponderOut<'a> {
    ip: String,
    #[serde(rename = "host")]
    name: Option<&'a str>,
    received: u64,
    share: f64,
    last_ms: f64,
    best_ms: f64,
    avg_ms: f64,
    icmp: Option<&'static str>,
    reply_hop_limit: u8,
    hops_back: Option<u8>,
    marks: Vec<&'static str>,
    labels: Vec<LabelOut>,
}

#[derive(Serialize)]
struct LabelOut {
    label: u32,
    exp: u8,
    s: u8,
    ttl: u8,
}

/// To three digits behind the point: microseconds.
fn ms(ns: f64) -> f64 {
    (ns / 1e3).round() / 1e3
}

fn thousandths(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn route(route: &Route) -> Vec<Option<String>> {
    route.iter().map(|hop| hop.map(|addr| addr.to_string())).collect()
}

impl Serialize for Hub<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Hub { ttl, hop, facts, names, verdict } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("count", ttl)?;
        map.serialize_entry("host", &facts.naming.of_hop(hop, names))?;
        let ours = [Field::Received, Field::JitterMean, Field::Interarrival, Field::Median, Field::P99];
        let ours = ours.iter().filter(|field| !facts.fields.contains(field));
        for field in facts.fields.iter().chain(ours) {
            match field.of(hop) {
                Value::Share(share) => map.serialize_entry(field.title(), &thousandths(share * 100.0))?,
                Value::Count(count) => map.serialize_entry(field.title(), &count)?,
                Value::Time(ns) => map.serialize_entry(field.title(), &ms(ns))?,
            }
        }
        if hop.unsent > 0 {
            map.serialize_entry("unsent", &hop.unsent)?;
        }
        let (verdict, confidence) = match verdict {
            Verdict::Clean => ("clean", None),
            Verdict::Silent => ("silent", None),
            Verdict::Limited { confidence } => ("limited", Some(thousandths(*confidence))),
            Verdict::Lossy => ("lossy", None),
        };
        map.serialize_entry("verdict", verdict)?;
        if let Some(confidence) = confidence {
            map.serialize_entry("confidence", &confidence)?;
        }
        let responders: Vec<_> = hop.ranked().iter().map(|one| responder(one, hop, names)).collect();
        map.serialize_entry("responders", &responders)?;
        map.end()
    }
}

fn responder<'a>(responder: &Responder, hop: &Hop, names: &'a Names) -> ResponderOut<'a> {
    let label = |label: megaping_wire::extension::Label| LabelOut {
        label: label.label,
        exp: label.traffic_class,
        s: u8::from(label.bottom),
        ttl: label.ttl,
    };
    ResponderOut {
        ip: responder.addr.to_string(),
        name: names.get(&responder.addr),
        received: responder.received,
        share: thousandths(responder.received as f64 / hop.received.max(1) as f64),
        last_ms: ms(responder.last_ns as f64),
        best_ms: ms(responder.best_ns as f64),
        avg_ms: ms(responder.mean_ns()),
        icmp: words::error_name(responder.addr.is_v4(), responder.end),
        reply_hop_limit: responder.reply_hop_limit,
        hops_back: responder.hops_back(),
        marks: words::marks(responder.marks),
        labels: responder.labels.iter().map(label).collect(),
    }
}

fn flow((number, path): (usize, &Path)) -> Flow {
    let change = |change: &Change| ChangeOut {
        round: change.round,
        count: change.first_hop,
        before_id: words::id(path_id(&change.before)),
        after_id: words::id(path_id(&change.after)),
        before: route(&change.before),
        after: route(&change.after),
    };
    Flow {
        number,
        path_id: words::id(path.id()),
        reached: path.end().is_some_and(|end| end.reached),
        path: route(&path.route()),
        changes_total: path.changes().total(),
        changes: path.changes().iter().map(change).collect(),
    }
}

fn document<'a>(facts: &'a Facts, title: &'a str, target: &'a Target, names: &'a Names) -> Document<'a> {
    let path = target.path(None);
    let findings = Findings::on(path);
    let hub = |(ttl, hop)| Hub { ttl, hop, facts, names, verdict: findings.verdict(ttl) };
    let mtr = Head {
        src: &facts.source,
        dst: title,
        tos: facts.traffic_class,
        tests: facts.rounds,
        psize: facts.packet_len(target.addr.is_v4()).to_string(),
        bitpattern: "random",
        ip: target.addr.to_string(),
        backend: facts.backend,
        start_unix_s: facts.started_unix_s,
    };
    Document {
        report: Report {
            mtr,
            hubs: path.hops().map(hub).collect(),
            reached: path.end().is_some_and(|end| end.reached),
            loss_begins: findings
                .loss_begins
                .map(|loss| LossBegins { count: loss.ttl, confidence: thousandths(loss.confidence) }),
            delay_begins: findings
                .delay_begins
                .map(|delay| DelayBegins { count: delay.ttl, added_ms: ms(delay.added_ns as f64) }),
            flows: target.flows().iter().enumerate().map(flow).collect(),
        },
    }
}

pub(super) fn write(out: &mut impl Write, facts: &Facts, model: &Model, names: &Names) -> io::Result<()> {
    for (target, title) in model.targets().iter().zip(&facts.titles) {
        serde_json::to_writer_pretty(&mut *out, &document(facts, title, target, names))?;
        writeln!(out)?;
    }
    Ok(())
}
