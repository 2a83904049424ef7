//! The next hops of a run: a plain table that is never changed, only replaced.
//!
//! ```text
//!   destination -> segment (by address, sorted) -> nowhere | a gateway's index | "on the link" -.
//!                                                                                               v
//!   index -> MAC:   | gateway | gateway | neighbour | neighbour | ...   <-- position among the targets on the link
//! ```
//!
//! A shard reads through a [`Hopper`]: one relaxed load a batch tells whether there is a new table, and only then a lock is
//! taken, to fetch it. A ring that renders elsewhere (in the kernel) copies [`Hopper::macs`] whenever
//! [`Hopper::refresh`] says that it has changed, and orders by [`Hopper::hop_of`].

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use megaping_ring::NextHops;
use megaping_wire::Addr;

/// The index of no next hop: no route leads there.
pub const NO_HOP: u16 = u16::MAX;

/// Where the packets of a stretch of addresses go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// No route, or one that says so.
    Nowhere,
    /// To the gateway of this index.
    Gateway(u16),
    /// To the destination itself.
    OnLink,
}

/// Which way destinations go; holds until the routes change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Routes {
    /// From each address on, up to the next; the first is zero. Not empty where there is a target.
    pub segments: Vec<(u128, Goal)>,
    /// Distinct, at the front of the table.
    pub gateways: Vec<IpAddr>,
    /// Targets that are on the link themselves, sorted; behind the gateways.
    pub on_link: Vec<u128>,
}

impl Routes {
    /// Who has an index, in the order of the indexes.
    pub fn hops(&self) -> impl Iterator<Item = IpAddr> {
        self.gateways.iter().copied().chain(self.on_link.iter().map(|bits| Addr::from_bits(*bits).ip()))
    }

    #[inline]
    fn hop_of(&self, destination: &Addr) -> u16 {
        let bits = destination.to_bits();
        // One gateway for all is what most machines have.
        let goal = match self.segments.as_slice() {
            [] => Goal::Nowhere,
            [(_, only)] => *only,
            many => many[many.partition_point(|(first, _)| *first <= bits).saturating_sub(1)].1,
        };
        match goal {
            Goal::Nowhere => NO_HOP,
            Goal::Gateway(index) => index,
            Goal::OnLink => match self.on_link.binary_search(&bits) {
                Ok(at) => (self.gateways.len() + at) as u16,
                Err(_) => NO_HOP,
            },
        }
    }
}

/// What became of the interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It carries packets.
    Up,
    /// It does not, for the time being.
    Down,
    /// The way out is lost for good; why.
    Lost(String),
}

/// A table, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    pub routes: Arc<Routes>,
    /// By index; none where nobody has answered yet.
    pub macs: Vec<Option<[u8; 6]>>,
    pub state: State,
}

/// The current table, for those who read it and the one who replaces it.
#[derive(Debug)]
pub(super) struct Shared {
    generation: AtomicU64,
    tx_dropped: AtomicU64,
    current: Mutex<Arc<Table>>,
}

impl Shared {
    pub fn new(table: Table) -> Arc<Shared> {
        Arc::new(Shared {
            generation: AtomicU64::new(0),
            tx_dropped: AtomicU64::new(0),
            current: Mutex::new(Arc::new(table)),
        })
    }

    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of packets that the interface dropped.
    pub fn dropped(&self, packets: u64) {
        self.tx_dropped.fetch_add(packets, Ordering::Relaxed);
    }

    pub fn replace(&self, table: Table) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// A shard's view of the table.
#[derive(Clone, Debug)]
pub struct Hopper {
    shared: Arc<Shared>,
    seen: u64,
    table: Arc<Table>,
}

impl Hopper {
    pub(super) fn new(shared: &Arc<Shared>) -> Hopper {
        let seen = shared.generation.load(Ordering::Acquire);
        Hopper { shared: Arc::clone(shared), seen, table: shared.table() }
    }

    /// Fetches the table anew if there is another one; whether there was. Once a batch.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation == self.seen {
            return false;
        }
        (self.seen, self.table) = (generation, self.shared.table());
        true
    }

    /// The index of the next hop towards a destination; [`NO_HOP`] where no route leads there.
    #[inline]
    #[must_use]
    pub fn hop_of(&self, destination: &Addr) -> u16 {
        self.table.routes.hop_of(destination)
    }

    /// The MAC address of an index; none for [`NO_HOP`], and while nobody has answered.
    #[inline]
    #[must_use]
    pub fn mac(&self, hop: u16) -> Option<[u8; 6]> {
        self.table.macs.get(usize::from(hop)).copied().flatten()
    }

    /// All MAC addresses, by index.
    #[must_use]
    pub fn macs(&self) -> &[Option<[u8; 6]>] {
        &self.table.macs
    }

    /// Whether the interface carries packets now.
    #[inline]
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.table.state == State::Up
    }

    /// Packets that the interface dropped on their way out since the start, and times that it went down.
    #[must_use]
    pub fn tx_dropped(&self) -> u64 {
        self.shared.tx_dropped.load(Ordering::Relaxed)
    }

    /// Why the way out is lost for good, if it is.
    ///
    /// # Errors
    /// The reason: the interface or the program on it is gone.
    #[inline]
    pub fn check(&self) -> io::Result<()> {
        match &self.table.state {
            State::Lost(why) => Err(io::Error::other(why.clone())),
            State::Up | State::Down => Ok(()),
        }
    }
}

impl NextHops for Hopper {
    #[inline]
    fn refresh(&mut self) -> io::Result<()> {
        Hopper::refresh(self);
        self.check()
    }

    #[inline]
    fn is_up(&self) -> bool {
        Hopper::is_up(self)
    }

    #[inline]
    fn mac(&self, destination: IpAddr) -> Result<[u8; 6], i32> {
        if !Hopper::is_up(self) {
            return Err(libc::ENETDOWN);
        }
        self.mac(self.hop_of(&Addr::from(destination))).ok_or(libc::EHOSTUNREACH)
    }

    fn tx_dropped(&self) -> u64 {
        Hopper::tx_dropped(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> u128 {
        Addr::from(text.parse::<IpAddr>().expect("an address")).to_bits()
    }

    fn hop(routes: &Routes, text: &str) -> u16 {
        routes.hop_of(&Addr::from_bits(bits(text)))
    }

    #[test]
    fn a_destination_goes_by_the_segment_that_it_lies_in() {
        let routes = Routes {
            segments: vec![
                (0, Goal::Gateway(0)),
                (bits("10.1.0.0"), Goal::OnLink),
                (bits("10.2.0.0"), Goal::Gateway(0)),
                (bits("10.3.0.0"), Goal::Nowhere),
                (bits("2001:db8::"), Goal::Gateway(1)),
            ],
            gateways: vec!["10.1.0.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            on_link: vec![bits("10.1.0.7"), bits("10.1.0.9")],
        };
        for (to, index) in [
            ("9.9.9.9", 0),
            ("10.0.255.255", 0),
            ("10.1.0.7", 2),
            ("10.1.0.9", 3),
            ("10.1.0.8", NO_HOP),
            ("10.2.0.0", 0),
            ("10.3.0.0", NO_HOP),
            ("2001:db8::", 1),
        ] {
            assert_eq!(hop(&routes, to), index, "{to}");
        }
        let one = Routes { segments: vec![(0, Goal::Gateway(0))], ..routes };
        assert_eq!((hop(&one, "::1"), hop(&one, "255.255.255.255")), (0, 0));
    }

    #[test]
    fn a_reader_sees_a_new_table_after_it_has_refreshed() {
        let routes = Arc::new(Routes {
            segments: vec![(0, Goal::Gateway(0))],
            gateways: vec!["10.0.0.1".parse().unwrap()],
            on_link: Vec::new(),
        });
        let table =
            |mac: Option<[u8; 6]>, state| Table { routes: Arc::clone(&routes), macs: vec![mac], state };
        let shared = Shared::new(table(None, State::Up));
        let mut hopper = Hopper::new(&shared);
        let to: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(NextHops::mac(&hopper, to), Err(libc::EHOSTUNREACH));
        shared.replace(table(Some([7; 6]), State::Up));
        assert_eq!(NextHops::mac(&hopper, to), Err(libc::EHOSTUNREACH));
        assert!(Hopper::refresh(&mut hopper) && !Hopper::refresh(&mut hopper));
        assert_eq!((NextHops::mac(&hopper, to), hopper.macs()), (Ok([7; 6]), &[Some([7; 6])][..]));
        shared.replace(table(Some([7; 6]), State::Down));
        assert!(NextHops::refresh(&mut hopper).is_ok());
        assert_eq!(NextHops::mac(&hopper, to), Err(libc::ENETDOWN));
        shared.replace(table(Some([7; 6]), State::Lost("it was removed".into())));
        let lost = NextHops::refresh(&mut hopper).unwrap_err();
        assert_eq!(lost.to_string(), "it was removed");
    }
}
