/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What a received frame is to us. Reads only; every length in the packet must agree with the frame, so a frame
 * that was cut anywhere is malformed, and what Ethernet padded it with is not taken for a quote. The raw
 * sockets' filter (engine/ring/src/raw/filter.rs) and the parser (engine/wire) decide the same.
 */
#ifndef MEGAPING_STEER_JUDGE_H
#define MEGAPING_STEER_JUDGE_H

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>

#define VLAN_TAG    4
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define ICMP_HEADER 8
/* RFC 791 section 3.1, RFC 8200 section 4.5: the fragment's offset; the bit for "more" is not of interest. */
#define IPV4_OFFSET 0x1fff
#define IPV6_OFFSET 0xfff8

/*
 * RFC 792: unreachable, time exceeded, parameter problem. Not source quench, which means nothing (RFC 6633), nor
 * redirect, which is for the host's routes: neither ends a probe.
 */
#define IS_ERROR_V4(type) ((type) < 32 && (1u << (type) & (1u << 3 | 1u << 11 | 1u << 12)))
/* RFC 4443 section 2.1: unreachable, too big, time exceeded, parameter problem. */
#define IS_ERROR_V6(type) ((type) >= 1 && (type) <= 4)

/*
 * Whose probes these are: identifier & mask == value, in the order of the machine. The loader refuses a mask of
 * 0, which would take the host's own ping away.
 */
const volatile __u16 identifier_value = 0xffff;
const volatile __u16 identifier_mask = 0xffff;

static __always_inline int is_ours(const __u8 *echo)
{
	return (bpf_ntohs(*(const __be16 *)(echo + 4)) & identifier_mask) == identifier_value;
}

/* A length that may be added to a pointer: the verifier of Linux 6.1 forgets every bound when bytes are swapped. */
static __always_inline __u32 read_length(const __u8 *field)
{
	__u32 length = bpf_ntohs(*(const __be16 *)field);

	/* clang knows the bound and would drop the mask. */
	asm volatile("" : "+r"(length));
	return length & 0xffff;
}

static __always_inline int is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* `quote` is an IPv4 packet of which `room` bytes are there: at least its header and eight more (RFC 792). */
static __always_inline enum mp_steer_counter judge_quote_v4(const __u8 *quote, const void *end, __u32 room)
{
	const __u8 *echo;
	__u32 header;

	if (room < IPV4_HEADER + ICMP_HEADER || (const void *)(quote + IPV4_HEADER) > end)
		return MP_STEER_MALFORMED;
	header = (quote[0] & 0xf) * 4;
	if (quote[0] >> 4 != 4 || header < IPV4_HEADER)
		return MP_STEER_MALFORMED;
	/* A later fragment has no ICMP header to tell whose it is. */
	if (quote[9] != IPPROTO_ICMP || *(const __be16 *)(quote + 6) & bpf_htons(IPV4_OFFSET))
		return MP_STEER_FOREIGN;
	echo = quote + header;
	if (room < header + ICMP_HEADER || (const void *)(echo + ICMP_HEADER) > end)
		return MP_STEER_MALFORMED;
	return echo[0] == ICMP_ECHO && is_ours(echo) ? MP_STEER_ERRORS : MP_STEER_FOREIGN;
}

static __always_inline enum mp_steer_counter judge_v4(const __u8 *ip, const void *end)
{
	__u32 header, length;
	const __u8 *icmp;

	if ((const void *)(ip + IPV4_HEADER) > end || ip[0] >> 4 != 4)
		return MP_STEER_MALFORMED;
	if (ip[9] != IPPROTO_ICMP)
		return MP_STEER_NOT_ICMP;
	header = (ip[0] & 0xf) * 4;
	length = read_length(ip + 2);
	if (header < IPV4_HEADER || length < header || (const void *)(ip + length) > end)
		return MP_STEER_MALFORMED;
	if (*(const __be16 *)(ip + 6) & bpf_htons(IPV4_OFFSET))
		return MP_STEER_LATER_FRAGMENTS;
	icmp = ip + header;
	if (length < header + ICMP_HEADER || (const void *)(icmp + ICMP_HEADER) > end)
		return MP_STEER_MALFORMED;
	if (icmp[0] == ICMP_ECHOREPLY)
		return is_ours(icmp) ? MP_STEER_REPLIES : MP_STEER_FOREIGN;
	if (!IS_ERROR_V4(icmp[0]))
		return MP_STEER_OTHER_ICMP;
	return judge_quote_v4(icmp + ICMP_HEADER, end, length - header - ICMP_HEADER);
}

/* Our own requests carry no extension headers: the quoted ICMPv6 header is right behind the quoted IPv6 one. */
static __always_inline enum mp_steer_counter judge_quote_v6(const __u8 *quote, const void *end, __u32 room)
{
	const __u8 *echo = quote + IPV6_HEADER;

	if (room < IPV6_HEADER || (const void *)echo > end || quote[0] >> 4 != 6)
		return MP_STEER_MALFORMED;
	if (quote[6] != IPPROTO_ICMPV6)
		return MP_STEER_FOREIGN;
	if (room < IPV6_HEADER + ICMP_HEADER || (const void *)(echo + ICMP_HEADER) > end)
		return MP_STEER_MALFORMED;
	return echo[0] == ICMPV6_ECHO_REQUEST && is_ours(echo) ? MP_STEER_ERRORS : MP_STEER_FOREIGN;
}

static __always_inline enum mp_steer_counter judge_icmpv6(const __u8 *icmp, const void *end, __u32 length)
{
	if (length < ICMP_HEADER || (const void *)(icmp + ICMP_HEADER) > end)
		return MP_STEER_MALFORMED;
	if (icmp[0] == ICMPV6_ECHO_REPLY)
		return is_ours(icmp) ? MP_STEER_REPLIES : MP_STEER_FOREIGN;
	if (!IS_ERROR_V6(icmp[0]))
		return MP_STEER_OTHER_ICMP;
	return judge_quote_v6(icmp + ICMP_HEADER, end, length - ICMP_HEADER);
}

/* Those whose length stands in them: hop-by-hop, routing, destination options, fragment, authentication. */
static __always_inline int is_extension(__u32 next)
{
	return next < 64 && 1ULL << next & (1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING |
					    1ULL << IPPROTO_DSTOPTS | 1ULL << IPPROTO_FRAGMENT | 1ULL << IPPROTO_AH);
}

/* Bits of a frame's offset that the verifier lets us add to a pointer; an ICMPv6 header beyond is too deep. */
#define OFFSET_MASK 0x3fff
#define WALK_ENDED  0x10000

/*
 * Walks from `at` over the extension headers of a packet that ends at `limit`, both counted from the beginning of
 * the frame. Returns where the ICMPv6 header is, or WALK_ENDED with the verdict. A function of its own for the
 * verifier, which then walks the loop once and not once for every number of VLAN tags.
 */
__noinline __u32 mp_walk(struct xdp_md *ctx, __u32 at, __u32 limit, __u32 next)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MP_STEER_EXTENSIONS; i++) {
		const __u8 *p;
		__u32 size, shift = 3, more = 1;

		/* The verifier of Linux 6.1 needs the bound by construction; clang must not see that it is there. */
		asm volatile("" : "+r"(at));
		p = data + (at & OFFSET_MASK);
		if (p + 8 > end)
			return WALK_ENDED | MP_STEER_MALFORMED;
		if (next == IPPROTO_FRAGMENT && *(const __be16 *)(p + 2) & bpf_htons(IPV6_OFFSET))
			return WALK_ENDED | MP_STEER_LATER_FRAGMENTS;
		/* RFC 4302 section 2.2: in units of four bytes, less two. The others: of eight, less one. */
		if (next == IPPROTO_AH) {
			shift = 2;
			more = 2;
		}
		size = next == IPPROTO_FRAGMENT ? 8 : (p[1] + more) << shift;
		next = p[0];
		at += size;
		if (at > limit)
			return WALK_ENDED | MP_STEER_MALFORMED;
		if (at > OFFSET_MASK)
			return WALK_ENDED | MP_STEER_TOO_DEEP;
		if (next == IPPROTO_ICMPV6)
			return at;
		if (!is_extension(next))
			return WALK_ENDED | MP_STEER_NOT_ICMP;
	}
	return WALK_ENDED | MP_STEER_TOO_DEEP;
}

/* `offset` is where the packet begins in the frame. */
static __always_inline enum mp_steer_counter judge_v6(struct xdp_md *ctx, const __u8 *ip, __u32 offset)
{
	const void *end = (void *)(long)ctx->data_end;
	const __u8 *icmp = ip + IPV6_HEADER;
	__u32 length, limit, found;

	if ((const void *)icmp > end || ip[0] >> 4 != 6)
		return MP_STEER_MALFORMED;
	if (ip[6] != IPPROTO_ICMPV6 && !is_extension(ip[6]))
		return MP_STEER_NOT_ICMP;
	length = read_length(ip + 4);
	if ((const void *)(icmp + length) > end)
		return MP_STEER_MALFORMED;
	if (ip[6] == IPPROTO_ICMPV6)
		return judge_icmpv6(icmp, end, length);
	limit = offset + IPV6_HEADER + length;
	found = mp_walk(ctx, offset + IPV6_HEADER, limit, ip[6]);
	if (found & WALK_ENDED)
		return found & 7;
	icmp = (const __u8 *)(long)ctx->data + (found & OFFSET_MASK);
	return judge_icmpv6(icmp, (void *)(long)ctx->data_end, limit - found);
}

static __always_inline enum mp_steer_counter judge(struct xdp_md *ctx, enum mp_family *family)
{
	const void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *p = data + ETH_HLEN;
	__u32 offset = ETH_HLEN;
	__be16 protocol;

	if ((const void *)p > end)
		return MP_STEER_MALFORMED;
	protocol = *(const __be16 *)(data + 12);
	for (int i = 0; i < MP_STEER_VLANS && is_vlan(protocol); i++) {
		if ((const void *)(p + VLAN_TAG) > end)
			return MP_STEER_MALFORMED;
		protocol = *(const __be16 *)(p + 2);
		p += VLAN_TAG;
		offset += VLAN_TAG;
	}
	if (protocol == bpf_htons(ETH_P_IP)) {
		*family = MP_V4;
		return judge_v4(p, end);
	}
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		*family = MP_V6;
		return judge_v6(ctx, p, offset);
	}
	return is_vlan(protocol) ? MP_STEER_TOO_DEEP : MP_STEER_NOT_ICMP;
}

#endif
