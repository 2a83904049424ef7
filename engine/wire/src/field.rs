//! Reading and writing the fields of a header whose length has been checked.

#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array_at(bytes, at))
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

#[inline]
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[inline]
pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// Replaces the bits under `mask`.
#[inline]
pub(crate) fn put_bits16(bytes: &mut [u8], at: usize, mask: u16, value: u16) {
    let kept = u16_at(bytes, at) & !mask;
    put(bytes, at, (kept | value & mask).to_be_bytes());
}
