/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The Internet checksum (RFC 1071) on words as they lie in memory: the sum does not mind the byte order. */
#ifndef MEGAPING_CHECKSUM_H
#define MEGAPING_CHECKSUM_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u16 mp_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 1624, equation 3: the checksum after one 16-bit word changed. */
static __always_inline __u16 mp_replace(__u16 check, __u16 before, __u16 after)
{
	__u32 sum = (__u16)~check + (__u16)~before + after;

	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* Words of four bytes in the largest frame that is summed: 9,000 bytes, an Ethernet jumbo frame. */
#define MP_SUM_WORDS 2250

/*
 * The folded sum of the frame from `offset` to its end. A function of its own for the verifier, which then
 * walks its loop once and not once for every path that leads here.
 */
__noinline __u32 mp_sum_frame(struct xdp_md *ctx, __u32 offset)
{
	void *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 sum = 0;

	if (offset > 128)
		return 0;
	p += offset;
	for (int i = 0; i < MP_SUM_WORDS; i++) {
		if (p + 4 > end)
			break;
		sum += *(__u32 *)p;
		p += 4;
	}
	if (p + 2 <= end) {
		sum += *(__u16 *)p;
		p += 2;
	}
	if (p + 1 <= end)
		sum += bpf_htons(*(__u8 *)p << 8);
	return mp_fold(sum);
}

#endif
