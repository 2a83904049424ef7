//! How the simulated Internet behaves, in a caller's words.

use crate::LoadError;
use crate::abi::{self, WorldConfigAbi};

/// How much of a request an ICMP error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quote {
    /// The IP header and eight bytes: all that RFC 792 promises.
    Eight,
    /// The whole packet, up to an error of 576 bytes (RFC 1812 section 4.3.2.3) or 1280 (RFC 4443 section 2.4).
    #[default]
    Full,
}

/// What [`World`](crate::World) does; shares are per million. `ebpf/include/megaping/abi.h` has the rules.
///
/// The default is an Internet where every host is a neighbour and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldConfig {
    /// Another seed is another Internet.
    pub seed: u64,
    /// Destinations that never answer, per million.
    pub dead_ppm: u32,
    /// Destinations whose last router answers "host unreachable", per million.
    pub unreachable_ppm: u32,
    /// Destinations that answer from another address, per million.
    pub other_address_ppm: u32,
    /// Requests that get lost, per million.
    pub loss_ppm: u32,
    /// Replies with a spoiled bit, per million.
    pub corrupt_ppm: u32,
    /// Routers that add an MPLS label stack to their errors, per million.
    pub mpls_ppm: u32,
    /// Shortest path, in hops; 1 is a neighbour.
    pub min_hops: u8,
    /// Longest path, in hops, at most 64.
    pub max_hops: u8,
    /// Routers that send no errors, per million.
    pub silent_ppm: u32,
    /// Routers that send a quarter of their errors ([`abi::WORLD_LIMITED_PPM`]), per million.
    pub limited_ppm: u32,
    /// Hops that are multi-path, per million.
    pub ecmp_ppm: u32,
    /// Next hops that a multi-path hop balances over, at least 2.
    pub ecmp_width: u8,
    /// Routers that quote a NAT's address as the source, per million.
    pub nat_source_ppm: u32,
    /// Routers that quote another destination, per million.
    pub nat_destination_ppm: u32,
    /// Routers that quote another DSCP or ECN field, per million.
    pub tos_ppm: u32,
    /// Routers that add an interface information object to their errors, per million.
    pub interface_ppm: u32,
    /// Routers that leave out the length attribute before extensions, per million.
    pub legacy_ppm: u32,
    /// Destinations whose path changes, per million.
    pub change_ppm: u32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub change_at_ns: u64,
    /// How much an error quotes.
    pub quote: Quote,
    /// Check the checksums of every request, and count the bad ones as malformed.
    pub verify: bool,
}

impl Default for WorldConfig {
    fn default() -> WorldConfig {
        WorldConfig {
            seed: 0,
            dead_ppm: 0,
            unreachable_ppm: 0,
            other_address_ppm: 0,
            loss_ppm: 0,
            corrupt_ppm: 0,
            mpls_ppm: 0,
            min_hops: 1,
            max_hops: 1,
            silent_ppm: 0,
            limited_ppm: 0,
            ecmp_ppm: 0,
            ecmp_width: 2,
            nat_source_ppm: 0,
            nat_destination_ppm: 0,
            tos_ppm: 0,
            interface_ppm: 0,
            legacy_ppm: 0,
            change_ppm: 0,
            change_at_ns: 0,
            quote: Quote::Full,
            verify: false,
        }
    }
}

impl WorldConfig {
    /// The structure that the program reads.
    ///
    /// # Errors
    /// [`LoadError::Config`] names the setting that is out of range.
    pub fn to_abi(&self) -> Result<WorldConfigAbi, LoadError> {
        self.check()?;
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let flags = flag(self.verify, abi::WORLD_VERIFY)
            | flag(
                self.dead_ppm + self.unreachable_ppm + self.other_address_ppm > 0,
                abi::WORLD_BY_DESTINATION,
            )
            | flag(self.loss_ppm + self.corrupt_ppm > 0, abi::WORLD_BY_PACKET)
            | flag(self.max_hops > 1, abi::WORLD_HOPS)
            | flag(self.router_shares().iter().any(|(_, ppm)| *ppm > 0), abi::WORLD_ROUTERS)
            | flag(self.change_ppm > 0, abi::WORLD_CHANGE);
        Ok(WorldConfigAbi {
            seed: self.seed,
            flags,
            dead_ppm: self.dead_ppm,
            unreachable_ppm: self.unreachable_ppm,
            other_address_ppm: self.other_address_ppm,
            loss_ppm: self.loss_ppm,
            corrupt_ppm: self.corrupt_ppm,
            mpls_ppm: self.mpls_ppm,
            quote_bytes: match self.quote {
                Quote::Eight => 8,
                Quote::Full => abi::WORLD_QUOTE_FULL,
            },
            min_hops: self.min_hops,
            max_hops: self.max_hops,
            ecmp_width: self.ecmp_width,
            reserved: [0; 5],
            silent_ppm: self.silent_ppm,
            limited_ppm: self.limited_ppm,
            ecmp_ppm: self.ecmp_ppm,
            nat_source_ppm: self.nat_source_ppm,
            nat_destination_ppm: self.nat_destination_ppm,
            tos_ppm: self.tos_ppm,
            interface_ppm: self.interface_ppm,
            legacy_ppm: self.legacy_ppm,
            change_ppm: self.change_ppm,
            reserved2: 0,
            change_at_ns: self.change_at_ns,
        })
    }

    /// The settings behind a structure that [`WorldConfig::to_abi`] made.
    #[must_use]
    pub fn from_abi(abi: &WorldConfigAbi) -> WorldConfig {
        WorldConfig {
            seed: abi.seed,
            dead_ppm: abi.dead_ppm,
            unreachable_ppm: abi.unreachable_ppm,
            other_address_ppm: abi.other_address_ppm,
            loss_ppm: abi.loss_ppm,
            corrupt_ppm: abi.corrupt_ppm,
            mpls_ppm: abi.mpls_ppm,
            min_hops: abi.min_hops,
            max_hops: abi.max_hops,
            silent_ppm: abi.silent_ppm,
            limited_ppm: abi.limited_ppm,
            ecmp_ppm: abi.ecmp_ppm,
            ecmp_width: abi.ecmp_width,
            nat_source_ppm: abi.nat_source_ppm,
            nat_destination_ppm: abi.nat_destination_ppm,
            tos_ppm: abi.tos_ppm,
            interface_ppm: abi.interface_ppm,
            legacy_ppm: abi.legacy_ppm,
            change_ppm: abi.change_ppm,
            change_at_ns: abi.change_at_ns,
            quote: if abi.quote_bytes == 8 { Quote::Eight } else { Quote::Full },
            verify: abi.flags & abi::WORLD_VERIFY != 0,
        }
    }

    /// The shares of routers that are unlike the others.
    fn router_shares(&self) -> [(&'static str, u32); 8] {
        [
            ("silent", self.silent_ppm),
            ("limited", self.limited_ppm),
            ("ecmp", self.ecmp_ppm),
            ("nat-source", self.nat_source_ppm),
            ("nat-destination", self.nat_destination_ppm),
            ("tos", self.tos_ppm),
            ("interface", self.interface_ppm),
            ("legacy", self.legacy_ppm),
        ]
    }

    fn check(&self) -> Result<(), LoadError> {
        const SHARE: &str = "at most 1000000 per million";
        let shares = [
            ("dead", self.dead_ppm),
            ("unreachable", self.unreachable_ppm),
            ("other-address", self.other_address_ppm),
            ("loss", self.loss_ppm),
            ("corrupt", self.corrupt_ppm),
            ("mpls", self.mpls_ppm),
            ("change", self.change_ppm),
        ];
        for (setting, value) in shares.into_iter().chain(self.router_shares()) {
            if value > abi::PPM {
                return Err(LoadError::Config { setting, value: value.into(), allowed: SHARE });
            }
        }
        let hosts = self.dead_ppm + self.unreachable_ppm + self.other_address_ppm;
        if hosts > abi::PPM {
            return Err(LoadError::Config {
                setting: "the sum of dead, unreachable and other-address",
                value: hosts.into(),
                allowed: SHARE,
            });
        }
        if self.ecmp_width < 2 {
            let allowed = "2 or more: one next hop is no choice";
            return Err(LoadError::Config { setting: "ecmp-width", value: self.ecmp_width.into(), allowed });
        }
        if self.min_hops == 0 || self.min_hops > self.max_hops {
            let allowed = "1 or more, and no more than max-hops";
            return Err(LoadError::Config { setting: "min-hops", value: self.min_hops.into(), allowed });
        }
        if self.max_hops > abi::WORLD_MAX_HOPS {
            let allowed = "at most 64: a reply starts with a hop limit of 64";
            return Err(LoadError::Config { setting: "max-hops", value: self.max_hops.into(), allowed });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_takes_the_fast_path() {
        assert_eq!(WorldConfig::default().to_abi().unwrap().flags, 0);
    }

    #[test]
    fn settings_survive_the_structure() {
        let config = WorldConfig {
            seed: 7,
            dead_ppm: 1,
            loss_ppm: 2,
            mpls_ppm: 3,
            max_hops: 9,
            silent_ppm: 4,
            limited_ppm: 5,
            ecmp_ppm: 6,
            ecmp_width: 7,
            nat_source_ppm: 8,
            nat_destination_ppm: 9,
            tos_ppm: 10,
            interface_ppm: 11,
            legacy_ppm: 12,
            change_ppm: 13,
            change_at_ns: 14,
            quote: Quote::Eight,
            verify: true,
            ..WorldConfig::default()
        };
        assert_eq!(WorldConfig::from_abi(&config.to_abi().unwrap()), config);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = |change: fn(&mut WorldConfig)| {
            let mut config = WorldConfig::default();
            change(&mut config);
            config.to_abi().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.loss_ppm = 1_000_001).starts_with("loss is 1000001"));
        assert!(wrong(|c| (c.dead_ppm, c.unreachable_ppm) = (600_000, 500_000)).contains("1100000"));
        assert!(wrong(|c| c.min_hops = 0).starts_with("min-hops is 0"));
        assert!(wrong(|c| c.min_hops = 3).starts_with("min-hops is 3"));
        assert!(wrong(|c| c.silent_ppm = 1_000_001).starts_with("silent is 1000001"));
        assert!(wrong(|c| c.ecmp_width = 1).starts_with("ecmp-width is 1"));
        assert!(wrong(|c| c.max_hops = 65).starts_with("max-hops is 65"));
    }
}
