//! `schedule` and `match`: the core alone.
//!
//! Both run the same probes through the same core, in virtual time: a section of orders, and the answers to
//! the section that left one round trip ago. Only one of the two is on the meter.

use std::collections::VecDeque;
use std::hint::black_box;

use megaping::run::Walk;
use megaping_probe::{
    Arrival, Core, Evidence, Integrity, Kind, Nanos, Order, Ping, Quoted, Sent, Stamp, StampSource,
};

use super::{Stage, StageArgs};
use crate::Result;
use crate::load::{self, BREATH_NS, RTT_NS, SECOND, SECTION_BREATHS, START};
use crate::meter::Meter;

const SECTION_NS: u64 = BREATH_NS * SECTION_BREATHS;
/// Storage is never short of seats here.
const SEATS: usize = usize::MAX / 2;
/// The shard's own bound on a step.
const QUOTA: u32 = 256;

pub fn run(args: &StageArgs, meter: &mut Meter) -> Result<()> {
    let mut core = load::core(args.family, args.targets)?;
    let mut under_way: VecDeque<Vec<Order>> = VecDeque::new();
    let (mut orders, mut arrivals) = (Vec::new(), Vec::new());
    let mut now = START;
    // The first second fills the in-flight table; from then on a slot is taken for each that is passed.
    let warm = START + SECOND + RTT_NS;
    while meter.probes() < args.probes {
        let on = |stage| args.name == stage && now >= warm;
        section(on(Stage::Schedule), meter, || order(&mut core, now, &mut orders));
        under_way.push_back(std::mem::take(&mut orders));
        if under_way.len() as u64 > RTT_NS / SECTION_NS
            && let Some(answered) = under_way.pop_front()
        {
            arrivals.clear();
            arrivals.extend(answered.iter().map(answer));
            section(on(Stage::Match), meter, || take(&mut core, now, &arrivals));
            // Used again: fresh memory would have its page faults on the meter.
            orders = answered;
            orders.clear();
        }
        now = now + SECTION_NS;
    }
    let ledger = core.ledger();
    let fine = ledger.balances() && ledger.lost + ledger.invalid + ledger.late + ledger.foreign == 0;
    if fine { Ok(()) } else { Err(format!("probes went astray: {ledger:?}").into()) }
}

fn section(on: bool, meter: &mut Meter, work: impl FnOnce() -> u64) {
    if on {
        meter.run(work);
    } else {
        work();
    }
}

/// A section of breaths from `now` on: what is due is ordered, and reported as sent.
fn order(core: &mut Core<Ping<Walk>>, now: Nanos, orders: &mut Vec<Order>) -> u64 {
    for breath in 0..SECTION_BREATHS {
        let now = now + breath * BREATH_NS;
        let first = orders.len();
        for _ in 0..QUOTA {
            let Some(order) = core.next_order(now, SEATS) else { break };
            orders.push(order);
        }
        let stamp = Stamp { at: now, error_ns: 0, source: StampSource::Virtual };
        for order in &orders[first..] {
            black_box(core.on_sent(Sent { key: order.key, result: Ok(stamp) }));
        }
    }
    orders.len() as u64
}

/// As many breaths again: what came is matched, and time passes.
fn take(core: &mut Core<Ping<Walk>>, now: Nanos, arrivals: &[Arrival<'static>]) -> u64 {
    let each_breath = arrivals.len().div_ceil(SECTION_BREATHS as usize).max(1);
    for (breath, arrivals) in arrivals.chunks(each_breath).enumerate() {
        for arrival in arrivals {
            black_box(core.on_arrival(arrival));
        }
        let now = now + breath as u64 * BREATH_NS;
        core.on_tick(now, SEATS, QUOTA, |outcome| {
            black_box(outcome);
        });
    }
    arrivals.len() as u64
}

fn answer(order: &Order) -> Arrival<'static> {
    Arrival {
        kind: Kind::EchoReply,
        responder: order.destination,
        destination: order.destination,
        identifier: order.identifier,
        sequence: order.sequence,
        evidence: Some(Evidence { key: order.key, ordered_at: order.ordered_at, mac: order.mac }),
        integrity: Integrity::Good,
        hop_limit: 55,
        traffic_class: 0,
        stamp: Stamp { at: order.ordered_at + RTT_NS, error_ns: 0, source: StampSource::Virtual },
        quoted: Quoted::default(),
        packet: &[],
    }
}
