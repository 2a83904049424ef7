//! Hops in words, the same on the screen and in reports.

use megaping_probe::trace::{HopEnd, HopMarks, Labels};
use megaping_wire::Addr;
use megaping_wire::names::message_name;

use super::model::{Hop, Responder, Verdict};
use crate::names::Names;

/// How addresses are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// As numbers.
    Address,
    /// By name, where there is one.
    Name,
    /// By name, with the number behind it.
    Both,
}

impl Naming {
    /// An address as it is shown.
    #[must_use]
    pub fn of(self, addr: &Addr, names: &Names) -> String {
        match (self, names.get(addr)) {
            (Naming::Name, Some(name)) => name.to_owned(),
            (Naming::Both, Some(name)) => format!("{name} ({addr})"),
            _ => addr.to_string(),
        }
    }

    /// The first responder of a hop, or mtr's three question marks.
    #[must_use]
    pub fn of_hop(self, hop: &Hop, names: &Names) -> String {
        hop.ranked().first().map_or_else(|| "???".to_owned(), |responder| self.of(&responder.addr, names))
    }
}

/// An error of a hop as traceroute marks it (`!H`, `!N`, ...); none where a router only counted to zero.
#[must_use]
pub fn error_sign(is_v4: bool, end: HopEnd) -> Option<String> {
    let (HopEnd::Unreachable { icmp_type, code } | HopEnd::Other { icmp_type, code }) = end else {
        return None;
    };
    Some(match message_name(is_v4, icmp_type, code) {
        "host_unreachable" => "!H".to_owned(),
        "net_unreachable" => "!N".to_owned(),
        "protocol_unreachable" => "!P".to_owned(),
        "admin_prohibited" | "net_prohibited" | "host_prohibited" => "!X".to_owned(),
        "fragmentation_needed" | "packet_too_big" => "!F".to_owned(),
        "source_route_failed" => "!S".to_owned(),
        name => format!("!{}", name.replace('_', " ")),
    })
}

/// The name of an ICMP error, where a hop answered by one that is no time exceeded.
#[must_use]
pub fn error_name(is_v4: bool, end: HopEnd) -> Option<&'static str> {
    match end {
        HopEnd::Unreachable { icmp_type, code } | HopEnd::Other { icmp_type, code } => {
            Some(message_name(is_v4, icmp_type, code))
        }
        _ => None,
    }
}

/// Marks by name.
#[must_use]
pub fn marks(marks: HopMarks) -> Vec<&'static str> {
    const NAMES: [(HopMarks, &str); 6] = [
        (HopMarks::NAT_SOURCE, "nat_source"),
        (HopMarks::NAT_DESTINATION, "nat_destination"),
        (HopMarks::DSCP_REWRITTEN, "dscp_rewritten"),
        (HopMarks::ECN_REWRITTEN, "ecn_rewritten"),
        (HopMarks::EXTENSIONS_MALFORMED, "extensions_malformed"),
        (HopMarks::SHORT_QUOTE, "short_quote"),
    ];
    NAMES.iter().filter(|(mark, _)| marks.has(*mark)).map(|(_, name)| *name).collect()
}

/// A responder's label stack as mtr prints it, one entry a text.
#[must_use]
pub fn labels(responder: &Responder) -> Vec<String> {
    label_texts(&responder.labels)
}

/// A label stack as mtr prints it.
#[must_use]
pub fn label_texts(labels: &Labels) -> Vec<String> {
    let text = |label: megaping_wire::extension::Label| {
        let bottom = u8::from(label.bottom);
        format!("[MPLS: Lbl {} TC {} S {bottom} TTL {}]", label.label, label.traffic_class, label.ttl)
    };
    labels.iter().map(text).collect()
}

/// What is to be said of a hop beside its figures, the most telling first, in few letters.
#[must_use]
pub fn notes(hop: &Hop, verdict: Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    let ranked = hop.ranked();
    if let Some(first) = ranked.first() {
        notes.extend(error_sign(first.addr.is_v4(), first.end));
    }
    match verdict {
        Verdict::Limited { confidence } => notes.push(format!("limited {}", percent(confidence))),
        Verdict::Silent => notes.push("silent".to_owned()),
        Verdict::Clean | Verdict::Lossy => {}
    }
    let marks = hop.marks();
    let nat = marks.has(HopMarks::NAT_SOURCE) || marks.has(HopMarks::NAT_DESTINATION);
    notes.extend(nat.then(|| "NAT".to_owned()));
    if marks.has(HopMarks::DSCP_REWRITTEN) {
        let seen = ranked.iter().find(|responder| responder.marks.has(HopMarks::DSCP_REWRITTEN));
        notes.extend(seen.map(|responder| format!("DSCP={}", responder.quoted_traffic_class >> 2)));
    }
    if marks.has(HopMarks::ECN_REWRITTEN) {
        let seen = ranked.iter().find(|responder| responder.marks.has(HopMarks::ECN_REWRITTEN));
        notes.extend(seen.map(|responder| format!("ECN={}", responder.quoted_traffic_class & 3)));
    }
    notes.extend(marks.has(HopMarks::EXTENSIONS_MALFORMED).then(|| "bad extension".to_owned()));
    notes
}

/// A confidence as a percentage that never says more than is known.
#[must_use]
pub fn percent(share: f64) -> String {
    let floored = (share * 1000.0).floor() / 10.0;
    if floored >= 99.9 { "99.9%".to_owned() } else { format!("{:.0}%", floored.floor()) }
}

/// A path id.
#[must_use]
pub fn id(id: u64) -> String {
    format!("{id:016x}")
}
