//! What `doctor` wants to know beyond the facts that choose a backend, as plain data.

use serde::Serialize;

/// The machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Machine {
    /// Logical CPUs that this process may use.
    pub cpus: usize,
    /// NUMA nodes; none: the kernel does not say.
    pub numa_nodes: Option<usize>,
    /// CPU time that the hypervisor gave to others, in thousandths of all since boot.
    pub steal_permille: Option<f64>,
    /// What the cgroup allows, in CPUs; none: no limit.
    pub cpu_quota: Option<f64>,
    /// Huge pages that are free.
    pub huge_pages_free: Option<u64>,
    /// Their size in bytes.
    pub huge_page_bytes: Option<u64>,
    /// What the kernel reads the time from.
    pub clock_source: Option<String>,
    /// Type information of the kernel, which eBPF programs are loaded with.
    pub btf: bool,
    /// `net.core.bpf_jit_enable`: programs run compiled.
    pub bpf_jit: Option<u64>,
    /// `net.core.rmem_max`: most bytes of a socket's receive buffer without `CAP_NET_ADMIN`.
    pub receive_buffer_max_bytes: Option<u64>,
    /// `kernel.io_uring_disabled`: 0 everybody, 1 the privileged, 2 nobody.
    pub io_uring_disabled: Option<u64>,
    /// Who made the machine, as its firmware says.
    pub vendor: Option<String>,
    /// What it is, as its firmware says; at EC2 the instance type.
    pub product: Option<String>,
}

/// The interface, beyond what chooses a backend.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Nic {
    /// Of the driver; the kernel's own where the driver is part of it.
    pub driver_version: Option<String>,
    /// Of the device.
    pub firmware: Option<String>,
    /// Where the device is.
    pub bus: Option<String>,
    /// The NUMA node it is on.
    pub numa_node: Option<u32>,
    /// Queues.
    pub queues: Option<Queues>,
    /// Descriptors in the device's rings.
    pub rings: Option<Rings>,
    /// Who stamps packets.
    pub stamps: Option<Stamps>,
    /// Counters of packets that the cloud held back (`ethtool -S`): by name.
    #[serde(skip)]
    pub allowance_exceeded: Vec<(String, u64)>,
    /// There is a link.
    pub carrier: bool,
}

/// `ethtool -l`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names of ethtool -l; pairs count for both ways")]
pub struct Queues {
    pub rx: u32,
    pub tx: u32,
    pub rx_max: u32,
    pub tx_max: u32,
    /// Receive and transmit queues are set together.
    pub combined: bool,
}

/// `ethtool -g`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names of ethtool -g")]
pub struct Rings {
    pub rx: u32,
    pub tx: u32,
    pub rx_max: u32,
    pub tx_max: u32,
}

/// `ethtool -T`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names of ethtool -T")]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of its own")]
pub struct Stamps {
    pub software_transmit: bool,
    pub software_receive: bool,
    pub hardware_transmit: bool,
    pub hardware_receive: bool,
}
