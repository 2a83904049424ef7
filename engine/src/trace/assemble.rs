//! From rows to paths.

use megaping_probe::trace::{CameIn, HopEnd, HopEvent, HopMarks, Labels, MAX_HOPS, PathEnd, PathRow};
use megaping_wire::Addr;

use crate::mtr::model::id_of_places;

/// Further responders of one hop that are kept.
const OTHERS_MAX: usize = 8;

/// What a path has told of one hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Its hop limit.
    pub ttl: u8,
    /// Who answered first; none where nobody did.
    pub responder: Option<Addr>,
    /// Who else answered: a router that balances by packet.
    pub others: Vec<Addr>,
    /// Whether it was not asked: many other paths agree about it.
    pub shared: bool,
    /// Probes that left.
    pub sent: u16,
    /// Those that were answered.
    pub received: u16,
    /// Probes that never left.
    pub unsent: u16,
    /// The shortest round trip in nanoseconds, where there was an answer.
    pub rtt_ns: u64,
    /// How the first answered probe ended; [`HopEnd::Lost`] where none was.
    pub end: HopEnd,
    /// TTL or hop limit that the first answer arrived with.
    pub reply_hop_limit: u8,
    /// TTL or hop limit that the probe had left there, as quoted; zero where nothing was.
    pub quoted_hop_limit: u8,
    /// TOS or traffic class that the probe had there, as quoted.
    pub quoted_traffic_class: u8,
    /// Marks of all answers.
    pub marks: HopMarks,
    /// The label stack in the first answer that has one.
    pub labels: Labels,
    /// The interface that the router names.
    pub came_in: CameIn,
}

impl Hop {
    fn new(ttl: u8) -> Hop {
        Hop {
            ttl,
            responder: None,
            others: Vec::new(),
            shared: false,
            sent: 0,
            received: 0,
            unsent: 0,
            rtt_ns: 0,
            end: HopEnd::Lost,
            reply_hop_limit: 0,
            quoted_hop_limit: 0,
            quoted_traffic_class: 0,
            marks: HopMarks::default(),
            labels: Labels::NONE,
            came_in: CameIn::default(),
        }
    }

    fn take(&mut self, event: &HopEvent, came_in: CameIn) {
        match event.end {
            HopEnd::Unsent(_) => {
                self.unsent = self.unsent.saturating_add(1);
                return;
            }
            HopEnd::Lost => {
                self.sent = self.sent.saturating_add(1);
                return;
            }
            _ => {}
        }
        self.sent = self.sent.saturating_add(1);
        self.received = self.received.saturating_add(1);
        self.rtt_ns = if self.received == 1 { event.rtt_ns } else { self.rtt_ns.min(event.rtt_ns) };
        self.marks = self.marks.with(event.marks);
        if self.labels.is_empty() {
            self.labels = event.labels;
        }
        if self.received == 1 {
            self.responder = Some(event.responder);
            self.end = event.end;
            self.reply_hop_limit = event.reply_hop_limit;
            self.quoted_hop_limit = event.quoted_hop_limit;
            self.quoted_traffic_class = event.quoted_traffic_class;
            self.came_in = came_in;
        } else if self.responder != Some(event.responder)
            && !self.others.contains(&event.responder)
            && self.others.len() < OTHERS_MAX
        {
            self.others.push(event.responder);
        }
    }
}

/// A path that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// Which, and how it ended.
    pub end: &'a PathEnd,
    /// Its hops in the order of their hop limits: to its end, or, where none was found, to the silent ones that were
    /// asked behind the last answer.
    pub hops: &'a [Hop],
    /// Its id: that of `megaping mtr`.
    pub id: u64,
    /// All probes that left for it, those beyond its end as well.
    pub probes: u32,
    /// Probes for it that never left.
    pub unsent: u32,
}

/// A path of which rows have come.
#[derive(Clone, Debug)]
struct Building {
    hops: Vec<Hop>,
    // Of each hop limit the place of its hop and one.
    places: [u8; MAX_HOPS as usize],
    target: u32,
    flow: u16,
    round: u32,
    probes: u32,
    unsent: u32,
}

impl Building {
    fn new() -> Building {
        Building {
            hops: Vec::new(),
            places: [0; MAX_HOPS as usize],
            target: 0,
            flow: 0,
            round: 0,
            probes: 0,
            unsent: 0,
        }
    }

    #[inline]
    fn hop(&mut self, ttl: u8) -> Option<&mut Hop> {
        let place = self.places.get_mut(usize::from(ttl).checked_sub(1)?)?;
        if *place == 0 {
            self.hops.push(Hop::new(ttl));
            *place = self.hops.len() as u8;
        }
        self.hops.get_mut(usize::from(*place) - 1)
    }

    /// Puts the hops in order and leaves out what is beyond the end.
    fn finish(&mut self, length: u8, first_hop: u8) {
        self.hops.sort_unstable_by_key(|hop| hop.ttl);
        let answered = self.hops.iter().rev().find(|hop| hop.responder.is_some()).map(|hop| hop.ttl);
        let mut last = length;
        if length == 0 {
            // Silent hops that were asked one behind the other, and not the probe that looked for the end.
            last = answered.unwrap_or(0).max(first_hop.saturating_sub(1));
            for hop in self.hops.iter().filter(|hop| hop.sent > 0) {
                last = if hop.ttl == last + 1 { hop.ttl } else { last };
            }
        }
        self.hops.retain(|hop| hop.ttl <= last && (hop.sent > 0 || hop.responder.is_some() || hop.shared));
    }

    fn clear(&mut self) {
        self.hops.clear();
        self.places.fill(0);
        (self.probes, self.unsent) = (0, 0);
    }
}

/// Makes paths of the rows of one shard.
#[derive(Debug)]
pub struct Assembler {
    first_hop: u8,
    // By slot.
    building: Vec<Building>,
}

impl Assembler {
    /// Nothing is known yet; paths begin at `first_hop`.
    #[must_use]
    pub fn new(first_hop: u8) -> Assembler {
        Assembler { first_hop, building: Vec::new() }
    }

    /// Takes a row; `each` is given the path that it ends.
    #[inline]
    pub fn take(&mut self, row: &PathRow, each: impl FnOnce(&Traced<'_>)) {
        match row {
            PathRow::Hop { slot, came_in, event } => {
                let path = self.path(*slot);
                (path.target, path.flow, path.round) = (event.target, event.flow, event.round);
                if matches!(event.end, HopEnd::Unsent(_)) {
                    path.unsent += 1;
                } else {
                    path.probes += 1;
                }
                if let Some(hop) = path.hop(event.ttl) {
                    hop.take(event, *came_in);
                }
            }
            PathRow::Shared { slot, ttl, responder } => {
                if let Some(hop) = self.path(*slot).hop(*ttl)
                    && hop.responder.is_none()
                {
                    (hop.responder, hop.shared) = (*responder, true);
                }
            }
            PathRow::End(end) => {
                let first_hop = self.first_hop;
                let path = self.path(end.slot);
                path.finish(end.length, first_hop);
                each(&traced(path, end));
                path.clear();
            }
        }
    }

    /// Gives up the paths of a shard that has died before their ends.
    pub fn give_up(&mut self, destination: impl Fn(u32) -> Addr, mut each: impl FnMut(&Traced<'_>)) {
        for (slot, path) in (0u32..).zip(&mut self.building) {
            if path.probes + path.unsent == 0 {
                continue;
            }
            let (target, flow, round) = (path.target, path.flow, path.round);
            let end = PathEnd {
                slot,
                target,
                destination: destination(target),
                flow,
                round,
                length: 0,
                reached: false,
                complete: false,
                at: megaping_probe::Nanos(0),
            };
            path.finish(0, self.first_hop);
            each(&traced(path, &end));
            path.clear();
        }
    }

    #[inline]
    fn path(&mut self, slot: u32) -> &mut Building {
        let slot = slot as usize;
        if self.building.len() <= slot {
            self.building.resize_with(slot + 1, Building::new);
        }
        &mut self.building[slot]
    }
}

fn traced<'a>(path: &'a Building, end: &'a PathEnd) -> Traced<'a> {
    let places = path.hops.iter().filter_map(|hop| Some((hop.ttl, hop.responder?)));
    Traced { end, hops: &path.hops, id: id_of_places(places), probes: path.probes, unsent: path.unsent }
}
