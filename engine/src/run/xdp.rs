//! AF_XDP: the steering program on the interface, a ring for each shard, and what has to last as long as they do.

use std::sync::Arc;

use megaping_loader::{Mode, Steer, SteerConfig};
use megaping_probe::Craft;
use megaping_probe::identity::{INSTANCE_MASK, Identity};
use megaping_ring::xdp::{Binding, receive_queues};
use megaping_ring::{XdpConfig, XdpRing};
use megaping_wire::Addr;

use super::RunError;
use super::rings::packet_len;
use crate::adapter::PacketAdapter;
use crate::cli::PingOptions;
use crate::net::{Choice, Hopper, WayOut};
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

/// The way out and the program that steers answers to the rings. Dropping it takes the program off the interface.
pub struct Ground {
    way: WayOut,
    steer: Option<Steer>,
    /// What is slower than it could be, and why; a sentence each.
    pub notes: Vec<String>,
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
    let sources = [options.source_v4.map(Into::into), options.source_v6.map(Into::into)];
    let way = WayOut::find(targets, Choice { interface: options.interface.clone(), sources })?;
    let name = way.link.name.as_str();
    let queues =
        receive_queues(name).map_err(|source| RunError::CountQueues { name: name.into(), source })?;
    let queues = queues.min(QUEUES_MAX);
    let shards = identities.len() as u32;
    if shards > queues {
        return Err(RunError::Queues { name: name.into(), queues, shards });
    }
    let prefix = identities.first().map_or(0, Identity::prefix);
    let steer =
        Steer::attach(name, SteerConfig { identifier_value: prefix, identifier_mask: INSTANCE_MASK })?;
    let config = XdpConfig {
        interface: name.to_owned(),
        source_mac: way.link.mac.unwrap_or_default(),
        mtu: packet_len(options).max(LONGEST_ERROR).min(u16::try_from(way.link.mtu).unwrap_or(u16::MAX)),
        busy_poll: options.busy_poll,
        ..XdpConfig::default()
    };
    let mut rings = Vec::new();
    for shard in 0..shards {
        let queues = (shard..queues).step_by(shards as usize).collect();
        let ring = XdpRing::open(&XdpConfig { queues, ..config.clone() }, way.hopper())?;
        for (queue, socket) in ring.sockets() {
            steer.set_socket(queue, socket)?;
        }
        rings.push(PacketAdapter::new(ring, craft.clone()));
    }
    let bindings = rings.iter().flat_map(|ring| ring.ring().bindings());
    let notes = notes(&way, &steer, bindings);
    Ok(Xdp { rings, ground: Ground { way, steer: Some(steer), notes } })
}

impl Ground {
    /// Starts the thread that follows routes and neighbours, and looks whether the program is attached still.
    ///
    /// # Errors
    /// [`RunError::Net`].
    pub fn keep(&mut self) -> Result<(), RunError> {
        let Some(steer) = self.steer.take() else { return Ok(()) };
        let name = self.way.link.name.clone();
        let check = move || match steer.is_attached() {
            Ok(true) => None,
            Ok(false) => {
                Some(format!("the steering program was taken off {name:?}: answers do not reach us any more"))
            }
            Err(error) => Some(error.to_string()),
        };
        Ok(self.way.keep(Some(Box::new(check)))?)
    }

    /// Where packets come from, IPv4 first.
    #[must_use]
    pub fn sources(&self) -> [Addr; 2] {
        self.way.sources.map(|source| source.map_or(Addr::UNSPECIFIED, Addr::from))
    }
}

/// What is slower than asked for, or missing still: each once, however many queues it is about.
fn notes<'a>(way: &WayOut, steer: &Steer, bindings: impl Iterator<Item = &'a Binding>) -> Vec<String> {
    let name = &way.link.name;
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
    if let Some(first) = way.silent.first() {
        let count = way.silent.len();
        notes.push(format!(
            "{name}: {count} next hops ({first}, ...) do not answer ARP or neighbour discovery yet: probes to \
             them are not sent until they do"
        ));
    }
    notes
}
