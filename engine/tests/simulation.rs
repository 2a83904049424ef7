//! Ten million probes through the whole shard, over a simulated network with every fault on.
//!
//! Time is virtual and every die is seeded, so a failure comes back. The three laws are asserted after each
//! breath, and at the end the ledger equals what the world says it did.

use std::sync::Arc;

use megaping::adapter::PacketAdapter;
use megaping::responder;
use megaping::shard::{Board, Shard, Wall};
use megaping_probe::{
    Core, Craft, Identity, Ledger, Nanos, Outcome, Ping, PingPlan, Plan, Targets, Timing, Verdict,
};
use megaping_ring::{FaultCounts, Faults, MemoryConfig, MemoryRing, Virtual};
use megaping_store::batch::{Lane, lane};
use megaping_wire::Addr;

const SECOND: u64 = 1_000_000_000;

/// Half IPv4, half IPv6.
struct Mixed(u64);

impl Targets for Mixed {
    fn len(&self) -> u64 {
        self.0
    }
    fn index(&self, turn: u64) -> u64 {
        turn
    }
    fn turn(&self, index: u64) -> u64 {
        index
    }
    fn address(&self, turn: u64) -> Addr {
        let low = turn as u32;
        if turn.is_multiple_of(2) {
            Addr::v4((0x0a00_0000 | low).to_be_bytes())
        } else {
            Addr::from_bits(0xfd00 << 112 | u128::from(low))
        }
    }
}

/// One host in fifty is dead.
fn is_dead(destination: &[u8]) -> bool {
    destination.last().is_some_and(|last| last % 50 == 7)
}

fn far_end(request: &[u8], reply: &mut [u8]) -> Option<usize> {
    let destination = if request[0] >> 4 == 4 { &request[16..20] } else { &request[24..40] };
    if is_dead(destination) { None } else { responder::echo(request, reply) }
}

struct Run {
    targets: u64,
    rounds: u32,
    round_ns: u64,
    timeout_ns: u64,
    faults: Faults,
}

/// What came out of the lane, counted apart from the ledger.
#[derive(Default)]
struct Rows {
    answered: u64,
    lost: u64,
    unsent: u64,
    wrong_rtt: u64,
}

impl Rows {
    fn take(&mut self, lane: &Lane, shortest_ns: u64, longest_ns: u64) {
        while let Some(batch) = lane.take() {
            for row in &batch.rows {
                self.count(row, shortest_ns, longest_ns);
            }
            lane.give_back(batch);
        }
    }

    fn count(&mut self, row: &Outcome, shortest_ns: u64, longest_ns: u64) {
        match row.verdict {
            Verdict::Answered => {
                self.answered += 1;
                self.wrong_rtt += u64::from(!(shortest_ns..=longest_ns).contains(&row.rtt_ns));
            }
            Verdict::Lost => self.lost += 1,
            Verdict::Unsent(_) => self.unsent += 1,
            Verdict::Error { .. } => unreachable!("nobody in this world sends errors"),
        }
    }

    fn total(&self) -> u64 {
        self.answered + self.lost + self.unsent
    }
}

fn simulate(run: &Run) -> (Ledger, FaultCounts, Rows, u64) {
    let rate_pps = run.targets as f64 * SECOND as f64 / run.round_ns as f64;
    let in_flight_max = (rate_pps * run.timeout_ns as f64 / SECOND as f64 * 1.1) as usize + 1024;
    let timing = Timing {
        round_ns: run.round_ns.into(),
        rounds: Some(run.rounds),
        length_ns: None,
        late_max_ns: None,
    };
    let ping = PingPlan { timing, shard: 0, shards: 1, movable: false, hop_limit: 64, flow: 3 };
    let plan = Plan {
        pace_pps: rate_pps * 1.25,
        burst_max: 256,
        timeout_ns: run.timeout_ns,
        in_flight_max,
        sources: [Addr::v4([192, 0, 2, 1]), Addr([0x20; 16])],
        payload_len: 32,
        traffic_class: 0,
    };
    let memory = MemoryConfig { mtu: 128, capacity: 1 << 17, faults: run.faults, seed: 42 };
    let ring = MemoryRing::new(Virtual::new(SECOND, 100), far_end, &memory);
    let core = Core::new(plan, Ping::new(&ping, Mixed(run.targets)), Identity::new(0, 0, [5; 16]));
    let (desk, lane) = lane(0, in_flight_max.next_power_of_two());
    let adapter = PacketAdapter::new(ring, Craft::new(b"fill fill"));
    let mut shard = Shard::new(adapter, core, desk, Arc::new(Board::default()), Wall::Fixed(0));

    shard.begin(Nanos(SECOND));
    let mut rows = Rows::default();
    let (shortest_ns, longest_ns) = (run.faults.delay_ns, run.timeout_ns);
    loop {
        let alive = shard.step().expect("a memory ring does not die");
        let (ledger, world) = (*shard.core().ledger(), shard.ring().ring().fault_counts());
        let on_the_way = shard.ring().ring().in_flight() as u64;
        // frames: what entered the way has left it or is on it
        assert_eq!(world.answered - world.lost + world.duplicated, world.delivered + on_the_way);
        // probes: scheduled = in flight + answered + error + lost + unsent
        assert!(ledger.balances(), "{ledger:?}");
        // outcomes: as many rows as ends, none doubled, none missing
        rows.take(&lane, shortest_ns, longest_ns);
        assert_eq!(ledger.ended(), rows.total() + shard.waiting() as u64);
        if !alive {
            break;
        }
    }
    shard.finish();
    rows.take(&lane, shortest_ns, longest_ns);
    let ring = shard.ring().ring();
    (*shard.core().ledger(), ring.fault_counts(), rows, ring.in_flight() as u64)
}

#[test]
fn ten_million_probes_with_every_fault_and_not_one_unaccounted() {
    let run = Run {
        targets: 100_000,
        rounds: 100,
        round_ns: SECOND / 10,
        timeout_ns: SECOND / 10,
        faults: Faults {
            loss: 20_000,
            duplicate: 10_000,
            corrupt: 10_000,
            corrupt_from: 48,
            reorder: 30_000,
            reorder_hold_ns: 3_000_000,
            delay_ns: 20_000_000,
            jitter_ns: 5_000_000,
        },
    };
    let (ledger, world, rows, on_the_way) = simulate(&run);
    assert_eq!(on_the_way, 0);
    assert_eq!(ledger.scheduled, 10_000_000);
    assert_eq!(ledger.sent, world.requests);
    assert_eq!(ledger.unsent_total(), 0);
    assert_eq!(ledger.answered, world.answered - world.lost - world.corrupted);
    let silent = world.requests - world.answered;
    assert_eq!(ledger.lost, silent + world.lost + world.corrupted);
    assert_eq!(ledger.invalid, world.corrupted + world.duplicated_corrupt);
    assert_eq!(ledger.duplicates, world.duplicated - world.duplicated_corrupt);
    assert_eq!((ledger.late, ledger.foreign, ledger.errors, ledger.in_flight), (0, 0, 0, 0));
    assert_eq!((rows.answered, rows.lost, rows.unsent), (ledger.answered, ledger.lost, 0));
    assert_eq!(rows.wrong_rtt, 0);
    assert!(
        world.lost > 100_000 && world.corrupted > 50_000 && world.reordered > 100_000 && silent > 100_000
    );
}

#[test]
fn answers_held_past_the_deadline_are_lost_and_late() {
    let run = Run {
        targets: 1000,
        rounds: 50,
        round_ns: SECOND / 10,
        timeout_ns: 50_000_000,
        faults: Faults {
            reorder: 100_000,
            reorder_hold_ns: 60_000_000,
            delay_ns: 1_000_000,
            ..Faults::default()
        },
    };
    let (ledger, world, rows, on_the_way) = simulate(&run);
    assert_eq!(ledger.scheduled, 50_000);
    assert_eq!(ledger.lost, (world.requests - world.answered) + world.reordered);
    // The last of them may still be held when the run is over.
    assert_eq!(ledger.late + on_the_way, world.reordered);
    assert!(world.reordered > 3000);
    assert_eq!(rows.lost, ledger.lost);
}

/// A perfect, immediate way at a rate beyond what a breath can send: the shard must keep its schedule's limits,
/// and never take its own work for a stall.
#[test]
fn at_full_speed_nothing_is_taken_for_a_stall() {
    let run = Run {
        targets: 1 << 20,
        rounds: 1,
        round_ns: SECOND / 50,
        timeout_ns: SECOND / 2,
        faults: Faults::default(),
    };
    let (ledger, world, _, _) = simulate(&run);
    assert_eq!((ledger.scheduled, ledger.unsent_total()), (1 << 20, 0));
    assert_eq!(ledger.answered, world.answered);
    assert_eq!(ledger.lost, world.requests - world.answered);
}
