//! Rows to figures per destination, in eight bytes a row.
//!
//! Two passes over the files. The first counts, and learns the span of times and the longest round trip. The
//! second stores each round trip with its time above it in one `u64`, in the stretch of one array that the
//! counts have laid out for its destination: sorted by that number it is in time order, for jitter; sorted by
//! the round trip alone it gives exact quantiles. A span that does not fit the bits left is counted in coarser
//! steps, and rows of one destination within a step (20 us over a day) stay in the order of the round trip.

use std::collections::HashMap;

use megaping_wire::Addr;

use super::source::Seen;
use super::{Counts, Rtt, TargetReport};
use crate::Status;

/// The first pass.
#[derive(Default)]
pub struct Census {
    slots: HashMap<Addr, usize>,
    /// Destination and slot of the row before: rows of a destination are neighbours.
    latest: Option<(Addr, usize)>,
    targets: Vec<(Addr, Counts)>,
    first_ns: Option<u64>,
    last_ns: u64,
    longest_ns: u64,
}

impl Census {
    /// Counts one row.
    pub fn count(&mut self, row: &Seen) {
        let slot = self.slot(row.destination);
        let (_, counts) = &mut self.targets[slot];
        counts.scheduled += 1;
        match row.status {
            Status::Answered => {
                counts.answered += 1;
                self.longest_ns = self.longest_ns.max(row.rtt_ns);
            }
            Status::Error => counts.errors += 1,
            Status::Lost => counts.lost += 1,
            Status::Unsent => counts.unsent += 1,
        }
        self.first_ns = Some(self.first_ns.map_or(row.unix_ns, |first| first.min(row.unix_ns)));
        self.last_ns = self.last_ns.max(row.unix_ns);
    }

    fn slot(&mut self, destination: Addr) -> usize {
        if let Some((_, slot)) = self.latest.filter(|(address, _)| *address == destination) {
            return slot;
        }
        let next = self.targets.len();
        let slot = *self.slots.entry(destination).or_insert(next);
        if slot == next {
            self.targets.push((destination, Counts::default()));
        }
        self.latest = Some((destination, slot));
        slot
    }

    /// Times of the earliest and the latest row.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.first_ns.map(|first| (first, self.last_ns))
    }

    /// Lays out the second pass.
    pub fn answers(self) -> Answers {
        let mut ends = Vec::with_capacity(self.targets.len() + 1);
        ends.push(0);
        let mut total = 0;
        for (_, counts) in &self.targets {
            total += counts.answered as usize;
            ends.push(total);
        }
        let rtt_bits = 64 - self.longest_ns.leading_zeros();
        let first_ns = self.first_ns.unwrap_or(0);
        let span_bits = 64 - (self.last_ns - first_ns.min(self.last_ns)).leading_zeros();
        let time_shift = (span_bits + rtt_bits).saturating_sub(64);
        let next = ends[..self.targets.len()].to_vec();
        Answers { census: self, ends, next, values: vec![0; total], rtt_bits, time_shift, first_ns }
    }
}

/// The second pass.
pub struct Answers {
    census: Census,
    /// Where each destination's stretch of `values` ends, behind a zero.
    ends: Vec<usize>,
    /// Where each destination's next value goes.
    next: Vec<usize>,
    /// Time above, round trip below.
    values: Vec<u64>,
    rtt_bits: u32,
    time_shift: u32,
    first_ns: u64,
}

impl Answers {
    /// Stores the round trip of one row that was counted before; any other is passed over.
    pub fn store(&mut self, row: &Seen) {
        if row.status != Status::Answered {
            return;
        }
        let slot = self.census.slot(row.destination);
        let (Some(next), Some(&end)) = (self.next.get_mut(slot), self.ends.get(slot + 1)) else { return };
        if *next < end {
            let time = row.unix_ns.saturating_sub(self.first_ns) >> self.time_shift.min(63);
            self.values[*next] =
                time.checked_shl(self.rtt_bits).unwrap_or(0) | (row.rtt_ns & mask(self.rtt_bits));
            *next += 1;
        }
    }

    /// The figures of each destination, by address, and of all together.
    pub fn finish(mut self) -> (Vec<TargetReport>, TargetReport) {
        let mask = mask(self.rtt_bits);
        let mut total = Counts::default();
        let mut steps = Steps::default();
        let mut targets = Vec::with_capacity(self.census.targets.len());
        let mut kept = 0;
        for (slot, &(destination, counts)) in self.census.targets.iter().enumerate() {
            total.add(&counts);
            let (Some(&begin), Some(&end)) = (self.ends.get(slot), self.next.get(slot)) else { break };
            let values = &mut self.values[begin..end];
            let own = by_time(values, mask);
            steps.add(own);
            targets.push(TargetReport { destination, counts, rtt: rtt(values, own) });
            // Rows that were there in the first pass only leave no gap.
            self.values.copy_within(begin..end, kept);
            kept += end - begin;
        }
        self.values.truncate(kept);
        targets.sort_by_key(|t| t.destination);
        self.values.sort_unstable();
        let all =
            TargetReport { destination: Addr::UNSPECIFIED, counts: total, rtt: rtt(&self.values, steps) };
        (targets, all)
    }
}

const fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Differences between round trips that follow each other.
#[derive(Clone, Copy, Default)]
struct Steps {
    sum_ns: u128,
    count: u64,
}

impl Steps {
    fn add(&mut self, other: Steps) {
        self.sum_ns += other.sum_ns;
        self.count += other.count;
    }
}

/// Adds up the steps in time order, then leaves the round trips alone, in their own order.
fn by_time(values: &mut [u64], mask: u64) -> Steps {
    values.sort_unstable();
    let mut steps = Steps::default();
    for pair in values.windows(2) {
        steps.add(Steps { sum_ns: (pair[0] & mask).abs_diff(pair[1] & mask).into(), count: 1 });
    }
    for value in values.iter_mut() {
        *value &= mask;
    }
    values.sort_unstable();
    steps
}

/// Figures of sorted round trips.
fn rtt(sorted: &[u64], steps: Steps) -> Option<Rtt> {
    let (&min_ns, &max_ns) = (sorted.first()?, sorted.last()?);
    let sum: u128 = sorted.iter().map(|&v| u128::from(v)).sum();
    Some(Rtt {
        min_ns,
        median_ns: nearest_rank(sorted, 50),
        p99_ns: nearest_rank(sorted, 99),
        max_ns,
        mean_ns: (sum / sorted.len() as u128) as u64,
        jitter_ns: (steps.count > 0).then(|| (steps.sum_ns / u128::from(steps.count)) as u64),
    })
}

/// The smallest value that at least `percent` of all values do not exceed.
fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fold(rows: &[Seen]) -> (Vec<TargetReport>, TargetReport) {
        let mut census = Census::default();
        for row in rows {
            census.count(row);
        }
        let mut answers = census.answers();
        for row in rows {
            answers.store(row);
        }
        answers.finish()
    }

    fn seen(unix_ns: u64, host: u8, status: Status, rtt_ns: u64) -> Seen {
        Seen { unix_ns, destination: Addr::v4([10, 0, 0, host]), target: 0, seq: 0, status, rtt_ns }
    }

    #[test]
    fn figures_of_a_small_store_are_those_by_hand() {
        let rows = [
            seen(3_000, 1, Status::Answered, 40),
            seen(1_000, 1, Status::Answered, 10),
            seen(2_000, 1, Status::Answered, 30),
            seen(4_000, 1, Status::Lost, 0),
            seen(5_000, 1, Status::Unsent, 0),
            seen(6_000, 1, Status::Error, 5),
            seen(9_000, 2, Status::Answered, 7),
        ];
        let (targets, total) = fold(&rows);
        let one = &targets[0];
        let counts = Counts { scheduled: 6, answered: 3, errors: 1, lost: 1, unsent: 1 };
        assert_eq!(one.counts, counts);
        assert_eq!(one.counts.sent(), 5);
        assert!((one.counts.loss().unwrap() - 0.4).abs() < 1e-12);
        let rtt = Rtt { min_ns: 10, median_ns: 30, p99_ns: 40, max_ns: 40, mean_ns: 26, jitter_ns: Some(15) };
        assert_eq!(one.rtt, Some(rtt));
        assert_eq!(targets[1].rtt.unwrap().jitter_ns, None, "one round trip has no jitter");
        assert_eq!((total.counts.scheduled, total.rtt.unwrap().min_ns), (7, 7));
        assert_eq!(total.rtt.unwrap().jitter_ns, Some(15));
    }

    #[test]
    fn any_span_and_any_round_trip_keep_the_round_trips_exact() {
        let rows = [seen(0, 1, Status::Answered, u64::MAX), seen(u64::MAX, 1, Status::Answered, 1)];
        let rtt = fold(&rows).0[0].rtt.unwrap();
        assert_eq!((rtt.min_ns, rtt.max_ns, rtt.median_ns), (1, u64::MAX, 1));
    }

    proptest! {
        #[test]
        fn equals_the_plain_computation(
            values in proptest::collection::vec((0u64..1 << 20, 0u8..4, 0u64..1 << 34), 1..120)
        ) {
            let rows: Vec<Seen> = values.iter().enumerate()
                .map(|(i, &(at, host, rtt))| seen(at << 8 | i as u64, host, Status::Answered, rtt)).collect();
            for target in fold(&rows).0 {
                let mut own: Vec<_> = rows.iter().filter(|r| r.destination == target.destination).collect();
                own.sort_by_key(|r| r.unix_ns);
                let steps: Vec<u64> = own.windows(2).map(|p| p[0].rtt_ns.abs_diff(p[1].rtt_ns)).collect();
                let mut sorted: Vec<u64> = own.iter().map(|r| r.rtt_ns).collect();
                sorted.sort_unstable();
                let rtt = target.rtt.unwrap();
                prop_assert_eq!(rtt.min_ns, sorted[0]);
                prop_assert_eq!(rtt.median_ns, sorted[(sorted.len() - 1) / 2]);
                prop_assert_eq!(rtt.max_ns, *sorted.last().unwrap());
                prop_assert_eq!(rtt.mean_ns, sorted.iter().sum::<u64>() / sorted.len() as u64);
                let jitter = steps.iter().sum::<u64>().checked_div(steps.len() as u64);
                prop_assert_eq!(rtt.jitter_ns, jitter);
            }
        }
    }
}
