/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What becomes of a request: the rules that abi.h states, and nothing about bytes. */
#ifndef MEGAPING_WORLD_FATE_H
#define MEGAPING_WORLD_FATE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>

enum fate_kind { FATE_REPLY, FATE_CORRUPT, FATE_DROPPED, FATE_DEAD, FATE_UNREACHABLE, FATE_TIME_EXCEEDED };

/* What of a request decides; both families are brought to this form. */
struct request {
	__u64 hi, lo;      /* destination, as abi.h maps it */
	__u64 payload;     /* its first eight bytes as a number, or 0 */
	__u32 identity;    /* identifier << 16 | sequence */
	__u32 length;      /* payload bytes */
	__u32 hop_limit;
};

struct fate {
	enum fate_kind kind;
	__u32 path;          /* hops to the destination: 1 is a neighbour */
	__u32 hop;           /* of the router that answers instead, for the two errors */
	__u32 other_address; /* the reply comes from the neighbour's address */
	__u32 flip_byte;     /* payload byte to spoil, for a corrupt reply */
	__u32 flip_bit;
};

struct router {
	__u64 hash;
	__u32 low; /* the part of its address that the hash decides */
	__u32 labels;
};

static __always_inline void decide(const struct mp_world_config *config, const struct request *request,
				   struct fate *fate)
{
	__u64 host = mp_hash(config->seed, request->hi, request->lo);
	__u32 flags = config->flags, corrupt = 0;

	if (flags & MP_WORLD_BY_PACKET) {
		__u64 packet = mp_mix(mp_mix(host ^ request->identity) ^ request->payload);

		if (mp_scale(packet >> 32, MP_PPM) < config->loss_ppm) {
			fate->kind = FATE_DROPPED;
			return;
		}
		corrupt = mp_scale(packet, MP_PPM) < config->corrupt_ppm;
		fate->flip_byte = mp_scale(mp_draw(packet, MP_DRAW_BIT), request->length < 64 ? request->length : 64);
		fate->flip_bit = packet & 7;
	}
	if (flags & MP_WORLD_HOPS) {
		__u32 span = config->max_hops - config->min_hops + 1;
		/* A hop limit of 0 should not travel at all; the first router is where it ends. */
		__u32 hop = request->hop_limit ? request->hop_limit : 1;

		fate->path = config->min_hops + mp_scale(mp_draw(host, MP_DRAW_PATH), span);
		if (hop < fate->path) {
			fate->kind = FATE_TIME_EXCEEDED;
			fate->hop = hop;
			return;
		}
	}
	if (flags & MP_WORLD_BY_DESTINATION) {
		__u32 share = mp_scale(mp_draw(host, MP_DRAW_HOST), MP_PPM);

		if (share < config->dead_ppm) {
			fate->kind = FATE_DEAD;
			return;
		}
		share -= config->dead_ppm;
		if (share < config->unreachable_ppm) {
			fate->kind = FATE_UNREACHABLE;
			fate->hop = fate->path > 1 ? fate->path - 1 : 1;
			return;
		}
		fate->other_address = share - config->unreachable_ppm < config->other_address_ppm;
	}
	if (corrupt)
		fate->kind = FATE_CORRUPT;
}

/* The router of one hop on the way to a destination, given the prefix that it serves. */
static __always_inline struct router find_router(const struct mp_world_config *config, __u32 hop, __u64 hi,
						 __u64 lo)
{
	struct router router = { .hash = mp_hash(config->seed ^ hop, hi, lo) };

	router.low = router.hash >> 32;
	if (mp_scale(router.hash, MP_PPM) < config->mpls_ppm)
		router.labels = 1 + (mp_mix(router.hash + MP_GOLDEN) & 1);
	return router;
}

/* Prefix lengths of abi.h: routers near the prober serve everyone, those near the target serve few. */
static __always_inline __u64 prefix_v4(__u64 lo, __u32 hop)
{
	__u32 bits = hop > 6 ? 24 : 4 * (hop - 1);

	return lo & ~(0xffffffffULL >> bits);
}

static __always_inline __u64 prefix_v6(__u64 hi, __u32 hop)
{
	__u32 bits = hop > 6 ? 48 : 8 * (hop - 1);

	return hi & ~(~0ULL >> bits);
}

#endif
