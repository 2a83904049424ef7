// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Passes every frame to the kernel. It has one use: veth hands over what its peer sends by XDP_TX only while
 * the receiving end runs an XDP program too, so the near end needs one even where raw sockets do the work.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int megaping_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
