//! The order of the rows in a block: target, then time.
//!
//! A least-significant-digit radix sort over 32 bits of the target's index, in three passes at most, leaves
//! runs of equal keys; a run that is not in time order is put right by comparison. Rows arrive nearly in time
//! order, and a block of a large run holds a target once, so that second step is rare and short.

use megaping_probe::Outcome;

/// A row's place in the order: 32 bits of the target above, the row's index below.
type Entry = u64;

/// Shift and width of the digits of a key.
const DIGITS: [(u32, u32); 3] = [(32, 11), (43, 11), (54, 10)];

/// Sorts rows by index; keeps its scratch space.
#[derive(Default)]
pub struct Sorter {
    entries: Vec<Entry>,
    swap: Vec<Entry>,
    counts: Vec<[u32; 1 << 11]>,
}

impl Sorter {
    /// The indices of `rows` in the order of target, then time.
    pub fn sort<'a>(&'a mut self, rows: &[Outcome]) -> impl Iterator<Item = usize> + Clone + use<'a> {
        // The key is the 32 bits behind those that all targets share: all there are, unless a run has more
        // than four billion targets.
        let first = rows.first().map_or(0, |row| row.target);
        let differ = rows.iter().fold(0, |bits, row| bits | (row.target ^ first));
        let shift = (64 - differ.leading_zeros()).saturating_sub(32);
        self.entries.clear();
        self.entries.extend(rows.iter().enumerate().map(|(i, r)| (r.target >> shift) << 32 | i as u64));
        self.swap.resize(rows.len(), 0);
        radix(&mut self.entries, &mut self.swap, &mut self.counts);
        settle(&mut self.entries, rows);
        self.entries.iter().map(|&entry| index(entry))
    }
}

#[inline]
fn index(entry: Entry) -> usize {
    (entry & 0xffff_ffff) as usize
}

/// Sorts by the upper 32 bits, stably.
fn radix(entries: &mut [Entry], swap: &mut [Entry], counts: &mut Vec<[u32; 1 << 11]>) {
    counts.clear();
    counts.resize(DIGITS.len(), [0; 1 << 11]);
    for &entry in &*entries {
        for (count, digit) in counts.iter_mut().zip(DIGITS) {
            count[value(entry, digit)] += 1;
        }
    }
    let mut swapped = false;
    for (count, digit) in counts.iter_mut().zip(DIGITS) {
        let (from, to) = if swapped { (&*swap, &mut *entries) } else { (&*entries, &mut *swap) };
        let Some(&first) = from.first() else { return };
        if count[value(first, digit)] as usize == from.len() {
            continue; // one value for all: the order stays as it is
        }
        let mut start = 0;
        for n in count.iter_mut() {
            start += std::mem::replace(n, start);
        }
        for &entry in from {
            let place = &mut count[value(entry, digit)];
            to[*place as usize] = entry;
            *place += 1;
        }
        swapped = !swapped;
    }
    if swapped {
        entries.copy_from_slice(swap);
    }
}

#[inline]
fn value(entry: Entry, (shift, bits): (u32, u32)) -> usize {
    (entry >> shift) as usize & ((1 << bits) - 1)
}

/// Puts the runs of equal keys right: by whole target, then time, then arrival.
fn settle(entries: &mut [Entry], rows: &[Outcome]) {
    let key = |&entry: &Entry| {
        let row = &rows[index(entry)];
        (row.target, row.at, index(entry))
    };
    for run in entries.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
        if run.len() > 1 && !run.is_sorted_by_key(key) {
            run.sort_unstable_by_key(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::outcome;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_comparison_sort(
            mut rows in proptest::collection::vec(outcome(), 0..200),
            targets in 1u64..=u64::MAX,
        ) {
            for row in &mut rows {
                row.target %= targets;
            }
            let mut expected: Vec<usize> = (0..rows.len()).collect();
            expected.sort_by_key(|&i| (rows[i].target, rows[i].at));
            let mut sorter = Sorter::default();
            prop_assert_eq!(sorter.sort(&rows).collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(sorter.sort(&rows).collect::<Vec<_>>(), expected);
        }
    }
}
