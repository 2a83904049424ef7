//! A trace against a network that is a tree of routers, some of which balance, are silent, or change.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::border::{Arrival, Integrity, Kind, Quoted, Stamp};
use crate::outcome::{Marks, StampSource, Verdict};
use megaping_wire::Addr;
use proptest::prelude::*;

struct Line(u64);

impl Targets for Line {
    fn len(&self) -> u64 {
        self.0
    }
    fn index(&self, turn: u64) -> u64 {
        // Coprime to any length that the tests use.
        turn * 7919 % self.0
    }
    fn turn(&self, index: u64) -> u64 {
        (0..self.0).find(|&turn| self.index(turn) == index).unwrap_or(0)
    }
    fn address(&self, index: u64) -> Addr {
        Addr::v4((0x0a00_0000 + index as u32).to_be_bytes())
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[derive(Clone, Copy)]
struct Net {
    seed: u64,
    balanced: bool,
    silent: bool,
    dead: bool,
}

impl Net {
    fn length(&self, target: u64) -> u8 {
        6 + (mix(self.seed ^ target) % 8) as u8
    }

    fn is_dead(&self, target: u64) -> bool {
        self.dead && mix(target ^ 0x4d).is_multiple_of(10)
    }

    /// The router of a hop: shared by fewer and fewer targets.
    fn router(&self, target: u64, flow: u16, hop: u8) -> Option<Addr> {
        let group = if hop < 5 { target >> (14 - 3 * u32::from(hop)) } else { target };
        let router = mix(self.seed ^ u64::from(hop) << 56 ^ group);
        let pick = mix(target << 20 ^ u64::from(flow) ^ router) % 2;
        let sibling = if self.balanced && router.is_multiple_of(3) { pick } else { 0 };
        let silent = self.silent && mix(router).is_multiple_of(7);
        (!silent).then(|| {
            Addr::v4(
                (0x6400_0000 | u32::from(hop) << 16 | ((router as u32) << 1 | sibling as u32) & 0xffff)
                    .to_be_bytes(),
            )
        })
    }
}

/// What the rows say: the responder of each hop, probes, and ends.
#[derive(Default)]
struct Heard {
    hops: BTreeMap<(u32, u16, u32), BTreeMap<u8, Addr>>,
    ends: HashMap<(u32, u16, u32), PathEnd>,
    probes: usize,
    shared: usize,
}

fn hear(rows: &[PathRow]) -> Heard {
    let mut heard = Heard::default();
    let mut slots: HashMap<u32, BTreeMap<u8, Addr>> = HashMap::new();
    for row in rows {
        match *row {
            PathRow::Hop { slot, event, .. } => {
                heard.probes += 1;
                let hops = slots.entry(slot).or_default();
                if event.end == HopEnd::TimeExceeded || event.end == HopEnd::Reached {
                    hops.insert(event.ttl, event.responder);
                }
            }
            PathRow::Shared { slot, ttl, responder } => {
                heard.shared += 1;
                if let Some(responder) = responder {
                    slots.entry(slot).or_default().insert(ttl, responder);
                }
            }
            PathRow::End(end) => {
                let key = (end.target, end.flow, end.round);
                let hops = slots.remove(&end.slot).unwrap_or_default();
                let within = |ttl: u8| end.length == 0 || ttl <= end.length;
                heard.hops.insert(key, hops.into_iter().filter(|(ttl, _)| within(*ttl)).collect());
                assert!(heard.ends.insert(key, end).is_none(), "a path ended twice");
            }
        }
    }
    heard
}

fn plan(flows: u16, rounds: u32, routers: usize) -> TracePlan {
    TracePlan {
        timing: Timing { round_ns: 1000, rounds: Some(rounds), length_ns: None, late_max_ns: None },
        shard: 0,
        shards: 1,
        flows,
        rules: Rules { first_hop: 1, max_hops: 30, gap: 5, window: 1, queries: 1 },
        active_max: 500,
        routers,
    }
}

/// The end of a task on a network.
fn end(net: &Net, task: &Task, now: Nanos) -> (Outcome, bool) {
    let length = net.length(task.target);
    let (verdict, responder) = if task.hop_limit < length {
        match net.router(task.target, task.flow, task.hop_limit) {
            Some(router) => (Verdict::Error { icmp_type: 11, code: 0 }, router),
            None => (Verdict::Lost, task.destination),
        }
    } else if net.is_dead(task.target) {
        (Verdict::Lost, task.destination)
    } else {
        (Verdict::Answered, task.destination)
    };
    let outcome = Outcome {
        at: now,
        rtt_ns: 10,
        target: task.target,
        destination: task.destination,
        responder,
        seq: task.seq,
        error_ns: 0,
        size: 32,
        flow: task.flow,
        verdict,
        hop_limit: task.hop_limit,
        reply_hop_limit: 64 - (length - 1),
        stamp_source: StampSource::Virtual,
        marks: Marks::default(),
    };
    (outcome, verdict != Verdict::Lost)
}

fn arrival(outcome: &Outcome) -> Arrival<'static> {
    let kind = match outcome.verdict {
        Verdict::Error { icmp_type, code } => Kind::Error { icmp_type, code },
        _ => Kind::EchoReply,
    };
    Arrival {
        kind,
        responder: outcome.responder,
        destination: outcome.destination,
        identifier: 0,
        sequence: 0,
        evidence: None,
        integrity: Integrity::Good,
        hop_limit: outcome.reply_hop_limit,
        traffic_class: 0,
        stamp: Stamp::default(),
        quoted: Quoted { hop_limit: 1, ..Quoted::default() },
        packet: &[],
    }
}

/// Runs to the end, or stops after so many probes; answers come in random order.
fn run(plan: &TracePlan, net: impl Fn(u32) -> Net, targets: u64, stop_after: usize) -> Heard {
    let mut trace = Trace::new(plan, Line(targets), Reader::default(), Vec::new());
    trace.begin(Nanos(100));
    let mut under_way: Vec<Task> = Vec::new();
    let (mut now, mut sent, mut random) = (100, 0, 1u64);
    loop {
        now += 1000;
        trace.breathe(Nanos(now));
        while trace.due().is_some_and(|due| due <= Nanos(now)) {
            let Some(task) = trace.take() else { break };
            under_way.push(task);
            sent += 1;
            if sent == stop_after {
                trace.stop();
            }
        }
        if under_way.is_empty() {
            if trace.due().is_none() {
                break;
            }
            continue;
        }
        for _ in 0..under_way.len().div_ceil(2) {
            random = mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let task = under_way.swap_remove(random as usize % under_way.len());
            let (outcome, answered) = end(&net(task.seq), &task, Nanos(now));
            trace.on_end(&outcome, answered.then(|| arrival(&outcome)).as_ref());
        }
    }
    let heard = hear(trace.witness());
    assert_eq!(heard.probes, sent, "each probe is heard of once");
    heard
}

fn assert_right(heard: &Heard, net: impl Fn(u32) -> Net) -> usize {
    let mut wrong = 0;
    for (&(target, flow, round), hops) in &heard.hops {
        let net = net(round);
        let end = heard.ends[&(target, flow, round)];
        let length = net.length(target.into());
        let mut expected: BTreeMap<u8, Addr> =
            (1..length).filter_map(|hop| Some((hop, net.router(target.into(), flow, hop)?))).collect();
        if net.is_dead(target.into()) {
            assert!(!end.reached && end.length == 0);
        } else {
            assert!(end.reached && end.length == length, "{end:?}");
            expected.insert(length, Line(1).address(target.into()));
        }
        assert!(end.complete);
        wrong += usize::from(*hops != expected);
    }
    wrong
}

#[test]
fn every_path_is_right_and_shared_hops_are_not_asked() {
    let net = Net { seed: 1, balanced: false, silent: true, dead: true };
    let asked = run(&plan(1, 1, 0), |_| net, 5000, usize::MAX);
    assert_eq!((asked.hops.len(), asked.shared), (5000, 0));
    assert_eq!(assert_right(&asked, |_| net), 0);
    let shared = run(&plan(1, 1, 10_000), |_| net, 5000, usize::MAX);
    assert_eq!(assert_right(&shared, |_| net), 0);
    // Where the end of dead targets is looked for depends on what was found before, so the two differ a little.
    assert!(shared.probes + shared.shared * 9 / 10 <= asked.probes, "{} {}", shared.probes, asked.probes);
    assert!(shared.shared > 5000, "{}", shared.shared);
}

#[test]
fn balancing_routers_do_not_make_paths_of_others() {
    let net = Net { seed: 9, balanced: true, silent: false, dead: false };
    let heard = run(&plan(2, 1, 10_000), |_| net, 5000, usize::MAX);
    assert_eq!(heard.hops.len(), 10_000);
    assert_eq!(assert_right(&heard, |_| net), 0);
    assert!(heard.shared > 5000, "{}", heard.shared);
}

#[test]
fn further_rounds_cost_less_and_follow_changes() {
    let net =
        |round: u32| Net { seed: if round < 2 { 3 } else { 4 }, balanced: false, silent: false, dead: true };
    // Rounds far apart: each begins when the last one's paths are known.
    let plan = |flows, rounds, routers| {
        let plan = plan(flows, rounds, routers);
        TracePlan { timing: Timing { round_ns: 10_000_000, ..plan.timing }, ..plan }
    };
    let heard = run(&plan(1, 4, 0), net, 500, usize::MAX);
    assert_eq!(heard.hops.len(), 2000);
    assert_eq!(assert_right(&heard, net), 0);
    let one = run(&plan(1, 1, 0), net, 500, usize::MAX);
    let two = run(&plan(1, 2, 0), |_| net(0), 500, usize::MAX);
    let (first, second) = (one.probes, two.probes - one.probes);
    assert!(second + 450 <= first, "the second round found every living end at once: {first}, {second}");
}

#[test]
fn when_stopped_every_path_that_began_ends() {
    let net = Net { seed: 5, balanced: false, silent: true, dead: true };
    for stop_after in [1, 10, 777] {
        let heard = run(&plan(1, 1, 1000), |_| net, 1000, stop_after);
        assert!(heard.probes <= stop_after + 1);
        assert!(heard.ends.values().any(|end| !end.complete));
    }
}

proptest! {
    /// Shards share the paths, whatever their number, the flows and the rounds.
    #[test]
    fn shards_trace_every_path_once(shards in 1u16..5, flows in 1u16..4, rounds in 1u32..3, targets in 1u64..40) {
        let net = Net { seed: 6, balanced: true, silent: true, dead: true };
        let mut paths = 0;
        for shard in 0..shards {
            let plan = TracePlan { shard, shards, ..plan(flows, rounds, 0) };
            let heard = run(&plan, |_| net, targets, usize::MAX);
            assert_right(&heard, |_| net);
            paths += heard.hops.len() as u64;
        }
        prop_assert_eq!(paths, targets * u64::from(flows) * u64::from(rounds));
    }
}
