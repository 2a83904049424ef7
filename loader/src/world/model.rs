//! The rules of the simulated Internet once more, in Rust: what will become of a probe, said beforehand.
//!
//! `ebpf/include/megaping/abi.h` states them, `ebpf/world_fate.h` applies them, and tests hold the two equal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::WorldConfig;
use crate::abi::{PPM, WORLD_CHANGED, WORLD_LIMITED_PPM, WORLD_NAT_V4, WORLD_NAT_V6};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const DRAW_HOST: u32 = 1;
const DRAW_PATH: u32 = 2;
const DRAW_BIT: u32 = 3;
const DRAW_ECMP: u32 = 4;
const DRAW_SILENT: u32 = 5;
const DRAW_LIMITED: u32 = 6;
const DRAW_NAT: u32 = 7;
const DRAW_TOS: u32 = 8;
const DRAW_INTERFACE: u32 = 9;
const DRAW_LEGACY: u32 = 10;
const DRAW_CHANGE: u32 = 11;

/// What a destination is, whoever probes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Answers.
    Alive,
    /// Never answers.
    Dead,
    /// Its last router answers "host unreachable".
    Unreachable,
    /// Answers from this address.
    OtherAddress(IpAddr),
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A good reply from this address.
    Reply(IpAddr),
    /// A reply from this address with this payload byte and bit flipped (without payload: the checksum).
    Corrupt(IpAddr, usize, u8),
    /// Lost.
    Dropped,
    /// No answer from a dead host.
    Dead,
    /// "Host unreachable" from the router of this hop.
    Unreachable(u8),
    /// "Time exceeded" from the router of this hop.
    TimeExceeded(u8),
    /// No error from the router of this hop, which sends none.
    Silent(u8),
    /// No error from the router of this hop, which has sent enough.
    Limited(u8),
}

/// What routers look at to find the next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Where the packet goes.
    pub to: IpAddr,
    /// Its ICMP checksum (IPv4) or flow label (IPv6).
    pub flow: u32,
    /// When it passes, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
}

impl Way {
    /// The way to a destination where nothing is multi-path and nothing changes.
    #[must_use]
    pub fn to(to: IpAddr) -> Way {
        Way { to, flow: 0, at_ns: 0 }
    }
}

/// A router on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Where its errors come from.
    pub address: IpAddr,
    /// Which of its errors it sends.
    pub voice: Voice,
    /// The MPLS labels that it adds to them; empty for most.
    pub labels: Vec<u32>,
    /// What of a quoted packet it shows otherwise than it was sent.
    pub nat: Option<Nat>,
    /// The traffic class that it shows otherwise.
    pub tos: Option<Tos>,
    /// Whether it adds an interface information object.
    pub interface: bool,
    /// Whether it leaves out the length attribute.
    pub legacy: bool,
}

/// Which errors a router sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// All.
    Full,
    /// A quarter ([`WORLD_LIMITED_PPM`]).
    Limited,
    /// None.
    Silent,
}

/// Which address of a quoted packet is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The source is [`WORLD_NAT_V4`] or [`WORLD_NAT_V6`].
    Source,
    /// The destination has its last bit but one flipped.
    Destination,
}

/// Which part of a quoted traffic class is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tos {
    /// The DSCP is CS1.
    Dscp,
    /// The ECN field is "congestion experienced".
    Ecn,
}

/// The path length to a destination, in hops; a request needs at least this hop limit.
#[must_use]
pub fn path_length(config: &WorldConfig, to: IpAddr) -> u8 {
    let span = u32::from(config.max_hops - config.min_hops) + 1;
    config.min_hops + scale(draw(host_hash(config, to), DRAW_PATH), span) as u8
}

/// What a destination is.
#[must_use]
pub fn host(config: &WorldConfig, to: IpAddr) -> Host {
    let share = scale(draw(host_hash(config, to), DRAW_HOST), PPM);
    let dead = config.dead_ppm;
    let unreachable = dead + config.unreachable_ppm;
    if share < dead {
        Host::Dead
    } else if share < unreachable {
        Host::Unreachable
    } else if share < unreachable + config.other_address_ppm {
        Host::OtherAddress(neighbour(to))
    } else {
        Host::Alive
    }
}

/// What becomes of a request with this hop limit, identifier, sequence and payload.
#[must_use]
pub fn fate(config: &WorldConfig, way: &Way, hop_limit: u8, id: u16, seq: u16, payload: &[u8]) -> Fate {
    let to = way.to;
    let identity = u64::from(id) << 16 | u64::from(seq);
    let first = payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let packet = mix(mix(host_hash(config, to) ^ identity) ^ first);
    if scale((packet >> 32) as u32, PPM) < config.loss_ppm {
        return Fate::Dropped;
    }
    let error = |hop: u8, sent: fn(u8) -> Fate| match router(config, way, hop).voice {
        Voice::Silent => Fate::Silent(hop),
        Voice::Limited if !in_share(packet, DRAW_LIMITED, WORLD_LIMITED_PPM) => Fate::Limited(hop),
        _ => sent(hop),
    };
    let (path, hop) = (path_length(config, to), hop_limit.max(1));
    if hop < path {
        return error(hop, Fate::TimeExceeded);
    }
    let from = match host(config, to) {
        Host::Dead => return Fate::Dead,
        Host::Unreachable => return error(path.saturating_sub(1).max(1), Fate::Unreachable),
        Host::OtherAddress(other) => other,
        Host::Alive => to,
    };
    if scale(packet as u32, PPM) < config.corrupt_ppm {
        let byte = scale(draw(packet, DRAW_BIT), payload.len().min(64) as u32);
        return Fate::Corrupt(from, byte as usize, (packet & 7) as u8);
    }
    Fate::Reply(from)
}

/// The router of a hop (from 1) on a way.
#[must_use]
pub fn router(config: &WorldConfig, way: &Way, hop: u8) -> Router {
    let hash = router_hash(config, way, hop);
    let upper = (hash >> 32) as u32;
    let address = match way.to {
        IpAddr::V4(_) => {
            Ipv4Addr::from_bits(0x6440_0000 + (u32::from(hop & 63) << 16) + 1 + scale(upper, 65_534)).into()
        }
        IpAddr::V6(_) => {
            let high = u128::from(0xfd00_0072_0000_0000 | u64::from(hop) << 16) << 64;
            Ipv6Addr::from_bits(high | (1 + u128::from(upper))).into()
        }
    };
    let mut labels = Vec::new();
    if scale(hash as u32, PPM) < config.mpls_ppm {
        let bits = mix(hash.wrapping_add(GOLDEN));
        labels.extend((0..=(bits & 1)).map(|i| (bits >> (8 + 20 * i)) as u32 & 0xf_ffff | 16));
    }
    let voice = if in_share(hash, DRAW_SILENT, config.silent_ppm) {
        Voice::Silent
    } else if in_share(hash, DRAW_LIMITED, config.limited_ppm) {
        Voice::Limited
    } else {
        Voice::Full
    };
    let nat = scale(draw(hash, DRAW_NAT), PPM);
    Router {
        address,
        voice,
        labels,
        nat: if nat < config.nat_source_ppm {
            Some(Nat::Source)
        } else {
            (nat - config.nat_source_ppm < config.nat_destination_ppm).then_some(Nat::Destination)
        },
        tos: in_share(hash, DRAW_TOS, config.tos_ppm).then_some(if hash & 1 == 1 {
            Tos::Dscp
        } else {
            Tos::Ecn
        }),
        interface: in_share(hash, DRAW_INTERFACE, config.interface_ppm),
        legacy: in_share(hash, DRAW_LEGACY, config.legacy_ppm),
    }
}

fn router_hash(config: &WorldConfig, way: &Way, hop: u8) -> u64 {
    let (hi, lo) = halves(way.to);
    let host = host_hash(config, way.to);
    let above = u32::from(hop.max(1)) - 1;
    let changed =
        hop > 1 && in_share(host, DRAW_CHANGE, config.change_ppm) && way.at_ns >= config.change_at_ns;
    let seed = if changed { config.seed ^ WORLD_CHANGED } else { config.seed };
    let plain = match way.to {
        IpAddr::V4(_) => {
            let bits = (4 * above).min(24);
            hash(seed ^ u64::from(hop), 0, lo & !(0xffff_ffff >> bits))
        }
        IpAddr::V6(_) => {
            let bits = (8 * above).min(48);
            hash(seed ^ u64::from(hop), hi & !(u64::MAX >> bits), 0)
        }
    };
    if !in_share(plain, DRAW_ECMP, config.ecmp_ppm) {
        return plain;
    }
    let chosen = mix(plain ^ mix(host ^ u64::from(way.flow)));
    match scale((chosen >> 32) as u32, config.ecmp_width.into()) {
        0 => plain,
        sibling => hash(plain, sibling.into(), hop.into()),
    }
}

/// The source that a router behind a NAT quotes.
#[must_use]
pub fn nat_source(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::from_bits(WORLD_NAT_V4).into() } else { Ipv6Addr::from_bits(WORLD_NAT_V6).into() }
}

/// The destination that a router before a NAT quotes.
#[must_use]
pub fn nat_destination(of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() ^ 2).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() ^ 2).into(),
    }
}

/// The address from which a host of the kind "other address" answers: the last bit flipped.
#[must_use]
pub fn neighbour(of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() ^ 1).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() ^ 1).into(),
    }
}

fn halves(address: IpAddr) -> (u64, u64) {
    match address {
        IpAddr::V4(v4) => (0, 0x0000_ffff_0000_0000 | u64::from(v4.to_bits())),
        IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64, v6.to_bits() as u64),
    }
}

fn host_hash(config: &WorldConfig, to: IpAddr) -> u64 {
    let (hi, lo) = halves(to);
    hash(config.seed, hi, lo)
}

fn hash(seed: u64, hi: u64, lo: u64) -> u64 {
    mix(mix(seed.wrapping_add(GOLDEN) ^ hi) ^ lo)
}

fn draw(hash: u64, purpose: u32) -> u32 {
    (mix(hash.wrapping_add(u64::from(purpose).wrapping_mul(GOLDEN))) >> 32) as u32
}

fn in_share(hash: u64, purpose: u32, share_ppm: u32) -> bool {
    scale(draw(hash, purpose), PPM) < share_ppm
}

fn scale(draw: u32, n: u32) -> u32 {
    ((u64::from(draw) * u64::from(n)) >> 32) as u32
}

/// The finaliser of splitmix64.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> impl Iterator<Item = IpAddr> {
        (0..100_000).map(|i| Ipv4Addr::from_bits(0x0a00_0000 + i).into())
    }

    #[test]
    fn shares_of_destinations_are_what_was_asked_for() {
        let config = WorldConfig {
            dead_ppm: 100_000,
            unreachable_ppm: 50_000,
            other_address_ppm: 20_000,
            ..WorldConfig::default()
        };
        let count = |kind: fn(&Host) -> bool| addresses().filter(|a| kind(&host(&config, *a))).count();
        assert!((9_500..10_500).contains(&count(|h| *h == Host::Dead)));
        assert!((4_600..5_400).contains(&count(|h| *h == Host::Unreachable)));
        assert!((1_700..2_300).contains(&count(|h| matches!(h, Host::OtherAddress(_)))));
    }

    #[test]
    fn path_lengths_fill_their_range_and_no_more() {
        let config = WorldConfig { min_hops: 3, max_hops: 12, ..WorldConfig::default() };
        let mut seen = [0; 65];
        addresses().for_each(|a| seen[usize::from(path_length(&config, a))] += 1);
        assert!(seen.iter().enumerate().all(|(hops, n)| (*n > 9_000) == (3..=12).contains(&hops)));
    }

    #[test]
    fn the_first_router_is_shared_and_the_last_ones_are_not() {
        let config = WorldConfig { max_hops: 9, ..WorldConfig::default() };
        let at = |address: &str, hop| router(&config, &Way::to(address.parse().unwrap()), hop).address;
        assert_eq!(at("10.0.0.1", 1), at("192.0.2.1", 1));
        assert_eq!(at("10.0.0.1", 8), at("10.0.0.200", 8));
        let nets = (0..200).map(|i| at(&format!("10.0.{i}.1"), 8)).collect::<std::collections::HashSet<_>>();
        assert!(nets.len() > 100);
        assert_eq!(at("fd00:1::1", 2).to_string().split("::").next(), Some("fd00:72:2"));
    }

    #[test]
    fn flows_spread_over_siblings_and_keep_to_them() {
        let config = WorldConfig { max_hops: 9, ecmp_ppm: 500_000, ecmp_width: 3, ..WorldConfig::default() };
        let mut widths = [0; 4];
        for to in addresses().step_by(997) {
            for hop in 1..9 {
                let at = |flow| router(&config, &Way { flow, ..Way::to(to) }, hop).address;
                let seen: std::collections::HashSet<_> = (0..64).map(at).collect();
                widths[seen.len()] += 1;
                assert_eq!(at(5), at(5));
            }
        }
        assert_eq!((widths[0], widths[2]), (0, 0), "{widths:?}");
        assert!(widths[1] > 100 && widths[3] > 100, "{widths:?}");
    }

    #[test]
    fn a_share_of_paths_changes_at_its_time_and_not_before() {
        let config =
            WorldConfig { max_hops: 9, change_ppm: 300_000, change_at_ns: 1000, ..WorldConfig::default() };
        let path = |to, at_ns| -> Vec<IpAddr> {
            (1..9).map(|hop| router(&config, &Way { at_ns, ..Way::to(to) }, hop).address).collect()
        };
        let mut changed = 0;
        for to in addresses().take(2000) {
            assert_eq!(path(to, 0), path(to, 999));
            let (before, after) = (path(to, 999), path(to, 1000));
            assert_eq!(before[0], after[0]);
            changed += u32::from(before != after);
        }
        assert!((500..700).contains(&changed), "{changed}");
    }
}
