//! The order of the rows in a block: target, then time.
//!
//! A least-significant-digit radix sort over 32 bits of the target's index, in three passes at most, leaves
//! runs of equal keys; a run that is not in time order is put right by comparison. Rows arrive nearly in time
//! order, and a block of a large run holds a target once, so that second step is rare and short.

use megaping_probe::Outcome;

/// A row's place in the order: 32 bits of the target above, the row's index below.
type Entry = u64;

/// Widest digit of a key, in bits: a digit has as many places to write to, and they should fit a cache.
const DIGIT_BITS: u32 = 11;
/// Digits of a key at most.
const DIGITS: usize = 32u32.div_ceil(DIGIT_BITS) as usize;
type Counts = [u32; 1 << DIGIT_BITS];

/// Sorts rows by index; keeps its scratch space.
#[derive(Default)]
pub struct Sorter {
    entries: Vec<Entry>,
    swap: Vec<Entry>,
    counts: Vec<Counts>,
}

/// The entry of the row that comes `i`th, as [`Sorter::begin`] wants it.
#[inline]
pub fn entry(target: u64, i: usize) -> Entry {
    target << 32 | i as u64
}

/// The row that an entry stands for.
#[inline]
pub fn index(entry: Entry) -> usize {
    (entry & 0xffff_ffff) as usize
}

/// The lower 32 bits of the row's target, where the bits above are the same in all rows.
#[inline]
pub fn low_target(entry: Entry) -> u32 {
    (entry >> 32) as u32
}

impl Sorter {
    /// Room for the entries of `rows` rows, which the caller fills while it looks at them for other reasons.
    pub fn begin(&mut self, rows: usize) -> &mut [Entry] {
        self.entries.resize(rows, 0);
        self.swap.resize(rows, 0);
        &mut self.entries
    }

    /// The entries in the order of target, then time. `differ` has all bits in which any target differs from the
    /// first.
    pub fn sort(&mut self, rows: &[Outcome], differ: u64) -> &[Entry] {
        // The key is the 32 bits behind those that all targets share: the lower ones, unless a run has more
        // than four billion targets.
        let shift = (64 - differ.leading_zeros()).saturating_sub(32);
        if shift > 0 {
            for ((i, row), place) in rows.iter().enumerate().zip(&mut self.entries) {
                *place = entry(row.target >> shift, i);
            }
        }
        radix(&mut self.entries, &mut self.swap, &mut self.counts, differ >> shift);
        settle(&mut self.entries, rows);
        &self.entries
    }
}

/// Sorts by the upper 32 bits, stably; `differ` has those of them in which any key differs from the first.
fn radix(entries: &mut [Entry], swap: &mut [Entry], counts: &mut Vec<Counts>, differ: u64) {
    // As few passes as there can be, with digits that are no wider than they must be.
    let bits = 64 - differ.leading_zeros();
    let passes = bits.div_ceil(DIGIT_BITS) as usize;
    let width = bits.div_ceil(passes.max(1) as u32);
    let digits: [(u32, u32); DIGITS] = std::array::from_fn(|pass| (32 + pass as u32 * width, width));
    let digits = &digits[..passes.min(DIGITS)];
    counts.clear();
    counts.resize(digits.len(), [0; 1 << DIGIT_BITS]);
    for &entry in &*entries {
        for (count, digit) in counts.iter_mut().zip(digits) {
            count[value(entry, *digit)] += 1;
        }
    }
    let mut swapped = false;
    for (count, digit) in counts.iter_mut().zip(digits) {
        let (from, to) = if swapped { (&*swap, &mut *entries) } else { (&*entries, &mut *swap) };
        let mut start = 0;
        for n in count.iter_mut() {
            start += std::mem::replace(n, start);
        }
        for &entry in from {
            let place = &mut count[value(entry, *digit)];
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
            let differ = rows.iter().fold(0, |bits, row| bits | (row.target ^ rows[0].target));
            let mut sorter = Sorter::default();
            for _ in 0..2 {
                for ((i, row), place) in rows.iter().enumerate().zip(sorter.begin(rows.len())) {
                    *place = entry(row.target, i);
                }
                let sorted: Vec<usize> = sorter.sort(&rows, differ).iter().map(|&entry| index(entry)).collect();
                prop_assert_eq!(&sorted, &expected);
            }
        }
    }
}
