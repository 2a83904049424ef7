//! The path model: what is known of the paths to some targets, from the events of their probes.
//!
//! ```text
//!   HopEvent -> Model -> Target -> flow: Path -> Hop: counts, round trips, responders, last rounds
//!                            |             |        `- another responder for good: a Change
//!                            |             `- its end: the nearest hop where the destination answers
//!                            `- all flows together: Path
//! ```
//!
//! Pure: no clock and no terminal; what is shown is a function of the events. Bounded: a hop remembers
//! [`history::ROUNDS`] rounds and [`hop::RESPONDERS_MAX`] responders, a flow [`change::CHANGES_MAX`] changes.
//! Events may come in any order; an event that comes twice is counted once while its round is remembered.

pub mod change;
pub mod finding;
pub mod fisher;
pub mod history;
pub mod hop;
pub mod path;
pub mod rtt;
pub mod switch;
#[cfg(test)]
mod tests;

pub use change::{Change, Route, id_of_places, path_id};
pub use finding::{Figures, Findings, Verdict};
pub use hop::{Hop, Responder};
pub use path::{End, Path};
pub use rtt::Rtt;

use megaping_probe::trace::HopEvent;
use megaping_wire::Addr;
use path::Filed;

/// Most flows of a target.
pub const FLOWS_MAX: u16 = 64;

/// A target and the paths to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its address.
    pub addr: Addr,
    all: Path,
    // Empty where there is one flow: that is `all`.
    flows: Vec<Path>,
}

impl Target {
    fn new(addr: Addr, flows: u16) -> Target {
        let several = flows > 1;
        let one = |_| Path::new(addr, false);
        let flows = if several { (0..flows).map(one).collect() } else { Vec::new() };
        Target { addr, all: Path::new(addr, several), flows }
    }

    /// The path of a flow, or that of all together.
    #[must_use]
    pub fn path(&self, flow: Option<u16>) -> &Path {
        flow.and_then(|flow| self.flows.get(usize::from(flow))).unwrap_or(&self.all)
    }

    /// Every flow's own path.
    #[must_use]
    pub fn flows(&self) -> &[Path] {
        if self.flows.is_empty() { std::slice::from_ref(&self.all) } else { &self.flows }
    }

    /// Path changes of all flows.
    #[must_use]
    pub fn changes_total(&self) -> u64 {
        self.flows().iter().map(|path| path.changes().total()).sum()
    }

    /// Whether a responder of a hop belongs to a path that a change has ended.
    #[must_use]
    pub fn is_past(&self, ttl: u8, responder: &Responder) -> bool {
        let place = usize::from(ttl).saturating_sub(1);
        let ended = |change: &Change| {
            change.at > responder.at && change.before.get(place).copied().flatten() == Some(responder.addr)
        };
        self.flows().iter().any(|path| path.changes().iter().next_back().is_some_and(ended))
    }

    fn take(&mut self, event: &HopEvent) -> Filed {
        if self.flows.is_empty() {
            return if event.flow == 0 { self.all.take(event) } else { Filed::Stray };
        }
        let Some(path) = self.flows.get_mut(usize::from(event.flow)) else { return Filed::Stray };
        let filed = path.take(event);
        if filed == Filed::Counted {
            self.all.take(event);
            // The longest of them, so that no flow's destination is hidden.
            let ends = self.flows.iter().filter_map(Path::end);
            self.all.set_end(ends.max_by_key(|end| (end.reached, end.ttl)));
        }
        filed
    }
}

/// All targets of a run.
#[derive(Clone, Debug)]
pub struct Model {
    targets: Vec<Target>,
    flows: u16,
    duplicates: u64,
    strays: u64,
}

impl Model {
    /// Nothing known yet of these targets, each explored in `flows` flows from 0 on.
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = Addr>, flows: u16) -> Model {
        let flows = flows.clamp(1, FLOWS_MAX);
        let targets = targets.into_iter().map(|addr| Target::new(addr, flows)).collect();
        Model { targets, flows, duplicates: 0, strays: 0 }
    }

    /// Takes an event.
    pub fn take(&mut self, event: &HopEvent) {
        let filed = match self.targets.get_mut(event.target as usize) {
            Some(target) => target.take(event),
            None => Filed::Stray,
        };
        match filed {
            Filed::Counted => {}
            Filed::Duplicate => self.duplicates += 1,
            Filed::Stray => self.strays += 1,
        }
    }

    /// Forgets all that was learnt.
    pub fn reset(&mut self) {
        *self = Model::new(self.targets.iter().map(|target| target.addr).collect::<Vec<_>>(), self.flows);
    }

    /// The targets, in their order.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Flows of each target.
    #[must_use]
    pub const fn flows(&self) -> u16 {
        self.flows
    }

    /// Events that came twice, and events of targets, flows or hops that there are not.
    #[must_use]
    pub const fn left_out(&self) -> (u64, u64) {
        (self.duplicates, self.strays)
    }
}
