//! An outcome as a JSON object (RFC 8259) on a line.
//!
//! Keys: `time`, `target`, `name` (where the target was given by one), `seq`, `outcome`, `rtt_us`, `responder`,
//! `reply_hop_limit`, `stamp_source`, `error_bound_us` (all five null where nothing answered); for errors
//! `error`, `icmp_type`, `icmp_code`; for unsent probes `reason`; and `self_inflicted` where it is true.

use megaping_probe::{Marks, Verdict};
use megaping_wire::names::message_name;

use super::digits::{addr, number, thousandths};
use super::{Row, verdict_name};

pub(super) fn line(out: &mut Vec<u8>, row: &Row) {
    let outcome = row.outcome;
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(row.time);
    out.extend_from_slice(b"\",\"target\":\"");
    let target = out.len();
    addr(out, &outcome.destination);
    let target = target..out.len();
    out.push(b'"');
    if let Some(name) = row.name {
        out.extend_from_slice(b",\"name\":\"");
        escaped(out, name);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"seq\":");
    number(out, outcome.seq.into());
    out.extend_from_slice(b",\"outcome\":\"");
    out.extend_from_slice(verdict_name(outcome.verdict).as_bytes());
    if let Some(answer) = row.answer {
        out.extend_from_slice(b"\",\"rtt_us\":");
        thousandths(out, answer.rtt_ns);
        out.extend_from_slice(b",\"responder\":\"");
        if answer.responder == outcome.destination {
            out.extend_from_within(target);
        } else {
            addr(out, &answer.responder);
        }
        out.extend_from_slice(b"\",\"reply_hop_limit\":");
        number(out, answer.hop_limit.into());
        out.extend_from_slice(b",\"stamp_source\":\"");
        out.extend_from_slice(answer.source.as_bytes());
        out.extend_from_slice(b"\",\"error_bound_us\":");
        thousandths(out, answer.error_bound_ns.into());
    } else {
        out.extend_from_slice(
            b"\",\"rtt_us\":null,\"responder\":null,\"reply_hop_limit\":null,\"stamp_source\":null,\
              \"error_bound_us\":null",
        );
    }
    detail(out, row);
    out.extend_from_slice(b"}\n");
}

fn detail(out: &mut Vec<u8>, row: &Row) {
    match row.outcome.verdict {
        Verdict::Answered | Verdict::Lost => {}
        Verdict::Error { icmp_type, code } => {
            out.extend_from_slice(b",\"error\":\"");
            let name = message_name(row.outcome.destination.is_v4(), icmp_type, code);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\",\"icmp_type\":");
            number(out, icmp_type.into());
            out.extend_from_slice(b",\"icmp_code\":");
            number(out, code.into());
        }
        Verdict::Unsent(reason) => {
            out.extend_from_slice(b",\"reason\":\"");
            out.extend_from_slice(reason.name().as_bytes());
            out.push(b'"');
        }
    }
    if row.outcome.marks.has(Marks::SELF_INFLICTED) {
        out.extend_from_slice(b",\"self_inflicted\":true");
    }
}

/// Host names need no escapes; whatever else a name may one day hold must not break the line.
pub(crate) fn escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}
