/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Orders into frames. The shard has computed what takes arithmetic (checksums, the balance word); here words are put
 * in their places. Every byte of a frame that leaves is written here: its page comes from a pool and may hold
 * anything.
 */
#ifndef MEGAPING_KERNEL_RENDER_H
#define MEGAPING_KERNEL_RENDER_H

#include "kernel_maps.h"
#include "tap.h"

#define ICMP_BYTES (ICMP_HEADER + MP_KERNEL_HEADER)

/* ICMP header and ours: 32 bytes. */
static __always_inline void render_message(__u8 *p, const struct mp_order *order, __u8 type)
{
	p[0] = type;
	p[1] = 0;
	*(__u16 *)(p + 2) = order->checksum;
	*(__u32 *)(p + 4) = order->echo;
	*(__u64 *)(p + 8) = order->key_balance;
	*(__u64 *)(p + 16) = order->ordered_at;
	*(__u64 *)(p + 24) = order->mac;
}

static __always_inline void render_ethernet(__u8 *p, const struct mp_way *way)
{
	*(__u64 *)p = way->ethernet[0];
	*(__u32 *)(p + 8) = way->ethernet[1];
	*(__u16 *)(p + 12) = way->ethernet[1] >> 32;
}

/* Payload behind our header, `rest` bytes of it. */
static __always_inline long render_fill(struct xdp_md *ctx, __u32 offset, __u32 rest)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct mp_fill *fill;

	if (!rest)
		return 0;
	fill = bpf_map_lookup_elem(&kernel_fill, &zero);
	if (!fill)
		return -1;
	/* A payload of 32 bytes, the default, is worth its own line. */
	p += offset;
	if (rest == 8 && p + 8 <= end) {
		*(__u64 *)p = *(__u64 *)fill->bytes;
		return 0;
	}
	/* The verifier of Linux 6.1 needs the bounds by construction: 1 to 4096. */
	asm volatile("" : "+r"(rest));
	rest = ((rest - 1) & (MP_KERNEL_FILL - 1)) + 1;
	return bpf_xdp_store_bytes(ctx, offset, fill->bytes, rest);
}

static __always_inline long render_v4(struct xdp_md *ctx, const struct mp_order *order, const struct mp_way *way)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *ip = p + ETH_HLEN;

	if (ip + IPV4_HEADER + ICMP_BYTES > end)
		return -1;
	render_ethernet(p, way);
	*(__u32 *)ip = order->first;
	/* RFC 791 section 3.1: identification 0, Don't Fragment. */
	*(__u32 *)(ip + 4) = bpf_htonl(0x4000);
	*(__u32 *)(ip + 8) = order->second;
	*(__u32 *)(ip + 12) = way->source[1] >> 32;
	*(__u32 *)(ip + 16) = order->destination[1] >> 32;
	render_message(ip + IPV4_HEADER, order, ICMP_ECHO);
	return 0;
}

static __always_inline long render_v6(struct xdp_md *ctx, const struct mp_order *order, const struct mp_way *way)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *ip = p + ETH_HLEN;

	if (ip + IPV6_HEADER + ICMP_BYTES > end)
		return -1;
	render_ethernet(p, way);
	*(__u32 *)ip = order->first;
	*(__u32 *)(ip + 4) = order->second;
	*(__u64 *)(ip + 8) = way->source[0];
	*(__u64 *)(ip + 16) = way->source[1];
	*(__u64 *)(ip + 24) = order->destination[0];
	*(__u64 *)(ip + 32) = order->destination[1];
	render_message(ip + IPV6_HEADER, order, ICMPV6_ECHO_REQUEST);
	return 0;
}

/* The frame is as long as the longest order of the call; a shorter one cuts it. */
static __always_inline long render_order(struct xdp_md *ctx, const struct mp_order *order)
{
	__u32 key = order->way, first = bpf_ntohl(order->first), have, want, header;
	const struct mp_way *way = bpf_map_lookup_elem(&kernel_ways, &key);
	int is_v6 = first >> 28 == 6;

	if (!way)
		return -1;
	if (is_v6) {
		header = ETH_HLEN + IPV6_HEADER + ICMP_BYTES;
		want = ETH_HLEN + IPV6_HEADER + (bpf_ntohl(order->second) >> 16);
	} else {
		header = ETH_HLEN + IPV4_HEADER + ICMP_BYTES;
		want = ETH_HLEN + (first & 0xffff);
	}
	have = ctx->data_end - ctx->data;
	if (want < header || want - header > MP_KERNEL_FILL)
		return -1;
	if (want != have && bpf_xdp_adjust_tail(ctx, (int)want - (int)have))
		return -1;
	if (is_v6 ? render_v6(ctx, order, way) : render_v4(ctx, order, way))
		return -1;
	return render_fill(ctx, header, want - header);
}

/* Renders the next order of this CPU's desk. What had no room is told by its slot, and dropped. */
static __always_inline int render(struct xdp_md *ctx, struct mp_desk *desk)
{
	__u32 slot = desk->next, left = desk->left - 1;
	struct mp_order *order = bpf_map_lookup_elem(&kernel_orders, &slot);

	/* A frame too many: its call ran elsewhere. It may hold anything, so it goes no further. */
	if (!desk->left || !order)
		return XDP_DROP;
	desk->next = slot + 1;
	desk->left = left;
	/* The mark stays here: a peer on this machine would send it back with the answer. */
	if (bpf_xdp_adjust_meta(ctx, MP_KERNEL_MARK) || render_order(ctx, order)) {
		order->sent_ns = MP_KERNEL_NO_ROOM;
		desk->no_room++;
		return XDP_DROP;
	}
	/*
	 * The driver gets a bulk when the first frame of the next one is there, or at the end of the batch: the clock
	 * is read for these alone.
	 */
	if (!(slot & (MP_KERNEL_BULK - 1)) || !((slot + 1) & desk->batch_mask) || !left)
		order->sent_ns = bpf_ktime_get_ns();
	else
		order->sent_ns = MP_KERNEL_RENDERED;
	tap(ctx, MP_TAP_SENT);
	return XDP_TX;
}

#endif
