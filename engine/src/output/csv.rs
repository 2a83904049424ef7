//! An outcome as a line of CSV (RFC 4180, with bare line feeds), empty fields for what does not apply.

use megaping_probe::{Marks, Verdict};
use megaping_wire::names::message_name;

use super::digits::{addr, number, thousandths};
use super::{Row, verdict_name};

/// The first line.
pub(super) const HEADER: &str = "time,target,name,seq,outcome,rtt_us,responder,reply_hop_limit,stamp_source,\
                                 error_bound_us,error,icmp_type,icmp_code,reason,self_inflicted\n";

pub(super) fn line(out: &mut Vec<u8>, row: &Row) {
    let outcome = row.outcome;
    out.extend_from_slice(row.time);
    out.push(b',');
    let target = out.len();
    addr(out, &outcome.destination);
    let target = target..out.len();
    out.push(b',');
    field(out, row.name.unwrap_or_default());
    out.push(b',');
    number(out, outcome.seq.into());
    out.push(b',');
    out.extend_from_slice(verdict_name(outcome.verdict).as_bytes());
    out.push(b',');
    if let Some(answer) = row.answer {
        thousandths(out, answer.rtt_ns);
        out.push(b',');
        if answer.responder == outcome.destination {
            out.extend_from_within(target);
        } else {
            addr(out, &answer.responder);
        }
        out.push(b',');
        number(out, answer.hop_limit.into());
        out.push(b',');
        out.extend_from_slice(answer.source.as_bytes());
        out.push(b',');
        thousandths(out, answer.error_bound_ns.into());
    } else {
        out.extend_from_slice(b",,,,");
    }
    match outcome.verdict {
        Verdict::Answered | Verdict::Lost => out.extend_from_slice(b",,,,"),
        Verdict::Error { icmp_type, code } => {
            out.push(b',');
            out.extend_from_slice(message_name(outcome.destination.is_v4(), icmp_type, code).as_bytes());
            out.push(b',');
            number(out, icmp_type.into());
            out.push(b',');
            number(out, code.into());
            out.push(b',');
        }
        Verdict::Unsent(reason) => {
            out.extend_from_slice(b",,,,");
            out.extend_from_slice(reason.name().as_bytes());
        }
    }
    let own = outcome.marks.has(Marks::SELF_INFLICTED);
    out.extend_from_slice(if own { b",true\n" } else { b",\n" });
}

/// Quoted where it must be (RFC 4180 section 2).
pub(crate) fn field(out: &mut Vec<u8>, text: &str) {
    if !text.contains(['"', ',', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
