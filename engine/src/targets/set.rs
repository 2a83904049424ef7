//! The set itself: a few arrays, and an index into them.

use megaping_wire::Addr;

use super::span::Span;

/// A block of at most this many addresses becomes an array, as long as all such blocks together stay within
/// [`EXPAND_TOTAL`]: an array is indexed in one step, a block is searched for.
const EXPAND_SPAN: u128 = 256;

/// Addresses that are expanded at most: 4 MiB of IPv4, 16 MiB of IPv6.
const EXPAND_TOTAL: u128 = 1 << 20;

/// A block shorter than this is smaller as an array than as a [`Range`].
const ALWAYS_EXPAND: u128 = 8;

/// The targets of a run: sorted, disjoint, numbered from zero.
///
/// ```text
///   index  0 .......... v4.len() .......... + v6.len() .......... start_index .......... len()
///          | v4 singles | v6 singles        | first range         | next range ...
/// ```
///
/// A single IPv4 address takes four bytes, an IPv6 address sixteen, a block of any size thirty-two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSet {
    v4: Vec<u32>,
    v6: Vec<u128>,
    ranges: Vec<Range>,
    len: u64,
    names: Vec<(Addr, Box<str>)>,
    pub(super) duplicates: u64,
    pub(super) excluded: u64,
    families: [bool; 2],
}

/// A block of neighbouring addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first address, as [`Addr::to_bits`] has it.
    pub first: u128,
    /// How many.
    pub len: u64,
    /// The index of the first.
    pub start_index: u64,
}

impl TargetSet {
    /// A set of sorted singles and merged spans that share no address; `names` is sorted by address.
    pub(super) fn new(
        mut v4: Vec<u32>,
        mut v6: Vec<u128>,
        spans: &[Span],
        names: Vec<(Addr, Box<str>)>,
    ) -> TargetSet {
        let small = |span: &&Span| span.count() <= EXPAND_SPAN;
        let expanded: u128 = spans.iter().filter(small).map(|span| span.count()).sum();
        let expand = if expanded <= EXPAND_TOTAL { EXPAND_SPAN } else { ALWAYS_EXPAND };
        for span in spans.iter().filter(|span| span.count() <= expand) {
            if Addr::from_bits(span.first).is_v4() {
                v4.extend(span.first as u32..=span.last as u32);
            } else {
                v6.extend(span.first..=span.last);
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        v4.shrink_to_fit();
        v6.shrink_to_fit();
        let mut len = (v4.len() + v6.len()) as u64;
        let mut ranges = Vec::new();
        for span in spans.iter().filter(|span| span.count() > expand) {
            let count = span.count() as u64;
            ranges.push(Range { first: span.first, len: count, start_index: len });
            len += count;
        }
        ranges.shrink_to_fit();
        let is_v4 = |range: &Range| Addr::from_bits(range.first).is_v4();
        let families =
            [!v4.is_empty() || ranges.iter().any(is_v4), !v6.is_empty() || !ranges.iter().all(is_v4)];
        TargetSet { v4, v6, ranges, len, names, duplicates: 0, excluded: 0, families }
    }

    /// The set of some addresses.
    #[must_use]
    pub fn of_addresses(addresses: &[Addr]) -> TargetSet {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            if address.is_v4() {
                v4.push(u32::from_be_bytes(address.v4_octets()));
            } else {
                v6.push(address.to_bits());
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        TargetSet::new(v4, v6, &[], Vec::new())
    }

    /// How many targets; at least one, at most 2^48.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never true of a set that [`super::load`] made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The target of an index below [`TargetSet::len`].
    ///
    /// # Panics
    /// When the index is not below it.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u64) -> Addr {
        assert!(index < self.len, "target index {index} of {}", self.len);
        if let Some(ip) = self.v4.get(index as usize) {
            return Addr::v4(ip.to_be_bytes());
        }
        if let Some(bits) = self.v6.get(index as usize - self.v4.len()) {
            return Addr::from_bits(*bits);
        }
        let range = match self.ranges.as_slice() {
            [only] => only,
            many => &many[many.partition_point(|range| range.start_index <= index) - 1],
        };
        Addr::from_bits(range.first + u128::from(index - range.start_index))
    }

    /// The first target from an address on, as [`Addr::to_bits`] has it.
    #[must_use]
    pub fn first_from(&self, bits: u128) -> Option<Addr> {
        let v4_first = Addr::v4([0; 4]).to_bits();
        let v4 = u32::try_from(bits.saturating_sub(v4_first)).ok();
        let v4 = v4.and_then(|from| self.v4.get(self.v4.partition_point(|ip| *ip < from)));
        let v4 = v4.map(|ip| Addr::v4(ip.to_be_bytes()).to_bits());
        let v6 = self.v6.get(self.v6.partition_point(|known| *known < bits)).copied();
        let at = self.ranges.partition_point(|range| range.first + u128::from(range.len - 1) < bits);
        let range = self.ranges.get(at).map(|range| range.first.max(bits));
        [v4, v6, range].into_iter().flatten().min().map(Addr::from_bits)
    }

    /// The host name that a target was given by.
    #[inline]
    #[must_use]
    pub fn name(&self, addr: &Addr) -> Option<&str> {
        if self.names.is_empty() {
            return None;
        }
        let at = self.names.binary_search_by_key(addr, |(named, _)| *named).ok()?;
        Some(&self.names[at].1)
    }

    /// Whether there is an IPv4 target.
    #[must_use]
    pub fn has_v4(&self) -> bool {
        self.families[0]
    }

    /// Whether there is an IPv6 target.
    #[must_use]
    pub fn has_v6(&self) -> bool {
        self.families[1]
    }

    /// Addresses that were named again, and are probed once.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Addresses that were named and are excluded.
    #[must_use]
    pub fn excluded(&self) -> u64 {
        self.excluded
    }

    /// Bytes that the set holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|(_, name)| name.len()).sum();
        self.v4.capacity() * size_of::<u32>()
            + self.v6.capacity() * size_of::<u128>()
            + self.ranges.capacity() * size_of::<Range>()
            + self.names.capacity() * size_of::<(Addr, Box<str>)>()
            + names
    }
}
