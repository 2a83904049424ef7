//! Opens the rings of a run.

use megaping_probe::Craft;
use megaping_probe::craft::{ICMP_LEN, IPV6_LEN};
use megaping_probe::identity::{Identity, PREFIX_MASK};
use megaping_ring::{
    IdentifierMatch, MemoryConfig, MemoryRing, Monotonic, RawConfig, RawRing, UringConfig, UringRing,
};

use super::RunError;
use crate::adapter::PacketAdapter;
use crate::cli::{Payload, PingOptions};
use crate::responder;
use crate::targets::TargetSet;

/// A packet on its way through `--backend memory` takes a buffer; so many can be under way.
const MEMORY_BUFFERS: u32 = 4096;

/// An ICMPv6 error is not longer than the least MTU of IPv6 (RFC 4443 section 2.4), an ICMP error not than 576
/// bytes (RFC 1812 section 4.3.2.3).
const LONGEST_ERROR: u16 = 1280;

/// The far end of the memory ring.
pub type FarEnd = fn(&[u8], &mut [u8]) -> Option<usize>;

/// Raw sockets for each identity.
///
/// # Errors
/// [`RunError::Open`] with the operation that failed and what would help.
pub fn raw(
    options: &PingOptions,
    targets: &TargetSet,
    identities: &[Identity],
    craft: &Craft,
) -> Result<Vec<PacketAdapter<RawRing>>, RunError> {
    let open = |identity: &Identity| {
        let ring = RawRing::open(&sockets(options, targets, identity))?;
        Ok(PacketAdapter::new(ring, craft.clone()))
    };
    identities.iter().map(open).collect()
}

/// The same sockets through `io_uring`, for each identity.
///
/// # Errors
/// [`RunError::Uring`] with the operation that failed or the feature that the kernel lacks.
pub fn uring(
    options: &PingOptions,
    targets: &TargetSet,
    identities: &[Identity],
    craft: &Craft,
) -> Result<Vec<PacketAdapter<UringRing>>, RunError> {
    let open = |identity: &Identity| {
        let config = UringConfig { sockets: sockets(options, targets, identity), ..UringConfig::default() };
        Ok(PacketAdapter::new(UringRing::open(&config)?, craft.clone()))
    };
    identities.iter().map(open).collect()
}

fn sockets(options: &PingOptions, targets: &TargetSet, identity: &Identity) -> RawConfig {
    RawConfig {
        ipv4: targets.has_v4(),
        ipv6: targets.has_v6(),
        identifiers: IdentifierMatch { value: identity.prefix(), mask: PREFIX_MASK },
        interface: options.interface.clone(),
        source_v4: options.source_v4,
        source_v6: options.source_v6,
        hop_limit: options.hop_limit,
        traffic_class: options.dscp << 2,
        mtu: packet_len(options).max(LONGEST_ERROR),
        ..RawConfig::default()
    }
}

/// Simulated networks that answer everything.
#[must_use]
pub fn memory(
    options: &PingOptions,
    shards: u16,
    craft: &Craft,
) -> Vec<PacketAdapter<MemoryRing<Monotonic, FarEnd>>> {
    let config = MemoryConfig {
        mtu: packet_len(options),
        capacity: MEMORY_BUFFERS,
        seed: options.seed.unwrap_or_default(),
        ..MemoryConfig::default()
    };
    let far_end: FarEnd = responder::echo;
    let ring = |_| PacketAdapter::new(MemoryRing::new(Monotonic, far_end, &config), craft.clone());
    (0..shards).map(ring).collect()
}

/// What follows our header in every payload.
#[must_use]
pub fn fill(options: &PingOptions, random: &mut dyn FnMut() -> u64) -> Vec<u8> {
    let len = usize::from(options.payload_len).saturating_sub(megaping_probe::HEADER_LEN);
    match &options.payload {
        Payload::Zero => vec![0; len],
        Payload::Pattern(pattern) => pattern.iter().copied().cycle().take(len).collect(),
        Payload::Random => std::iter::repeat_with(|| random() as u8).take(len).collect(),
    }
}

/// The longest packet of a run, from the IP header on: that of IPv6.
pub(super) fn packet_len(options: &PingOptions) -> u16 {
    options.payload_len.saturating_add((IPV6_LEN + ICMP_LEN) as u16)
}
