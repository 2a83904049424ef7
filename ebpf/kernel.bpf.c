// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The kernel ring: renders our probes and reads their answers inside XDP, so that no packet byte crosses into user
 * space. abi.h draws what is shared; kernel_render.h makes frames, kernel_record.h takes them apart.
 *
 *   live frame (it bears the mark)              -> render the next order -> XDP_TX
 *   received frame, a plain reply to us         -> kernel_replies        -> XDP_DROP
 *   received frame, anything else that is ours  -> kernel_small, _large  -> XDP_DROP
 *   received frame, not ours                    -> XDP_PASS, as it came
 *
 * A record that finds its ring full is counted, and its frame dropped: our own loss, and the shard is told so.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <megaping/abi.h>
#include "steer_judge.h"
#include "kernel_maps.h"
#include "tap.h"
#include "kernel_render.h"
#include "kernel_record.h"

SEC("xdp")
int megaping_kernel(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct mp_desk *desk = bpf_map_lookup_elem(&kernel_desks, &cpu);

	/* It cannot be missing: the loader makes a desk for every CPU that the machine may have. */
	if (!desk)
		return XDP_PASS;
	if (ctx->data - ctx->data_meta == MP_KERNEL_MARK)
		return render(ctx, desk);
	return record(ctx, desk, cpu);
}

char _license[] SEC("license") = "Dual MIT/GPL";
