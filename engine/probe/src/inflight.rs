//! The in-flight table: a ring of entries in the order of sending.
//!
//! ```text
//!        tail (oldest that may still be answered)        head (next to be ordered)
//!          v                                               v
//!   [ ended and kept ][ ordered, flying or ended in time  ][ free, or ended and kept ]
//! ```
//!
//! Every probe of a run waits equally long, so probes end in the order in which they left: expiry walks the
//! tail, and neither a timer wheel nor a free list is needed. A probe's *position* counts up for ever; slot
//! and generation are its low and high bits. An entry stays where it is until its slot is needed again, so
//! duplicates and late replies are told apart long after a probe's end.

use megaping_wire::Addr;

use crate::time::Nanos;

/// Where a probe stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Nothing was ever here.
    #[default]
    Empty,
    /// Given to the ring, which has not said yet whether it left.
    Ordered,
    /// Left, and waits for its answer.
    Flying,
    /// Ended with a reply or an ICMP error.
    Answered,
    /// Ended without leaving.
    Unsent,
    /// Ended without an answer.
    Lost,
}

/// What the core remembers of one probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Where it went.
    pub destination: Addr,
    /// When it was ordered, and from the ring's report on when it left.
    pub at: Nanos,
    /// The target's index.
    pub target: u64,
    /// The target's round.
    pub seq: u32,
    /// Error bound of the departure, in nanoseconds.
    pub error_ns: u32,
    /// The ICMP identifier.
    pub identifier: u16,
    /// The flow.
    pub flow: u16,
    /// Payload bytes.
    pub size: u16,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Where it stands.
    pub state: State,
}

const _: () = assert!(size_of::<Entry>() == 48, "an entry is 48 bytes: a target's memory is counted on it");

/// The table of one shard.
#[derive(Debug)]
pub struct InFlight {
    entries: Box<[Entry]>,
    mask: u64,
    head: u64,
    tail: u64,
}

/// Sequence numbers on the wire wrap here.
const SEQUENCES: u64 = 1 << 16;

impl InFlight {
    /// A table with room for `probes` in flight at once, rounded up to a power of two.
    #[must_use]
    pub fn new(probes: usize) -> InFlight {
        let capacity = probes.max(2).next_power_of_two();
        let first = capacity as u64;
        let entries = vec![Entry::default(); capacity].into_boxed_slice();
        InFlight { entries, mask: first - 1, head: first, tail: first }
    }

    /// Whether no slot is free.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.head - self.tail > self.mask
    }

    /// Seats a probe and returns its position; the caller has asked [`InFlight::is_full`].
    #[inline]
    pub fn push(&mut self, entry: Entry) -> u64 {
        debug_assert!(!self.is_full());
        let position = self.head;
        self.entries[(position & self.mask) as usize] = entry;
        self.head += 1;
        position
    }

    /// The position that the next probe will have.
    #[inline]
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.head
    }

    /// The entry at a position, while its slot has not been taken by a later probe.
    #[inline]
    #[must_use]
    pub fn get(&mut self, position: u64) -> Option<&mut Entry> {
        if position >= self.head || position + self.mask + 1 < self.head {
            return None;
        }
        let entry = &mut self.entries[(position & self.mask) as usize];
        (entry.state != State::Empty).then_some(entry)
    }

    /// The newest probe with this identity: what eight quoted bytes are enough for. Looks at one entry in
    /// 65,536, newest first.
    #[must_use]
    pub fn find(&self, identifier: u16, sequence: u16, destination: &Addr) -> Option<u64> {
        let back = (self.head - 1).wrapping_sub(u64::from(sequence)) % SEQUENCES;
        let mut position = (self.head - 1).checked_sub(back)?;
        while position + self.mask + 1 >= self.head {
            let entry = &self.entries[(position & self.mask) as usize];
            if entry.state != State::Empty
                && entry.identifier == identifier
                && entry.destination == *destination
            {
                return Some(position);
            }
            position = position.checked_sub(SEQUENCES)?;
        }
        None
    }

    /// The one probe under way with this identifier and sequence, wherever it went: for eight quoted bytes behind a
    /// destination that was rewritten. `None` where there are several, as there may be when more than 65,536 are
    /// under way.
    #[must_use]
    pub fn find_rewritten(&self, identifier: u16, sequence: u16) -> Option<u64> {
        let back = (self.head - 1).wrapping_sub(u64::from(sequence)) % SEQUENCES;
        let mut position = (self.head - 1).checked_sub(back)?;
        let mut found = None;
        while position >= self.tail {
            let entry = &self.entries[(position & self.mask) as usize];
            let is_under_way = matches!(entry.state, State::Flying | State::Ordered);
            if is_under_way && entry.identifier == identifier && found.replace(position).is_some() {
                return None;
            }
            match position.checked_sub(SEQUENCES) {
                Some(before) => position = before,
                None => break,
            }
        }
        found
    }

    /// The oldest probe whose time is not over, if there is one.
    #[inline]
    #[must_use]
    pub fn oldest(&mut self) -> Option<&mut Entry> {
        (self.tail < self.head).then(|| &mut self.entries[(self.tail & self.mask) as usize])
    }

    /// Moves the tail past the oldest probe.
    #[inline]
    pub fn pass_oldest(&mut self) {
        debug_assert!(self.tail < self.head);
        self.tail += 1;
    }

    /// Bytes that the table takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn entry(number: u64) -> Entry {
        Entry {
            destination: Addr::v4((number as u32 % 7).to_be_bytes()),
            identifier: (number % 3) as u16,
            target: number,
            state: State::Flying,
            ..Entry::default()
        }
    }

    #[test]
    fn eight_quoted_bytes_find_the_probe_behind_wrapped_sequences() {
        let mut table = InFlight::new(1 << 18);
        for number in 0..200_000u64 {
            let destination = Addr::v4((number as u32).to_be_bytes());
            table.push(Entry { destination, ..entry(number) });
        }
        for number in [0u64, 1, 65_535, 65_536, 131_072, 199_999] {
            let position = (1 << 18) + number;
            let destination = Addr::v4((number as u32).to_be_bytes());
            assert_eq!(table.find((number % 3) as u16, position as u16, &destination), Some(position));
            assert_eq!(table.find((number % 3 + 1) as u16, position as u16, &destination), None);
            assert_eq!(table.find((number % 3) as u16, position as u16 ^ 1, &destination), None);
        }
    }

    #[test]
    fn a_rewritten_destination_is_found_while_only_one_probe_can_be_meant() {
        let mut table = InFlight::new(1 << 18);
        let first = 1 << 18;
        for number in 0..70_000u64 {
            table.push(entry(number));
        }
        // 65,536 leaves 1 when divided by 3: no two that are as far apart have one identifier.
        assert_eq!(table.find_rewritten(0, first as u16), Some(first));
        assert_eq!(table.find_rewritten(1, (first + 65_536) as u16), Some(first + 65_536));
        assert_eq!(table.find_rewritten(2, first as u16), None);
        table.get(first + 65_536).unwrap().identifier = 0;
        assert_eq!(table.find_rewritten(0, first as u16), None, "either may be meant");
        table.get(first).unwrap().state = State::Answered;
        assert_eq!(table.find_rewritten(0, first as u16), Some(first + 65_536));
    }

    proptest! {
        /// Against a HashMap that never forgets: what the ring still holds is right, what it has forgotten is
        /// old enough.
        #[test]
        fn agrees_with_a_map(ops in prop::collection::vec((0u8..3, any::<u16>()), 1..400)) {
            let mut table = InFlight::new(16);
            let mut model: HashMap<u64, u64> = HashMap::new();
            let mut number = 0;
            for (op, pick) in ops {
                match op {
                    0 if !table.is_full() => {
                        let position = table.push(entry(number));
                        model.insert(position, number);
                        number += 1;
                    }
                    1 if table.oldest().is_some() => table.pass_oldest(),
                    _ => {
                        let position = u64::from(pick % 64) + 16;
                        match (table.get(position).map(|entry| entry.target), model.get(&position)) {
                            (Some(found), Some(&known)) => prop_assert_eq!(found, known),
                            (None, Some(_)) => prop_assert!(position + 16 < table.next_position()),
                            (None, None) => {}
                            (Some(_), None) => prop_assert!(false, "an entry that nobody pushed"),
                        }
                    }
                }
                prop_assert!(table.head - table.tail <= 16);
            }
        }
    }
}
