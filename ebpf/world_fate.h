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
	__u32 flow;        /* ICMP checksum or IPv6 flow label */
};

struct fate {
	enum fate_kind kind;
	__u32 path;          /* hops to the destination: 1 is a neighbour */
	__u32 hop;           /* of the router that answers instead, for the two errors */
	__u32 other_address; /* the reply comes from the neighbour's address */
	__u32 flip_byte;     /* payload byte to spoil, for a corrupt reply */
	__u32 flip_bit;
};

#define ROUTER_SILENT          0x1
#define ROUTER_LIMITED         0x2
#define ROUTER_NAT_SOURCE      0x4
#define ROUTER_NAT_DESTINATION 0x8
#define ROUTER_DSCP            0x10
#define ROUTER_ECN             0x20
#define ROUTER_INTERFACE       0x40
#define ROUTER_LEGACY          0x80

struct router {
	__u64 hash;
	__u32 low; /* the part of its address that the hash decides */
	__u32 labels;
	__u32 traits; /* ROUTER_* */
};

static __always_inline __u64 packet_hash(__u64 host, const struct request *request)
{
	return mp_mix(mp_mix(host ^ request->identity) ^ request->payload);
}

static __always_inline void decide(const struct mp_world_config *config, const struct request *request,
				   struct fate *fate)
{
	__u64 host = mp_hash(config->seed, request->hi, request->lo);
	__u32 flags = config->flags, corrupt = 0;

	if (flags & MP_WORLD_BY_PACKET) {
		__u64 packet = packet_hash(host, request);

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

/* Whether a draw on `hash` falls into a share. */
static __always_inline int in_share(__u64 hash, __u32 purpose, __u32 share_ppm)
{
	return mp_scale(mp_draw(hash, purpose), MP_PPM) < share_ppm;
}

/* The one router among the siblings of a multi-path hop that a flow is sent to. */
static __always_inline __u64 choose_sibling(const struct mp_world_config *config, const struct request *request,
					    __u64 host, __u32 hop, __u64 hash)
{
	__u32 sibling;

	if (!in_share(hash, MP_DRAW_ECMP, config->ecmp_ppm))
		return hash;
	sibling = mp_scale(mp_mix(hash ^ mp_mix(host ^ request->flow)) >> 32, config->ecmp_width);
	return sibling ? mp_hash(hash, sibling, hop) : hash;
}

static __always_inline __u32 router_traits(const struct mp_world_config *config, const struct request *request,
					   __u64 host, __u64 hash)
{
	__u32 nat = mp_scale(mp_draw(hash, MP_DRAW_NAT), MP_PPM), traits = 0;

	if (in_share(hash, MP_DRAW_SILENT, config->silent_ppm))
		return ROUTER_SILENT;
	if (in_share(hash, MP_DRAW_LIMITED, config->limited_ppm) &&
	    !in_share(packet_hash(host, request), MP_DRAW_LIMITED, MP_WORLD_LIMITED_PPM))
		return ROUTER_LIMITED;
	if (nat < config->nat_source_ppm)
		traits |= ROUTER_NAT_SOURCE;
	else if (nat - config->nat_source_ppm < config->nat_destination_ppm)
		traits |= ROUTER_NAT_DESTINATION;
	if (in_share(hash, MP_DRAW_TOS, config->tos_ppm))
		traits |= hash & 1 ? ROUTER_DSCP : ROUTER_ECN;
	if (in_share(hash, MP_DRAW_INTERFACE, config->interface_ppm))
		traits |= ROUTER_INTERFACE;
	if (in_share(hash, MP_DRAW_LEGACY, config->legacy_ppm))
		traits |= ROUTER_LEGACY;
	return traits;
}

/* The router of one hop on the way to a destination, given the prefix that it serves. */
static __always_inline struct router find_router(const struct mp_world_config *config,
						 const struct request *request, __u32 hop, __u64 hi, __u64 lo)
{
	__u64 host = mp_hash(config->seed, request->hi, request->lo), seed = config->seed;
	struct router router = {};

	if (config->flags & MP_WORLD_CHANGE && hop > 1 && in_share(host, MP_DRAW_CHANGE, config->change_ppm) &&
	    bpf_ktime_get_ns() >= config->change_at_ns)
		seed ^= MP_WORLD_CHANGED;
	router.hash = mp_hash(seed ^ hop, hi, lo);
	if (config->flags & MP_WORLD_ROUTERS) {
		router.hash = choose_sibling(config, request, host, hop, router.hash);
		router.traits = router_traits(config, request, host, router.hash);
	}
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
