//! Which rows are wanted.

use std::str::FromStr;

use megaping_wire::Addr;

use super::Seen;
use crate::Status;
use crate::archive::{HOUR_NS, Partition};

/// Addresses that have their first bits in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    first: Addr,
    /// Bits that count, of the 128 of an IPv6 address; an IPv4 address is `::ffff:a.b.c.d`.
    bits: u8,
}

/// Not a prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an address or a block is wanted, as in 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")]
pub struct NotAPrefix;

impl Prefix {
    /// The block of `len` bits that holds an address, by the length of its family; one that is too long is the
    /// address alone.
    #[must_use]
    pub fn of(address: Addr, len: u8) -> Prefix {
        let bits = if address.is_v4() { len.min(32) + 96 } else { len.min(128) };
        Prefix { first: Addr::from_bits(address.to_bits() & mask(bits)), bits }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, address: Addr) -> bool {
        address.is_v4() == self.first.is_v4() && address.to_bits() & mask(self.bits) == self.first.to_bits()
    }

    /// The address, where it is one alone.
    #[must_use]
    pub fn host(&self) -> Option<Addr> {
        (self.bits == 128).then_some(self.first)
    }
}

const fn mask(bits: u8) -> u128 {
    if bits == 0 { 0 } else { u128::MAX << (128 - bits) }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = if self.first.is_v4() { self.bits - 96 } else { self.bits };
        write!(f, "{}/{len}", self.first)
    }
}

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Prefix, NotAPrefix> {
        let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
        let address: std::net::IpAddr = address.parse().map_err(|_| NotAPrefix)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(longest), str::parse).map_err(|_| NotAPrefix)?;
        if len > longest {
            return Err(NotAPrefix);
        }
        Ok(Prefix::of(Addr::from(address), len))
    }
}

/// Which rows are wanted: those that fit every field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Whose; empty: anybody's.
    pub tenants: Vec<String>,
    /// To any of these; empty: to anywhere.
    pub prefixes: Vec<Prefix>,
    /// With any of these ends; empty: any.
    pub statuses: Vec<Status>,
    /// Not before this, Unix nanoseconds.
    pub from_ns: u64,
    /// And not after this.
    pub to_ns: u64,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            tenants: Vec::new(),
            prefixes: Vec::new(),
            statuses: Vec::new(),
            from_ns: 0,
            to_ns: u64::MAX,
        }
    }
}

impl Filter {
    /// Whether a row is wanted, its tenant aside.
    #[must_use]
    pub fn takes(&self, row: &Seen) -> bool {
        (self.from_ns..=self.to_ns).contains(&row.unix_ns)
            && (self.statuses.is_empty() || self.statuses.contains(&row.status))
            && (self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| prefix.holds(row.destination)))
    }

    /// Whether anybody of this name is wanted.
    #[must_use]
    pub fn takes_tenant(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|wanted| wanted == tenant)
    }

    /// Whether rows of a partition may be wanted.
    #[must_use]
    pub fn takes_partition(&self, partition: &Partition) -> bool {
        let first_ns = partition.unix_hour.saturating_mul(HOUR_NS);
        self.takes_tenant(&partition.tenant)
            && self.takes_span(first_ns, first_ns.saturating_add(HOUR_NS - 1))
    }

    /// Whether rows of these times, both included, may be wanted.
    #[must_use]
    pub fn takes_span(&self, first_ns: u64, last_ns: u64) -> bool {
        first_ns <= self.to_ns && last_ns >= self.from_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_what_they_should() {
        let holds = |prefix: &str, address: &str| {
            let address: std::net::IpAddr = address.parse().unwrap();
            prefix.parse::<Prefix>().unwrap().holds(Addr::from(address))
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "1.2.3.4"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1") && !holds("2001:db8::/33", "2001:db8:8000::1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0/8"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
        assert_eq!("10.1.2.3/8".parse::<Prefix>().unwrap().to_string(), "10.0.0.0/8");
    }
}
