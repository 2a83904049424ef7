//! The way out of this machine for rings that send frames: interface, source addresses, next hops and their MACs.
//!
//! ```text
//!   targets -> routes (asked once a stretch) -> gateways, neighbours on the link -> ARP, neighbour discovery -> table
//!                                                                                                               |
//!   keeper thread: listens to the kernel, asks again, replaces the table when anything has changed  <-----------+
//!   shards: a `Hopper` each
//! ```
//!
//! Found once at the start with [`WayOut::find`], kept true by [`WayOut::keep`]. No privilege is needed for either.

mod error;
mod keeper;
mod live;
mod netlink;
mod routes;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

pub use error::NetError;
pub use keeper::Check;
use keeper::{Keeper, Nudger, Source};
pub use live::LiveTargets;
pub use netlink::{Link, Netlink};
pub use routes::Choice;
pub use table::{Hopper, NO_HOP};
use table::{Shared, State, Table};

use crate::targets::TargetSet;

/// How the packets of a run leave.
pub struct WayOut {
    /// By this interface.
    pub link: Link,
    /// From these addresses, IPv4 first; none of a family that no route leads to.
    pub sources: [Option<IpAddr>; 2],
    /// Next hops that have not answered yet; probes to them are not sent until they do.
    pub silent: Vec<IpAddr>,
    targets: Arc<LiveTargets>,
    shared: Arc<Shared>,
    source: Option<Source>,
    keeper: Option<Keeper>,
}

impl WayOut {
    /// Finds the way to `targets`, and waits for a second and a half at most until all next hops are known.
    ///
    /// # Errors
    /// [`NetError`]: why frames cannot do it. Sockets of the kernel may still.
    pub fn find(targets: &Arc<TargetSet>, choice: Choice) -> Result<WayOut, NetError> {
        let asking = |source| NetError::Netlink { what: "neighbours", source };
        let mut netlink = Netlink::open().map_err(asking)?;
        let found = routes::find(&mut netlink, targets, &choice)?;
        let link = found.link;
        if !link.up {
            return Err(NetError::InterfaceDown { name: link.name });
        }
        let hops: Vec<IpAddr> = found.routes.hops().collect();
        let mut table =
            Table { macs: vec![None; hops.len()], routes: Arc::new(found.routes), state: State::Up };
        let nudger = Nudger::new(link.index);
        let targets = Arc::new(LiveTargets::new(Arc::clone(targets)));
        let mut source =
            Source { netlink, targets: Arc::clone(&targets), choice, link: link.clone(), nudger };
        let silent = source.resolve(&mut table).map_err(asking)?;
        if let (Some(first), true) = (silent.first(), silent.len() == hops.len()) {
            return Err(NetError::SilentHops { first: *first, interface: link.name });
        }
        let shared = Shared::new(table);
        Ok(WayOut {
            link,
            sources: found.sources,
            silent,
            targets,
            shared,
            source: Some(source),
            keeper: None,
        })
    }

    /// Starts the thread that follows changes, as long as this lives. `check` is asked a few times a second
    /// whether the way out is lost for another reason.
    ///
    /// # Errors
    /// [`NetError::Netlink`], [`NetError::Thread`].
    pub fn keep(&mut self, check: Option<Check>) -> Result<(), NetError> {
        if let Some(source) = self.source.take() {
            self.keeper = Some(Keeper::start(source, Arc::clone(&self.shared), check)?);
        }
        Ok(())
    }

    /// What next hops are looked up for: may be replaced at any time.
    #[must_use]
    pub fn targets(&self) -> Arc<LiveTargets> {
        Arc::clone(&self.targets)
    }

    /// How many next hops are known.
    #[must_use]
    pub fn hops(&self) -> usize {
        self.hopper().macs().len()
    }

    /// A view of the next hops, for a shard.
    #[must_use]
    pub fn hopper(&self) -> Hopper {
        Hopper::new(&self.shared)
    }
}
