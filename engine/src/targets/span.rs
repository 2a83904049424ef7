//! Spans of addresses as pairs of numbers: merging, counting and subtracting.

use megaping_wire::Addr;

/// Addresses from `first` to `last`, both included, as the numbers of [`Addr::to_bits`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span {
    pub first: u128,
    pub last: u128,
}

impl Span {
    /// How many addresses; one too few for all of IPv6, which no caller can tell from too many.
    pub fn count(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Sorts, and joins what overlaps or touches.
pub(super) fn merge(spans: &mut Vec<Span>) {
    spans.sort_unstable();
    spans.dedup_by(|next, kept| {
        let joined = next.first <= kept.last.saturating_add(1);
        if joined {
            kept.last = kept.last.max(next.last);
        }
        joined
    });
}

/// What is left of merged `spans` without the merged `holes`.
pub(super) fn subtract(spans: &[Span], holes: &[Span]) -> Vec<Span> {
    let mut left = Vec::with_capacity(spans.len());
    let mut skipped = 0;
    for span in spans {
        // Both lists are sorted: a hole that ends before this span ends before every later one.
        skipped += holes[skipped..].iter().take_while(|hole| hole.last < span.first).count();
        let mut first = span.first;
        let mut open = true;
        for hole in holes[skipped..].iter().take_while(|hole| hole.first <= span.last) {
            if hole.first > first {
                left.push(Span { first, last: hole.first - 1 });
            }
            if hole.last >= span.last {
                open = false;
                break;
            }
            first = hole.last + 1;
        }
        if open {
            left.push(Span { first, last: span.last });
        }
    }
    left
}

/// Drops from sorted `singles` what lies in merged `spans`.
pub(super) fn retain_outside<T: Copy>(singles: &mut Vec<T>, bits: impl Fn(T) -> u128, spans: &[Span]) {
    if spans.is_empty() {
        return;
    }
    let mut at = 0;
    singles.retain(|&single| {
        let single = bits(single);
        while spans.get(at).is_some_and(|span| span.last < single) {
            at += 1;
        }
        spans.get(at).is_none_or(|span| single < span.first)
    });
}

/// Addresses that no echo request can be meant for, each with its name and its block.
pub(super) const RESERVED: [(Span, &str, &str); 5] = [
    (v4([0, 0, 0, 0], [0, 255, 255, 255]), "\"this network\" (RFC 1122)", "0.0.0.0/8"),
    (v4([224, 0, 0, 0], [239, 255, 255, 255]), "IPv4 multicast", "224.0.0.0/4"),
    (v4([255; 4], [255; 4]), "the IPv4 broadcast address", "255.255.255.255"),
    (Span { first: 0, last: 0 }, "the unspecified address", "::"),
    (Span { first: 0xff << 120, last: u128::MAX }, "IPv6 multicast", "ff00::/8"),
];

const fn v4(first: [u8; 4], last: [u8; 4]) -> Span {
    Span { first: Addr::v4(first).to_bits(), last: Addr::v4(last).to_bits() }
}

/// What a single address is, if it is reserved.
pub(super) fn reserved(bits: u128) -> Option<&'static str> {
    RESERVED.iter().find(|(span, ..)| span.first <= bits && bits <= span.last).map(|(_, what, _)| *what)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0_u128..200, 0_u128..12).prop_map(|(first, more)| Span { first, last: first + more });
        proptest::collection::vec(span, 0..12)
    }

    fn members(spans: &[Span]) -> BTreeSet<u128> {
        spans.iter().flat_map(|span| span.first..=span.last).collect()
    }

    proptest! {
        #[test]
        fn spans_behave_as_sets(mut named in spans(), mut holes in spans(), singles in spans()) {
            let (all, out) = (members(&named), members(&holes));
            merge(&mut named);
            merge(&mut holes);
            prop_assert_eq!(members(&named), all.clone());
            prop_assert!(named.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            let left = subtract(&named, &holes);
            prop_assert_eq!(members(&left), &all - &out);
            prop_assert_eq!(left.iter().map(|span| span.count()).sum::<u128>(), (&all - &out).len() as u128);
            let mut ones: Vec<u128> = members(&singles).into_iter().collect();
            retain_outside(&mut ones, |bits| bits, &holes);
            prop_assert_eq!(ones, (&members(&singles) - &out).into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_overflow() {
        let all = Span { first: 0, last: u128::MAX };
        let mut spans = vec![all, Span { first: 5, last: 9 }, all];
        merge(&mut spans);
        assert_eq!(spans, [all]);
        assert_eq!(all.count(), u128::MAX);
        assert_eq!(subtract(&[all], &[all]), []);
        assert_eq!(subtract(&[all], &[Span { first: 0, last: 0 }]), [Span { first: 1, last: u128::MAX }]);
    }
}
