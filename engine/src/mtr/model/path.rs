//! The hops of one path, and where it ends.

use megaping_probe::trace::{HopEnd, HopEvent};
use megaping_wire::Addr;

use super::change::{Changes, Route, cut, path_id};
use super::history::{Known, is_later};
use super::hop::Hop;

/// An end that was not seen for so many rounds, while another hop was the end, is none any more.
const STALE_ROUNDS: u32 = 8;

/// Where a path ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The hop.
    pub ttl: u8,
    /// Whether the destination answered there; else a router said that it cannot be reached.
    pub reached: bool,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filed {
    /// It was counted.
    Counted,
    /// Its round had been counted at this hop: a duplicate, left out.
    Duplicate,
    /// No hop has such a number.
    Stray,
}

/// One path: of one flow, or of all flows of a target together.
#[derive(Clone, Debug)]
pub struct Path {
    destination: Addr,
    hops: Vec<Hop>,
    end: Option<End>,
    changes: Changes,
    newest: Option<u32>,
    // Flows taken together have several responders at a hop by nature.
    is_merged: bool,
}

impl Path {
    pub(super) fn new(destination: Addr, is_merged: bool) -> Path {
        Path {
            destination,
            hops: Vec::new(),
            end: None,
            changes: Changes::default(),
            newest: None,
            is_merged,
        }
    }

    /// Takes an event.
    pub(super) fn take(&mut self, event: &HopEvent) -> Filed {
        let Some(place) = usize::from(event.ttl).checked_sub(1) else { return Filed::Stray };
        if self.hops.len() <= place {
            self.hops.resize_with(place + 1, Hop::default);
        }
        let Some(hop) = self.hops.get_mut(place) else { return Filed::Stray };
        let unsent = matches!(event.end, HopEnd::Unsent(_));
        if !self.is_merged && !unsent && hop.history.look(event.round) == Known::Counted {
            return Filed::Duplicate;
        }
        let switch = hop.take(event);
        if self.newest.is_none_or(|newest| is_later(event.round, newest)) {
            self.newest = Some(event.round);
        }
        if !self.is_merged {
            self.end = self.find_end();
            if let Some(switch) = switch {
                let now = self.hops.iter().map(Hop::current).collect();
                self.changes.note(event.ttl, switch, now, self.destination);
            }
        }
        Filed::Counted
    }

    /// The nearest hop whose newest answer is an end, and not one that has been superseded.
    fn find_end(&self) -> Option<End> {
        let ends = || {
            self.hops.iter().zip(1u8..).filter_map(|(hop, ttl)| match hop.last_answer()? {
                (round, HopEnd::Reached) => Some((round, End { ttl, reached: true })),
                (round, HopEnd::Unreachable { .. }) => Some((round, End { ttl, reached: false })),
                _ => None,
            })
        };
        let newest = ends().map(|(round, _)| round).reduce(|a, b| if is_later(a, b) { a } else { b })?;
        ends().find(|(round, _)| newest.wrapping_sub(*round) <= STALE_ROUNDS).map(|(_, end)| end)
    }

    pub(super) fn set_end(&mut self, end: Option<End>) {
        self.end = end;
    }

    /// Where it ends, once that is known.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The hops of the path with their numbers, to its end; where that is not known, to one silent hop behind
    /// the last that answered. Hops that were never probed are left out.
    #[must_use]
    pub fn hops(&self) -> impl DoubleEndedIterator<Item = (u8, &Hop)> {
        let length = match self.end {
            Some(end) => usize::from(end.ttl),
            None => self.hops.iter().rposition(|hop| hop.received > 0).map_or(1, |last| last + 2),
        };
        let shown = self.hops.iter().take(length).enumerate();
        shown.map(|(place, hop)| (place as u8 + 1, hop)).filter(|(_, hop)| hop.sent + hop.unsent > 0)
    }

    /// A hop by its number.
    #[must_use]
    pub fn hop(&self, ttl: u8) -> Option<&Hop> {
        self.hops.get(usize::from(ttl).checked_sub(1)?)
    }

    /// The last hop that is shown: the destination, where it was reached.
    #[must_use]
    pub fn last(&self) -> Option<(u8, &Hop)> {
        self.hops().next_back()
    }

    /// Who answers at each hop now.
    #[must_use]
    pub fn route(&self) -> Route {
        let last = self.last().map_or(0, |(ttl, _)| usize::from(ttl));
        cut(self.hops.iter().take(last).map(Hop::current).collect(), self.destination)
    }

    /// The path's id; see [`path_id`].
    #[must_use]
    pub fn id(&self) -> u64 {
        path_id(&self.route())
    }

    /// How it changed.
    #[must_use]
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The newest round that was heard of.
    #[must_use]
    pub const fn newest(&self) -> Option<u32> {
        self.newest
    }
}
