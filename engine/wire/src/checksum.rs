//! The Internet checksum (RFC 1071): whole, in parts, and changed in place (RFC 1624).
//!
//! Sums are kept as numbers: [`Sum::add_u16`] of a host number adds the word that stands on the wire in
//! network order. Ones' complement addition knows two zeros; a sum is `0x0000` only when every word that
//! went into it was zero, so a packet with at least one set bit has one checksum, however it is computed.

use crate::Addr;

/// A ones' complement sum under way.
///
/// The accumulator is 64 bits wide and wraps its carries around: 2^64 - 1 is a multiple of 2^16 - 1, so the
/// folded result is that of 16-bit additions.
///
/// ```
/// use megaping_wire::checksum::Sum;
/// let header = [0x08, 0x00, 0x00, 0x00, 0x12, 0x34, 0x00, 0x01];
/// let parts = Sum::new().add_u16(0x0800).add_u16(0x1234).add_u16(1);
/// assert_eq!(parts.checksum(), megaping_wire::checksum::checksum(&header));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Sum {
        Sum(0)
    }

    /// The pseudo header above an upper-layer packet of `length` bytes (RFC 8200 section 8.1).
    #[inline]
    #[must_use]
    pub const fn pseudo_v6(source: &[u8; 16], destination: &[u8; 16], length: u32, next_header: u8) -> Sum {
        Sum::new().add_addr6(source).add_addr6(destination).add_u32(length).add_u16(next_header as u16)
    }

    /// Adds a 16-bit word.
    #[inline]
    #[must_use]
    pub const fn add_u16(self, word: u16) -> Sum {
        self.add_u64(word as u64)
    }

    /// Adds two words.
    #[inline]
    #[must_use]
    pub const fn add_u32(self, words: u32) -> Sum {
        self.add_u64(words as u64)
    }

    /// Adds four words.
    #[inline]
    #[must_use]
    pub const fn add_u64(self, words: u64) -> Sum {
        let (sum, carry) = self.0.overflowing_add(words);
        // A sum that carried is at most 2^64 - 2, so bringing the carry around cannot carry again.
        Sum(sum + carry as u64)
    }

    /// Adds eight words.
    #[inline]
    #[must_use]
    pub const fn add_u128(self, words: u128) -> Sum {
        self.add_u64((words >> 64) as u64).add_u64(words as u64)
    }

    /// Adds an IPv4 address: the four octets of an [`Addr`] in mapped form.
    #[inline]
    #[must_use]
    pub const fn add_addr4(self, address: [u8; 4]) -> Sum {
        self.add_u32(u32::from_be_bytes(address))
    }

    /// Adds an IPv6 address.
    #[inline]
    #[must_use]
    pub const fn add_addr6(self, address: &[u8; 16]) -> Sum {
        self.add_u128(u128::from_be_bytes(*address))
    }

    /// Adds the sixteen bytes of an address.
    #[inline]
    #[must_use]
    pub const fn add_addr(self, address: Addr) -> Sum {
        self.add_u128(address.to_bits())
    }

    /// Adds what another sum holds: parts that were summed apart, each from an even offset.
    #[inline]
    #[must_use]
    pub const fn add_sum(self, other: Sum) -> Sum {
        self.add_u64(other.0)
    }

    /// Adds bytes as they stand in the packet. An odd tail counts as padded with a zero byte, so only the
    /// last of several parts may be of odd length.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Sum {
        let (blocks, mut rest) = bytes.as_chunks::<8>();
        // Carries pile up in the upper half and are brought around once: half the work of doing it each time.
        let mut wide = self.0 as u128;
        for block in blocks {
            wide += u64::from_be_bytes(*block) as u128;
        }
        let mut sum = Sum(wide as u64).add_u64((wide >> 64) as u64);
        if let Some((head, tail)) = rest.split_first_chunk::<4>() {
            sum = sum.add_u32(u32::from_be_bytes(*head));
            rest = tail;
        }
        match *rest {
            [a, b, c] => sum.add_u32(u32::from_be_bytes([a, b, c, 0])),
            [a, b] => sum.add_u16(u16::from_be_bytes([a, b])),
            [a] => sum.add_u16(u16::from_be_bytes([a, 0])),
            _ => sum,
        }
    }

    /// The ones' complement sum in 16 bits, not complemented.
    #[inline]
    #[must_use]
    pub const fn fold(self) -> u16 {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff); // 33 bits
        let sum = (sum >> 16) + (sum & 0xffff); // 18 bits
        let sum = (sum >> 16) + (sum & 0xffff); // at most 0x10002
        ((sum >> 16) + (sum & 0xffff)) as u16
    }

    /// What belongs into the checksum field when everything else was added.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether the sum, taken with the checksum field, is that of an unharmed packet.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }
}

/// The checksum of `bytes`, whose checksum field is zero or left out.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::new().add_bytes(bytes).checksum()
}

/// Whether `bytes`, checksum field included, are unharmed. Bytes that are all zero are not.
#[inline]
#[must_use]
pub fn verify(bytes: &[u8]) -> bool {
    Sum::new().add_bytes(bytes).is_valid()
}

/// The checksum field after one of the words under it changed (RFC 1624 equation 3).
///
/// Equal to the whole checksum except where the change leaves nothing but zeros, which no IP or ICMP echo
/// request packet is.
#[inline]
#[must_use]
pub const fn update_u16(check: u16, old: u16, new: u16) -> u16 {
    Sum::new().add_u16(!check).add_u16(!old).add_u16(new).checksum()
}

/// As [`update_u16`], for two words at an even offset.
#[inline]
#[must_use]
pub const fn update_u32(check: u16, old: u32, new: u32) -> u16 {
    Sum::new().add_u16(!check).add_u32(!old).add_u32(new).checksum()
}

/// As [`update_u16`], for four words at an even offset.
#[inline]
#[must_use]
pub const fn update_u64(check: u16, old: u64, new: u64) -> u16 {
    Sum::new().add_u16(!check).add_u64(!old).add_u64(new).checksum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_rfc_1071() {
        // Section 3: the sum of 0001 f203 f4f5 f6f7 is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().add_bytes(&bytes).fold(), 0xddf2);
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    #[test]
    fn the_worked_example_of_rfc_1624() {
        // Section 4: 5555 becomes 3285 under a checksum of dd2f; equation 2 would say ffff.
        assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn carries_wrap_at_every_width() {
        let sum = Sum::new().add_u64(u64::MAX).add_u64(u64::MAX).add_u128(u128::MAX).add_u32(u32::MAX);
        assert_eq!(sum.add_u16(u16::MAX).fold(), 0xffff);
        assert_eq!(sum.add_u16(1).fold(), 1);
        assert_eq!(Sum::new().fold(), 0);
    }

    #[test]
    fn an_odd_tail_is_padded_on_the_right() {
        for length in 0..40 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut padded = bytes.clone();
            padded.resize(bytes.len().next_multiple_of(8), 0);
            assert_eq!(checksum(&bytes), checksum(&padded), "length {length}");
        }
    }

    #[test]
    fn the_pseudo_header_is_that_of_rfc_8200() {
        let (source, destination) = ([0x20; 16], [0xfe; 16]);
        let mut bytes = [0u8; 40];
        bytes[..16].copy_from_slice(&source);
        bytes[16..32].copy_from_slice(&destination);
        bytes[32..36].copy_from_slice(&0x0001_0002_u32.to_be_bytes());
        bytes[39] = 58;
        let whole = Sum::new().add_bytes(&bytes);
        assert_eq!(Sum::pseudo_v6(&source, &destination, 0x0001_0002, 58).fold(), whole.fold());
    }

    #[test]
    fn verify_sees_each_flipped_bit() {
        let mut bytes = [0x45, 0, 0, 0x1c, 0, 0, 0x40, 0, 0x40, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let check = checksum(&bytes);
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
        assert!(verify(&bytes));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
