// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Steering: what answers our probes goes to the AF_XDP socket of the receive queue, everything else to the
 * kernel, untouched. One instance a process; its identifiers are constants that the verifier folds in.
 *
 *   frame -> VLAN tags (0 to 2) -> IPv4 and options | IPv6 and extension headers -> ICMP -> identifier
 *         |                                                                           `-> quote -> identifier
 *         `-- at the first thing that is not ours, odd, or cut short: XDP_PASS
 *
 * steer_judge.h says what a frame is, this file what is done about it: count, redirect, stamp. The order
 * matters: only a frame that a socket takes is stamped, so what goes to the kernel is as it came.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>
#include "steer_judge.h"
#include "tap.h"

/* By receive queue. The kernel takes a socket out when it is closed. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MP_STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} steer_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_steer_counters);
} steer_counters SEC(".maps");

/* Writes the arrival into the frame's metadata; a driver without room for it costs the stamp, not the frame. */
static __always_inline int stamp(struct xdp_md *ctx)
{
	struct mp_steer_stamp *stamp;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*stamp)))
		return -1;
	stamp = (void *)(long)ctx->data_meta;
	if ((void *)(stamp + 1) > (void *)(long)ctx->data)
		return -1;
	stamp->arrived_ns = bpf_ktime_get_ns();
	stamp->seal = stamp->arrived_ns ^ MP_STEER_SEAL;
	return 0;
}

SEC("xdp")
int megaping_steer(struct xdp_md *ctx)
{
	enum mp_family family = MP_OTHER;
	__u32 zero = 0;
	struct mp_steer_counters *counters = bpf_map_lookup_elem(&steer_counters, &zero);
	enum mp_steer_counter verdict;
	__u64 *count;

	/* It cannot be missing: the map is an array of one. */
	if (!counters)
		return XDP_PASS;
	verdict = judge(ctx, &family) & 7;
	count = counters->count[family];
	count[verdict]++;
	if (verdict > MP_STEER_ERRORS) {
		tap(ctx, verdict);
		return XDP_PASS;
	}
	if (bpf_redirect_map(&steer_sockets, ctx->rx_queue_index, XDP_PASS) != XDP_REDIRECT) {
		count[MP_STEER_NO_SOCKET]++;
		tap(ctx, MP_STEER_NO_SOCKET);
		return XDP_PASS;
	}
	tap(ctx, verdict);
	if (stamp(ctx))
		count[MP_STEER_UNSTAMPED]++;
	return XDP_REDIRECT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
