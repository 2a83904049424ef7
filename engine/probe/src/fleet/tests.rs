use std::collections::BTreeMap;
use std::sync::Arc;

use megaping_wire::Addr;
use proptest::prelude::*;

use super::*;

const UNIX_OFFSET_NS: u64 = 1_750_000_000_123_456_789;
const SECOND: u64 = 1_000_000_000;

fn addresses(count: u32) -> Arc<[Addr]> {
    (0..count).map(|index| Addr::v4((0x0a00_0000 + index).to_be_bytes())).collect()
}

fn plan(slot: u32, interval_ns: u64, targets: u32) -> CirclePlan {
    CirclePlan {
        slot,
        class: Class { payload_len: 24 + slot as u16, traffic_class: 0, timeout_ns: SECOND },
        interval_ns,
        hop_limit: 64,
        flows: 1,
        share: Share::ALL,
        rounds: None,
        seed: slot.into(),
        targets: addresses(targets),
    }
}

fn start(fleet: &mut Fleet, plan: &CirclePlan, shards: (u16, u16), now: u64) {
    fleet.start(Box::new(Circle::new(plan.clone(), shards.0, shards.1)), Nanos(now));
}

/// Takes everything that is due before `until`, and says whether each was shed.
fn take(fleet: &mut Fleet, until: u64) -> Vec<(Task, bool)> {
    let mut taken = Vec::new();
    while fleet.due().is_some_and(|due| due < Nanos(until)) {
        let shed = fleet.is_shed();
        taken.push((fleet.take().expect("it is due"), shed));
    }
    taken
}

#[test]
fn every_target_has_its_turn_in_each_interval_and_in_order_of_time() {
    let mut fleet = Fleet::new(UNIX_OFFSET_NS);
    fleet.begin(Nanos(0));
    let begun = 5 * SECOND;
    start(&mut fleet, &plan(0, SECOND, 100), (0, 1), begun);
    start(&mut fleet, &plan(3, 3 * SECOND, 50), (0, 1), begun);
    let taken = take(&mut fleet, begun + 6 * SECOND);
    assert!(taken.windows(2).all(|pair| pair[0].0.due <= pair[1].0.due));
    let mut counts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (task, shed) in &taken {
        assert!(!shed);
        counts.entry(task.target).or_default().push(task.due.0);
        assert_eq!(fleet.class(task.target, Class::default()).payload_len, 24 + (task.target >> 32) as u16);
    }
    assert_eq!(counts.len(), 150);
    for (target, dues) in counts {
        let interval_ns = if target >> 32 == 0 { SECOND } else { 3 * SECOND };
        assert_eq!(dues.len() as u64, 6 * SECOND / interval_ns, "target {target:x}");
        assert!(dues.windows(2).all(|pair| pair[1] - pair[0] == interval_ns), "{dues:?}");
    }
}

#[test]
fn what_comes_and_goes_beside_a_target_does_not_move_it_and_neither_does_a_restart() {
    let quiet = plan(1, SECOND, 40);
    let dues = |taken: Vec<(Task, bool)>| -> Vec<(u64, u64)> {
        let ours = taken.into_iter().filter(|(task, _)| task.target >> 32 == 1);
        ours.map(|(task, _)| (task.target, task.due.0)).collect()
    };
    let mut alone = Fleet::new(UNIX_OFFSET_NS);
    start(&mut alone, &quiet, (0, 1), 0);
    let expected = dues(take(&mut alone, 4 * SECOND));

    let mut busy = Fleet::new(UNIX_OFFSET_NS);
    start(&mut busy, &quiet, (0, 1), 0);
    start(&mut busy, &plan(0, SECOND / 7, 300), (0, 1), 0);
    let mut seen = dues(take(&mut busy, SECOND));
    assert!(busy.end(0).is_some() && busy.end(0).is_none());
    start(&mut busy, &plan(2, SECOND / 3, 10), (0, 1), SECOND + 1);
    seen.extend(dues(take(&mut busy, 2 * SECOND)));
    // Another process, whose clock began at another time.
    let mut again = Fleet::new(UNIX_OFFSET_NS + 2 * SECOND);
    start(&mut again, &quiet, (0, 1), 0);
    seen.extend(
        dues(take(&mut again, 2 * SECOND)).into_iter().map(|(target, due)| (target, due + 2 * SECOND)),
    );
    assert_eq!(seen, expected);
}

#[test]
fn a_count_of_rounds_ends_a_measurement_and_an_empty_fleet_waits() {
    let mut fleet = Fleet::new(UNIX_OFFSET_NS);
    fleet.begin(Nanos(0));
    assert_eq!(fleet.due(), Some(Nanos(u64::MAX)), "for a measurement to come");
    start(&mut fleet, &CirclePlan { rounds: Some(3), flows: 2, ..plan(0, SECOND, 10) }, (0, 1), 7);
    let taken = take(&mut fleet, 100 * SECOND);
    assert_eq!(taken.len(), 60);
    assert_eq!(taken.iter().filter(|(task, _)| task.flow == 1).count(), 30);
    assert_eq!(fleet.due(), Some(Nanos(u64::MAX)));
    fleet.stop();
    assert_eq!(fleet.due(), None);
}

#[test]
fn what_is_later_than_a_round_is_skipped_and_the_rest_is_not() {
    let mut fleet = Fleet::new(UNIX_OFFSET_NS);
    start(&mut fleet, &plan(0, SECOND, 100), (0, 1), 0);
    fleet.breathe(Nanos(SECOND / 2));
    assert!(!fleet.is_overdue(fleet.due().unwrap()));
    fleet.breathe(Nanos(5 * SECOND));
    let mut skipped = 0;
    while fleet.is_overdue(fleet.due().unwrap()) {
        fleet.take();
        skipped += 1;
    }
    assert!((470..480).contains(&skipped), "{skipped} of those due in 4.75 s");
}

#[test]
fn one_measurements_lateness_costs_no_other_its_probes() {
    let mut fleet = Fleet::new(UNIX_OFFSET_NS);
    start(&mut fleet, &plan(0, SECOND / 10, 50), (0, 1), 0);
    start(&mut fleet, &plan(1, 10 * SECOND, 1000), (0, 1), 0);
    // A stall of 0.4 s: three rounds of the one, and nothing that the other would call late.
    let now = 4 * SECOND / 10;
    let (mut skipped, mut sent) = ([0, 0], [0, 0]);
    while fleet.due().is_some_and(|due| due <= Nanos(now)) {
        fleet.breathe(Nanos(now));
        let overdue = fleet.is_overdue(fleet.due().unwrap());
        let task = fleet.take().unwrap();
        let counts = if overdue { &mut skipped } else { &mut sent };
        counts[(task.target >> 32) as usize] += 1;
    }
    assert!(skipped[0] > 100 && skipped[1] == 0, "{skipped:?} {sent:?}");
    assert!(sent[1] >= 25, "{sent:?}");
}

proptest! {
    /// Shards share the targets out, each has its own, and of a tenant's probes its share leaves, within two of a hundred.
    #[test]
    fn shards_share_and_shed(targets in 1u32..400, shards in 1u16..5, percent in 0u32..=100, flows in 1u16..4) {
        let share = Share::of(percent.into(), 100.0);
        let plan = CirclePlan { flows, share, ..plan(2, SECOND, targets) };
        let mut seen: BTreeMap<(u64, u16), u32> = BTreeMap::new();
        let (mut all, mut admitted) = (0u32, 0u32);
        for shard in 0..shards {
            let mut fleet = Fleet::new(UNIX_OFFSET_NS);
            start(&mut fleet, &plan, (shard, shards), 0);
            for (task, shed) in take(&mut fleet, 10 * SECOND) {
                *seen.entry((task.target, task.flow)).or_default() += 1;
                all += 1;
                admitted += u32::from(!shed);
            }
        }
        prop_assert_eq!(seen.len() as u32, targets * u32::from(flows));
        prop_assert!(seen.values().all(|&turns| turns == 10));
        let off = f64::from(admitted) - f64::from(all) * f64::from(percent) / 100.0;
        prop_assert!(off.abs() <= f64::from(all) * 0.02 + 4.0, "{} of {} at {} %", admitted, all, percent);
    }
}
