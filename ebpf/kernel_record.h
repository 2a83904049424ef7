/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Received frames into records. A plain echo reply, which is nearly all there is, becomes a record of one cache line,
 * its checksums verified. Whatever else is ours (an error, a reply behind a tag or an extension header, a reply that
 * lost its payload) is rare or long, and is copied as it is: user space reads it with the parser that every other
 * ring uses.
 */
#ifndef MEGAPING_KERNEL_RECORD_H
#define MEGAPING_KERNEL_RECORD_H

#include <megaping/checksum.h>
#include "kernel_maps.h"
#include "tap.h"

/* Words of a message that are summed in place; longer ones go to a function of its own. */
#define SHORT_WORDS 18

/* The next free slot of a ring: an index into its map, or -1. */
static __always_inline __s64 free_slot(struct mp_desk *desk, enum mp_kernel_ring ring, __u32 cpu)
{
	__u64 written = desk->written[ring];
	__u32 slots = ring_slots[ring];

	if (written - *(volatile __u64 *)&desk->taken[ring] >= slots) {
		desk->full[ring]++;
		return -1;
	}
	return cpu * slots + (written & (slots - 1));
}

/* Makes a record visible, and wakes a shard that sleeps. */
static __always_inline void publish(struct mp_desk *desk, enum mp_kernel_ring ring)
{
#if defined(__TARGET_ARCH_x86)
	/* Stores become visible in their order: the record is there when the count is. */
	asm volatile("" ::: "memory");
	*(volatile __u64 *)&desk->written[ring] = desk->written[ring] + 1;
#else
	/* An atomic that fetches is a full barrier (Linux, Documentation/bpf: atomic operations). */
	__sync_fetch_and_add(&desk->written[ring], 1);
#endif
	if (*(volatile __u32 *)&desk->asleep) {
		__u64 ring_it = 0;

		desk->asleep = 0;
		bpf_ringbuf_output(&kernel_doorbell, &ring_it, sizeof(ring_it), BPF_RB_FORCE_WAKEUP);
	}
}

/* The sum of a message of `length` bytes that ends where the frame does. */
static __always_inline __u64 sum_message(struct xdp_md *ctx, const __u8 *p, const void *end, __u32 length, __u32 offset)
{
	__u64 sum = 0;

	if (length > SHORT_WORDS * 4)
		return mp_sum_frame(ctx, offset);
#pragma clang loop unroll(full)
	for (int i = 0; i < SHORT_WORDS; i++) {
		if ((const void *)(p + 4) > end)
			break;
		sum += *(const __u32 *)p;
		p += 4;
	}
	if ((const void *)(p + 2) <= end) {
		sum += *(const __u16 *)p;
		p += 2;
	}
	if ((const void *)(p + 1) <= end)
		sum += bpf_htons(*p << 8);
	return sum;
}

static __always_inline void write_message(struct mp_reply *reply, const __u8 *icmp)
{
	reply->arrived_ns = bpf_ktime_get_ns();
	reply->echo = *(const __u32 *)(icmp + 4);
	reply->key_balance = *(const __u64 *)(icmp + 8);
	reply->ordered_at = *(const __u64 *)(icmp + 16);
	reply->mac = *(const __u64 *)(icmp + 24);
}

/* What became of a frame on a way into a record. */
enum recorded { NOT_PLAIN = 0, RECORDED = 1, NO_ROOM = 2 };

/*
 * A plain echo reply of ours that ends where its frame does; NOT_PLAIN for anything else, which takes the long way. Small
 * frames are padded to 60 bytes by Ethernet, and ours are longer.
 */
static __always_inline enum recorded plain_v4(struct xdp_md *ctx, struct mp_desk *desk, __u32 cpu)
{
	const __u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *ip = p + ETH_HLEN, *icmp = ip + IPV4_HEADER;
	struct mp_reply *reply;
	const __u32 *words = (const void *)ip;
	__u32 length, sound;
	__s64 slot;

	if ((const void *)(icmp + ICMP_HEADER + MP_KERNEL_HEADER) > (const void *)end)
		return NOT_PLAIN;
	length = bpf_ntohs(*(const __be16 *)(ip + 2));
	if (ip[0] != 0x45 || ip[9] != IPPROTO_ICMP || *(const __be16 *)(ip + 6) & bpf_htons(0x3fff) ||
	    *(const __u16 *)icmp != bpf_htons(ICMP_ECHOREPLY << 8) || !is_ours(icmp) ||
	    length != (__u32)(end - ip))
		return NOT_PLAIN;
	desk->counters.count[MP_V4][MP_STEER_REPLIES]++;
	slot = free_slot(desk, MP_RING_REPLIES, cpu);
	if (slot < 0)
		return NO_ROOM;
	__u32 index = slot;

	reply = bpf_map_lookup_elem(&kernel_replies, &index);
	if (!reply)
		return NO_ROOM;
	sound = mp_fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) == 0xffff &&
		mp_fold(sum_message(ctx, icmp, end, length - IPV4_HEADER, ETH_HLEN + IPV4_HEADER)) == 0xffff;
	write_message(reply, icmp);
	reply->responder[0] = 0;
	reply->responder[1] = (__u64)words[3] << 32 | 0xffff0000;
	reply->hop_limit = ip[8];
	reply->traffic_class = ip[1];
	reply->flags = sound ? 0 : MP_REPLY_CORRUPT;
	publish(desk, MP_RING_REPLIES);
	return RECORDED;
}

static __always_inline enum recorded plain_v6(struct xdp_md *ctx, struct mp_desk *desk, __u32 cpu)
{
	const __u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *ip = p + ETH_HLEN, *icmp = ip + IPV6_HEADER;
	struct mp_reply *reply;
	const __u32 *words = (const void *)(ip + 8);
	__u64 sum;
	__u32 length;
	__s64 slot;

	if ((const void *)(icmp + ICMP_HEADER + MP_KERNEL_HEADER) > (const void *)end)
		return NOT_PLAIN;
	length = bpf_ntohs(*(const __be16 *)(ip + 4));
	if (ip[0] >> 4 != 6 || ip[6] != IPPROTO_ICMPV6 || *(const __u16 *)icmp != bpf_htons(ICMPV6_ECHO_REPLY << 8) ||
	    !is_ours(icmp) || length != (__u32)(end - icmp))
		return NOT_PLAIN;
	desk->counters.count[MP_V6][MP_STEER_REPLIES]++;
	slot = free_slot(desk, MP_RING_REPLIES, cpu);
	if (slot < 0)
		return NO_ROOM;
	__u32 index = slot;

	reply = bpf_map_lookup_elem(&kernel_replies, &index);
	if (!reply)
		return NO_ROOM;
	/* RFC 8200 section 8.1: the pseudo-header. */
	sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4] + words[5] + words[6] + words[7];
	sum += *(const __be16 *)(ip + 4) + bpf_htons(IPPROTO_ICMPV6);
	sum += sum_message(ctx, icmp, end, length, ETH_HLEN + IPV6_HEADER);
	write_message(reply, icmp);
	reply->responder[0] = *(const __u64 *)(ip + 8);
	reply->responder[1] = *(const __u64 *)(ip + 16);
	reply->hop_limit = ip[7];
	reply->traffic_class = bpf_ntohs(*(const __be16 *)ip) >> 4;
	reply->flags = mp_fold(sum) == 0xffff ? MP_REPLY_V6 : MP_REPLY_V6 | MP_REPLY_CORRUPT;
	publish(desk, MP_RING_REPLIES);
	return RECORDED;
}

/* Where the IP header begins; the frame was judged, so its tags are whole. */
static __always_inline __u32 packet_offset(struct xdp_md *ctx)
{
	const __u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 offset = ETH_HLEN;

	for (int i = 0; i < MP_STEER_VLANS; i++) {
		if ((const void *)(p + ETH_HLEN) > (const void *)end || !is_vlan(*(const __be16 *)(p + 12)))
			break;
		p += VLAN_TAG;
		offset += VLAN_TAG;
	}
	return offset;
}

#define WRITE_PACKET(map, room)                                                            \
	({                                                                                 \
		struct mp_packet *packet = bpf_map_lookup_elem(&(map), &index);            \
		__u32 last = length - 1;                                                   \
		long failed = -1;                                                          \
		if (packet) {                                                              \
			packet->arrived_ns = bpf_ktime_get_ns();                           \
			packet->length = length;                                           \
			packet->family = family;                                           \
			/* Opaque, so that the bound is on what is copied: Linux 6.1 takes no length that may be 0. */ \
			asm volatile("" : "+r"(last));                                     \
			if (last < (room))                                                 \
				failed = bpf_xdp_load_bytes(ctx, offset, packet + 1, last + 1); \
		}                                                                          \
		failed;                                                                    \
	})

/* A function of its own for the verifier, which has then forgotten how the frame was judged. */
static __noinline enum recorded record_packet(struct xdp_md *ctx, __u32 family, __u32 cpu)
{
	struct mp_desk *desk = bpf_map_lookup_elem(&kernel_desks, &cpu);
	__u32 offset = packet_offset(ctx), end = ctx->data_end - ctx->data;
	__u32 length = end > offset ? end - offset : 0;
	enum mp_kernel_ring ring = length <= MP_PACKET_SMALL ? MP_RING_SMALL : MP_RING_LARGE;
	long failed;
	__s64 slot;

	if (!desk)
		return NO_ROOM;
	slot = free_slot(desk, ring, cpu);
	if (slot < 0)
		return NO_ROOM;
	__u32 index = slot;

	if (ring == MP_RING_SMALL) {
		failed = WRITE_PACKET(kernel_small, MP_PACKET_SMALL);
	} else {
		if (length > MP_PACKET_LARGE)
			length = MP_PACKET_LARGE;
		failed = WRITE_PACKET(kernel_large, MP_PACKET_LARGE);
	}
	if (failed)
		return NO_ROOM;
	publish(desk, ring);
	return RECORDED;
}

static __always_inline int record(struct xdp_md *ctx, struct mp_desk *desk, __u32 cpu)
{
	const __u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum mp_family family = MP_OTHER;
	enum recorded recorded = NOT_PLAIN;
	enum mp_steer_counter verdict;
	__be16 protocol;

	if ((const void *)(p + ETH_HLEN) > (const void *)end)
		return XDP_PASS;
	protocol = *(const __be16 *)(p + 12);
	if (protocol == bpf_htons(ETH_P_IP))
		recorded = plain_v4(ctx, desk, cpu);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		recorded = plain_v6(ctx, desk, cpu);
	if (recorded != NOT_PLAIN) {
		tap(ctx, recorded == RECORDED ? MP_STEER_REPLIES : MP_TAP_NO_ROOM);
		return XDP_DROP;
	}
	verdict = judge(ctx, &family) & 7;
	desk->counters.count[family][verdict]++;
	if (verdict > MP_STEER_ERRORS) {
		tap(ctx, verdict);
		return XDP_PASS;
	}
	recorded = record_packet(ctx, family, cpu);
	tap(ctx, recorded == RECORDED ? verdict : MP_TAP_NO_ROOM);
	return XDP_DROP;
}

#endif
