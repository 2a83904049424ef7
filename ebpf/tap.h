/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The tap: what this program sees and decides, for pcap-dump, which reads it through pinned maps. AF_XDP and the kernel
 * ring take packets away from tcpdump, and fentry on an XDP program is not to be had on every kernel, so the program
 * shows itself. While nobody looks it costs the load of a word.
 */
#ifndef MEGAPING_TAP_H
#define MEGAPING_TAP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>

/* The loader gives it its size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} tap_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_tap_counts);
} tap_counts SEC(".maps");

struct mp_tap_frame { struct mp_tap_event event; __u8 bytes[MP_TAP_KEEP]; };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_tap_frame);
} tap_frame SEC(".maps");

volatile struct mp_tap_switch tap_switch SEC(".data.tap");

/* A function of its own for the verifier: it walks it once, and not behind every verdict. */
__noinline int mp_tap(struct xdp_md *ctx, __u32 verdict)
{
	const void *end = (void *)(long)ctx->data_end, *data = (void *)(long)ctx->data;
	__u64 length = end - data;
	__u32 zero = 0, last, keep = tap_switch.keep, sample = tap_switch.sample;
	struct mp_tap_counts *counts;
	struct mp_tap_frame *frame;
	__u64 now;

	/* Here, so that clang keeps no pointer across the calls, of which it would spill a half. */
	asm volatile("" : "+r"(length));
	last = length - 1;
	counts = bpf_map_lookup_elem(&tap_counts, &zero);
	if (!counts)
		return 0;
	/* First of all: of many frames one costs more than this. What is left of a coarser sample before does not count. */
	if (counts->left && counts->left < sample) {
		counts->left--;
		return 0;
	}
	counts->left = sample - 1;
	frame = bpf_map_lookup_elem(&tap_frame, &zero);
	if (!frame)
		return 0;
	now = bpf_ktime_get_ns();
	if (now > tap_switch.until_ns) {
		tap_switch.until_ns = 0;
		return 0;
	}
	counts->seen++;
	if (keep && last >= keep)
		last = keep - 1;
	if (last >= MP_TAP_KEEP)
		last = MP_TAP_KEEP - 1;
	/* The verifier of Linux 6.1 needs the bound by construction, and clang must not see that it is there. */
	asm volatile("" : "+r"(last));
	last &= MP_TAP_KEEP - 1;
	frame->event.at_ns = now;
	frame->event.length = length;
	frame->event.kept = last + 1;
	frame->event.queue = ctx->rx_queue_index;
	frame->event.verdict = verdict;
	frame->event.reserved = 0;
	if (bpf_xdp_load_bytes(ctx, 0, frame->bytes, last + 1) ||
	    bpf_ringbuf_output(&tap_events, frame, sizeof(frame->event) + last + 1, 0))
		counts->dropped++;
	return 0;
}

/* Pointers into the frame must be read anew behind it. */
static __always_inline void tap(struct xdp_md *ctx, __u32 verdict)
{
	if (tap_switch.until_ns)
		mp_tap(ctx, verdict);
}

#endif
