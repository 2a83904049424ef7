//! One address type for both families: sixteen bytes, IPv4 in its mapped form (RFC 4291 section 2.5.5.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address as sixteen bytes in network order, `::ffff:a.b.c.d` for IPv4.
///
/// Plain data with an alignment of one, so that records which carry two of them stay small; equality and
/// order are those of the bytes, which sorts IPv4 before most of IPv6 and neighbours beside each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr(pub [u8; 16]);

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Addr {
    /// `::`, which in an order means "let the kernel choose".
    pub const UNSPECIFIED: Addr = Addr([0; 16]);

    /// The mapped form of four IPv4 octets.
    #[inline]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Addr {
        let [a, b, c, d] = octets;
        Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// Whether this is an IPv4 address in mapped form.
    #[inline]
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.0[..12] == MAPPED
    }

    /// The four octets of an IPv4 address (the last four bytes of any other).
    #[inline]
    #[must_use]
    pub const fn v4_octets(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// The address as one big-endian number: arithmetic on ranges.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The address of a number made by [`Addr::to_bits`].
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u128) -> Addr {
        Addr(bits.to_be_bytes())
    }

    /// The standard library's form.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        if self.is_v4() { Ipv4Addr::from(self.v4_octets()).into() } else { Ipv6Addr::from(self.0).into() }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Addr {
        match ip {
            IpAddr::V4(v4) => Addr::v4(v4.octets()),
            IpAddr::V6(v6) => Addr(v6.octets()),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::ff", "fe80::1"] {
            let ip: IpAddr = text.parse().unwrap();
            let addr = Addr::from(ip);
            assert_eq!(addr.ip(), ip);
            assert_eq!(addr.is_v4(), ip.is_ipv4());
            assert_eq!(Addr::from_bits(addr.to_bits()), addr);
            assert_eq!(addr.to_string(), text);
        }
    }
}
