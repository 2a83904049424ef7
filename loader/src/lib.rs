//! Loads and attaches megaping's eBPF programs, and keeps their maps: the only room that calls bpf(2).
//!
//! - [`World`]: the simulated Internet on the far end of a veth pair (`ebpf/world.bpf.c`), configured by a
//!   [`WorldConfig`], read by [`World::counters`]; [`world::model`] computes beforehand what it will do.
//! - [`Steer`]: what answers our probes goes to AF_XDP sockets (`ebpf/steer.bpf.c`).
//! - [`Kernel`]: probes made and answered inside XDP (`ebpf/kernel.bpf.c`), for the kernel ring.
//! - [`Pass`]: a program that passes every frame (`ebpf/pass.bpf.c`), which the near end of a veth pair needs.
//! - [`Meter`]: what one end of a veth pair costs the machine (`ebpf/meter.bpf.c`), for the bench.
//!
//! The world and the pass program are attached by netlink, so they live as long as the interface: no daemon
//! holds them. The steering and kernel programs are attached by a link that lives as long as the process, however that ends.
//! Nothing is mounted, and nothing is pinned but the maps of a [`Tap`] where that is asked for. Interfaces are those of the calling thread's network namespace. Needs `CAP_BPF` (or
//! `CAP_SYS_ADMIN`), `CAP_NET_ADMIN` and `CAP_PERFMON`.
//!
//! System calls: bpf(2) `PROG_LOAD`, `MAP_*`, `PROG_GET_FD_BY_ID`, `MAP_GET_FD_BY_ID`, `OBJ_GET_INFO_BY_FD`,
//! `PROG_TEST_RUN`, `LINK_CREATE`; rtnetlink `RTM_SETLINK` and `RTM_GETLINK` for XDP; `if_nametoindex(3)`.

pub mod abi;
mod attach;
mod error;
pub mod kernel;
mod meter;
mod pass;
pub mod probe;
pub mod steer;
mod sys;
mod tap;
mod verdict;
pub mod world;

pub use attach::Mode;
pub use error::LoadError;
pub use kernel::{Kernel, KernelConfig};
pub use meter::Meter;
pub use pass::Pass;
pub use steer::{Steer, SteerConfig, SteerCounter, SteerCounters};
pub use sys::RunTime;
pub use tap::{Pins, Tap};
pub use verdict::Verdict;
pub use world::{Counter, Counters, Family, Quote, World, WorldConfig};

/// The generated skeletons, one for each program.
mod skel {
    #![allow(clippy::all, clippy::pedantic, missing_docs, dead_code, clippy::undocumented_unsafe_blocks)]
    pub mod world {
        include!(concat!(env!("OUT_DIR"), "/world.skel.rs"));
    }
    pub mod steer {
        include!(concat!(env!("OUT_DIR"), "/steer.skel.rs"));
    }
    pub mod kernel {
        include!(concat!(env!("OUT_DIR"), "/kernel.skel.rs"));
    }
    pub mod meter {
        include!(concat!(env!("OUT_DIR"), "/meter.skel.rs"));
    }
    pub mod pass {
        include!(concat!(env!("OUT_DIR"), "/pass.skel.rs"));
    }
}
