/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the kernel ring shares with user space. All of it but the doorbell is mapped there. */
#ifndef MEGAPING_KERNEL_MAPS_H
#define MEGAPING_KERNEL_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>

/* The loader sets the number of entries; one is the least that a map can have. */
#define MP_SHARED(name, value_type)                      \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_ARRAY);        \
		__uint(map_flags, BPF_F_MMAPABLE);       \
		__uint(max_entries, 1);                  \
		__type(key, __u32);                      \
		__type(value, value_type);               \
	} name SEC(".maps")

struct mp_small { struct mp_packet packet; __u8 bytes[MP_PACKET_SMALL]; };
struct mp_large { struct mp_packet packet; __u8 bytes[MP_PACKET_LARGE]; };
struct mp_fill { __u8 bytes[MP_KERNEL_FILL]; };

MP_SHARED(kernel_desks, struct mp_desk);    /* by CPU */
MP_SHARED(kernel_orders, struct mp_order);  /* the slots of every shard, in a row */
MP_SHARED(kernel_ways, struct mp_way);      /* by next hop */
MP_SHARED(kernel_fill, struct mp_fill);     /* what follows our header in every payload */
MP_SHARED(kernel_replies, struct mp_reply); /* the rings of every CPU, in a row; likewise the next two */
MP_SHARED(kernel_small, struct mp_small);
MP_SHARED(kernel_large, struct mp_large);

/* Wakes a shard that sleeps; what is written to it has no meaning. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} kernel_doorbell SEC(".maps");

/* Slots of a CPU's part of each ring: powers of two. */
const volatile __u32 ring_slots[MP_RINGS] = { 1, 1, 1 };

#endif
