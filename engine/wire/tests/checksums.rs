//! The fast checksum is the slow one, in parts is whole, and changed in place is computed anew.

mod common;

use common::{bytes, reference};
use megaping_wire::Addr;
use megaping_wire::checksum::{Sum, checksum, update_u16, update_u32, update_u64, verify};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fast_is_naive(bytes in bytes(1_600)) {
        prop_assert_eq!(checksum(&bytes), reference(&bytes));
    }

    #[test]
    fn long_runs_of_ones_carry(length in 0_usize..4_000, zeros in bytes(3)) {
        let mut bytes = vec![0xff; length];
        bytes.extend(zeros.iter().map(|_| 0));
        prop_assert_eq!(checksum(&bytes), reference(&bytes));
    }

    #[test]
    fn parts_make_the_whole(
        words in proptest::collection::vec(any::<u16>(), 0..40),
        at in any::<prop::sample::Index>(),
        tail in any::<Option<u8>>(),
    ) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let cut = 2 * at.index(words.len() + 1);
        bytes.extend(tail);
        let whole = checksum(&bytes);
        let (head, rest) = bytes.split_at(cut);
        prop_assert_eq!(Sum::new().add_bytes(head).add_bytes(rest).checksum(), whole);
        let apart = Sum::new().add_sum(Sum::new().add_bytes(rest)).add_sum(Sum::new().add_bytes(head));
        prop_assert_eq!(apart.checksum(), whole);
    }

    #[test]
    fn numbers_are_their_bytes(a: u16, b: u32, c: u64, d: u128, four: [u8; 4], sixteen: [u8; 16]) {
        let sum = Sum::new().add_u16(a).add_u32(b).add_u64(c).add_u128(d).add_addr4(four).add_addr6(&sixteen);
        let bytes = [
            &a.to_be_bytes()[..], &b.to_be_bytes(), &c.to_be_bytes(), &d.to_be_bytes(), &four, &sixteen,
        ]
        .concat();
        prop_assert_eq!(sum.checksum(), reference(&bytes));
        prop_assert_eq!(sum.add_addr(Addr(sixteen)).checksum(), reference(&[&bytes[..], &sixteen].concat()));
    }

    /// `first` keeps the rest of the packet from being all zeros, where ones' complement has two answers.
    #[test]
    fn incremental_is_full(
        first in 1_u16..,
        mut words in proptest::collection::vec(any::<u16>(), 6),
        at in 0_usize..3,
        new: u64,
    ) {
        words.insert(0, first);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let check = checksum(&bytes);
        let at = 2 + 2 * at;
        let old = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let (old16, old32) = ((old >> 48) as u16, (old >> 32) as u32);

        bytes[at..at + 2].copy_from_slice(&(new as u16).to_be_bytes());
        prop_assert_eq!(update_u16(check, old16, new as u16), reference(&bytes));
        bytes[at..at + 8].copy_from_slice(&old.to_be_bytes());
        bytes[at..at + 4].copy_from_slice(&(new as u32).to_be_bytes());
        prop_assert_eq!(update_u32(check, old32, new as u32), reference(&bytes));
        bytes[at..at + 8].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(update_u64(check, old, new), reference(&bytes));
    }

    #[test]
    fn what_is_filled_in_verifies(mut bytes in proptest::collection::vec(any::<u8>(), 4..100)) {
        bytes[..2].copy_from_slice(&[0, 0]);
        let check = checksum(&bytes);
        bytes[..2].copy_from_slice(&check.to_be_bytes());
        prop_assert!(verify(&bytes));
        bytes[..2].copy_from_slice(&check.wrapping_add(1).to_be_bytes());
        // ffff and 0000 are the two zeros: the one step that ones' complement does not see.
        prop_assert_eq!(verify(&bytes), check == u16::MAX && bytes[2..].iter().any(|&byte| byte != 0));
    }
}
