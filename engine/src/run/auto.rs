//! Opens the rings that the user asked for, or the fastest that open.

use megaping_probe::Craft;
use megaping_ring::{MemoryRing, Monotonic, RawRing, UringRing};

use super::{Run, RunError, kernel, rings, xdp};
use crate::adapter::PacketAdapter;
use crate::backend;
use crate::cli::Backend;
use crate::targets::TargetSet;

/// Sets up to this size are looked through for the loopback.
const FEW: u64 = 64;

/// The rings of a run, one a shard.
pub enum Open {
    /// Raw sockets.
    Raw(Vec<PacketAdapter<RawRing>>),
    /// The same through `io_uring`.
    Uring(Vec<PacketAdapter<UringRing>>),
    /// AF_XDP.
    Xdp(Box<xdp::Xdp>),
    /// Probes made and answered inside XDP.
    Kernel(Box<kernel::KernelRings>),
    /// A simulation.
    Memory(Vec<PacketAdapter<MemoryRing<Monotonic, rings::FarEnd>>>),
}

/// Opens them. Where `auto` passes a faster way over, there is a line for the user that says which, and why.
///
/// # Errors
/// Why the one that was asked for does not open, or, of `auto`, the last that was tried.
pub fn open<J>(run: &Run<'_, J>, craft: &Craft) -> Result<(Open, Option<String>), RunError> {
    let Run { options, targets, identities, plan, .. } = run;
    let one = |backend| match backend {
        Backend::Auto | Backend::Raw => rings::raw(options, targets, identities, craft).map(Open::Raw),
        Backend::Uring => rings::uring(options, targets, identities, craft).map(Open::Uring),
        Backend::Xdp => xdp::open(options, targets, identities, craft).map(|xdp| Open::Xdp(Box::new(xdp))),
        Backend::Kernel => kernel::open(options, targets, identities, craft, plan.fastest_pps())
            .map(|rings| Open::Kernel(Box::new(rings))),
        Backend::Memory => Ok(Open::Memory(rings::memory(options, plan.shards, craft))),
    };
    let quietly = |backend| one(backend).map(|open| (open, None));
    if options.backend != Backend::Auto {
        return quietly(options.backend);
    }
    let loopback = is_loopback(targets).then_some("lo");
    // Where there is no such interface, the sockets say so, too.
    let Ok(facts) = backend::gather(options.interface.as_deref().or(loopback)) else {
        return quietly(Backend::Raw);
    };
    match backend::take(&backend::rank(&facts), |kind| one(Backend::of(kind))) {
        Ok(taken) => {
            let remark = taken.remark().map(|remark| remark.to_string());
            Ok((taken.open, remark))
        }
        // Nothing was worth an attempt: the refusal of sockets says what is missing.
        Err(error) => error.map_or_else(|| quietly(Backend::Raw), Err),
    }
}

/// Whether no target is beyond this machine.
fn is_loopback(targets: &TargetSet) -> bool {
    targets.len() <= FEW && (0..targets.len()).all(|index| targets.get(index).ip().is_loopback())
}
