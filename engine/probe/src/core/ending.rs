//! From an entry of the in-flight table to the outcome of its probe.

use super::Plan;
use crate::border::{Arrival, Kind, Stamp};
use crate::inflight::Entry;
use crate::outcome::{Marks, Outcome, StampSource, Verdict};
use crate::time::Nanos;
use crate::work::Class;
use megaping_wire::Addr;

pub(super) fn outcome(entry: &Entry, verdict: Verdict) -> Outcome {
    Outcome {
        at: entry.at,
        rtt_ns: 0,
        target: entry.target,
        destination: entry.destination,
        responder: entry.destination,
        seq: entry.seq,
        error_ns: entry.error_ns,
        size: entry.size,
        flow: entry.flow,
        verdict,
        hop_limit: entry.hop_limit,
        reply_hop_limit: 0,
        stamp_source: StampSource::User,
        marks: Marks::default(),
    }
}

#[inline]
pub(super) fn answer(entry: &Entry, arrival: &Arrival<'_>, plan: &Plan, class: Class) -> Outcome {
    let Stamp { at, error_ns, source } = arrival.stamp;
    let left = departure(entry, at);
    let (verdict, quoted) = match arrival.kind {
        Kind::EchoReply => (Verdict::Answered, Marks::default()),
        Kind::Error { icmp_type, code } => {
            (Verdict::Error { icmp_type, code }, rewritten(entry, arrival, plan, class))
        }
    };
    let marks = quoted.with(Marks::OTHER_RESPONDER.when(arrival.responder != entry.destination));
    Outcome {
        at: left.at,
        rtt_ns: at.since(left.at),
        responder: arrival.responder,
        error_ns: coarse(left.error_ns.saturating_add(error_ns)),
        reply_hop_limit: arrival.hop_limit,
        stamp_source: source,
        marks,
        ..outcome(entry, verdict)
    }
}

/// What an error's quote shows to have been rewritten on the way. Our source is known only where it was chosen.
#[inline(never)]
fn rewritten(entry: &Entry, arrival: &Arrival<'_>, plan: &Plan, class: Class) -> Marks {
    let quoted = &arrival.quoted;
    let source = plan.sources[usize::from(!entry.destination.is_v4())];
    let known = source != Addr::UNSPECIFIED && quoted.source != Addr::UNSPECIFIED;
    Marks::QUOTED_DESTINATION
        .when(arrival.destination != entry.destination)
        .with(Marks::QUOTED_SOURCE.when(known && quoted.source != source))
        .with(Marks::QUOTED_CLASS.when(quoted.traffic_class != class.traffic_class))
}

/// A bound rounded up to three significant bits: as honest, at most a quarter wider, and a column of them
/// compresses well.
#[inline]
pub(super) const fn coarse(error_ns: u32) -> u32 {
    let extra = (32 - error_ns.leading_zeros()).saturating_sub(3);
    match error_ns.checked_add((1 << extra) - 1) {
        Some(sum) => sum >> extra << extra,
        None => u32::MAX,
    }
}

/// When an answered probe left. No answer comes before its probe has left: one that seems to narrows the
/// departure down to the time before it, and the middle of that is the best guess.
#[inline]
fn departure(entry: &Entry, answered: Nanos) -> Stamp {
    if answered > entry.at {
        return Stamp { at: entry.at, error_ns: entry.error_ns, source: StampSource::User };
    }
    let earliest = entry.at - u64::from(entry.error_ns);
    let half = answered.since(earliest) / 2;
    Stamp { at: earliest + half, error_ns: half as u32, source: StampSource::User }
}
