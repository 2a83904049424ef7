//! What can go wrong between here and the kernel, each with what to do about it.

use std::io;

/// One variant for each operation; the message says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name is not that of an interface in this network namespace.
    #[error("no interface `{ifname}` in this network namespace ({source}); `ip link` lists what there is")]
    NoSuchInterface {
        /// As given.
        ifname: String,
        /// From `if_nametoindex(3)`.
        source: io::Error,
    },
    /// The process lacks a capability.
    #[error(
        "no permission to {operation}: run as root, or give the program CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON \
         (`setcap cap_bpf,cap_net_admin,cap_perfmon+ep FILE`); a container may forbid bpf(2) altogether"
    )]
    Permission {
        /// What was tried.
        operation: &'static str,
    },
    /// The kernel refused to load a program.
    #[error(
        "the kernel does not load the program `{program}` ({source}); it needs Linux 5.18 or newer with \
         CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT; libbpf's log above says where the verifier stopped"
    )]
    Load {
        /// Its name in the object file.
        program: &'static str,
        /// From libbpf.
        source: libbpf_rs::Error,
    },
    /// Another XDP program is on the interface; it is left alone.
    #[error(
        "interface `{ifname}` runs the XDP program `{program}` (id {id}) already, and it is not displaced; \
         `ip link set dev {ifname} xdp off` removes it, if it is yours to remove"
    )]
    Occupied {
        /// The interface.
        ifname: String,
        /// The name of the program that is there.
        program: String,
        /// Its id, for `bpftool prog show id`.
        id: u32,
    },
    /// The interface refused the program in driver mode and in generic mode.
    #[error(
        "interface `{ifname}` accepts the program neither in driver mode nor in generic mode ({source}); lower \
         its MTU to 3,498 or less, turn large receive offload off, and see `dmesg` for the driver's reason"
    )]
    Attach {
        /// The interface.
        ifname: String,
        /// The last refusal.
        source: io::Error,
    },
    /// The driver of the interface does not run XDP programs, and this one is of no use elsewhere.
    #[error(
        "the driver of `{ifname}` does not take the program ({source}); lower the MTU to 3,498 or less, turn large \
         receive offload off, or use another backend: this one needs XDP in the driver"
    )]
    NoDriverMode {
        /// The interface.
        ifname: String,
        /// The driver's refusal.
        source: io::Error,
    },
    /// The program that was looked for is not on the interface.
    #[error("interface `{ifname}` does not run `{program}`: attach it first")]
    NotAttached {
        /// The interface.
        ifname: String,
        /// The name of the program that was expected.
        program: &'static str,
    },
    /// The program was there, and could not be taken off.
    #[error("the program on `{ifname}` could not be detached: {source}")]
    Detach {
        /// The interface.
        ifname: String,
        /// From netlink.
        source: io::Error,
    },
    /// Asking the kernel what is attached failed.
    #[error("the kernel does not say what is attached to `{ifname}`: {source}")]
    Query {
        /// The interface.
        ifname: String,
        /// From netlink or bpf(2).
        source: io::Error,
    },
    /// The attached program has other maps than this build expects.
    #[error(
        "the program on the interface was made by another version: map `{map}` {found}; take the interface down \
         and attach this version's program"
    )]
    OtherVersion {
        /// The map's name.
        map: &'static str,
        /// What is different.
        found: String,
    },
    /// Reading or writing a map failed.
    #[error("map `{map}` cannot be {operation}: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// "read" or "written".
        operation: &'static str,
        /// From libbpf.
        source: libbpf_rs::Error,
    },
    /// The maps of the tap cannot be pinned.
    #[error("{}: the tap cannot be pinned there: {why}", .dir.display())]
    Pin {
        /// Where.
        dir: std::path::PathBuf,
        /// What was wrong, and what would be right.
        why: String,
    },
    /// A setting of the simulated Internet is out of range.
    #[error("{setting} is {value}, and must be {allowed}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What was asked for.
        value: u64,
        /// What would be right.
        allowed: &'static str,
    },
    /// `BPF_PROG_TEST_RUN` failed.
    #[error("the test run failed: {source}; a frame has 14 to 3,500 bytes")]
    TestRun {
        /// From bpf(2).
        source: io::Error,
    },
}
