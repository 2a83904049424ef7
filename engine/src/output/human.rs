//! An outcome as a line for people, and numbers as people read them.

use megaping_probe::{Marks, Verdict};
use megaping_wire::names::message_name;

use super::digits::{addr, number, thousandths};
use super::{AnswerParts, Row};

/// `2026-01-02T03:04:05.123456Z 10.0.0.1: seq=0 answered rtt=0.123 ms ttl=64 (±2.1 us kernel)`
pub(super) fn line(out: &mut Vec<u8>, row: &Row) {
    let outcome = row.outcome;
    // Microseconds are as much as a reader can use.
    out.extend_from_slice(&row.time[..26]);
    out.extend_from_slice(b"Z ");
    if let Some(name) = row.name {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" (");
        addr(out, &outcome.destination);
        out.push(b')');
    } else {
        addr(out, &outcome.destination);
    }
    out.extend_from_slice(b": seq=");
    number(out, outcome.seq.into());
    match outcome.verdict {
        Verdict::Answered => out.extend_from_slice(b" answered"),
        Verdict::Lost => out.extend_from_slice(b" lost"),
        Verdict::Unsent(reason) => {
            out.extend_from_slice(b" unsent: ");
            out.extend_from_slice(reason.name().as_bytes());
        }
        Verdict::Error { icmp_type, code } => {
            out.extend_from_slice(b" error ");
            out.extend_from_slice(message_name(outcome.destination.is_v4(), icmp_type, code).as_bytes());
            out.extend_from_slice(b" (type ");
            number(out, icmp_type.into());
            out.extend_from_slice(b" code ");
            number(out, code.into());
            out.push(b')');
        }
    }
    if let Some(parts) = row.answer {
        answer(out, row, parts);
    }
    if outcome.marks.has(Marks::SELF_INFLICTED) {
        out.extend_from_slice(b" [this machine dropped arrivals]");
    }
    out.push(b'\n');
}

fn answer(out: &mut Vec<u8>, row: &Row, answer: AnswerParts) {
    if answer.responder != row.outcome.destination {
        out.extend_from_slice(b" from ");
        addr(out, &answer.responder);
    }
    out.extend_from_slice(b" rtt=");
    // Thousandths of a millisecond: rounded, not cut, to the microsecond.
    thousandths(out, answer.rtt_ns.saturating_add(500) / 1000);
    out.extend_from_slice(b" ms ttl=");
    number(out, answer.hop_limit.into());
    out.extend_from_slice(" (±".as_bytes());
    // A bound is rounded up: it must still hold.
    let tenths = u64::from(answer.error_bound_ns).div_ceil(100);
    number(out, tenths / 10);
    out.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
    out.extend_from_slice(b" us ");
    out.extend_from_slice(answer.source.as_bytes());
    out.push(b')');
}

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of nanoseconds in the unit that suits it, with three decimals: `873 ns`, `12.345 us`, `1.200 ms`,
/// `61.500 s`.
#[must_use]
pub fn span_ns(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{:03} us", ns / 1_000, ns % 1_000),
        1_000_000..1_000_000_000 => format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000),
        _ => format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1_000),
    }
}
