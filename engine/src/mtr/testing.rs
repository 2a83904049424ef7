//! A path of which everything is known, for pictures and reports: nine hops, one of each kind.

use megaping_probe::Nanos;
use megaping_probe::trace::{HopEnd, HopEvent, HopMarks, Labels};
use megaping_wire::Addr;
use megaping_wire::extension::Label;

use super::model::Model;

const MS: u64 = 1_000_000;
/// The round in which the path changes at hops five and six.
pub const CHANGE: u32 = 60;

/// The destination of a target.
#[must_use]
pub fn destination(target: u32) -> Addr {
    Addr::v4([192, 0, 2, 99 + target as u8])
}

/// Numbers that look random and are always the same.
fn noise(round: u32, ttl: u8, purpose: u64) -> u64 {
    let mut z = u64::from(round) << 16 | u64::from(ttl) << 8 | purpose;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 16
}

fn responder(target: u32, flow: u16, round: u32, ttl: u8) -> Addr {
    let plane = if round >= CHANGE && (5..=6).contains(&ttl) { 200 } else { 10 };
    match ttl {
        1 => Addr::v4([10, 0, 0, 1]),
        4 => Addr::v4([10, 10, 4, 1 + flow as u8 % 2]),
        9 => destination(target),
        ttl => Addr::v4([10, plane, ttl, 1]),
    }
}

/// The event of one probe.
#[must_use]
pub fn event(target: u32, flow: u16, round: u32, ttl: u8) -> HopEvent {
    let chance = |percent| noise(round, ttl, 1 + u64::from(flow)) % 100 < percent;
    let lost = match ttl {
        // Limits its answers.
        3 => chance(40),
        7 => true,
        // All beyond hop five lose in the same rounds.
        6.. => noise(round, 0, 9) % 100 < 8 && target == 0,
        _ => false,
    };
    // Half a millisecond a hop; a long line before hop six.
    let base = u64::from(ttl) * MS / 2 + if ttl >= 6 { 18 * MS } else { 0 };
    let spike = if noise(round, ttl, 7).is_multiple_of(30) { 14 * MS } else { 0 };
    let end = match (lost, ttl) {
        (true, _) => HopEnd::Lost,
        (false, 9) => HopEnd::Reached,
        _ => HopEnd::TimeExceeded,
    };
    let label = |(place, label)| Label { label, traffic_class: 0, bottom: place == 1, ttl: 1 };
    let labels: Labels = if ttl == 5 && !lost {
        [16_001, 24_017].into_iter().enumerate().map(label).collect()
    } else {
        Labels::NONE
    };
    HopEvent {
        at: Nanos(u64::from(round) * 1_000 * MS),
        target,
        flow,
        round,
        ttl,
        end,
        responder: if lost { destination(target) } else { responder(target, flow, round, ttl) },
        rtt_ns: if lost { 0 } else { base + noise(round, ttl, 3) % (MS * 3 / 2) + spike },
        reply_hop_limit: if lost { 0 } else { 65 - ttl },
        quoted_hop_limit: 1,
        quoted_traffic_class: 0,
        marks: HopMarks::when(ttl == 8 && !lost, HopMarks::NAT_SOURCE),
        labels,
    }
}

/// What is known after so many rounds.
#[must_use]
pub fn model(targets: u32, flows: u16, rounds: u32) -> Model {
    let mut model = Model::new((0..targets).map(destination), flows);
    for round in 0..rounds {
        for target in 0..targets {
            for flow in 0..flows {
                (1..=9).for_each(|ttl| model.take(&event(target, flow, round, ttl)));
            }
        }
    }
    model
}
