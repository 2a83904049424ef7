//! Rows to figures of groups, in one pass and in memory that does not grow with the rows.
//!
//! Round trips are counted in buckets of a sixteenth of an octave, as the rollups in `ClickHouse` have them: quantiles are
//! within 2.2 % of the truth, and a group takes some hundred bytes.

mod histogram;

use std::collections::HashMap;

use megaping_wire::Addr;

use crate::Status;
use crate::report::{Counts, Prefix, Seen};
use histogram::Histogram;

/// Groups in memory, at most: some hundred megabytes.
pub const MOST_GROUPS: usize = 1 << 20;
/// Points of a group's course over time.
pub const POINTS: usize = 24;

/// What rows may have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dimension {
    /// Whose they are.
    Tenant,
    /// Where the probe went.
    Target,
    /// The block of it, by the length for IPv4 and that for IPv6.
    Prefix(u8, u8),
    /// The stretch of time, in seconds, from the Unix epoch on.
    Time(u64),
}

/// A group's value of a [`Dimension`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// A tenant's name.
    Tenant(Box<str>),
    /// An address.
    Target(Addr),
    /// A block.
    Prefix(Prefix),
    /// Where a stretch of time begins, Unix seconds.
    Time(u64),
}

/// The figures of a group.
#[derive(Clone, Debug)]
pub struct Group {
    /// How its probes ended.
    pub counts: Counts,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
    histogram: Histogram,
    // Sum and number of round trips, by stretches of the whole time.
    course: Option<Box<[(u64, u32); POINTS]>>,
}

/// More groups than memory is meant for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("more than {MOST_GROUPS} groups: group by less, or choose fewer rows (--target, --from, --to)")]
pub struct TooManyGroups;

/// Rows, grouped.
#[derive(Debug)]
pub struct Groups {
    by: Vec<Dimension>,
    found: HashMap<Vec<Key>, Group>,
    /// The whole time, where courses are wanted.
    span: Option<(u64, u64)>,
    has_too_many: bool,
}

impl Groups {
    /// None yet. With a `span` of Unix nanoseconds each has a course over it.
    #[must_use]
    pub fn new(by: Vec<Dimension>, span: Option<(u64, u64)>) -> Groups {
        Groups { by, found: HashMap::new(), span, has_too_many: false }
    }

    /// Counts a row.
    pub fn add(&mut self, tenant: &str, row: &Seen) {
        let key: Vec<Key> = self.by.iter().map(|dimension| dimension.of(tenant, row)).collect();
        if self.found.len() >= MOST_GROUPS && !self.found.contains_key(&key) {
            self.has_too_many = true;
            return;
        }
        let span = self.span;
        self.found.entry(key).or_insert_with(|| Group::new(span.is_some())).add(row, span);
    }

    /// The groups, in the order of their keys.
    ///
    /// # Errors
    /// [`TooManyGroups`]: not all rows were counted.
    pub fn finish(self) -> Result<Vec<(Vec<Key>, Group)>, TooManyGroups> {
        if self.has_too_many {
            return Err(TooManyGroups);
        }
        let mut groups: Vec<_> = self.found.into_iter().collect();
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(groups)
    }
}

impl Dimension {
    fn of(self, tenant: &str, row: &Seen) -> Key {
        match self {
            Dimension::Tenant => Key::Tenant(tenant.into()),
            Dimension::Target => Key::Target(row.destination),
            Dimension::Prefix(v4, v6) => {
                Key::Prefix(Prefix::of(row.destination, if row.destination.is_v4() { v4 } else { v6 }))
            }
            Dimension::Time(seconds) => {
                let now_s = row.unix_ns / 1_000_000_000;
                Key::Time(now_s - now_s % seconds.max(1))
            }
        }
    }
}

impl Group {
    fn new(has_course: bool) -> Group {
        Group {
            counts: Counts::default(),
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            histogram: Histogram::default(),
            course: has_course.then(|| Box::new([(0, 0); POINTS])),
        }
    }

    fn add(&mut self, row: &Seen, span: Option<(u64, u64)>) {
        self.counts.scheduled += 1;
        match row.status {
            Status::Answered => self.counts.answered += 1,
            Status::Error => self.counts.errors += 1,
            Status::Lost => self.counts.lost += 1,
            Status::Unsent => self.counts.unsent += 1,
        }
        if row.status != Status::Answered {
            return;
        }
        self.sum_ns += u128::from(row.rtt_ns);
        self.min_ns = self.min_ns.min(row.rtt_ns);
        self.max_ns = self.max_ns.max(row.rtt_ns);
        self.histogram.add(row.rtt_ns);
        if let (Some(course), Some((first, last))) = (&mut self.course, span) {
            let at = u128::from(row.unix_ns.saturating_sub(first)) * POINTS as u128;
            let point = (at / (u128::from(last.saturating_sub(first)) + 1)) as usize;
            let (sum, count) = &mut course[point.min(POINTS - 1)];
            (*sum, *count) = (sum.saturating_add(row.rtt_ns), count.saturating_add(1));
        }
    }

    /// Shortest, mean and longest round trip in nanoseconds; none where nothing answered.
    #[must_use]
    pub fn extremes_ns(&self) -> Option<(u64, u64, u64)> {
        let answered = u128::from(self.counts.answered);
        (answered > 0).then(|| (self.min_ns, (self.sum_ns / answered) as u64, self.max_ns))
    }

    /// The round trip that this share of all do not exceed, within 2.2 %, in nanoseconds.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let value = self.histogram.quantile(quantile)?;
        Some(value.clamp(self.min_ns, self.max_ns))
    }

    /// The mean round trip of each stretch of the whole time, in nanoseconds; none where nothing answered then.
    #[must_use]
    pub fn course_ns(&self) -> Option<[Option<u64>; POINTS]> {
        let course = self.course.as_ref()?;
        Some(std::array::from_fn(|at| course[at].0.checked_div(u64::from(course[at].1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(at_s: u64, host: u16, status: Status, rtt_ns: u64) -> Seen {
        let [high, low] = host.to_be_bytes();
        let destination = Addr::v4([10, 0, high, low]);
        Seen { unix_ns: at_s * 1_000_000_000, destination, target: 0, seq: 0, status, rtt_ns }
    }

    #[test]
    fn groups_are_by_what_is_asked_for() {
        let rows = [
            ("acme", seen(7200, 1, Status::Answered, 1000)),
            ("acme", seen(7300, 257, Status::Answered, 3000)),
            ("acme", seen(10_800, 1, Status::Lost, 0)),
            ("globex", seen(7200, 1, Status::Unsent, 0)),
        ];
        let by = |dimensions: &[Dimension]| -> Vec<(String, u64)> {
            let mut groups = Groups::new(dimensions.to_vec(), None);
            for (tenant, row) in &rows {
                groups.add(tenant, row);
            }
            let name = |key: &Key| match key {
                Key::Tenant(name) => name.to_string(),
                Key::Target(target) => target.to_string(),
                Key::Prefix(prefix) => prefix.to_string(),
                Key::Time(time) => time.to_string(),
            };
            let line = |(keys, group): (Vec<Key>, Group)| {
                (keys.iter().map(name).collect::<Vec<_>>().join(" "), group.counts.scheduled)
            };
            groups.finish().unwrap().into_iter().map(line).collect()
        };
        let of = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(by(&[]), of(&[("", 4)]));
        assert_eq!(by(&[Dimension::Tenant]), of(&[("acme", 3), ("globex", 1)]));
        assert_eq!(by(&[Dimension::Prefix(24, 48)]), of(&[("10.0.0.0/24", 3), ("10.0.1.0/24", 1)]));
        let hours = by(&[Dimension::Tenant, Dimension::Time(3600)]);
        assert_eq!(hours, of(&[("acme 7200", 2), ("acme 10800", 1), ("globex 7200", 1)]));
    }

    #[test]
    fn a_course_shows_when_it_became_slow() {
        let mut groups = Groups::new(vec![Dimension::Target], Some((0, 239 * 1_000_000_000)));
        for at in 0..240 {
            groups.add("", &seen(at, 1, Status::Answered, if at < 120 { 1000 } else { 5000 }));
        }
        let (_, group) = groups.finish().unwrap().remove(0);
        let course = group.course_ns().unwrap();
        assert_eq!(
            (course[0], course[11], course[13], course[23]),
            (Some(1000), Some(1000), Some(5000), Some(5000))
        );
        assert_eq!(group.extremes_ns(), Some((1000, 3000, 5000)));
    }

    proptest! {
        /// Quantiles are within a bucket of those of the sorted round trips.
        #[test]
        fn quantiles_are_within_their_bound(rtts in prop::collection::vec(1u64..10_000_000_000, 1..300), percent in 0u32..=100) {
            let mut groups = Groups::new(Vec::new(), None);
            for rtt in &rtts {
                groups.add("", &seen(0, 1, Status::Answered, *rtt));
            }
            let (_, group) = groups.finish().unwrap().remove(0);
            let mut sorted = rtts.clone();
            sorted.sort_unstable();
            // The same arithmetic: a rank that is whole by one and not by another is no error.
            let quantile = f64::from(percent) / 100.0;
            let rank = (sorted.len() as f64 * quantile).ceil().max(1.0) as usize;
            let (exact, found) = (sorted[rank - 1] as f64, group.quantile_ns(quantile).unwrap() as f64);
            prop_assert!((found / exact - 1.0).abs() < 0.0221 || (found - exact).abs() <= 1.0, "{} is not {}", found, exact);
        }
    }
}
