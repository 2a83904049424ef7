//! AF_XDP: the steering program on the interface, a ring for each shard, and what has to last as long as they do.

use std::sync::Arc;

use megaping_loader::{Mode, Steer, SteerConfig};
use megaping_probe::Craft;
use megaping_probe::identity::{INSTANCE_MASK, Identity};
use megaping_ring::xdp::{Binding, receive_queues};
use megaping_ring::{XdpConfig, XdpRing};

use super::ground::Ground;
use super::rings::packet_len;
use super::{RunError, cores};
use crate::adapter::PacketAdapter;
use crate::cli::PingOptions;
use crate::net::Hopper;
use crate::targets::TargetSet;

/// Longest answer that need not be cut: see `rings`.
const LONGEST_ERROR: u16 = 1280;
/// Queues that the steering program's map has room for.
const QUEUES_MAX: u32 = megaping_loader::abi::STEER_QUEUES;

/// Rings that are open, and what they stand on.
pub struct Xdp {
    /// One for each shard.
    pub rings: Vec<PacketAdapter<XdpRing<Hopper>>>,
    /// What holds as long as the rings do.
    pub ground: Ground,
}

/// Opens everything.
///
/// # Errors
/// [`RunError::Net`], [`RunError::Steer`], [`RunError::Xdp`], [`RunError::Queues`].
pub fn open(
    options: &PingOptions,
    targets: &Arc<TargetSet>,
    identities: &[Identity],
    craft: &Craft,
) -> Result<Xdp, RunError> {
    let mut ground = Ground::find(options, targets)?;
    let way = &ground.way;
    let name = way.link.name.as_str();
    let queues =
        receive_queues(name).map_err(|source| RunError::CountQueues { name: name.into(), source })?;
    let queues = queues.min(QUEUES_MAX);
    let shards = identities.len() as u32;
    if shards > queues {
        return Err(RunError::Queues { name: name.into(), queues, shards });
    }
    let prefix = identities.first().map_or(0, Identity::prefix);
    let mut steer =
        Steer::attach(name, SteerConfig { identifier_value: prefix, identifier_mask: INSTANCE_MASK })?;
    let pins = super::ground::pin(options, steer.tap())?;
    let config = XdpConfig {
        interface: name.to_owned(),
        source_mac: way.link.mac.unwrap_or_default(),
        mtu: packet_len(options).max(LONGEST_ERROR).min(u16::try_from(way.link.mtu).unwrap_or(u16::MAX)),
        busy_poll: options.busy_poll,
        ..XdpConfig::default()
    };
    let mut rings = Vec::new();
    let cores = cores::usable();
    for shard in 0..shards {
        let queues = (0..queues).filter(|queue| cores::served_by(*queue, shards, &cores) == shard).collect();
        let ring = XdpRing::open(&XdpConfig { queues, ..config.clone() }, ground.hopper())?;
        for (queue, socket) in ring.sockets() {
            steer.set_socket(queue, socket)?;
        }
        rings.push(PacketAdapter::new(ring, craft.clone()));
    }
    let bindings = rings.iter().flat_map(|ring| ring.ring().bindings());
    let mut notes = notes(name, &steer, bindings);
    ground.notes.append(&mut notes);
    Ok(Xdp { rings, ground: ground.with_program(pins, move || steer.is_attached()) })
}

/// What is slower than asked for: each once, however many queues it is about.
fn notes<'a>(name: &str, steer: &Steer, bindings: impl Iterator<Item = &'a Binding>) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(Mode::Generic), Some(refusal)) = (steer.mode(), steer.refusal()) {
        notes.push(format!(
            "{name}: XDP in generic mode, several times slower: the driver has none ({refusal})"
        ));
    }
    let copied = |binding: &&Binding| !binding.zero_copy;
    if let Some(Binding { refusal: Some(refusal), .. }) = bindings.into_iter().find(copied) {
        notes.push(format!("{name}: AF_XDP in copy mode: the driver has no zero-copy ({refusal})"));
    }
    notes
}
