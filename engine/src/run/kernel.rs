//! The kernel ring: its program on the interface, a ring for each shard, and what has to last as long as they do.

use std::sync::Arc;

use megaping_loader::abi::{KERNEL_BURST, KERNEL_FILL};
use megaping_loader::kernel::probe_live_frames;
use megaping_loader::{Kernel, KernelConfig};
use megaping_probe::Craft;
use megaping_probe::identity::{INSTANCE_MASK, Identity};
use megaping_ring::kernel::RingSlots;
use megaping_ring::{KernelRing, KernelRingConfig};

use super::ground::Ground;
use super::{RunError, cores};
use crate::cli::PingOptions;
use crate::kernel::{From, KernelAdapter};
use crate::net::WayOut;
use crate::privileges::Capabilities;
use crate::targets::TargetSet;

/// Frames that the kernel runs in a row before it lets answers in: two of the bulks that it hands to a driver. More are
/// no cheaper (`engine/ring/examples/kernel_cost.rs`) and blur the round trips.
const BATCH: u32 = 32;
/// So much of what arrives at full rate is kept while a shard is away.
const AWAY_S: f64 = 0.02;
/// Replies that a CPU keeps for its shard: fewer help nobody, more are megabytes.
const REPLIES: (u32, u32) = (1 << 10, 1 << 16);
/// The rings of all CPUs together, in bytes, at most.
const RINGS_MAX: u64 = 128 << 20;
/// Next hops beyond those known at the start, for routes that change: two ways each.
const SPARE_WAYS: u32 = 256;

/// Rings that are open, and what they stand on.
pub struct KernelRings {
    /// One for each shard.
    pub rings: Vec<KernelAdapter>,
    /// What holds as long as the rings do.
    pub ground: Ground,
}

/// Opens everything.
///
/// # Errors
/// [`RunError::Net`], [`RunError::Load`], [`RunError::Kernel`], [`RunError::LiveFrames`], [`RunError::Cores`].
pub fn open(
    options: &PingOptions,
    targets: &Arc<TargetSet>,
    identities: &[Identity],
    craft: &Craft,
    pps: f64,
) -> Result<KernelRings, RunError> {
    let shards = identities.len() as u32;
    let cores = cores::usable();
    if shards as usize > cores.len().max(1) {
        return Err(RunError::Cores { shards, cores: cores.len() as u32 });
    }
    let ground = Ground::find(options, targets)?;
    let way = &ground.way;
    let prefix = identities.first().map_or(0, Identity::prefix);
    let kernel = attach(way, prefix, shards, pps)?;
    write_fill(&kernel.program, craft)?;
    let from = From { mac: way.link.mac.unwrap_or_default(), addresses: ground.sources() };
    let config = KernelRingConfig {
        program: kernel.program.program_fd(),
        maps: kernel.program.shared_fds(),
        doorbell: kernel.program.doorbell_fd(),
        slots: kernel.slots,
        ways: kernel.ways,
        cpus: kernel.program.cpus(),
        ifindex: way.link.index,
        shard: 0,
        serves: Vec::new(),
        batch: BATCH,
        burst: KERNEL_BURST,
        mtu: u16::try_from(way.link.mtu).unwrap_or(u16::MAX),
    };
    let mut rings = Vec::new();
    for shard in 0..shards {
        let serves = (0..config.cpus).filter(|cpu| cores::served_by(*cpu, shards, &cores) == shard).collect();
        let ring = KernelRing::open(&KernelRingConfig { shard, serves, ..config.clone() })?;
        rings.push(KernelAdapter::new(ring, craft.clone(), ground.hopper(), from));
    }
    let mut program = kernel.program;
    let pins = super::ground::pin(options, program.tap())?;
    Ok(KernelRings { rings, ground: ground.with_program(pins, move || program.is_attached()) })
}

/// What must be kept to send: nothing from Linux 5.19 on, where running a program takes no more than its descriptor;
/// before, bpf(2) as a whole takes `CAP_BPF` unless everybody may call it (`kernel.unprivileged_bpf_disabled`).
#[must_use]
pub fn capabilities() -> Capabilities {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 19) { Capabilities::empty() } else { Capabilities::BPF }
}

/// The program, loaded for one machine and run.
struct Attached {
    program: Kernel,
    slots: RingSlots,
    ways: u32,
}

fn attach(way: &WayOut, prefix: u16, shards: u32, pps: f64) -> Result<Attached, RunError> {
    let ways = (2 * way.hops() as u32 + SPARE_WAYS).min(1 << 16);
    let slots = slots(pps / f64::from(shards), Kernel::possible_cpus()?);
    let config = KernelConfig {
        identifier_value: prefix,
        identifier_mask: INSTANCE_MASK,
        shards,
        ways,
        replies: slots.replies,
        small: slots.small,
        large: slots.large,
    };
    let program = Kernel::attach(&way.link.name, &config)?;
    probe_live_frames(&program).map_err(|source| RunError::LiveFrames { source })?;
    Ok(Attached { program, slots, ways })
}

/// What stands behind our header in every payload, as long as a frame can be.
fn write_fill(program: &Kernel, craft: &Craft) -> Result<(), RunError> {
    let mut fill = vec![0; KERNEL_FILL];
    craft.write_fill(&mut fill);
    Ok(program.set_fill(&fill)?)
}

/// Slots of the rings of a CPU, for so many answers a second.
fn slots(pps: f64, cpus: u32) -> RingSlots {
    let mut replies = ((pps * AWAY_S) as u32).next_power_of_two().clamp(REPLIES.0, REPLIES.1);
    loop {
        let slots = RingSlots { replies, small: replies / 4, large: (replies / 64).max(64) };
        let bytes =
            u64::from(slots.replies) * 64 + u64::from(slots.small) * 256 + u64::from(slots.large) * 1536;
        if bytes * u64::from(cpus) <= RINGS_MAX || replies == REPLIES.0 {
            return slots;
        }
        replies /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_grow_with_the_rate_and_are_bounded_by_the_machine() {
        assert_eq!(slots(10.0, 2), RingSlots { replies: 1 << 10, small: 1 << 8, large: 64 });
        assert_eq!(slots(1e6, 2), RingSlots { replies: 1 << 15, small: 1 << 13, large: 512 });
        assert_eq!(slots(1e9, 2).replies, 1 << 16);
        let many = slots(1e9, 512);
        assert!(many.replies >= 1 << 10 && many.replies < 1 << 12, "{many:?}");
    }
}
