/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The one border between megaping's programs in the kernel and those in user space: every structure that
 * crosses a map, every index, every constant that both sides must agree on. `loader/src/abi.rs` mirrors it;
 * both files assert the same sizes and offsets, so that a change to one alone does not build, or does not
 * load (the loader compares the sizes of the maps).
 *
 * Rules: fixed-width integers in the order of the machine (both sides run on it), eight-byte alignment, no
 * implicit padding, reserved bytes are zero. A prefix names the program: MP_WORLD_ is the simulated Internet,
 * MP_STEER_ the steering program, MP_KERNEL_ the kernel ring.
 */
#ifndef MEGAPING_ABI_H
#define MEGAPING_ABI_H

#include <linux/types.h>

#define MP_ASSERT_AT(type, field, offset) \
	_Static_assert(__builtin_offsetof(type, field) == (offset), #type "." #field " moved: change abi.rs too")
#define MP_ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(type) == (size), #type " changed its size: change abi.rs too")

/* Shares are per million, so that "one packet in ten thousand" can be said. */
#define MP_PPM 1000000

/* ------------------------------------------------------------------ the simulated Internet (world.bpf.c) */

/* What the program must look at besides the packet; 0 is the fast path, an answer to everything. */
#define MP_WORLD_VERIFY         0x1 /* check the checksums of every request */
#define MP_WORLD_BY_DESTINATION 0x2 /* dead_ppm, unreachable_ppm or other_address_ppm is not 0 */
#define MP_WORLD_BY_PACKET      0x4 /* loss_ppm or corrupt_ppm is not 0 */
#define MP_WORLD_HOPS           0x8 /* paths are longer than one hop */
#define MP_WORLD_ROUTERS        0x10 /* routers are not alike: one of silent_ppm to interface_ppm is not 0 */
#define MP_WORLD_CHANGE         0x20 /* change_ppm is not 0 */

struct mp_world_config {
	__u64 seed;              /* another seed is another Internet */
	__u32 flags;             /* MP_WORLD_* above */
	__u32 dead_ppm;          /* destinations that never answer */
	__u32 unreachable_ppm;   /* destinations whose last router answers "host unreachable" */
	__u32 other_address_ppm; /* destinations that answer from their neighbour's address (last bit flipped) */
	__u32 loss_ppm;          /* requests that get lost */
	__u32 corrupt_ppm;       /* replies with one payload bit flipped and the old checksum */
	__u32 mpls_ppm;          /* routers that add an RFC 4950 label stack to their errors */
	__u32 quote_bytes;       /* bytes past the quoted IP header: 8, or MP_WORLD_QUOTE_FULL */
	__u8 min_hops;           /* 1 is a neighbour: no router on the way */
	__u8 max_hops;           /* at most MP_WORLD_MAX_HOPS */
	__u8 ecmp_width;         /* next hops that a multi-path hop balances over: 2 or more */
	__u8 reserved[5];
	__u32 silent_ppm;          /* routers that send no errors */
	__u32 limited_ppm;         /* routers that send MP_WORLD_LIMITED_PPM of their errors */
	__u32 ecmp_ppm;            /* hops that are multi-path */
	__u32 nat_source_ppm;      /* routers that quote MP_WORLD_NAT_V4 or _V6 as the source */
	__u32 nat_destination_ppm; /* routers that quote another destination (its last bit but one flipped) */
	__u32 tos_ppm;             /* routers that quote another DSCP (CS1) or ECN field (CE) */
	__u32 interface_ppm;       /* routers that add an RFC 5837 interface information object */
	__u32 legacy_ppm;          /* routers older than RFC 4884: extensions without the length attribute */
	__u32 change_ppm;          /* destinations whose path changes */
	__u32 reserved2;
	__u64 change_at_ns;        /* when, on CLOCK_MONOTONIC */
};
MP_ASSERT_SIZE(struct mp_world_config, 96);
MP_ASSERT_AT(struct mp_world_config, flags, 8);
MP_ASSERT_AT(struct mp_world_config, dead_ppm, 12);
MP_ASSERT_AT(struct mp_world_config, unreachable_ppm, 16);
MP_ASSERT_AT(struct mp_world_config, other_address_ppm, 20);
MP_ASSERT_AT(struct mp_world_config, loss_ppm, 24);
MP_ASSERT_AT(struct mp_world_config, corrupt_ppm, 28);
MP_ASSERT_AT(struct mp_world_config, mpls_ppm, 32);
MP_ASSERT_AT(struct mp_world_config, quote_bytes, 36);
MP_ASSERT_AT(struct mp_world_config, min_hops, 40);
MP_ASSERT_AT(struct mp_world_config, max_hops, 41);
MP_ASSERT_AT(struct mp_world_config, ecmp_width, 42);
MP_ASSERT_AT(struct mp_world_config, silent_ppm, 48);
MP_ASSERT_AT(struct mp_world_config, limited_ppm, 52);
MP_ASSERT_AT(struct mp_world_config, ecmp_ppm, 56);
MP_ASSERT_AT(struct mp_world_config, nat_source_ppm, 60);
MP_ASSERT_AT(struct mp_world_config, nat_destination_ppm, 64);
MP_ASSERT_AT(struct mp_world_config, tos_ppm, 68);
MP_ASSERT_AT(struct mp_world_config, interface_ppm, 72);
MP_ASSERT_AT(struct mp_world_config, legacy_ppm, 76);
MP_ASSERT_AT(struct mp_world_config, change_ppm, 80);
MP_ASSERT_AT(struct mp_world_config, change_at_ns, 88);

/* As much as the RFCs let an error carry: 576 bytes in all for IPv4 (RFC 1812, 4.3.2.3), 1280 for IPv6. */
#define MP_WORLD_QUOTE_FULL 0xffff
#define MP_WORLD_MAX_HOPS   64 /* a reply starts with a hop limit of 64, and must arrive with one left */
#define MP_WORLD_HOST_TTL   64
#define MP_WORLD_ROUTER_TTL 255
#define MP_WORLD_LIMITED_PPM 250000
/* Documentation prefixes (RFC 5737, RFC 3849): the address that a NAT on the way puts in the source's place. */
#define MP_WORLD_NAT_V4      0xcb007107 /* 203.0.113.7 */
#define MP_WORLD_NAT_V6_HIGH 0x20010db800000000ULL
#define MP_WORLD_NAT_V6_LOW  7
/* Another seed for the routers of a changed path. */
#define MP_WORLD_CHANGED 0x6368616e67656421ULL

/*
 * Counters, by family. The law, at any moment without traffic:
 *
 *   requests = replies + dropped + dead + corrupted + unreachable + time_exceeded + silent + limited
 *
 * other_address is a part of replies, mpls of unreachable + time_exceeded. malformed, passed and failed are
 * not requests; the frames seen are requests + malformed + passed + failed. failed stays 0 (it would take
 * a driver that leaves no room to build an error).
 */
enum mp_world_counter {
	MP_WORLD_REQUESTS = 0,      /* well-formed echo requests that were judged */
	MP_WORLD_REPLIES = 1,       /* good echo replies sent */
	MP_WORLD_DROPPED = 2,       /* lost by the random draw */
	MP_WORLD_DEAD = 3,          /* to a dead host: no answer */
	MP_WORLD_CORRUPTED = 4,     /* replies sent with a wrong checksum */
	MP_WORLD_OTHER_ADDRESS = 5, /* good replies from another address */
	MP_WORLD_UNREACHABLE = 6,   /* host unreachable sent */
	MP_WORLD_TIME_EXCEEDED = 7, /* time exceeded sent */
	MP_WORLD_MPLS = 8,          /* errors that carried a label stack */
	MP_WORLD_MALFORMED = 9,     /* requests with a bad checksum, dropped (MP_WORLD_VERIFY only) */
	MP_WORLD_PASSED = 10,       /* not ours: handed to the kernel */
	MP_WORLD_FAILED = 11,       /* no room in the frame: dropped */
	MP_WORLD_SILENT = 12,       /* errors that a silent router did not send */
	MP_WORLD_LIMITED = 13,      /* errors that a rate-limited router did not send */
	MP_WORLD_COUNTERS = 14,
};

enum mp_family { MP_V4 = 0, MP_V6 = 1, MP_OTHER = 2, MP_FAMILIES = 3 };

/* One such record a CPU, in a per-CPU array of one: a single look-up serves every count of a packet. */
struct mp_world_counters {
	__u64 count[MP_FAMILIES][MP_WORLD_COUNTERS];
};
MP_ASSERT_SIZE(struct mp_world_counters, 336);

/*
 * How the world decides. Everything below is a pure function of the packet and the configuration, and
 * `loader/src/world/model.rs` computes the same: a test can say beforehand what will become of a probe.
 *
 * An address is two 64-bit halves (hi, lo), IPv4 in mapped form: hi = 0, lo = 0x0000ffff00000000 | address.
 *
 *   host    h = mp_hash(seed, hi, lo)
 *   share   u = mp_draw(h, MP_DRAW_HOST) scaled to 0..MP_PPM: below dead_ppm the host is dead, below
 *           dead_ppm + unreachable_ppm it is unreachable, below those + other_address_ppm it answers from
 *           its address with the last bit flipped, else it is plain
 *   path    min_hops + (mp_draw(h, MP_DRAW_PATH) scaled to max_hops - min_hops + 1)
 *   packet  p = mp_mix(mp_mix(h ^ (identifier << 16 | sequence)) ^ w), w the first eight payload bytes as a
 *           big-endian number, 0 when there are fewer; upper half scaled to MP_PPM below loss_ppm: lost;
 *           lower half below corrupt_ppm: corrupt, at payload byte (mp_draw(p, MP_DRAW_BIT) scaled to the
 *           payload's length, at most 64), bit p & 7; without a payload the checksum's last bit instead
 *   router  of hop n on the way to an address: r = mp_hash(seed ^ n, prefix), where the prefix has 4 * (n - 1)
 *           bits of an IPv4 address, at most 24, and 8 * (n - 1) bits of an IPv6 address, at most 48: a tree
 *           whose root is shared by all. Then, where the hop is multi-path, one of its siblings (below). Its
 *           address is 100.64.0.0 + (n << 16) + 1 + (upper half of r scaled to 65534), or fd00:72:n:: + 1 +
 *           upper half of r. Lower half of r scaled to MP_PPM below mpls_ppm: it adds 1 + (q & 1) labels,
 *           q = mp_mix(r + MP_GOLDEN), the i-th (q >> (8 + 20 * i) & 0xfffff) | 16
 *   change  mp_draw(h, MP_DRAW_CHANGE) scaled to MP_PPM below change_ppm: from change_at_ns on, the routers of
 *           all hops but the first are those of the seed ^ MP_WORLD_CHANGED
 *   sibling mp_draw(r, MP_DRAW_ECMP) scaled to MP_PPM below ecmp_ppm: the hop is multi-path, and s =
 *           mp_mix(r ^ mp_mix(h ^ f)) >> 32 scaled to ecmp_width, f the ICMP checksum or the IPv6 flow label:
 *           what routers hash. 0 is the router itself, any other has r = mp_hash(r, s, n)
 *   traits  of a router, each by a draw on r scaled to MP_PPM below its share: silent (MP_DRAW_SILENT), limited
 *           (MP_DRAW_LIMITED), then of its errors: NAT (MP_DRAW_NAT, below nat_source_ppm the source, below that
 *           + nat_destination_ppm the destination), TOS (MP_DRAW_TOS; r & 1: DSCP CS1, else ECN CE), interface
 *           object (MP_DRAW_INTERFACE: ifIndex n, MTU 1500), no length attribute (MP_DRAW_LEGACY)
 *   limit   a limited router answers where the packet's draw, mp_draw(p, MP_DRAW_LIMITED) scaled to MP_PPM, is
 *           below MP_WORLD_LIMITED_PPM: a share and no bucket, so that it can be foretold
 *
 * In this order, and each excludes the next: lost; hop limit below the path length: time exceeded from the
 * router of that hop; dead; unreachable, from the last router (hop path - 1, at least 1); corrupt; reply. An
 * error from a silent router is silent, one from a limited router may be limited.
 * A reply's hop limit is MP_WORLD_HOST_TTL less the path - 1 routers it passed; that of an error from hop n
 * is MP_WORLD_ROUTER_TTL - (n - 1); a quoted packet carries the hop limit it had at that router.
 */
#define MP_GOLDEN 0x9e3779b97f4a7c15ULL
#define MP_DRAW_HOST 1
#define MP_DRAW_PATH 2
#define MP_DRAW_BIT  3
#define MP_DRAW_ECMP      4
#define MP_DRAW_SILENT    5
#define MP_DRAW_LIMITED   6
#define MP_DRAW_NAT       7
#define MP_DRAW_TOS       8
#define MP_DRAW_INTERFACE 9
#define MP_DRAW_LEGACY    10
#define MP_DRAW_CHANGE    11

/* The finaliser of splitmix64: two multiplications, every input bit reaches every output bit. */
static inline __attribute__((always_inline)) __u64 mp_mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline __attribute__((always_inline)) __u64 mp_hash(__u64 seed, __u64 hi, __u64 lo)
{
	return mp_mix(mp_mix((seed + MP_GOLDEN) ^ hi) ^ lo);
}

static inline __attribute__((always_inline)) __u32 mp_draw(__u64 hash, __u32 purpose)
{
	return mp_mix(hash + purpose * MP_GOLDEN) >> 32;
}

/* A 32-bit draw scaled to 0..n: a multiplication where a remainder would divide. */
static inline __attribute__((always_inline)) __u32 mp_scale(__u32 draw, __u32 n)
{
	return ((__u64)draw * n) >> 32;
}

/* ------------------------------------------------------------------------------- steering (steer.bpf.c) */

#define MP_STEER_QUEUES     256 /* receive queues that can have a socket */
#define MP_STEER_VLANS      2   /* tags that are looked behind: 802.1Q in 802.1ad */
#define MP_STEER_EXTENSIONS 8   /* IPv6 extension headers likewise; RFC 8200 section 4.1 recommends seven at most */

/*
 * Counters, by family. Each frame is counted under exactly one of the first eight, so their sum over the
 * families is the frames seen. The first two are ours and go to a socket, the other six go to the kernel. The
 * last two are parts of the first two: no_socket went to the kernel after all, unstamped went to its socket
 * without a stamp.
 */
enum mp_steer_counter {
	MP_STEER_REPLIES = 0,         /* echo replies with an identifier of ours */
	MP_STEER_ERRORS = 1,          /* ICMP errors that quote an echo request with an identifier of ours */
	MP_STEER_FOREIGN = 2,         /* echo replies and errors about somebody else's packets */
	MP_STEER_OTHER_ICMP = 3,      /* ICMP of another type */
	MP_STEER_NOT_ICMP = 4,        /* another protocol */
	MP_STEER_LATER_FRAGMENTS = 5, /* fragments without a header: IPv4 ICMP, any IPv6 */
	MP_STEER_MALFORMED = 6,       /* cut short, or with lengths or versions that contradict each other */
	MP_STEER_TOO_DEEP = 7,        /* more VLAN tags or extension headers than are looked behind */
	MP_STEER_NO_SOCKET = 8,       /* ours, on a receive queue without a socket */
	MP_STEER_UNSTAMPED = 9,       /* ours, by a driver without room for metadata */
	MP_STEER_COUNTERS = 10,
};

/* One such record a CPU, in a per-CPU array of one. */
struct mp_steer_counters {
	__u64 count[MP_FAMILIES][MP_STEER_COUNTERS];
};
MP_ASSERT_SIZE(struct mp_steer_counters, 240);

/*
 * Stands right before the first byte of a redirected frame. A descriptor does not say whether there is metadata,
 * so the stamp proves itself: seal ^ arrived_ns == MP_STEER_SEAL. Frames are used again: the reader sets the seal
 * to zero after it has read it, so that no later frame inherits the stamp.
 */
struct mp_steer_stamp {
	__u64 arrived_ns; /* CLOCK_MONOTONIC */
	__u64 seal;
};
MP_ASSERT_SIZE(struct mp_steer_stamp, 16);
MP_ASSERT_AT(struct mp_steer_stamp, seal, 8);
#define MP_STEER_SEAL 0x6d65676170696e67ULL

/* ----------------------------------------------------------------------------- the kernel ring (kernel.bpf.c) */

/*
 * One program has two roles. As the XDP program of the interface it judges what arrives, and writes what answers
 * our probes into rings in shared memory. Run by BPF_PROG_TEST_RUN on live frames it renders orders into frames and
 * sends them. It knows a frame of the second kind by the mark: so many bytes of metadata before the packet, which no
 * driver and no other program is known to put there.
 *
 *   shard -- orders, desk --> program --> wire
 *         <-- replies, errors ---'    <--'
 *
 * Everything is by CPU: the program never races with itself, so that plain loads and stores do.
 */
#define MP_KERNEL_MARK    28
#define MP_KERNEL_BURST   256 /* orders of one call, at most: the kernel's own limit of a batch */
#define MP_KERNEL_BULK    16  /* frames that the kernel hands to a driver at once (DEV_MAP_BULK_SIZE) */
#define MP_KERNEL_FILL    4096 /* payload behind our header, at most */
#define MP_KERNEL_HEADER  24  /* bytes of our header in a payload: key and balance, time, MAC */

/* mp_order.sent_ns of a frame that was rendered between two stamps, and of one that had no room. */
#define MP_KERNEL_RENDERED 1
#define MP_KERNEL_NO_ROOM  2

/* What to send. Words are as they lie in the packet, but for those that say otherwise. */
struct mp_order {
	__u64 destination[2]; /* IPv4 in mapped form: the last four bytes */
	__u64 key_balance;    /* the first eight bytes of the payload */
	__u64 ordered_at;
	__u64 mac;
	__u32 first;          /* IPv4: the first four bytes of its header; IPv6: likewise */
	__u32 second;         /* IPv4: TTL, protocol, header checksum; IPv6: the second four bytes of its header */
	__u32 echo;           /* identifier, sequence */
	__u16 checksum;       /* of the ICMP message */
	__u16 way;            /* index into kernel_ways, in the order of the machine */
	__u64 sent_ns;        /* out: CLOCK_MONOTONIC, or MP_KERNEL_RENDERED; the caller sets it to zero */
};
MP_ASSERT_SIZE(struct mp_order, 64);
MP_ASSERT_AT(struct mp_order, key_balance, 16);
MP_ASSERT_AT(struct mp_order, first, 40);
MP_ASSERT_AT(struct mp_order, checksum, 52);
MP_ASSERT_AT(struct mp_order, sent_ns, 56);

/* A next hop and the address to send from. */
struct mp_way {
	__u64 ethernet[2]; /* the 14 bytes of an Ethernet header, two of zero */
	__u64 source[2];   /* IPv4 in mapped form */
};
MP_ASSERT_SIZE(struct mp_way, 32);
MP_ASSERT_AT(struct mp_way, source, 16);

/* A plain echo reply (no tag, option or extension header) to one of our probes. Words as they lie in the packet. */
struct mp_reply {
	__u64 arrived_ns;   /* CLOCK_MONOTONIC */
	__u64 responder[2]; /* IPv4 in mapped form */
	__u64 key_balance;
	__u64 ordered_at;
	__u64 mac;
	__u32 echo;
	__u8 hop_limit;
	__u8 traffic_class;
	__u8 flags;         /* MP_REPLY_* */
	__u8 reserved;
	__u64 unused;       /* a reply is one cache line */
};
MP_ASSERT_SIZE(struct mp_reply, 64);
MP_ASSERT_AT(struct mp_reply, key_balance, 24);
MP_ASSERT_AT(struct mp_reply, echo, 48);
MP_ASSERT_AT(struct mp_reply, flags, 54);
#define MP_REPLY_V6      0x1
#define MP_REPLY_CORRUPT 0x2 /* a checksum is wrong */

/* Any other packet that is ours: the packet itself, from the IP header on. Two sizes, so that most take little. */
#define MP_PACKET_SMALL 240
#define MP_PACKET_LARGE 1520
struct mp_packet {
	__u64 arrived_ns;
	__u32 length; /* of the packet; a longer one than there is room for is cut */
	__u32 family; /* enum mp_family */
	/* the bytes follow: MP_PACKET_SMALL or MP_PACKET_LARGE of them */
};
MP_ASSERT_SIZE(struct mp_packet, 16);

enum mp_kernel_ring { MP_RING_REPLIES = 0, MP_RING_SMALL = 1, MP_RING_LARGE = 2, MP_RINGS = 3 };

/* One a CPU. Its first line is written by the shard of that CPU, and the rest by the program alone. */
struct mp_desk {
	__u32 next;       /* the next order's slot in kernel_orders; a call begins at a multiple of MP_KERNEL_BURST */
	__u32 left;       /* orders that this call has left */
	__u32 batch_mask; /* frames that the kernel runs in a row, a power of two, less one */
	__u32 asleep;     /* whether the shard wants to be woken by kernel_doorbell */
	__u64 taken[MP_RINGS]; /* records that the shard has taken */
	__u64 reserved[3];
	__u64 written[MP_RINGS]; /* records that the program has written */
	__u64 full[MP_RINGS];    /* records for which there was no room */
	__u64 no_room;           /* orders that did not fit into their frame */
	__u64 unused;
	struct mp_steer_counters counters;
	__u64 unused_too[2];
};
MP_ASSERT_SIZE(struct mp_desk, 384);
MP_ASSERT_AT(struct mp_desk, taken, 16);
MP_ASSERT_AT(struct mp_desk, written, 64);
MP_ASSERT_AT(struct mp_desk, full, 88);
MP_ASSERT_AT(struct mp_desk, counters, 128);

/* ------------------------------------------------------------------------------- the tap (tap.h), for pcap-dump */

#define MP_TAP_KEEP 2048 /* bytes of a frame that are kept, at most */

/* What an event's verdict can be beside those of enum mp_steer_counter. */
#define MP_TAP_NO_ROOM 10 /* ours, and the ring to the engine was full */
#define MP_TAP_SENT    11 /* rendered here, and on its way to the wire */

/*
 * Written by whoever looks on. The program looks no longer than it is told to, so that one who was killed costs
 * nothing for long: the program itself puts zero there when the time is over.
 */
struct mp_tap_switch {
	__u64 until_ns; /* CLOCK_MONOTONIC; 0 while nobody looks */
	__u32 sample;   /* of so many frames of a CPU one; 0 and 1 are all */
	__u32 keep;     /* bytes of a frame; 0 for as many as fit */
};
MP_ASSERT_SIZE(struct mp_tap_switch, 16);
MP_ASSERT_AT(struct mp_tap_switch, sample, 8);

/* A frame in the ring buffer; `kept` bytes of it follow. */
struct mp_tap_event {
	__u64 at_ns;   /* CLOCK_MONOTONIC */
	__u32 length;  /* of the frame */
	__u32 kept;
	__u32 queue;   /* the receive queue */
	__u16 verdict; /* enum mp_steer_counter, or MP_TAP_* */
	__u16 reserved;
};
MP_ASSERT_SIZE(struct mp_tap_event, 24);
MP_ASSERT_AT(struct mp_tap_event, verdict, 20);

/* By CPU. */
struct mp_tap_counts {
	__u64 left;    /* frames until the next one that is wanted */
	__u64 seen;    /* frames that were wanted */
	__u64 dropped; /* those of them for which the ring buffer had no room */
};
MP_ASSERT_SIZE(struct mp_tap_counts, 24);

#endif
