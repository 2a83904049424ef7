//! Which packets somebody wants to see. What is cheap is decided by the shard, before the packet is copied.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use megaping_wire::Addr;
use serde::{Deserialize, Serialize};

use crate::{Direction, Verdict};

/// A block of addresses, or one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    address: IpAddr,
    len: u8,
    bits: u128,
    mask: u128,
}

impl Prefix {
    /// Whether an address is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: &Addr) -> bool {
        (address.to_bits() ^ self.bits) & self.mask == 0 && address.is_v4() == self.address.is_ipv4()
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let wrong =
            || format!("'{text}' is no block of addresses: 10.0.0.0/8, 2001:db8::/32 or one address is");
        let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(longest), str::parse::<u8>).map_err(|_| wrong())?;
        if len > longest {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(u32::from(longest - len)).unwrap_or(0);
        Ok(Prefix { address, len, bits: Addr::from(address).to_bits(), mask })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Prefix, String> {
        text.parse()
    }
}

/// What is wanted; empty lists want everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Names of tenants.
    pub tenants: Vec<String>,
    /// Names of measurements.
    pub measurements: Vec<String>,
    /// Blocks that the probe's destination is in.
    pub targets: Vec<Prefix>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// One direction alone.
    pub direction: Option<Direction>,
    /// ICMP or ICMPv6 types.
    pub icmp_types: Vec<u8>,
    /// Of every so many probes one, with all that answers it; 0 and 1 are all.
    pub sample: u32,
    /// Bytes of a packet that are kept, from the IP header on; 0 for as many as fit.
    pub snaplen: u32,
}

/// What a filter asks of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// To the wire or from it.
    pub direction: Direction,
    /// What was made of it.
    pub verdict: Verdict,
    /// The probe's destination.
    pub destination: Addr,
    /// The ICMP type, where there is one.
    pub icmp_type: Option<u8>,
    /// The probe's number in its shard, or what is nearest to it.
    pub key: u64,
}

impl Filter {
    /// Whether a probe is one of the sample, with all that answers it: by its number's place on a golden spiral, which takes
    /// one of so many and needs no division.
    #[inline]
    #[must_use]
    pub const fn samples(key: u64, most: u32) -> bool {
        (key as u32).wrapping_mul(0x9e37_79b1) <= most
    }

    /// What [`Filter::samples`] takes for `most`.
    #[must_use]
    pub const fn sample_most(&self) -> u32 {
        if self.sample < 2 { u32::MAX } else { u32::MAX / self.sample }
    }

    /// Whether a packet passes all that can be told without names.
    #[inline]
    #[must_use]
    pub fn wants(&self, facts: &Facts) -> bool {
        Filter::samples(facts.key, self.sample_most())
            && self.direction.is_none_or(|direction| direction == facts.direction)
            && (self.verdicts.is_empty() || self.verdicts.contains(&facts.verdict))
            && (self.icmp_types.is_empty() || facts.icmp_type.is_some_and(|it| self.icmp_types.contains(&it)))
            && (self.targets.is_empty()
                || self.targets.iter().any(|block| block.contains(&facts.destination)))
    }

    /// Whether the names pass.
    #[must_use]
    pub fn wants_names(&self, tenant: &str, measurement: &str) -> bool {
        let has = |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
        has(&self.tenants, tenant) && has(&self.measurements, measurement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    #[test]
    fn a_block_has_its_addresses_and_no_others() {
        let v4 = |last| Addr::v4([10, 0, 1, last]);
        assert!(prefix("10.0.0.0/23").contains(&v4(255)) && !prefix("10.0.0.0/24").contains(&v4(0)));
        assert!(prefix("0.0.0.0/0").contains(&v4(1)) && !prefix("::/0").contains(&v4(1)));
        assert!(prefix("10.0.1.7").contains(&v4(7)) && !prefix("10.0.1.7").contains(&v4(6)));
        let v6 = Addr::from("fd00:1::5".parse::<IpAddr>().unwrap());
        assert!(prefix("fd00::/16").contains(&v6) && !prefix("0.0.0.0/0").contains(&v6));
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", ""] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        let json = serde_json::to_string(&prefix("10.0.0.0/8")).unwrap();
        assert_eq!(
            (json.as_str(), serde_json::from_str(&json).unwrap()),
            ("\"10.0.0.0/8\"", prefix("10.0.0.0/8"))
        );
    }

    #[test]
    fn every_condition_has_to_hold() {
        let facts = Facts {
            direction: Direction::In,
            verdict: Verdict::Late,
            destination: Addr::v4([10, 0, 0, 1]),
            icmp_type: Some(11),
            key: 300,
        };
        let all = Filter::default();
        assert!(all.wants(&facts));
        for (filter, wants) in [
            (Filter { sample: 1, ..all.clone() }, true),
            (Filter { sample: 1 << 20, ..all.clone() }, false),
            (Filter { direction: Some(Direction::Out), ..all.clone() }, false),
            (Filter { verdicts: vec![Verdict::Sent, Verdict::Late], ..all.clone() }, true),
            (Filter { verdicts: vec![Verdict::Sent], ..all.clone() }, false),
            (Filter { icmp_types: vec![0], ..all.clone() }, false),
            (Filter { targets: vec![prefix("10.0.0.0/31")], ..all.clone() }, true),
            (Filter { targets: vec![prefix("10.0.0.2")], ..all.clone() }, false),
        ] {
            assert_eq!(filter.wants(&facts), wants, "{filter:?}");
        }
        for sample in [2, 7, 100, 1000] {
            let most = Filter { sample, ..Filter::default() }.sample_most();
            let taken = (0..100_000).filter(|key| Filter::samples(*key, most)).count();
            assert!(taken.abs_diff(100_000 / sample as usize) <= 3, "{sample}: {taken}");
        }
        let named = Filter { tenants: vec!["acme".into()], ..all };
        assert!(named.wants_names("acme", "x") && !named.wants_names("", "x"));
    }
}
