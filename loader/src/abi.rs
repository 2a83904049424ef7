//! The Rust side of `ebpf/include/megaping/abi.h`: the same structures, constants and assertions.

use std::mem::offset_of;

/// Shares are per million.
pub const PPM: u32 = 1_000_000;
/// `MP_WORLD_VERIFY`: check the checksums of every request.
pub const WORLD_VERIFY: u32 = 0x1;
/// `MP_WORLD_BY_DESTINATION`: a share of destinations misbehaves.
pub const WORLD_BY_DESTINATION: u32 = 0x2;
/// `MP_WORLD_BY_PACKET`: a share of packets is lost or spoiled.
pub const WORLD_BY_PACKET: u32 = 0x4;
/// `MP_WORLD_HOPS`: paths are longer than one hop.
pub const WORLD_HOPS: u32 = 0x8;
/// `MP_WORLD_ROUTERS`: routers are not alike.
pub const WORLD_ROUTERS: u32 = 0x10;
/// `MP_WORLD_CHANGE`: a share of paths changes.
pub const WORLD_CHANGE: u32 = 0x20;
/// `MP_WORLD_QUOTE_FULL`: errors quote as much as the RFCs let them.
pub const WORLD_QUOTE_FULL: u32 = 0xffff;
/// `MP_WORLD_MAX_HOPS`: a reply must arrive with one hop left.
pub const WORLD_MAX_HOPS: u8 = 64;
/// `MP_WORLD_HOST_TTL`: the hop limit that a reply starts with.
pub const WORLD_HOST_TTL: u8 = 64;
/// `MP_WORLD_ROUTER_TTL`: the hop limit that an error starts with.
pub const WORLD_ROUTER_TTL: u8 = 255;
/// `MP_WORLD_LIMITED_PPM`: the share of its errors that a rate-limited router sends.
pub const WORLD_LIMITED_PPM: u32 = 250_000;
/// `MP_WORLD_NAT_V4`: the source in a quote behind a NAT.
pub const WORLD_NAT_V4: u32 = 0xcb00_7107;
/// `MP_WORLD_NAT_V6_HIGH` and `MP_WORLD_NAT_V6_LOW`.
pub const WORLD_NAT_V6: u128 = 0x2001_0db8_0000_0000_0000_0000_0000_0007;
/// `MP_WORLD_CHANGED`: another seed for the routers of a changed path.
pub const WORLD_CHANGED: u64 = 0x6368_616e_6765_6421;
/// `MP_WORLD_COUNTERS`: counters of one family.
pub const WORLD_COUNTERS: usize = 14;
/// `MP_FAMILIES`: IPv4, IPv6, everything else.
pub const FAMILIES: usize = 3;

/// `MP_STEER_QUEUES`: receive queues that can have a socket.
pub const STEER_QUEUES: u32 = 256;
/// `MP_STEER_COUNTERS`: counters of one family.
pub const STEER_COUNTERS: usize = 10;
/// Bytes of `struct mp_steer_counters`, the value of the map `steer_counters` on one CPU.
pub const STEER_COUNTERS_SIZE: usize = 240;
/// Bytes of `struct mp_steer_stamp`, the metadata before a redirected frame: `arrived_ns`, then `seal`, each of
/// eight bytes in the order of the machine.
pub const STEER_STAMP_SIZE: usize = 16;
/// `MP_STEER_SEAL`: what `seal ^ arrived_ns` is where there is a stamp.
pub const STEER_SEAL: u64 = 0x6d65_6761_7069_6e67;

/// `MP_KERNEL_FILL`: payload behind our header, at most, in bytes.
pub const KERNEL_FILL: usize = 4096;
/// `MP_KERNEL_BURST`: orders of one call, at most, and slots of one shard.
pub const KERNEL_BURST: u32 = 256;
/// Sizes of the values of the kernel ring's maps, in bytes: `struct mp_desk`, `mp_order`, `mp_way`, the fill,
/// `mp_reply`, and packets small and large. The ring that maps them (`engine/ring/src/kernel`) has their fields.
pub const KERNEL_VALUES: [(&str, usize); 7] = [
    ("kernel_desks", 384),
    ("kernel_orders", 64),
    ("kernel_ways", 32),
    ("kernel_fill", KERNEL_FILL),
    ("kernel_replies", 64),
    ("kernel_small", 256),
    ("kernel_large", 1536),
];

/// `struct mp_world_config`, the value of the map `world_config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct WorldConfigAbi {
    /// Another seed is another Internet.
    pub seed: u64,
    /// `WORLD_*` flags.
    pub flags: u32,
    /// Dead destinations per million.
    pub dead_ppm: u32,
    /// Unreachable destinations per million.
    pub unreachable_ppm: u32,
    /// Destinations per million that answer from another address.
    pub other_address_ppm: u32,
    /// Lost requests per million.
    pub loss_ppm: u32,
    /// Corrupt replies per million.
    pub corrupt_ppm: u32,
    /// Routers per million that add a label stack.
    pub mpls_ppm: u32,
    /// Bytes quoted past the IP header.
    pub quote_bytes: u32,
    /// Shortest path, hops.
    pub min_hops: u8,
    /// Longest path, hops.
    pub max_hops: u8,
    /// Next hops that a multi-path hop balances over.
    pub ecmp_width: u8,
    /// Zero.
    pub reserved: [u8; 5],
    /// Routers per million that send no errors.
    pub silent_ppm: u32,
    /// Routers per million that limit their errors.
    pub limited_ppm: u32,
    /// Hops per million that are multi-path.
    pub ecmp_ppm: u32,
    /// Routers per million that quote another source.
    pub nat_source_ppm: u32,
    /// Routers per million that quote another destination.
    pub nat_destination_ppm: u32,
    /// Routers per million that quote another DSCP or ECN field.
    pub tos_ppm: u32,
    /// Routers per million that add an interface information object.
    pub interface_ppm: u32,
    /// Routers per million that leave out the length attribute.
    pub legacy_ppm: u32,
    /// Destinations per million whose path changes.
    pub change_ppm: u32,
    /// Zero.
    pub reserved2: u32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub change_at_ns: u64,
}

/// Bytes of a [`WorldConfigAbi`].
pub const WORLD_CONFIG_SIZE: usize = 96;
/// Bytes of `struct mp_world_counters`, the value of the map `world_counters` on one CPU.
pub const WORLD_COUNTERS_SIZE: usize = 336;

const _: () = {
    assert!(size_of::<WorldConfigAbi>() == WORLD_CONFIG_SIZE);
    assert!(align_of::<WorldConfigAbi>() == 8);
    assert!(offset_of!(WorldConfigAbi, flags) == 8);
    assert!(offset_of!(WorldConfigAbi, dead_ppm) == 12);
    assert!(offset_of!(WorldConfigAbi, unreachable_ppm) == 16);
    assert!(offset_of!(WorldConfigAbi, other_address_ppm) == 20);
    assert!(offset_of!(WorldConfigAbi, loss_ppm) == 24);
    assert!(offset_of!(WorldConfigAbi, corrupt_ppm) == 28);
    assert!(offset_of!(WorldConfigAbi, mpls_ppm) == 32);
    assert!(offset_of!(WorldConfigAbi, quote_bytes) == 36);
    assert!(offset_of!(WorldConfigAbi, min_hops) == 40);
    assert!(offset_of!(WorldConfigAbi, max_hops) == 41);
    assert!(offset_of!(WorldConfigAbi, ecmp_width) == 42);
    assert!(offset_of!(WorldConfigAbi, silent_ppm) == 48);
    assert!(offset_of!(WorldConfigAbi, limited_ppm) == 52);
    assert!(offset_of!(WorldConfigAbi, ecmp_ppm) == 56);
    assert!(offset_of!(WorldConfigAbi, nat_source_ppm) == 60);
    assert!(offset_of!(WorldConfigAbi, nat_destination_ppm) == 64);
    assert!(offset_of!(WorldConfigAbi, tos_ppm) == 68);
    assert!(offset_of!(WorldConfigAbi, interface_ppm) == 72);
    assert!(offset_of!(WorldConfigAbi, legacy_ppm) == 76);
    assert!(offset_of!(WorldConfigAbi, change_ppm) == 80);
    assert!(offset_of!(WorldConfigAbi, change_at_ns) == 88);
    assert!(size_of::<[[u64; WORLD_COUNTERS]; FAMILIES]>() == WORLD_COUNTERS_SIZE);
    assert!(size_of::<[[u64; STEER_COUNTERS]; FAMILIES]>() == STEER_COUNTERS_SIZE);
};

impl WorldConfigAbi {
    /// The bytes as the map holds them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; WORLD_CONFIG_SIZE] {
        let mut bytes = [0; WORLD_CONFIG_SIZE];
        bytes[..8].copy_from_slice(&self.seed.to_ne_bytes());
        let words = [
            self.flags,
            self.dead_ppm,
            self.unreachable_ppm,
            self.other_address_ppm,
            self.loss_ppm,
            self.corrupt_ppm,
            self.mpls_ppm,
            self.quote_bytes,
        ];
        for (word, place) in words.iter().zip(bytes[8..40].chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[40] = self.min_hops;
        bytes[41] = self.max_hops;
        bytes[42] = self.ecmp_width;
        let words = [
            self.silent_ppm,
            self.limited_ppm,
            self.ecmp_ppm,
            self.nat_source_ppm,
            self.nat_destination_ppm,
            self.tos_ppm,
            self.interface_ppm,
            self.legacy_ppm,
            self.change_ppm,
        ];
        for (word, place) in words.iter().zip(bytes[48..84].chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[88..].copy_from_slice(&self.change_at_ns.to_ne_bytes());
        bytes
    }

    /// The inverse of [`WorldConfigAbi::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; WORLD_CONFIG_SIZE]) -> WorldConfigAbi {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        WorldConfigAbi {
            seed: long(0),
            flags: word(8),
            dead_ppm: word(12),
            unreachable_ppm: word(16),
            other_address_ppm: word(20),
            loss_ppm: word(24),
            corrupt_ppm: word(28),
            mpls_ppm: word(32),
            quote_bytes: word(36),
            min_hops: bytes[40],
            max_hops: bytes[41],
            ecmp_width: bytes[42],
            reserved: [0; 5],
            silent_ppm: word(48),
            limited_ppm: word(52),
            ecmp_ppm: word(56),
            nat_source_ppm: word(60),
            nat_destination_ppm: word(64),
            tos_ppm: word(68),
            interface_ppm: word(72),
            legacy_ppm: word(76),
            change_ppm: word(80),
            reserved2: 0,
            change_at_ns: long(88),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_configuration_survives_the_map() {
        let config = WorldConfigAbi {
            seed: 0x0102_0304_0506_0708,
            flags: 1,
            dead_ppm: 2,
            unreachable_ppm: 3,
            other_address_ppm: 4,
            loss_ppm: 5,
            corrupt_ppm: 6,
            mpls_ppm: 7,
            quote_bytes: 8,
            min_hops: 9,
            max_hops: 10,
            ecmp_width: 11,
            reserved: [0; 5],
            silent_ppm: 12,
            limited_ppm: 13,
            ecmp_ppm: 14,
            nat_source_ppm: 15,
            nat_destination_ppm: 16,
            tos_ppm: 17,
            interface_ppm: 18,
            legacy_ppm: 19,
            change_ppm: 20,
            reserved2: 0,
            change_at_ns: 0x1112_1314_1516_1718,
        };
        assert_eq!(WorldConfigAbi::from_bytes(&config.to_bytes()), config);
    }
}
