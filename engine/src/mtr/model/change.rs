//! What a path was and what it became.

use std::collections::VecDeque;

use megaping_probe::Nanos;
use megaping_wire::Addr;

use super::switch::Switch;

/// Changes that are remembered for a flow; older ones are only counted.
pub const CHANGES_MAX: usize = 32;
/// Switches of several hops this close in rounds are one change: some hops lose the probe that would tell.
const SAME_CHANGE_ROUNDS: u32 = 4;

/// The responders of a path, first hop first; none where a hop is silent.
pub type Route = Vec<Option<Addr>>;

/// A path that became another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// When the first probe that met the new path left.
    pub at: Nanos,
    /// Its round.
    pub round: u32,
    /// The first hop that differs.
    pub first_hop: u8,
    /// The path before.
    pub before: Route,
    /// The path after.
    pub after: Route,
}

/// The last changes of one flow.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    list: VecDeque<Change>,
    total: u64,
}

impl Changes {
    /// Those remembered, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.list.iter()
    }

    /// All that there were.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Notes that a hop's responder was replaced; `now` is the route with the replacement.
    pub(super) fn note(&mut self, ttl: u8, switch: Switch, now: Route, destination: Addr) {
        let place = usize::from(ttl.max(1)) - 1;
        if let Some(last) = self.list.back_mut()
            && last.round.wrapping_add(SAME_CHANGE_ROUNDS).wrapping_sub(switch.round)
                <= 2 * SAME_CHANGE_ROUNDS
        {
            last.first_hop = last.first_hop.min(ttl);
            if super::history::is_later(last.round, switch.round) {
                (last.round, last.at) = (switch.round, switch.at);
            }
            if let Some(hop) = last.before.get_mut(place) {
                *hop = Some(switch.from);
            }
            last.after = cut(now, destination);
            return;
        }
        let mut before = now.clone();
        if let Some(hop) = before.get_mut(place) {
            *hop = Some(switch.from);
        }
        if self.list.len() == CHANGES_MAX {
            self.list.pop_front();
        }
        self.total += 1;
        self.list.push_back(Change {
            at: switch.at,
            round: switch.round,
            first_hop: ttl,
            before: cut(before, destination),
            after: cut(now, destination),
        });
    }
}

/// Ends a route where the destination stands first, or behind the last hop that answers.
pub(super) fn cut(mut route: Route, destination: Addr) -> Route {
    let end = route.iter().position(|hop| *hop == Some(destination));
    let last = end.or_else(|| route.iter().rposition(Option::is_some));
    route.truncate(last.map_or(0, |last| last + 1));
    route
}

/// The id of a path: a hash (FNV-1a, 64 bits) of its responders and their places. Silent hops are left out, so
/// that a router which answers now and then does not make another path of it.
#[must_use]
pub fn path_id(route: &[Option<Addr>]) -> u64 {
    id_of_places(route.iter().zip(1u8..).filter_map(|(hop, ttl)| Some((ttl, (*hop)?))))
}

/// The same, of hop limits and who answered there.
#[must_use]
pub fn id_of_places(places: impl Iterator<Item = (u8, Addr)>) -> u64 {
    places.fold(0xcbf2_9ce4_8422_2325, |hash, (ttl, addr)| {
        let bytes = std::iter::once(&ttl).chain(&addr.0);
        bytes.fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    })
}
