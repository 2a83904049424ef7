//! Live paths against a network that is a function.

use super::*;
use crate::outcome::{Marks, StampSource, Unsent, Verdict};

const SECOND: u64 = 1_000_000_000;
const RTT_NS: u64 = 12_000_000;

fn plan() -> LivePlan {
    LivePlan { interval_ns: SECOND, rounds: Some(5), first_hop: 1, max_hops: 30, gap: 6, flows: 1 }
}

fn target(n: u8) -> Addr {
    Addr::v4([192, 0, 2, n])
}

/// What the network makes of a probe in a round with a hop limit; none for silence.
type Network = fn(&Task) -> Option<Verdict>;

fn path_of(length: u8, task: &Task) -> Verdict {
    let exceeded = Verdict::Error { icmp_type: 11, code: 0 };
    if task.hop_limit < length { exceeded } else { Verdict::Answered }
}

/// Runs the work to its end on virtual time; all probes with their departures, and all events.
fn run(plan: LivePlan, targets: u8, network: Network) -> (Vec<(u64, Task)>, Vec<HopEvent>) {
    let targets: Vec<Addr> = (0..targets).map(target).collect();
    let mut events = Vec::new();
    let mut live =
        Live::new(plan, &targets, (0, 1), Reader::default(), Arc::default(), |event: &HopEvent| {
            events.push(*event);
        });
    live.begin(Nanos(SECOND));
    let mut sent: Vec<(u64, Task)> = Vec::new();
    let mut open: Vec<(u64, u64, Task, Verdict)> = Vec::new();
    let mut now = SECOND;
    loop {
        open.sort_by_key(|(ends, ..)| *ends);
        let ends = open.first().map(|(ends, ..)| *ends);
        let due = live.due().map(|due| due.0.max(now));
        let Some(next) = [ends, due].into_iter().flatten().min() else { break };
        now = next;
        live.breathe(Nanos(now));
        if Some(now) == ends {
            let (_, left, task, verdict) = open.remove(0);
            live.on_end(&outcome(left, &task, verdict), None);
            continue;
        }
        let task = live.take().expect("it is due");
        sent.push((now, task));
        match network(&task) {
            Some(verdict) => open.push((now + RTT_NS, now, task, verdict)),
            None => open.push((now + SECOND, now, task, Verdict::Lost)),
        }
        assert!(sent.len() < 10_000, "it has no end");
    }
    drop(live);
    (sent, events)
}

fn outcome(at: u64, task: &Task, verdict: Verdict) -> Outcome {
    Outcome {
        at: Nanos(at),
        rtt_ns: RTT_NS,
        target: task.target,
        destination: task.destination,
        responder: task.destination,
        seq: task.seq,
        error_ns: 0,
        size: 32,
        flow: task.flow,
        verdict,
        hop_limit: task.hop_limit,
        reply_hop_limit: 60,
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}

fn hops_of(sent: &[(u64, Task)], round: u32) -> Vec<u8> {
    sent.iter().filter(|(_, task)| task.seq == round).map(|(_, task)| task.hop_limit).collect()
}

#[test]
fn every_round_asks_every_hop_and_none_beyond_the_end() {
    let (sent, events) = run(plan(), 1, |task| Some(path_of(9, task)));
    assert_eq!(sent.len(), events.len());
    let first = hops_of(&sent, 0);
    assert!(first.len() <= 9 + 3 && first.iter().copied().eq(1..=first.len() as u8), "{first:?}");
    for round in 1..5 {
        assert_eq!(hops_of(&sent, round), (1..=9).collect::<Vec<u8>>());
    }
    assert_eq!(sent.last().map(|(_, task)| task.seq), Some(4));
    // A millisecond and more apart, and rounds a second.
    assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1_000_000));
    let begins: Vec<u64> = sent.iter().filter(|(_, task)| task.hop_limit == 1).map(|(at, _)| *at).collect();
    assert_eq!(begins, (1..6).map(|s| s * SECOND).collect::<Vec<_>>());
}

#[test]
fn silence_ends_behind_the_gap_and_answers_extend_the_round() {
    let (sent, _) = run(plan(), 1, |task| if task.hop_limit <= 4 { Some(path_of(99, task)) } else { None });
    for round in 0..5 {
        assert_eq!(hops_of(&sent, round), (1..=10).collect::<Vec<u8>>());
    }
    let (sent, _) = run(LivePlan { rounds: Some(1), ..plan() }, 1, |task| Some(path_of(40, task)));
    assert_eq!(hops_of(&sent, 0), (1..=30).collect::<Vec<u8>>());
}

#[test]
fn a_path_that_changes_is_followed() {
    let longer: Network = |task| Some(path_of(if task.seq < 2 { 5 } else { 8 }, task));
    let (sent, _) = run(plan(), 1, longer);
    assert_eq!(hops_of(&sent, 1), (1..=5).collect::<Vec<u8>>());
    assert!(hops_of(&sent, 2).contains(&8));
    assert_eq!(hops_of(&sent, 4), (1..=8).collect::<Vec<u8>>());
    // The new router at the old end is silent: after some rounds the end is looked for anew.
    let hidden: Network = |task| match (task.seq, task.hop_limit) {
        (0..2, _) => Some(path_of(5, task)),
        (_, 5) => None,
        _ => Some(path_of(8, task)),
    };
    let (sent, _) = run(LivePlan { rounds: Some(9), ..plan() }, 1, hidden);
    assert_eq!(hops_of(&sent, 8), (1..=8).collect::<Vec<u8>>());
}

#[test]
fn an_unreachable_ends_the_path_until_it_is_gone() {
    let network: Network = |task| {
        let unreachable = Verdict::Error { icmp_type: 3, code: 1 };
        if task.seq < 3 && task.hop_limit >= 4 { Some(unreachable) } else { Some(path_of(7, task)) }
    };
    let (sent, _) = run(plan(), 1, network);
    assert_eq!(hops_of(&sent, 2), (1..=4).collect::<Vec<u8>>());
    assert_eq!(hops_of(&sent, 4), (1..=7).collect::<Vec<u8>>());
}

#[test]
fn targets_and_flows_have_their_own_paths_and_turns() {
    let lengths: Network = |task| Some(path_of(3 + task.target as u8 + task.flow as u8, task));
    let (sent, events) = run(LivePlan { flows: 2, ..plan() }, 3, lengths);
    assert_eq!(sent.len(), events.len());
    for target in 0..3u32 {
        for flow in 0..2u16 {
            let of = |event: &&HopEvent| event.target == target && event.flow == flow && event.round == 4;
            let hops: Vec<u8> = events.iter().filter(of).map(|event| event.ttl).collect();
            assert_eq!(hops, (1..=3 + target as u8 + flow as u8).collect::<Vec<u8>>(), "{target} {flow}");
        }
    }
    // Six paths begin a sixth of a second after one another.
    let begins = sent.iter().filter(|(_, task)| task.hop_limit == 1 && task.seq == 1);
    let begins: Vec<u64> = begins.map(|(at, _)| *at).collect();
    assert!(
        begins.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(SECOND / 6) < 20_000_000),
        "{begins:?}"
    );
}

#[test]
fn shards_share_the_targets() {
    let targets: Vec<Addr> = (0..5).map(target).collect();
    for shard in 0..2 {
        let mut live =
            Live::new(plan(), &targets, (shard, 2), Reader::default(), Arc::default(), |_: &HopEvent| {});
        live.begin(Nanos(0));
        let mut seen = Vec::new();
        for _ in 0..30 {
            let task = live.take().unwrap();
            let exceeded = Verdict::Error { icmp_type: 11, code: 0 };
            live.on_end(&outcome(0, &task, exceeded), None);
            assert_eq!(task.destination, targets[task.target as usize]);
            seen.push(task.target);
        }
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.iter().all(|target| target % 2 == u64::from(shard)), "{seen:?}");
    }
}

#[test]
fn while_it_rests_nothing_is_due_and_afterwards_nothing_is_made_up_for() {
    let rests = Arc::new(AtomicBool::new(false));
    let mut live =
        Live::new(plan(), &[target(1)], (0, 1), Reader::default(), Arc::clone(&rests), |_: &HopEvent| {});
    live.begin(Nanos(0));
    while live.due().is_some_and(|due| due.0 < SECOND / 2) {
        let task = live.take().unwrap();
        live.on_end(&outcome(0, &task, path_of(3, &task)), None);
    }
    rests.store(true, Ordering::Relaxed);
    for now in (SECOND..20 * SECOND).step_by(10_000_000) {
        live.breathe(Nanos(now));
        assert!(live.due().unwrap().0 > now);
    }
    rests.store(false, Ordering::Relaxed);
    live.breathe(Nanos(20 * SECOND));
    let mut sent = 0;
    while live.due().is_some_and(|due| due.0 <= 20 * SECOND) {
        let task = live.take().unwrap();
        assert_eq!(task.seq, 1);
        sent += 1;
    }
    assert!(sent <= 1, "{sent} at once");
    let unsent = Verdict::Unsent(Unsent::NoRoute);
    let task = live.take().unwrap();
    live.on_end(&outcome(0, &task, unsent), None);
    live.stop();
    assert_eq!(live.due(), None);
}
