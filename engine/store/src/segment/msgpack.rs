//! MessagePack arrays of integers, written and read fast.
//!
//! Every value takes the shortest form of the MessagePack specification ("Formats: int"), as `rmp` itself
//! would write it; what is different is the loop: the form comes from a table indexed by the number of
//! significant bits, and nine bytes are stored whatever the form, so no branch depends on the data.

use rmp::Marker;

/// The longest form of an integer: a marker and eight bytes.
pub const MAX_INT: usize = 9;

/// One form of an integer.
#[derive(Clone, Copy)]
struct Form {
    marker: u8,
    /// All ones where the value is its own marker.
    fix: u8,
    /// Bytes in front of the value's end, the marker included.
    len: u8,
    /// Moves the value's bytes to the front of a big-endian word.
    shift: u8,
}

/// Forms by significant bits: those of `v` from zero up, those of `!v`, behind [`NEGATIVE`], below zero.
static FORMS: [Form; 2 * NEGATIVE] = forms();
const NEGATIVE: usize = 65;

const fn forms() -> [Form; 2 * NEGATIVE] {
    let fixed = Form { marker: 0, fix: 0xff, len: 1, shift: 0 };
    let mut forms = [fixed; 2 * NEGATIVE];
    let mut bits = 8;
    while bits <= 64 {
        forms[bits] = match bits {
            8 => sized(Marker::U8, 1),
            9..=16 => sized(Marker::U16, 2),
            17..=32 => sized(Marker::U32, 4),
            _ => sized(Marker::U64, 8),
        };
        bits += 1;
    }
    let mut bits = 6;
    while bits <= 64 {
        forms[NEGATIVE + bits] = match bits {
            6 | 7 => sized(Marker::I8, 1),
            8..=15 => sized(Marker::I16, 2),
            16..=31 => sized(Marker::I32, 4),
            _ => sized(Marker::I64, 8),
        };
        bits += 1;
    }
    forms
}

const fn sized(marker: Marker, bytes: u8) -> Form {
    let marker = match marker {
        Marker::U8 => 0xcc,
        Marker::U16 => 0xcd,
        Marker::U32 => 0xce,
        Marker::U64 => 0xcf,
        Marker::I8 => 0xd0,
        Marker::I16 => 0xd1,
        Marker::I32 => 0xd2,
        _ => 0xd3,
    };
    Form { marker, fix: 0, len: bytes + 1, shift: 64 - 8 * bytes }
}

/// An integer that a column can hold.
pub trait Int: Copy + PartialEq {
    /// The value's bits and the index of its form.
    fn form(self) -> (u64, usize);

    /// The values as bytes, where each is one that is its own form.
    fn as_fixints(_values: &[Self]) -> Option<&[u8]> {
        None
    }
}

impl Int for u64 {
    #[inline]
    fn form(self) -> (u64, usize) {
        (self, 64 - self.leading_zeros() as usize)
    }
}

impl Int for u32 {
    #[inline]
    fn form(self) -> (u64, usize) {
        u64::from(self).form()
    }
}

impl Int for u16 {
    #[inline]
    fn form(self) -> (u64, usize) {
        u64::from(self).form()
    }
}

impl Int for u8 {
    #[inline]
    fn form(self) -> (u64, usize) {
        u64::from(self).form()
    }

    fn as_fixints(values: &[u8]) -> Option<&[u8]> {
        values.is_ascii().then_some(values)
    }
}

impl Int for i64 {
    #[inline]
    fn form(self) -> (u64, usize) {
        let sign = self >> 63;
        let bits = 64 - (self ^ sign).leading_zeros() as usize;
        (self.cast_unsigned(), if self < 0 { NEGATIVE + bits } else { bits })
    }
}

impl Int for i32 {
    #[inline]
    fn form(self) -> (u64, usize) {
        i64::from(self).form()
    }
}

/// A buffer that keeps its length between blocks, so that nothing is zeroed or allocated after warm-up.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// Forgets the content, keeps the room.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Writes one integer.
    pub fn put<T: Int>(&mut self, value: T) {
        self.put_all(&[value]);
    }

    /// Writes `values` as an array that ends after the first element of its constant tail: a reader extends
    /// it with its last element.
    pub fn put_array<T: Int>(&mut self, values: &[T]) {
        let kept = match values.last() {
            Some(last) => values.iter().rposition(|v| v != last).map_or(1, |i| i + 2),
            None => 0,
        };
        self.put_array_len(kept);
        self.put_all(&values[..kept]);
    }

    fn put_array_len(&mut self, len: usize) {
        self.reserve(MAX_INT);
        let mut rest = &mut self.bytes[self.len..];
        let before = rest.len();
        rmp::encode::write_array_len(&mut rest, len as u32).expect("room was reserved");
        self.len += before - rest.len();
    }

    fn reserve(&mut self, more: usize) {
        let need = self.len + more;
        if self.bytes.len() < need {
            self.bytes.resize(need.next_power_of_two(), 0);
        }
    }

    fn put_all<T: Int>(&mut self, values: &[T]) {
        self.reserve(values.len() * MAX_INT);
        let out = &mut self.bytes[self.len..];
        if let Some(fixints) = T::as_fixints(values) {
            out[..values.len()].copy_from_slice(fixints);
            self.len += values.len();
            return;
        }
        let mut at = 0;
        for &value in values {
            let (bits, form) = value.form();
            let form = FORMS[form];
            let slot: &mut [u8] = &mut out[at..at + MAX_INT];
            slot[0] = form.marker | (bits as u8 & form.fix);
            slot[1..].copy_from_slice(&(bits << form.shift).to_be_bytes());
            at += form.len as usize;
        }
        self.len += at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written<T: Int>(values: &[T]) -> Vec<u8> {
        let mut buffer = Buffer::default();
        for _ in 0..2 {
            buffer.clear();
            buffer.put_all(values);
        }
        buffer.written().to_vec()
    }

    fn by_rmp(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let mut expected = Vec::new();
        for value in values {
            rmp::encode::write_sint(&mut expected, value).unwrap();
        }
        expected
    }

    #[test]
    fn every_form_at_its_edges_is_the_one_that_rmp_writes() {
        let edges: Vec<i64> = (0..63)
            .flat_map(|bits| [1i64 << bits, (1 << bits) - 1, -(1 << bits), -(1 << bits) - 1])
            .chain([i64::MIN, i64::MAX])
            .collect();
        for value in edges {
            assert_eq!(written(&[value]), by_rmp([value]), "{value}");
        }
        let mut expected = Vec::new();
        rmp::encode::write_uint(&mut expected, u64::MAX).unwrap();
        assert_eq!(written(&[u64::MAX]), expected);
    }

    proptest! {
        #[test]
        fn columns_are_what_rmp_writes(wide: Vec<i64>, half: Vec<i32>, word: Vec<u32>, short: Vec<u16>, byte: Vec<u8>) {
            prop_assert_eq!(written(&wide), by_rmp(wide));
            prop_assert_eq!(written(&half), by_rmp(half.into_iter().map(i64::from)));
            prop_assert_eq!(written(&word), by_rmp(word.into_iter().map(i64::from)));
            prop_assert_eq!(written(&short), by_rmp(short.into_iter().map(i64::from)));
            prop_assert_eq!(written(&byte), by_rmp(byte.into_iter().map(i64::from)));
        }
    }

    #[test]
    fn a_constant_tail_is_cut_after_its_first_element() {
        for (values, kept) in [
            (&[7u64, 7, 7][..], 1),
            (&[1, 2, 2, 2], 2),
            (&[1, 2, 3], 3),
            (&[2, 2, 3], 3),
            (&[5], 1),
            (&[], 0),
        ] {
            let mut buffer = Buffer::default();
            buffer.put_array(values);
            let mut bytes = buffer.written();
            assert_eq!(rmp::decode::read_array_len(&mut bytes).unwrap(), kept, "{values:?}");
            assert_eq!(bytes.len(), kept as usize);
        }
    }
}
