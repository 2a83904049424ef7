// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Takes the time that one end of a veth pair spends on what came in: polling its ring, its XDP program, and what that
 * program sends back. On the lab's far end that is all that the simulated world costs the machine, and nothing else.
 *
 *   softirq_entry   napi_poll (one device)   napi_poll (the next)   softirq_exit
 *        |----- its poll took this ----|---- and its this ----|
 *
 * Raw tracepoints, since not every kernel lets its functions be traced. What is polled outside of softirqs is not timed.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define NAME_SIZE 16
/* include/linux/interrupt.h */
#define NET_RX_SOFTIRQ 3

/* Those members of the kernel's types that are read; where they lie is looked up when the program is loaded. */
struct net_device {
	char name[NAME_SIZE];
} __attribute__((preserve_access_index));

struct napi_struct {
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct mp_meter {
	__u64 since;
	__u64 total_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mp_meter);
} meter_polls SEC(".maps");

/* The interface's name, set before loading. Ends with a zero. */
const volatile char meter_name[NAME_SIZE] = {};

static __always_inline struct mp_meter *meter(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&meter_polls, &key);
}

static __always_inline int has_the_name(struct napi_struct *napi)
{
	char name[NAME_SIZE] = {};

	BPF_CORE_READ_STR_INTO(&name, napi, dev, name);
	for (int i = 0; i < NAME_SIZE; i++) {
		if (name[i] != meter_name[i])
			return 0;
		if (!name[i])
			break;
	}
	return 1;
}

SEC("raw_tp/softirq_entry")
int megaping_entry(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_meter *m = meter();

	if (m && ctx->args[0] == NET_RX_SOFTIRQ)
		m->since = bpf_ktime_get_ns();
	return 0;
}

SEC("raw_tp/napi_poll")
int megaping_poll(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_meter *m = meter();
	__u64 now;

	if (!m || !m->since)
		return 0;
	now = bpf_ktime_get_ns();
	if (has_the_name((struct napi_struct *)ctx->args[0]))
		m->total_ns += now - m->since;
	m->since = now;
	return 0;
}

SEC("raw_tp/softirq_exit")
int megaping_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_meter *m = meter();

	if (m && ctx->args[0] == NET_RX_SOFTIRQ)
		m->since = 0;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
