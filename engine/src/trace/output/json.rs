//! A path as a JSON object (RFC 8259) on a line.
//!
//! Keys: `time`, `target`, `name` (where the target was given by one), `flow`, `round`, `reached`, `complete` (false
//! where the run was stopped before its end was known), `path_id`, `probes` (all that left, those beyond the end as
//! well), `unsent` (where there are any), `hops`. Of each hop: `ttl`, `responder`, `rtt_us` (the shortest), `sent`,
//! `received`, `labels` (`label`, `exp`, `s`, `ttl`), and where there was an answer `icmp`, `icmp_type`, `icmp_code`,
//! `reply_hop_limit`, `marks`; where they tell something `quoted_hop_limit`, `quoted_traffic_class`, `others` (who
//! else answered), `incoming_index` and `incoming_mtu` (RFC 5837), `unsent`, `shared`.

use megaping_probe::trace::HopMarks;
use megaping_wire::Addr;
use megaping_wire::names::message_name;

use super::{Line, icmp};
use crate::mtr::words;
use crate::output::digits::{addr, number, thousandths};
use crate::output::json::escaped;
use crate::trace::assemble::Hop;
use crate::trace::changes::Change;

pub(super) fn path(out: &mut Vec<u8>, line: &Line<'_>) {
    let (path, end) = (line.path, line.path.end);
    head(out, line);
    flag(out, ",\"reached\":", end.reached);
    flag(out, ",\"complete\":", end.complete);
    out.extend_from_slice(b",\"path_id\":\"");
    hex(out, path.id);
    member(out, "\",\"probes\":", path.probes.into());
    if path.unsent > 0 {
        member(out, ",\"unsent\":", path.unsent.into());
    }
    out.extend_from_slice(b",\"hops\":[");
    for (place, one) in path.hops.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        hop(out, one);
    }
    out.extend_from_slice(b"]}\n");
}

/// The same keys up to `round`, and `change`: `first_hop` that differs, `before_id`, `after_id`, and the responders
/// `before` and `after`, null where nobody answered.
pub(super) fn change(out: &mut Vec<u8>, line: &Line<'_>, change: &Change) {
    head(out, line);
    member(out, ",\"change\":{\"first_hop\":", change.first_hop.into());
    let (before_id, after_id) = change.ids();
    for (key, id, route) in [("before", before_id, &change.before), ("after", after_id, &change.after)] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"_id\":\"");
        hex(out, id);
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":[");
        for (place, hop) in route.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            responder(out, hop.as_ref());
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}}\n");
}

fn head(out: &mut Vec<u8>, line: &Line<'_>) {
    let end = line.path.end;
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(line.time);
    out.extend_from_slice(b"\",\"target\":\"");
    addr(out, &end.destination);
    out.push(b'"');
    if let Some(name) = line.showing.name {
        out.extend_from_slice(b",\"name\":\"");
        escaped(out, name);
        out.push(b'"');
    }
    member(out, ",\"flow\":", end.flow.into());
    member(out, ",\"round\":", end.round.into());
}

fn responder(out: &mut Vec<u8>, responder: Option<&Addr>) {
    match responder {
        Some(responder) => {
            out.push(b'"');
            addr(out, responder);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

fn hop(out: &mut Vec<u8>, hop: &Hop) {
    member(out, "{\"ttl\":", hop.ttl.into());
    out.extend_from_slice(b",\"responder\":");
    responder(out, hop.responder.as_ref());
    out.extend_from_slice(b",\"rtt_us\":");
    if hop.received > 0 {
        thousandths(out, hop.rtt_ns);
    } else {
        out.extend_from_slice(b"null");
    }
    member(out, ",\"sent\":", hop.sent.into());
    member(out, ",\"received\":", hop.received.into());
    out.extend_from_slice(b",\"labels\":[");
    for (place, label) in hop.labels.iter().enumerate() {
        member(out, if place > 0 { ",{\"label\":" } else { "{\"label\":" }, label.label.into());
        member(out, ",\"exp\":", label.traffic_class.into());
        member(out, ",\"s\":", label.bottom.into());
        member(out, ",\"ttl\":", label.ttl.into());
        out.push(b'}');
    }
    out.push(b']');
    answer(out, hop);
    if hop.unsent > 0 {
        member(out, ",\"unsent\":", hop.unsent.into());
    }
    if hop.shared {
        out.extend_from_slice(b",\"shared\":true");
    }
    out.push(b'}');
}

fn answer(out: &mut Vec<u8>, hop: &Hop) {
    let Some((is_v4, icmp_type, code)) = icmp(hop) else { return };
    out.extend_from_slice(b",\"icmp\":\"");
    out.extend_from_slice(message_name(is_v4, icmp_type, code).as_bytes());
    member(out, "\",\"icmp_type\":", icmp_type.into());
    member(out, ",\"icmp_code\":", code.into());
    member(out, ",\"reply_hop_limit\":", hop.reply_hop_limit.into());
    if hop.quoted_hop_limit > 0 {
        member(out, ",\"quoted_hop_limit\":", hop.quoted_hop_limit.into());
    }
    if hop.marks.has(HopMarks::DSCP_REWRITTEN) || hop.marks.has(HopMarks::ECN_REWRITTEN) {
        member(out, ",\"quoted_traffic_class\":", hop.quoted_traffic_class.into());
    }
    out.extend_from_slice(b",\"marks\":[");
    if hop.marks != HopMarks::default() {
        for (place, mark) in words::marks(hop.marks).into_iter().enumerate() {
            out.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(mark.as_bytes());
            out.push(b'"');
        }
    }
    out.push(b']');
    if !hop.others.is_empty() {
        out.extend_from_slice(b",\"others\":[");
        for (place, other) in hop.others.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
            addr(out, other);
            out.push(b'"');
        }
        out.push(b']');
    }
    if hop.came_in.index > 0 {
        member(out, ",\"incoming_index\":", hop.came_in.index.into());
    }
    if hop.came_in.mtu > 0 {
        member(out, ",\"incoming_mtu\":", hop.came_in.mtu.into());
    }
}

#[inline]
fn member(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    number(out, value);
}

fn flag(out: &mut Vec<u8>, key: &str, value: bool) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Sixteen hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, number: u64) {
    for byte in number.to_be_bytes() {
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}
