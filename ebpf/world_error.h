/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * How a router answers: the request stays where it is and becomes the quote, new headers go in front of it.
 *
 *   before                         | Ethernet | IP | ICMP echo request ... |
 *   after    | Ethernet | IP | ICMP error     | IP | ICMP echo ...         | zeroes to 128 | extension |
 *              new headers                      the quote, cut               with an object only
 */
#ifndef MEGAPING_WORLD_ERROR_H
#define MEGAPING_WORLD_ERROR_H

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <megaping/checksum.h>
#include "world_fate.h"

#define ICMP_HEADER 8
#define QUOTE_V4    (576 - 20 - ICMP_HEADER)
#define QUOTE_V6    (1280 - 40 - ICMP_HEADER)
/* RFC 4884, section 5.1: an extension follows a quote padded to at least 128 bytes. */
#define QUOTE_PADDED 128

/* Both addresses of an Ethernet header; read in words, since its own type would make clang go by bytes. */
struct macs {
	__u32 dst_high, src_high;
	__u16 dst_low, src_low;
};

static __always_inline struct macs load_macs(const void *eth)
{
	return (struct macs){ *(__u32 *)eth, *(__u32 *)(eth + 6), *(__u16 *)(eth + 4), *(__u16 *)(eth + 10) };
}

static __always_inline void store_swapped(void *eth, const struct macs *macs)
{
	*(__u32 *)eth = macs->src_high;
	*(__u16 *)(eth + 4) = macs->src_low;
	*(__u32 *)(eth + 6) = macs->dst_high;
	*(__u16 *)(eth + 10) = macs->dst_low;
}

/* How much of a packet is quoted, past the Ethernet header. */
static __always_inline __u32 quote_length(const struct mp_world_config *config, __u32 header, __u32 length,
					  __u32 limit)
{
	if (config->quote_bytes == 8)
		limit = header + 8;
	return length < limit ? length : limit;
}

/*
 * Makes room for `front` bytes of new headers and cuts the frame to the quote, which stays where it is. With an
 * extension the quote moves: veth gives a small packet no room behind it, but always some 200 bytes before it, so
 * the frame grows at its head whatever it needs, and the padded quote is written once more in its place.
 */
static __always_inline long reshape(struct xdp_md *ctx, __u32 quote, __u32 front, __u32 extension)
{
	__u8 padded[QUOTE_PADDED] = {};
	__u32 frame = bpf_xdp_get_buff_len(ctx), cut = ETH_HLEN + quote;

	if (!extension) {
		if (bpf_xdp_adjust_head(ctx, -(int)front))
			return -1;
		return frame > cut ? bpf_xdp_adjust_tail(ctx, -(int)(frame - cut)) : 0;
	}
	__u32 want = ETH_HLEN + front + QUOTE_PADDED + extension, bytes = quote;

	/* The verifier of Linux 6.1 needs the bounds by construction: 1 to 128. */
	asm volatile("" : "+r"(bytes));
	bytes = ((bytes - 1) & (QUOTE_PADDED - 1)) + 1;
	if (bpf_xdp_load_bytes(ctx, ETH_HLEN, padded, bytes))
		return -1;
	if (frame < want && bpf_xdp_adjust_head(ctx, -(int)(want - frame)))
		return -1;
	if (frame > want && bpf_xdp_adjust_tail(ctx, -(int)(frame - want)))
		return -1;
	return bpf_xdp_store_bytes(ctx, ETH_HLEN + front, padded, QUOTE_PADDED);
}

/* Words of the longest extension structure: its header, three of labels, three of an interface. */
#define EXTENSION_WORDS 7

/* Bytes of the extension structure of a router's errors; 0 where it adds none. */
static __always_inline __u32 extension_length(const struct router *router)
{
	__u32 labels = router->labels ? 4 + 4 * router->labels : 0;
	__u32 interface = router->traits & ROUTER_INTERFACE ? 12 : 0;

	return labels + interface ? 4 + labels + interface : 0;
}

/*
 * RFC 4884 section 7. RFC 4950 section 3: one object of class 1, type 1 with the label stack. RFC 5837 section 4:
 * one of class 2 for the incoming interface with its index and MTU (type 0x09).
 */
static __always_inline long store_extension(struct xdp_md *ctx, __u32 offset, const struct router *router,
					    __u32 hop, __u32 length)
{
	__u32 words[EXTENSION_WORDS] = { bpf_htonl(2 << 28) }, *interface = &words[1];
	__u64 bits = mp_mix(router->hash + MP_GOLDEN) >> 8, sum = 0;

	if (router->labels) {
		words[1] = bpf_htonl((4 + 4 * router->labels) << 16 | 1 << 8 | 1);
		words[2] = bpf_htonl(((bits & 0xfffff) | 16) << 12 | (router->labels == 1) << 8 | 1);
		interface = &words[3];
	}
	if (router->labels == 2) {
		words[3] = bpf_htonl(((bits >> 20 & 0xfffff) | 16) << 12 | 1 << 8 | 1);
		interface = &words[4];
	}
	if (router->traits & ROUTER_INTERFACE) {
		interface[0] = bpf_htonl(12 << 16 | 2 << 8 | 0x09);
		interface[1] = bpf_htonl(hop);
		interface[2] = bpf_htonl(1500);
	}
	for (int i = 0; i < EXTENSION_WORDS; i++)
		sum += words[i];
	/* The checksum's two bytes are the last of the first word. */
	*((__u16 *)words + 1) = ~mp_fold(sum);
	asm volatile("" : "+r"(length));
	length = ((length - 1) & 31) + 1;
	return length <= sizeof(words) ? bpf_xdp_store_bytes(ctx, offset, words, length) : -1;
}

/* What the router's traits make of the packet that it quotes, header checksum included. */
static __always_inline void rewrite_v4(struct iphdr *ip, const struct router *router)
{
	__u16 *words = (void *)ip, before, high, low;

	if (router->traits & (ROUTER_DSCP | ROUTER_ECN)) {
		before = words[0];
		ip->tos = router->traits & ROUTER_DSCP ? (ip->tos & 3) | 0x20 : ip->tos | 3;
		ip->check = mp_replace(ip->check, before, words[0]);
	}
	if (router->traits & ROUTER_NAT_SOURCE) {
		high = words[6];
		low = words[7];
		ip->saddr = bpf_htonl(MP_WORLD_NAT_V4);
		ip->check = mp_replace(mp_replace(ip->check, high, words[6]), low, words[7]);
	}
	if (router->traits & ROUTER_NAT_DESTINATION) {
		before = words[9];
		ip->daddr ^= bpf_htonl(2);
		ip->check = mp_replace(ip->check, before, words[9]);
	}
}

static __always_inline void rewrite_v6(struct ipv6hdr *ip, const struct router *router)
{
	__u64 *source = (void *)&ip->saddr;
	__be32 *words = (void *)ip;

	/* The traffic class lies across the first bytes: version (4), class (8), flow label (20). */
	if (router->traits & ROUTER_DSCP)
		words[0] = (words[0] & ~bpf_htonl(0x0fc00000)) | bpf_htonl(0x02000000);
	if (router->traits & ROUTER_ECN)
		words[0] |= bpf_htonl(0x00300000);
	if (router->traits & ROUTER_NAT_SOURCE) {
		source[0] = bpf_cpu_to_be64(MP_WORLD_NAT_V6_HIGH);
		source[1] = bpf_cpu_to_be64(MP_WORLD_NAT_V6_LOW);
	}
	if (router->traits & ROUTER_NAT_DESTINATION)
		words[9] ^= bpf_htonl(2);
}

/* `length` is that of the IPv4 packet that the frame holds. Returns 0, or -1 when there was no room. */
static __always_inline long error_v4(struct xdp_md *ctx, const struct mp_world_config *config,
				     const struct fate *fate, const struct router *router, __u32 length)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u32 front = sizeof(*ip) + ICMP_HEADER, extension = extension_length(router);
	__u32 quote = quote_length(config, sizeof(*ip), length, extension ? QUOTE_PADDED : QUOTE_V4);
	int tells = extension && !(router->traits & ROUTER_LEGACY);
	struct macs macs;
	__be32 source;
	__u16 before;

	if ((void *)(ip + 1) > end)
		return -1;
	macs = load_macs(data);
	source = ip->saddr;
	before = *(__u16 *)&ip->ttl;
	/* The packet as that router saw it: every router before it took one. */
	ip->ttl -= fate->hop - 1 < ip->ttl ? fate->hop - 1 : 0;
	ip->check = mp_replace(ip->check, before, *(__u16 *)&ip->ttl);
	rewrite_v4(ip, router);
	if (reshape(ctx, quote, front, extension))
		return -1;

	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = data + ETH_HLEN;
	__u8 *icmp = (void *)(ip + 1);

	if ((void *)(icmp + ICMP_HEADER) > end)
		return -1;
	store_swapped(data, &macs);
	*(__be16 *)(data + 12) = bpf_htons(ETH_P_IP);
	/* RFC 1812, 4.3.2.5: routers answer with precedence 6. */
	*(__be32 *)ip = bpf_htonl(0x45c00000 | (front + (extension ? QUOTE_PADDED + extension : quote)));
	*(__be32 *)&ip->id = bpf_htonl(0x4000);
	*(__be32 *)&ip->ttl = bpf_htonl((MP_WORLD_ROUTER_TTL - (fate->hop - 1)) << 24 | IPPROTO_ICMP << 16);
	ip->saddr = bpf_htonl(0x64400000 + ((fate->hop & 0x3f) << 16) + 1 + mp_scale(router->low, 65534));
	ip->daddr = source;
	__u32 *words = (void *)ip;

	ip->check = ~mp_fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
	icmp[0] = fate->kind == FATE_UNREACHABLE ? ICMP_DEST_UNREACH : ICMP_TIME_EXCEEDED;
	icmp[1] = fate->kind == FATE_UNREACHABLE ? ICMP_HOST_UNREACH : ICMP_EXC_TTL;
	*(__u16 *)(icmp + 2) = 0;
	/* RFC 4884, section 4.1: the length of the quote in words of 32 bits, in the sixth byte. */
	*(__be32 *)(icmp + 4) = bpf_htonl(tells ? QUOTE_PADDED / 4 << 16 : 0);
	if (extension && store_extension(ctx, ETH_HLEN + front + QUOTE_PADDED, router, fate->hop, extension))
		return -1;
	*(__u16 *)(icmp + 2) = ~mp_sum_frame(ctx, ETH_HLEN + sizeof(*ip));
	return 0;
}

/* The same for IPv6; `length` counts the IPv6 header. */
static __always_inline long error_v6(struct xdp_md *ctx, const struct mp_world_config *config,
				     const struct fate *fate, const struct router *router, __u32 length)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u32 front = sizeof(*ip) + ICMP_HEADER, extension = extension_length(router);
	__u32 quote = quote_length(config, sizeof(*ip), length, extension ? QUOTE_PADDED : QUOTE_V6);
	__u32 payload = ICMP_HEADER + (extension ? QUOTE_PADDED + extension : quote);
	int tells = extension && !(router->traits & ROUTER_LEGACY);
	__u64 source[2], router_high, router_low;
	struct macs macs;

	if ((void *)(ip + 1) > end)
		return -1;
	macs = load_macs(data);
	source[0] = *(__u64 *)&ip->saddr;
	source[1] = *((__u64 *)&ip->saddr + 1);
	ip->hop_limit -= fate->hop - 1 < ip->hop_limit ? fate->hop - 1 : 0;
	rewrite_v6(ip, router);
	if (reshape(ctx, quote, front, extension))
		return -1;

	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = data + ETH_HLEN;
	__u8 *icmp = (void *)(ip + 1);

	if ((void *)(icmp + ICMP_HEADER) > end)
		return -1;
	store_swapped(data, &macs);
	*(__be16 *)(data + 12) = bpf_htons(ETH_P_IPV6);
	router_high = bpf_cpu_to_be64(0xfd00007200000000ULL | (fate->hop & 0xff) << 16);
	router_low = bpf_cpu_to_be64(1 + (__u64)router->low);
	*(__be32 *)ip = bpf_htonl(6 << 28);
	*((__be32 *)ip + 1) = bpf_htonl(payload << 16 | IPPROTO_ICMPV6 << 8 | (MP_WORLD_ROUTER_TTL - (fate->hop - 1)));
	*(__u64 *)&ip->saddr = router_high;
	*((__u64 *)&ip->saddr + 1) = router_low;
	*(__u64 *)&ip->daddr = source[0];
	*((__u64 *)&ip->daddr + 1) = source[1];
	icmp[0] = fate->kind == FATE_UNREACHABLE ? ICMPV6_DEST_UNREACH : ICMPV6_TIME_EXCEED;
	icmp[1] = fate->kind == FATE_UNREACHABLE ? ICMPV6_ADDR_UNREACH : ICMPV6_EXC_HOPLIMIT;
	*(__u16 *)(icmp + 2) = 0;
	/* RFC 4884, section 4.2: the length of the quote in words of 64 bits, in the fifth byte. */
	*(__be32 *)(icmp + 4) = bpf_htonl(tells ? QUOTE_PADDED / 8 << 24 : 0);
	if (extension && store_extension(ctx, ETH_HLEN + front + QUOTE_PADDED, router, fate->hop, extension))
		return -1;
	__u64 sum = mp_sum_frame(ctx, ETH_HLEN + sizeof(*ip));

	sum += (router_high & 0xffffffff) + (router_high >> 32) + (router_low & 0xffffffff) + (router_low >> 32);
	sum += (source[0] & 0xffffffff) + (source[0] >> 32) + (source[1] & 0xffffffff) + (source[1] >> 32);
	sum += bpf_htons(payload) + bpf_htons(IPPROTO_ICMPV6);
	*(__u16 *)(icmp + 2) = ~mp_fold(sum);
	return 0;
}

#endif
