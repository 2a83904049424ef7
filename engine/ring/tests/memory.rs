//! The memory ring keeps the laws that `FaultCounts` states, whatever the faults and however it is driven.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use megaping_ring::{
    FaultCounts, Faults, Layer, MemoryConfig, MemoryRing, Monotonic, Outgoing, PacketRing, Responder,
    TakenBy, Virtual,
};
use proptest::prelude::*;

const HEADER: usize = 8;
const LEN: usize = 24;

/// A packet is a family nibble, its token, and bytes that follow from the token.
fn render(token: u64, buffer: &mut [u8]) -> Outgoing {
    buffer[0] = if token.is_multiple_of(2) { 0x45 } else { 0x60 };
    buffer[1..HEADER].copy_from_slice(&token.to_be_bytes()[1..]);
    buffer[HEADER..LEN].fill(token as u8);
    let destination = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Outgoing { token, destination, hop_limit: 64, traffic_class: 0, len: LEN as u16 }
}

fn token_of(bytes: &[u8]) -> u64 {
    bytes[1..HEADER].iter().fold(0, |token, &byte| token << 8 | u64::from(byte))
}

/// Echoes everything but every seventh.
fn far_end(request: &[u8], reply: &mut [u8]) -> Option<usize> {
    reply[..request.len()].copy_from_slice(request);
    (!token_of(request).is_multiple_of(7)).then_some(request.len())
}

/// What a prober sees of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    sent: u64,
    departed: u64,
    /// Good copies by token.
    good: HashMap<u64, u64>,
    corrupt: u64,
    /// Tokens and stamps in the order of arrival.
    order: Vec<(u64, u64)>,
}

fn config(faults: Faults, capacity: u32, seed: u64) -> MemoryConfig {
    MemoryConfig { mtu: 64, capacity, faults, seed }
}

/// Sends `count` packets, in breaths of at most `quota`, and waits for everything that is to come.
fn run<R: Responder>(ring: &mut MemoryRing<Virtual, R>, count: u64, quota: u32) -> Seen {
    let mut seen = Seen::default();
    let mut idle = 0;
    while idle < 2 {
        let fill = |buffer: &mut [u8]| {
            (seen.sent < count).then(|| {
                seen.sent += 1;
                render(seen.sent - 1, buffer)
            })
        };
        let mut moved = ring.send(quota, fill).expect("memory never fails");
        moved += ring
            .reap(quota, |departure| {
                assert_eq!(departure.token, seen.departed, "departures come in the order taken");
                assert!(departure.result.is_ok_and(|stamp| stamp.taken_by == TakenBy::Virtual));
                seen.departed += 1;
            })
            .expect("memory never fails");
        let now_ns = ring.now_ns();
        moved += ring
            .recv(quota, |incoming| {
                assert!(incoming.stamp.at_ns <= now_ns + 1_000, "nothing comes before it is due");
                let token = token_of(incoming.bytes);
                assert_eq!(incoming.layer, if token.is_multiple_of(2) { Layer::Ipv4 } else { Layer::Ipv6 });
                seen.order.push((token, incoming.stamp.at_ns));
                if incoming.bytes[HEADER..].iter().all(|&byte| byte == token as u8) {
                    *seen.good.entry(token).or_default() += 1;
                } else {
                    seen.corrupt += 1;
                }
            })
            .expect("memory never fails");
        check_laws(ring.fault_counts(), ring.in_flight() as u64, None);
        idle = if moved == 0 && ring.in_flight() == 0 { idle + 1 } else { 0 };
        ring.park(now_ns + 1_000_000, true).expect("memory never fails");
    }
    seen
}

fn check_laws(counts: FaultCounts, in_flight: u64, seen: Option<&Seen>) {
    assert!(counts.answered <= counts.requests && counts.lost + counts.corrupted <= counts.answered);
    assert_eq!(counts.answered - counts.lost + counts.duplicated, counts.delivered + in_flight);
    assert!(counts.duplicated_corrupt <= counts.duplicated.min(counts.corrupted));
    let Some(seen) = seen else { return };
    assert_eq!(counts.requests, seen.sent);
    assert_eq!(counts.requests, seen.departed);
    assert_eq!(counts.requests - counts.answered, counts.requests.div_ceil(7), "silent");
    assert_eq!(counts.answered - counts.lost - counts.corrupted, seen.good.len() as u64, "good replies");
    let duplicates: u64 = seen.good.values().map(|copies| copies - 1).sum();
    assert_eq!(counts.duplicated - counts.duplicated_corrupt, duplicates);
    assert_eq!(counts.corrupted + counts.duplicated_corrupt, seen.corrupt);
}

#[test]
fn a_perfect_way_returns_everything_once_in_order() {
    let mut ring = MemoryRing::new(Virtual::new(0, 10), far_end, &config(Faults::default(), 64, 1));
    let seen = run(&mut ring, 10_000, 32);
    check_laws(ring.fault_counts(), 0, Some(&seen));
    assert_eq!(seen.corrupt, 0);
    assert!(seen.order.is_sorted());
    assert_eq!(seen.order.len(), 10_000 - 1_429);
}

const ALL_FAULTS: Faults = Faults {
    loss: 50_000,
    duplicate: 20_000,
    corrupt: 10_000,
    corrupt_from: HEADER,
    reorder: 30_000,
    reorder_hold_ns: 40_000,
    delay_ns: 100_000,
    jitter_ns: 5_000,
};

#[test]
fn faults_come_as_often_as_asked_and_reorder_for_real() {
    let mut ring = MemoryRing::new(Virtual::new(0, 10), far_end, &config(ALL_FAULTS, 4_096, 3));
    let seen = run(&mut ring, 200_000, 64);
    let counts = ring.fault_counts();
    check_laws(counts, 0, Some(&seen));
    let near = |count: u64, of: u64, per_million: u64| {
        let expected = of * per_million / 1_000_000;
        assert!(count.abs_diff(expected) < expected / 10, "{count} where {expected} are expected");
    };
    near(counts.lost, counts.answered, 50_000);
    let survived = counts.answered - counts.lost;
    near(counts.duplicated, survived, 20_000);
    near(counts.corrupted, survived, 10_000);
    near(counts.reordered, survived, 30_000);
    assert!(!seen.order.is_sorted_by_key(|(token, _)| *token), "some overtook others");
    assert!(seen.order.is_sorted_by_key(|(_, at_ns)| *at_ns), "and yet each came at its time");
}

#[test]
fn the_same_seed_makes_the_same_world_and_another_seed_another() {
    let world = |seed| {
        let mut ring = MemoryRing::new(Virtual::new(0, 10), far_end, &config(ALL_FAULTS, 512, seed));
        (run(&mut ring, 20_000, 16), ring.fault_counts())
    };
    assert_eq!(world(7), world(7));
    assert_ne!(world(7).0.order, world(8).0.order);
}

#[test]
fn a_full_way_takes_nothing_and_loses_nothing() {
    let faults = Faults { delay_ns: 1_000_000, duplicate: 1_000_000, ..Faults::default() };
    let mut ring = MemoryRing::new(
        Virtual::new(0, 0),
        |request: &[u8], reply: &mut [u8]| {
            reply[..request.len()].copy_from_slice(request);
            Some(request.len())
        },
        &config(faults, 7, 1),
    );
    let mut next = 0;
    let mut fill = |buffer: &mut [u8]| {
        next += 1;
        Some(render(next, buffer))
    };
    assert_eq!(
        ring.send(100, &mut fill).ok(),
        Some(3),
        "seven buffers are three packets and their duplicates"
    );
    assert_eq!(ring.send(100, &mut fill).ok(), Some(0));
    assert_eq!(ring.counters().tx_full, 2);
    assert_eq!(ring.recv(100, |_| panic!("nothing is due")).ok(), Some(0));
    ring.park(5_000_000, true).expect("memory never fails");
    assert_eq!(ring.now_ns(), 1_000_000, "parked until the next arrival, not longer");
    assert_eq!(ring.recv(100, |_| ()).ok(), Some(6));
    assert_eq!(ring.send(100, &mut fill).ok(), Some(3));
    ring.abandon();
    assert_eq!(ring.reap(2, |_| ()).ok(), Some(2), "quotas hold");
    assert_eq!(ring.reap(100, |departure| assert!(departure.result.is_ok())).ok(), Some(4));
    assert_eq!(next, 6, "no packet was asked for that could not be taken");
}

#[test]
fn departures_that_nobody_reaps_stop_the_sending() {
    let mut ring =
        MemoryRing::new(Virtual::new(0, 0), |_: &[u8], _: &mut [u8]| None, &config(Faults::default(), 4, 1));
    assert_eq!(ring.send(100, |buffer| Some(render(1, buffer))).ok(), Some(4));
    assert_eq!(ring.send(100, |buffer| Some(render(1, buffer))).ok(), Some(0));
    assert_eq!(ring.reap(100, |_| ()).ok(), Some(4));
    assert_eq!(ring.send(100, |buffer| Some(render(1, buffer))).ok(), Some(4));
}

#[test]
fn corruption_spares_what_it_must() {
    let faults = Faults { corrupt: 1_000_000, corrupt_from: LEN, ..Faults::default() };
    let mut ring = MemoryRing::new(Virtual::new(0, 1), far_end, &config(faults, 64, 1));
    let seen = run(&mut ring, 1_000, 8);
    assert_eq!((seen.corrupt, ring.fault_counts().corrupted), (0, 0), "no byte may be harmed, so none is");
    let faults = Faults { corrupt_from: LEN - 1, ..faults };
    let mut ring = MemoryRing::new(Virtual::new(0, 1), far_end, &config(faults, 64, 1));
    let seen = run(&mut ring, 1_000, 8);
    assert_eq!((seen.good.len(), seen.corrupt), (0, 857), "every reply has its one flipped bit");
}

#[test]
fn a_live_clock_delays_for_real() {
    let faults = Faults { delay_ns: 2_000_000, ..Faults::default() };
    let mut ring = MemoryRing::new(Monotonic, far_end, &config(faults, 64, 1));
    assert_eq!(ring.send(1, |buffer| Some(render(1, buffer))).ok(), Some(1));
    let mut left_ns = 0;
    let reap =
        |departure: megaping_ring::Departure| left_ns = departure.result.map_or(0, |stamp| stamp.at_ns);
    assert_eq!(ring.reap(1, reap).ok(), Some(1));
    let until_ns = ring.now_ns() + 1_000_000_000;
    ring.park(until_ns, true).expect("memory never fails");
    let now_ns = ring.now_ns();
    assert!(now_ns >= left_ns + 2_000_000 && now_ns < until_ns);
    let mut rtt_ns = 0;
    assert_eq!(ring.recv(1, |incoming| rtt_ns = incoming.stamp.at_ns - left_ns).ok(), Some(1));
    assert_eq!(rtt_ns, 2_000_000);
}

fn any_faults() -> impl Strategy<Value = Faults> {
    let chance = || prop_oneof![Just(0u32), Just(1_000_000), 0..1_000_000u32];
    let time = || prop_oneof![Just(0u64), 0..1_000_000u64];
    (chance(), chance(), chance(), HEADER..LEN + 4, chance(), time(), time(), time()).prop_map(
        |(loss, duplicate, corrupt, corrupt_from, reorder, reorder_hold_ns, delay_ns, jitter_ns)| Faults {
            loss,
            duplicate,
            corrupt,
            corrupt_from,
            reorder,
            reorder_hold_ns,
            delay_ns,
            jitter_ns,
        },
    )
}

proptest! {
    #[test]
    fn the_laws_hold_for_every_world(
        faults in any_faults(),
        capacity in 1..200u32,
        seed: u64,
        quota in 1..64u32,
        step_ns in 0..1_000u64,
    ) {
        let mut ring = MemoryRing::new(Virtual::new(0, step_ns), far_end, &config(faults, capacity, seed));
        let seen = run(&mut ring, 1_500, quota);
        prop_assert_eq!(seen.sent, 1_500);
        check_laws(ring.fault_counts(), ring.in_flight() as u64, Some(&seen));
    }
}
