use super::*;
use proptest::prelude::*;

fn timing(round_ns: u128, rounds: u32) -> Timing {
    Timing { round_ns, rounds: Some(rounds), length_ns: None, late_max_ns: None }
}

#[test]
fn phases_are_even_and_rounds_keep_them() {
    let mut schedule = Schedule::new(timing(1_000_000, 2), 10, 0, 1);
    let dues: Vec<u64> = std::iter::from_fn(|| schedule.take()).map(|slot| slot.due.0).collect();
    let expected: Vec<u64> = (0..20).map(|k| k * 100_000).collect();
    for (due, expected) in dues.iter().zip(&expected) {
        assert!(due.abs_diff(*expected) <= 1, "{due} is not {expected}");
    }
    assert_eq!(dues.len(), 20);
}

#[test]
fn until_ends_it_and_stop_too() {
    let length_ns = Some(550);
    let mut schedule = Schedule::new(Timing { length_ns, rounds: None, ..timing(1000, 0) }, 10, 0, 1);
    schedule.begin(Nanos(7000));
    assert_eq!(schedule.due(), Some(Nanos(7000)));
    assert_eq!(std::iter::from_fn(|| schedule.take()).count(), 6);
    let mut schedule = Schedule::new(timing(1000, 5), 10, 0, 1);
    schedule.take();
    schedule.stop();
    assert_eq!(schedule.take(), None);
}

#[test]
fn what_is_left_long_after_the_end_is_given_up() {
    let timing = Timing { length_ns: Some(5000), late_max_ns: Some(700), rounds: None, ..timing(1000, 0) };
    let mut schedule = Schedule::new(timing, 10, 0, 1);
    schedule.begin(Nanos(100));
    schedule.breathe(Nanos(5800));
    assert!(schedule.due().is_some());
    schedule.breathe(Nanos(5801));
    assert_eq!(schedule.due(), None);
}

#[test]
fn a_round_may_be_longer_than_any_run() {
    let timing = Timing { rounds: None, ..timing(1 << 70, 0) };
    let mut schedule = Schedule::new(timing, 1 << 48, 1, 2);
    let dues: Vec<u64> = (0..3).filter_map(|_| schedule.take()).map(|slot| slot.due.0).collect();
    assert_eq!(dues, [1 << 22, 3 << 22, 5 << 22]);
}

#[test]
fn what_came_due_in_a_stall_is_overdue_and_the_rest_is_not() {
    let mut schedule = Schedule::new(timing(1_000_000_000, 60), 1, 0, 1);
    schedule.breathe(Nanos(1_000_000_000));
    schedule.breathe(Nanos(1_100_000_000));
    assert!(!schedule.is_overdue(Nanos(1_050_000_000)));
    schedule.breathe(Nanos(5_000_000_000));
    assert!(schedule.is_overdue(Nanos(2_000_000_000)));
    assert!(!schedule.is_overdue(Nanos(1_000_000_000)), "due before the stall");
    assert!(!schedule.is_overdue(Nanos(5_000_000_000)));
}

#[test]
fn a_periodic_schedule_skips_what_is_too_late_and_some_more() {
    let timing = Timing { late_max_ns: Some(400), ..timing(1000, 5) };
    let mut schedule = Schedule::new(timing, 10, 0, 1);
    schedule.breathe(Nanos(400));
    assert!(!schedule.is_overdue(Nanos(0)));
    schedule.breathe(Nanos(401));
    let skipped = (0..50).map(|tenth| tenth * 10).filter(|&due| schedule.is_overdue(Nanos(due))).count();
    assert_eq!(skipped, 30, "what was due before 301 is given up");
}

proptest! {
    /// Every target has its turn in every round exactly once, whatever the number of shards, and no
    /// shard's schedule goes back in time.
    #[test]
    fn shards_share_the_turns(
        targets in 1u64..300,
        shards in 1u64..9,
        rounds in 1u32..4,
        round_ns in 1u128..1_000_000,
        movable: bool,
    ) {
        let make = if movable { Schedule::movable } else { Schedule::new };
        let mut seen = vec![0u32; targets as usize * rounds as usize];
        for shard in 0..shards {
            let mut schedule = make(timing(round_ns, rounds), targets, shard, shards);
            let mut last = Nanos(0);
            while let Some(slot) = schedule.take() {
                prop_assert!(slot.due >= last);
                last = slot.due;
                prop_assert_eq!(slot.turn % shards, shard);
                seen[(u64::from(slot.round) * targets + slot.turn) as usize] += 1;
            }
        }
        prop_assert!(seen.iter().all(|&count| count == 1));
    }
}
