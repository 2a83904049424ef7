//! A path as lines of CSV (RFC 4180, with bare line feeds), one for each hop; a path without a hop has one, whose
//! fields of a hop are empty. Labels are `label/exp/s/ttl`, and lists are separated by blanks.

use megaping_wire::names::message_name;

use super::json::hex;
use super::{Line, icmp};
use crate::mtr::words;
use crate::output::csv::field;
use crate::output::digits::{addr, number, thousandths};
use crate::trace::assemble::Hop;

/// The first line.
pub(super) const HEADER: &str = "time,target,name,flow,round,reached,complete,path_id,ttl,responder,rtt_us,sent,\
                                 received,icmp,icmp_type,icmp_code,reply_hop_limit,labels,marks,others,shared\n";

pub(super) fn path(out: &mut Vec<u8>, line: &Line<'_>) {
    let first = out.len();
    head(out, line);
    let head = first..out.len();
    let mut hops = line.path.hops.iter();
    match hops.next() {
        Some(one) => hop(out, one),
        None => out.extend_from_slice(b",,,,,,,,,,,,\n"),
    }
    for one in hops {
        out.extend_from_within(head.clone());
        hop(out, one);
    }
}

fn head(out: &mut Vec<u8>, line: &Line<'_>) {
    let end = line.path.end;
    out.extend_from_slice(line.time);
    out.push(b',');
    addr(out, &end.destination);
    out.push(b',');
    field(out, line.showing.name.unwrap_or_default());
    for value in [u64::from(end.flow), end.round.into()] {
        out.push(b',');
        number(out, value);
    }
    for value in [end.reached, end.complete] {
        out.extend_from_slice(if value { b",true" } else { b",false" });
    }
    out.push(b',');
    hex(out, line.path.id);
    out.push(b',');
}

fn hop(out: &mut Vec<u8>, hop: &Hop) {
    number(out, hop.ttl.into());
    out.push(b',');
    if let Some(responder) = &hop.responder {
        addr(out, responder);
    }
    out.push(b',');
    if hop.received > 0 {
        thousandths(out, hop.rtt_ns);
    }
    for value in [hop.sent, hop.received] {
        out.push(b',');
        number(out, value.into());
    }
    out.push(b',');
    match icmp(hop) {
        Some((is_v4, icmp_type, code)) => {
            out.extend_from_slice(message_name(is_v4, icmp_type, code).as_bytes());
            for value in [icmp_type, code, hop.reply_hop_limit] {
                out.push(b',');
                number(out, value.into());
            }
        }
        None => out.extend_from_slice(b",,,"),
    }
    out.push(b',');
    for (place, label) in hop.labels.iter().enumerate() {
        separate(out, place, b' ');
        let parts = [label.label, label.traffic_class.into(), label.bottom.into(), label.ttl.into()];
        for (place, part) in parts.into_iter().enumerate() {
            separate(out, place, b'/');
            number(out, part.into());
        }
    }
    out.push(b',');
    for (place, mark) in words::marks(hop.marks).into_iter().enumerate() {
        separate(out, place, b' ');
        out.extend_from_slice(mark.as_bytes());
    }
    out.push(b',');
    for (place, other) in hop.others.iter().enumerate() {
        separate(out, place, b' ');
        addr(out, other);
    }
    out.extend_from_slice(if hop.shared { b",true\n" } else { b",\n" });
}

fn separate(out: &mut Vec<u8>, place: usize, by: u8) {
    if place > 0 {
        out.push(by);
    }
}
