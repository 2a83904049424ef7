// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The simulated Internet: runs on the far end of a veth pair and answers ICMP and ICMPv6 echo requests to any
 * destination, by the rules of megaping/abi.h. Everything else goes to the kernel (ARP, neighbour discovery,
 * fragments, IPv4 options, extension headers, VLAN tags, multicast), counted as passed.
 *
 *   near (prober)  -- request -->  far: parse, verify?, decide?  -- redirect -->  near
 *
 * Benches measure against it, so the plain case (no flag set) does nothing but swap and patch.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>
#include <megaping/checksum.h>
#include "world_error.h"
#include "world_fate.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_world_config);
} world_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_world_counters);
} world_counters SEC(".maps");

static __always_inline int count(__u64 *counters, enum mp_world_counter counter, int verdict)
{
	counters[counter]++;
	return verdict;
}

/* A request is counted together with what became of it, so that the law of abi.h holds at every packet. */
static __always_inline int judged(__u64 *counters, enum mp_world_counter counter, int verdict)
{
	counters[MP_WORLD_REQUESTS]++;
	return count(counters, counter, verdict);
}

/* Drops what the sender padded the frame with; from here on the frame ends where the packet does. */
static __always_inline long trim(struct xdp_md *ctx, __u32 length)
{
	__u32 frame = bpf_xdp_get_buff_len(ctx), want = ETH_HLEN + length;

	return frame > want ? bpf_xdp_adjust_tail(ctx, -(int)(frame - want)) : 0;
}

/* What of the ICMP part decides; the caller has seen that its header is there. */
static __always_inline void read_echo(const void *icmp, const void *end, __u32 icmp_length, struct request *request)
{
	const __u8 *payload = icmp + ICMP_HEADER;

	request->identity = bpf_ntohl(*(__be32 *)(icmp + 4));
	request->length = icmp_length - ICMP_HEADER;
	if (payload + 8 <= (const __u8 *)end)
		request->payload = bpf_be64_to_cpu(*(__be64 *)payload);
}

/* Spoils one bit of a finished reply. */
static __always_inline void corrupt(void *icmp, const void *end, const struct request *request,
				    const struct fate *fate)
{
	__u8 *byte = icmp + ICMP_HEADER + (fate->flip_byte & 63);

	if (request->length && (const void *)(byte + 1) <= end)
		*byte ^= 1 << fate->flip_bit;
	else
		*(__be16 *)(icmp + 2) ^= bpf_htons(1);
}

static __always_inline int replied(__u64 *counters, const struct fate *fate)
{
	if (fate->kind == FATE_CORRUPT)
		return judged(counters, MP_WORLD_CORRUPTED, XDP_TX);
	if (fate->other_address)
		counters[MP_WORLD_OTHER_ADDRESS]++;
	return judged(counters, MP_WORLD_REPLIES, XDP_TX);
}

static __always_inline int withheld(__u64 *counters, const struct router *router)
{
	return judged(counters, router->traits & ROUTER_SILENT ? MP_WORLD_SILENT : MP_WORLD_LIMITED, XDP_DROP);
}

static __always_inline int errored(__u64 *counters, const struct fate *fate, const struct router *router, long failed)
{
	if (failed)
		return count(counters, MP_WORLD_FAILED, XDP_DROP);
	if (router->labels)
		counters[MP_WORLD_MPLS]++;
	return judged(counters, fate->kind == FATE_UNREACHABLE ? MP_WORLD_UNREACHABLE : MP_WORLD_TIME_EXCEEDED, XDP_TX);
}

static __always_inline int world_v4(struct xdp_md *ctx, const struct mp_world_config *config, __u64 *counters)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct icmphdr *icmp = (void *)(ip + 1);
	struct request request = {};
	struct fate fate = { .kind = FATE_REPLY, .path = 1 };
	__u32 length, destination;

	if ((void *)(icmp + 1) > end)
		return count(counters, MP_WORLD_PASSED, XDP_PASS);
	length = bpf_ntohs(ip->tot_len);
	destination = bpf_ntohl(ip->daddr);
	if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_ICMP || ip->frag_off & bpf_htons(0x3fff) ||
	    *(__u16 *)icmp != bpf_htons(ICMP_ECHO << 8) || length < sizeof(*ip) + ICMP_HEADER ||
	    destination >> 28 == 0xe || destination == 0xffffffff || (void *)ip + length > end)
		return count(counters, MP_WORLD_PASSED, XDP_PASS);
	if ((void *)ip + length < end) {
		if (trim(ctx, length))
			return count(counters, MP_WORLD_FAILED, XDP_DROP);
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		ip = data + ETH_HLEN;
		icmp = (void *)(ip + 1);
		if ((void *)(icmp + 1) > end)
			return count(counters, MP_WORLD_FAILED, XDP_DROP);
	}
	if (config->flags) {
		__u32 *words = (void *)ip;
		__u64 header = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];

		if (config->flags & MP_WORLD_VERIFY &&
		    (mp_fold(header) != 0xffff || mp_sum_frame(ctx, ETH_HLEN + sizeof(*ip)) != 0xffff))
			return count(counters, MP_WORLD_MALFORMED, XDP_DROP);
		request.lo = 0x0000ffff00000000ULL | destination;
		request.hop_limit = ip->ttl;
		request.flow = bpf_ntohs(icmp->checksum);
		read_echo(icmp, end, length - sizeof(*ip), &request);
		decide(config, &request, &fate);
		if (fate.kind == FATE_DROPPED)
			return judged(counters, MP_WORLD_DROPPED, XDP_DROP);
		if (fate.kind == FATE_DEAD)
			return judged(counters, MP_WORLD_DEAD, XDP_DROP);
		if (fate.kind >= FATE_UNREACHABLE) {
			struct router router = find_router(config, &request, fate.hop, 0, prefix_v4(request.lo, fate.hop));

			if (router.traits & (ROUTER_SILENT | ROUTER_LIMITED))
				return withheld(counters, &router);
			return errored(counters, &fate, &router, error_v4(ctx, config, &fate, &router, length));
		}
	}

	struct macs macs = load_macs(data);
	__be32 source = ip->saddr;
	__u16 before = *(__u16 *)&ip->ttl, low = *((__u16 *)&ip->daddr + 1);

	store_swapped(data, &macs);
	ip->saddr = ip->daddr;
	ip->daddr = source;
	ip->ttl = MP_WORLD_HOST_TTL - (fate.path - 1);
	ip->check = mp_replace(ip->check, before, *(__u16 *)&ip->ttl);
	if (fate.other_address) {
		ip->saddr ^= bpf_htonl(1);
		ip->check = mp_replace(ip->check, low, *((__u16 *)&ip->saddr + 1));
	}
	icmp->type = ICMP_ECHOREPLY;
	/* A reply of zeroes alone needs 0xffff, one whose words add up to 0xffff has 0 or 0xffff, and the request's
	 * checksum cannot tell the two apart: 0xffff is right for both. */
	icmp->checksum = mp_replace(icmp->checksum, bpf_htons(ICMP_ECHO << 8), 0) ?: 0xffff;
	if (fate.kind == FATE_CORRUPT)
		corrupt(icmp, end, &request, &fate);
	return replied(counters, &fate);
}

/* The ICMPv6 checksum of a request over its pseudo-header (RFC 8200, section 8.1); 0xffff when it is right. */
static __always_inline __u16 verify_v6(struct xdp_md *ctx, const struct ipv6hdr *ip)
{
	const __u32 *words = (const void *)&ip->saddr;
	__u64 sum = ip->payload_len + bpf_htons(IPPROTO_ICMPV6);

	for (int i = 0; i < 8; i++)
		sum += words[i];
	return mp_fold(sum + mp_sum_frame(ctx, ETH_HLEN + sizeof(*ip)));
}

static __always_inline int world_v6(struct xdp_md *ctx, const struct mp_world_config *config, __u64 *counters)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u8 *icmp = (void *)(ip + 1);
	struct request request = {};
	struct fate fate = { .kind = FATE_REPLY, .path = 1 };
	__u32 length;

	if ((void *)(icmp + ICMP_HEADER) > end)
		return count(counters, MP_WORLD_PASSED, XDP_PASS);
	length = bpf_ntohs(ip->payload_len);
	if (*(__u8 *)ip >> 4 != 6 || ip->nexthdr != IPPROTO_ICMPV6 || *(__u16 *)icmp != bpf_htons(ICMPV6_ECHO_REQUEST << 8) ||
	    length < ICMP_HEADER || *(__u8 *)&ip->daddr == 0xff || (void *)icmp + length > end)
		return count(counters, MP_WORLD_PASSED, XDP_PASS);
	if ((void *)icmp + length < end) {
		if (trim(ctx, sizeof(*ip) + length))
			return count(counters, MP_WORLD_FAILED, XDP_DROP);
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		ip = data + ETH_HLEN;
		icmp = (void *)(ip + 1);
		if ((void *)(icmp + ICMP_HEADER) > end)
			return count(counters, MP_WORLD_FAILED, XDP_DROP);
	}
	__u64 *addresses = (void *)&ip->saddr;

	if (config->flags) {
		if (config->flags & MP_WORLD_VERIFY && verify_v6(ctx, ip) != 0xffff)
			return count(counters, MP_WORLD_MALFORMED, XDP_DROP);
		request.hi = bpf_be64_to_cpu(addresses[2]);
		request.lo = bpf_be64_to_cpu(addresses[3]);
		request.hop_limit = ip->hop_limit;
		request.flow = bpf_ntohl(*(__be32 *)ip) & 0xfffff;
		read_echo(icmp, end, length, &request);
		decide(config, &request, &fate);
		if (fate.kind == FATE_DROPPED)
			return judged(counters, MP_WORLD_DROPPED, XDP_DROP);
		if (fate.kind == FATE_DEAD)
			return judged(counters, MP_WORLD_DEAD, XDP_DROP);
		if (fate.kind >= FATE_UNREACHABLE) {
			struct router router = find_router(config, &request, fate.hop, prefix_v6(request.hi, fate.hop), 0);

			if (router.traits & (ROUTER_SILENT | ROUTER_LIMITED))
				return withheld(counters, &router);
			return errored(counters, &fate, &router,
				       error_v6(ctx, config, &fate, &router, sizeof(*ip) + length));
		}
	}

	struct macs macs = load_macs(data);
	__u64 high = addresses[0], low = addresses[1];
	__u16 *check = (void *)(icmp + 2), before = *((__u16 *)&ip->daddr + 7);

	store_swapped(data, &macs);
	addresses[0] = addresses[2];
	addresses[1] = addresses[3];
	addresses[2] = high;
	addresses[3] = low;
	ip->hop_limit = MP_WORLD_HOST_TTL - (fate.path - 1);
	*icmp = ICMPV6_ECHO_REPLY;
	*check = mp_replace(*check, bpf_htons(ICMPV6_ECHO_REQUEST << 8), bpf_htons(ICMPV6_ECHO_REPLY << 8));
	if (fate.other_address) {
		__u16 *last = (__u16 *)&ip->saddr + 7;

		*last ^= bpf_htons(1);
		*check = mp_replace(*check, before, *last);
	}
	if (fate.kind == FATE_CORRUPT)
		corrupt(icmp, end, &request, &fate);
	return replied(counters, &fate);
}

/*
 * What goes back goes by redirect to where it came from: veth hands over what its peer sends by XDP_TX only while
 * the receiver runs an XDP program itself, and a redirected frame also where it polls for another reason (GRO).
 */
static __always_inline int send_back(struct xdp_md *ctx, int verdict)
{
	return verdict == XDP_TX ? bpf_redirect(ctx->ingress_ifindex, 0) : verdict;
}

SEC("xdp")
int megaping_world(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct mp_world_config *config = bpf_map_lookup_elem(&world_config, &zero);
	struct mp_world_counters *counters = bpf_map_lookup_elem(&world_counters, &zero);

	/* Neither can be missing: both maps are arrays of one. */
	if (!config || !counters)
		return XDP_PASS;
	if (data + ETH_HLEN > end)
		return count(counters->count[MP_OTHER], MP_WORLD_PASSED, XDP_PASS);
	if (*(__be16 *)(data + 12) == bpf_htons(ETH_P_IP))
		return send_back(ctx, world_v4(ctx, config, counters->count[MP_V4]));
	if (*(__be16 *)(data + 12) == bpf_htons(ETH_P_IPV6))
		return send_back(ctx, world_v6(ctx, config, counters->count[MP_V6]));
	return count(counters->count[MP_OTHER], MP_WORLD_PASSED, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
