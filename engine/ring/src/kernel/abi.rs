//! What lies in the memory that is shared with `ebpf/kernel.bpf.c`: the ring's side of `megaping/abi.h`.

use std::mem::offset_of;

/// Bytes of metadata before a live frame, by which the program knows it: `MP_KERNEL_MARK`.
pub const MARK: u32 = 28;
/// Orders of one call, at most, and slots of one shard: `MP_KERNEL_BURST`.
pub const BURST: u32 = 256;
/// Frames that the kernel hands to a driver at once: `MP_KERNEL_BULK`.
pub const BULK: u32 = 16;
/// `sent_ns` of a frame that was rendered between two stamps: `MP_KERNEL_RENDERED`.
pub const RENDERED: u64 = 1;
/// `sent_ns` of an order that had no room in its frame: `MP_KERNEL_NO_ROOM`.
pub const NO_ROOM: u64 = 2;
/// Bytes of a small packet and of a large one: `MP_PACKET_SMALL`, `MP_PACKET_LARGE`.
pub const SMALL: usize = 240;
/// See [`SMALL`].
pub const LARGE: usize = 1520;
/// Rings of a CPU: replies, small packets, large packets.
pub const RINGS: usize = 3;

/// `struct mp_order`: what to send. Words are as they lie in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct KernelOrder {
    /// Destination address; IPv4 in mapped form.
    pub destination: [u8; 16],
    /// The payload's first eight bytes.
    pub key_balance: [u8; 8],
    /// Its second.
    pub ordered_at: [u8; 8],
    /// Its third.
    pub mac: [u8; 8],
    /// The first four bytes of the IP header.
    pub first: [u8; 4],
    /// IPv4: the third four bytes of the header; IPv6: the second.
    pub second: [u8; 4],
    /// Identifier and sequence.
    pub echo: [u8; 4],
    /// Checksum of the message.
    pub checksum: [u8; 2],
    /// The next hop: a number of ours.
    pub way: u16,
    /// Set by the program; the ring overwrites it with zero.
    pub sent_ns: u64,
}

/// `struct mp_way`: a next hop and the address to send from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct KernelWay {
    /// The Ethernet header, and two bytes of zero.
    pub ethernet: [u8; 16],
    /// Source address; IPv4 in mapped form.
    pub source: [u8; 16],
}

/// `struct mp_reply`: a plain echo reply. Words are as they lie in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct KernelReply {
    /// When it arrived, on `CLOCK_MONOTONIC`.
    pub arrived_ns: u64,
    /// Who sent it; IPv4 in mapped form.
    pub responder: [u8; 16],
    /// The payload's first eight bytes.
    pub key_balance: [u8; 8],
    /// Its second.
    pub ordered_at: [u8; 8],
    /// Its third.
    pub mac: [u8; 8],
    /// Identifier and sequence.
    pub echo: [u8; 4],
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// [`KernelReply::V6`], [`KernelReply::CORRUPT`].
    pub flags: u8,
    reserved: u8,
    unused: u64,
}

impl KernelReply {
    /// `MP_REPLY_V6`: of the IPv6 family.
    pub const V6: u8 = 1;
    /// `MP_REPLY_CORRUPT`: a checksum is wrong.
    pub const CORRUPT: u8 = 2;
}

/// `struct mp_packet` with its bytes.
#[repr(C)]
pub struct Packet<const N: usize> {
    pub arrived_ns: u64,
    pub length: u32,
    pub family: u32,
    pub bytes: [u8; N],
}

/// `struct mp_desk`, of one CPU. Fields are read and written through raw pointers, one at a time.
#[repr(C)]
pub struct Desk {
    pub next: u32,
    pub left: u32,
    pub batch_mask: u32,
    pub asleep: u32,
    pub taken: [u64; RINGS],
    reserved: [u64; 3],
    pub written: [u64; RINGS],
    pub full: [u64; RINGS],
    pub no_room: u64,
    unused: u64,
    pub counters: [u64; 30],
    unused_too: [u64; 2],
}

const _: () = {
    assert!(size_of::<KernelOrder>() == 64);
    assert!(offset_of!(KernelOrder, key_balance) == 16);
    assert!(offset_of!(KernelOrder, first) == 40);
    assert!(offset_of!(KernelOrder, checksum) == 52);
    assert!(offset_of!(KernelOrder, sent_ns) == 56);
    assert!(size_of::<KernelWay>() == 32);
    assert!(offset_of!(KernelWay, source) == 16);
    assert!(size_of::<KernelReply>() == 64);
    assert!(offset_of!(KernelReply, key_balance) == 24);
    assert!(offset_of!(KernelReply, echo) == 48);
    assert!(offset_of!(KernelReply, flags) == 54);
    assert!(size_of::<Packet<SMALL>>() == 256);
    assert!(size_of::<Packet<LARGE>>() == 1536);
    assert!(size_of::<Desk>() == 384);
    assert!(offset_of!(Desk, taken) == 16);
    assert!(offset_of!(Desk, written) == 64);
    assert!(offset_of!(Desk, full) == 88);
    assert!(offset_of!(Desk, counters) == 128);
};
