//! Several shards on rings that deliver by the address: what lands on the wrong one is handed over, targets move to
//! where their replies land, and not one probe is lost, doubled or unaccounted for on the way.
//!
//! Time is virtual and shared, every die is seeded. The laws are asserted after each breath of each shard.

mod world;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use megaping::adapter::PacketAdapter;
use megaping::mailbox::{Post, posts};
use megaping::responder;
use megaping::shard::{Board, Shard, Wall};
use megaping_probe::{Core, Craft, Identity, Ledger, Nanos, Ping, PingPlan, Plan, Targets, Timing, Verdict};
use megaping_ring::{FaultCounts, Faults, MemoryConfig, MemoryRing};
use megaping_store::batch::{Lane, lane};
use megaping_wire::Addr;

use world::{FarEnd, Line, Queue, SharedClock, World};

const SECOND: u64 = 1_000_000_000;
const SHARDS: usize = 2;

struct Run {
    targets: u64,
    rounds: u32,
    round_ns: u64,
    movable: bool,
    room: u64,
    faults: Faults,
    lands_on: fn(&Addr) -> usize,
}

#[derive(Default)]
struct Rows {
    total: u64,
    answered: u64,
    // How often each round of each target came out.
    seen: Vec<u8>,
}

impl Rows {
    fn take(&mut self, lane: &Lane, rounds: u32) {
        while let Some(batch) = lane.take() {
            for row in &batch.rows {
                self.total += 1;
                self.answered += u64::from(row.verdict == Verdict::Answered);
                self.seen[(row.target * u64::from(rounds)) as usize + row.seq as usize] += 1;
            }
            lane.give_back(batch);
        }
    }
}

struct End {
    ledger: Ledger,
    world: FaultCounts,
    rows: Rows,
    migrated: u64,
    handed_over: u64,
    // Hand-overs in the second half of the run.
    handed_over_late: u64,
    refused: u64,
}

/// The shards, the store's end of their queues, and when each wants to be woken.
struct Lab {
    shards: Vec<Shard<Queue, Ping<Line>>>,
    lanes: Vec<Arc<Lane>>,
    wakes: Vec<Rc<Cell<u64>>>,
    world: Rc<RefCell<World>>,
    clock: SharedClock,
}

impl Lab {
    fn new(run: &Run) -> Lab {
        let clock = SharedClock(Rc::new(Cell::new(SECOND)));
        let wire = |seed: usize| {
            let config = MemoryConfig { mtu: 128, capacity: 1 << 16, faults: run.faults, seed: seed as u64 };
            let ring = MemoryRing::new(clock.clone(), responder::echo as FarEnd, &config);
            PacketAdapter::new(ring, Craft::new(b"fill"))
        };
        let queues = vec![VecDeque::new(); SHARDS];
        let world = World { wires: (0..SHARDS).map(wire).collect(), queues, lands_on: run.lands_on };
        let world = Rc::new(RefCell::new(world));
        let mut lab = Lab { shards: vec![], lanes: vec![], wakes: vec![], world, clock };
        posts(&[run.room; SHARDS])
            .into_iter()
            .enumerate()
            .for_each(|(index, post)| lab.add(run, index, post));
        lab
    }

    fn add(&mut self, run: &Run, index: usize, post: Post) {
        let rate_pps = run.targets as f64 * SECOND as f64 / run.round_ns as f64;
        let plan = Plan {
            pace_pps: rate_pps * 1.25 / SHARDS as f64,
            burst_max: 256,
            timeout_ns: SECOND / 10,
            in_flight_max: (rate_pps / 10.0) as usize + 1024,
            sources: [Addr::v4([192, 0, 2, 1]), Addr::UNSPECIFIED],
            payload_len: 32,
            traffic_class: 0,
        };
        let (round_ns, rounds) = (run.round_ns.into(), Some(run.rounds));
        let ping = PingPlan {
            timing: Timing { round_ns, rounds, length_ns: None, late_max_ns: None },
            shard: index as u16,
            shards: SHARDS as u16,
            movable: run.movable,
            hop_limit: 64,
            flow: 0,
        };
        let wakes = Rc::new(Cell::new(0));
        let (world, clock) = (Rc::clone(&self.world), self.clock.clone());
        let queue = Queue { world, index, clock, wakes: Rc::clone(&wakes) };
        let identity = Identity::new(1, index as u16, [3; 16]);
        let core = Core::new(plan, Ping::new(&ping, Line(run.targets)), identity);
        let (desk, lane) = lane(index as u16, plan.in_flight_max * 2);
        let shard = Shard::new(queue, core, desk, Arc::new(Board::default()), Wall::Fixed(0));
        self.shards.push(shard.with_post(post));
        self.lanes.push(lane);
        self.wakes.push(wakes);
    }

    fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for shard in &self.shards {
            sum.add(shard.core().ledger());
        }
        sum
    }

    fn count(&self, of: fn(&Post) -> u64) -> u64 {
        self.shards.iter().filter_map(Shard::post).map(of).sum()
    }

    fn handed_over(&self) -> u64 {
        self.count(|post| post.counts().handed_over)
    }

    fn assert_laws(&self, rows: &Rows) {
        let (counts, on_the_way) = (self.world.borrow().counts(), self.world.borrow().on_the_way());
        assert_eq!(counts.answered - counts.lost + counts.duplicated, counts.delivered + on_the_way);
        assert!(self.shards.iter().all(|shard| shard.core().ledger().balances()));
        let waiting: usize = self.shards.iter().map(Shard::waiting).sum();
        assert_eq!(self.ledger().ended(), rows.total + waiting as u64);
    }
}

fn simulate(run: &Run) -> End {
    let mut lab = Lab::new(run);
    let mut rows = Rows { seen: vec![0; (run.targets * u64::from(run.rounds)) as usize], ..Rows::default() };
    let half = SECOND + run.round_ns * u64::from(run.rounds) / 2;
    let mut alive = [true; SHARDS];
    let mut by_half = 0;
    for shard in &mut lab.shards {
        shard.begin(Nanos(SECOND));
    }
    while let Some(next) =
        (0..SHARDS).filter(|&shard| alive[shard]).min_by_key(|&shard| lab.wakes[shard].get())
    {
        let clock = &lab.clock.0;
        clock.set(clock.get().max(lab.wakes[next].get()));
        lab.wakes[next].set(clock.get());
        alive[next] = lab.shards[next].step().expect("a memory ring does not die");
        rows.take(&lab.lanes[next], run.rounds);
        lab.assert_laws(&rows);
        if lab.clock.0.get() < half {
            by_half = lab.handed_over();
        }
    }
    for (shard, lane) in lab.shards.iter_mut().zip(&lab.lanes) {
        shard.finish();
        rows.take(lane, run.rounds);
    }
    let world = lab.world.borrow().counts();
    End {
        ledger: lab.ledger(),
        world,
        rows,
        migrated: lab.count(|post| post.counts().migrated),
        handed_over: lab.handed_over(),
        handed_over_late: lab.handed_over() - by_half,
        refused: lab.count(Post::refused),
    }
}

fn hashed(address: &Addr) -> usize {
    (address.to_bits() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 63
}

/// Every probe has its one row, and the ledger says what the world did.
fn assert_exact(run: &Run, end: &End) {
    let End { ledger, world, rows, .. } = end;
    assert!(rows.seen.iter().all(|&count| count == 1), "a round of a target is missing or came twice");
    assert_eq!(ledger.scheduled, run.targets * u64::from(run.rounds));
    assert_eq!((ledger.sent, ledger.unsent_total()), (world.requests, 0));
    assert_eq!(ledger.answered, world.answered - world.lost);
    assert_eq!((ledger.answered, ledger.duplicates), (rows.answered, world.duplicated));
    assert_eq!((ledger.late, ledger.invalid, ledger.foreign, ledger.in_flight, end.refused), (0, 0, 0, 0, 0));
}

#[test]
fn targets_move_to_where_their_replies_land_and_hand_overs_die_out() {
    let run = Run {
        targets: 20_000,
        rounds: 12,
        round_ns: SECOND / 5,
        movable: true,
        room: 5_000,
        faults: Faults {
            loss: 30_000,
            duplicate: 10_000,
            delay_ns: 20_000_000,
            jitter_ns: 9_000_000,
            ..Faults::default()
        },
        lands_on: hashed,
    };
    let end = simulate(&run);
    assert_exact(&run, &end);
    // Each target whose replies land elsewhere moves, and moves once.
    let line = Line(run.targets);
    let astray =
        (0..run.targets).filter(|&turn| hashed(&line.address(line.index(turn))) != turn as usize % SHARDS);
    assert_eq!(end.migrated, astray.count() as u64);
    assert!(end.migrated > 9_000 && end.handed_over >= end.migrated);
    assert!(
        end.handed_over < end.migrated * 11 / 10,
        "{} letters for {} targets",
        end.handed_over,
        end.migrated
    );
    assert_eq!(end.handed_over_late, 0);
}

#[test]
fn a_shard_takes_on_no_more_than_it_has_room_for_and_the_rest_is_handed_over() {
    let run = Run {
        targets: 2_000,
        rounds: 10,
        round_ns: SECOND / 10,
        movable: true,
        room: 300,
        faults: Faults { delay_ns: 5_000_000, jitter_ns: 90_000_000, ..Faults::default() },
        lands_on: |_| 0,
    };
    let end = simulate(&run);
    assert_exact(&run, &end);
    assert_eq!(end.migrated, 300);
    assert!(end.handed_over > 6_000);
}

#[test]
fn one_round_is_handed_over_and_nothing_that_arrives_in_the_last_moment_is_lost() {
    let run = Run {
        targets: 100_000,
        rounds: 1,
        round_ns: SECOND / 2,
        movable: false,
        room: 0,
        // The timeout is 100 ms, and shards breathe every 200 us or so.
        faults: Faults { delay_ns: 80_000_000, jitter_ns: 19_990_000, ..Faults::default() },
        lands_on: |_| 0,
    };
    let end = simulate(&run);
    assert_exact(&run, &end);
    assert_eq!((end.migrated, end.handed_over), (0, 50_000));
    assert_eq!(end.ledger.lost, 0);
}
