//! Collects items and makes a [`TargetSet`] of them.

use std::fmt::Display;
use std::path::Path;

use megaping_wire::Addr;

use super::area::Area;
use super::error::{ItemError, Place, TargetError};
use super::item::{self, Item};
use super::list;
use super::resolve::{self, Host};
use super::set::TargetSet;
use super::span::{self, Span};
use super::{Family, MAX_TARGETS};

/// Items that are taken one by one: a bound for a list that never ends.
const MAX_ITEMS: u64 = 100_000_000;

/// Bits of an index.
const MAX_BITS: u32 = MAX_TARGETS.trailing_zeros();

/// What was named so far. Single addresses are kept as small as they come: four bytes, or sixteen.
#[derive(Debug)]
pub struct TargetBuilder {
    family: Option<Family>,
    v4: Vec<u32>,
    v6: Vec<u128>,
    wide: Vec<Span>,
    excluded: Vec<Span>,
    hosts: Vec<Host>,
    items: u64,
}

impl TargetBuilder {
    /// An empty one, which takes targets of one family alone if one is given.
    #[must_use]
    pub fn new(family: Option<Family>) -> TargetBuilder {
        TargetBuilder {
            family,
            v4: Vec::new(),
            v6: Vec::new(),
            wide: Vec::new(),
            excluded: Vec::new(),
            hosts: Vec::new(),
            items: 0,
        }
    }

    /// Adds an address, a block, a range or a host name.
    ///
    /// # Errors
    /// [`TargetError`] when the item is wrong, too large, of the wrong family, or cannot be pinged.
    pub fn add(&mut self, item: &str, place: &Place) -> Result<(), TargetError> {
        self.count_item()?;
        let found = item::parse(item).map_err(|problem| wrong(item, place, problem))?;
        let span = match found {
            Item::Span(span) => span,
            Item::Host(name) => {
                self.hosts.push(Host { name: name.into(), place: place.clone() });
                return Ok(());
            }
        };
        self.check(item, span).map_err(|problem| wrong(item, place, problem))?;
        if span.first == span.last {
            self.single(Addr::from_bits(span.first));
        } else {
            self.wide.push(span);
        }
        Ok(())
    }

    /// Takes an address, a block or a range out of the targets, whatever names it, before or after.
    ///
    /// # Errors
    /// [`TargetError`] when the item is wrong, or a host name.
    pub fn exclude(&mut self, item: &str, place: &Place) -> Result<(), TargetError> {
        self.count_item()?;
        match item::parse(item) {
            Ok(Item::Span(span)) => self.excluded.push(span),
            Ok(Item::Host(_)) => return Err(wrong(item, place, ItemError::NameExcluded)),
            Err(problem) => return Err(wrong(item, place, problem)),
        }
        Ok(())
    }

    /// Adds what a list names, one item a line.
    ///
    /// # Errors
    /// [`TargetError`] when it cannot be read, or as [`TargetBuilder::add`].
    pub fn add_list(&mut self, path: &Path) -> Result<(), TargetError> {
        list::read(path, |item, place| self.add(item, place))
    }

    /// Takes a whole area out of the targets.
    pub fn exclude_area(&mut self, area: &Area) {
        self.excluded.extend_from_slice(area.spans());
    }

    /// Resolves the names and makes the set.
    ///
    /// # Errors
    /// [`TargetError`] when a name has no address, or when the set is empty, too large, or covers addresses
    /// that cannot be pinged.
    pub fn build(self) -> Result<TargetSet, TargetError> {
        self.build_with(resolve::system)
    }

    /// The same with another resolver.
    pub(super) fn build_with(mut self, lookup: impl resolve::Lookup) -> Result<TargetSet, TargetError> {
        let mut names = Vec::new();
        let addresses = resolve::all(&self.hosts, self.family, lookup)?;
        for (host, addr) in std::mem::take(&mut self.hosts).into_iter().zip(addresses) {
            if let Some(what) = span::reserved(addr.to_bits()) {
                let item = format!("{} ({addr})", host.name);
                return Err(wrong(&item, &host.place, ItemError::Reserved { what }));
            }
            self.single(addr);
            names.push((addr, host.name));
        }
        // The sort is stable: of two names for one address, the first that was given is shown.
        names.sort_by_key(|(addr, _)| *addr);
        names.dedup_by_key(|(addr, _)| *addr);

        let named = self.held();
        self.v4.sort_unstable();
        self.v4.dedup();
        self.v6.sort_unstable();
        self.v6.dedup();
        span::merge(&mut self.wide);
        self.drop_singles_in(|builder| &builder.wide);
        let distinct = self.held();

        span::merge(&mut self.excluded);
        self.wide = span::subtract(&self.wide, &self.excluded);
        self.drop_singles_in(|builder| &builder.excluded);
        let left = self.held();
        let excluded = saturate(distinct - left);
        if left == 0 {
            return Err(if excluded == 0 {
                TargetError::Empty
            } else {
                TargetError::AllExcluded { excluded }
            });
        }
        if left > u128::from(MAX_TARGETS) {
            return Err(TargetError::TooMany { count: left });
        }
        for span in &self.wide {
            check_reserved(*span)?;
        }
        let mut set = TargetSet::new(self.v4, self.v6, &self.wide, names);
        set.duplicates = saturate(named - distinct);
        set.excluded = excluded;
        Ok(set)
    }

    fn single(&mut self, addr: Addr) {
        if addr.is_v4() {
            self.v4.push(u32::from_be_bytes(addr.v4_octets()));
        } else {
            self.v6.push(addr.to_bits());
        }
    }

    fn count_item(&mut self) -> Result<(), TargetError> {
        self.items += 1;
        if self.items > MAX_ITEMS { Err(TargetError::TooManyItems { max: MAX_ITEMS }) } else { Ok(()) }
    }

    fn check(&self, item: &str, span: Span) -> Result<(), ItemError> {
        let is = Family::of(Addr::from_bits(span.first));
        if let Some(wanted) = self.family.filter(|family| *family != is) {
            return Err(ItemError::WrongFamily { is: is.name(), flag: wanted.flag(), wanted: wanted.name() });
        }
        if span.first == span.last {
            return span::reserved(span.first).map_or(Ok(()), |what| Err(ItemError::Reserved { what }));
        }
        // Rounded up: a range that is no block is a little less than the power of two that is named.
        let bits = 128 - (span.last - span.first).leading_zeros();
        if span.count() > u128::from(MAX_TARGETS) {
            let count = format!("{}2^{bits}", if item.contains('/') { "" } else { "up to " });
            return Err(ItemError::TooLarge { item: item.to_owned(), count, longest: 128 - MAX_BITS });
        }
        Ok(())
    }

    fn held(&self) -> u128 {
        let wide = self.wide.iter().fold(0_u128, |sum, span| sum.saturating_add(span.count()));
        wide.saturating_add((self.v4.len() + self.v6.len()) as u128)
    }

    fn drop_singles_in(&mut self, spans: impl Fn(&TargetBuilder) -> &Vec<Span>) {
        let (mut v4, mut v6) = (std::mem::take(&mut self.v4), std::mem::take(&mut self.v6));
        span::retain_outside(&mut v4, |ip| Addr::v4(ip.to_be_bytes()).to_bits(), spans(self));
        span::retain_outside(&mut v6, |bits| bits, spans(self));
        (self.v4, self.v6) = (v4, v6);
    }
}

fn wrong(item: &(impl Display + ?Sized), place: &Place, problem: ItemError) -> TargetError {
    TargetError::Item { place: place.clone(), item: item.to_string(), problem }
}

fn saturate(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn check_reserved(span: Span) -> Result<(), TargetError> {
    for (bad, what, block) in span::RESERVED {
        let (first, last) = (bad.first.max(span.first), bad.last.min(span.last));
        if first <= last {
            let show = |bits| Addr::from_bits(bits).to_string();
            return Err(TargetError::Reserved { first: show(first), last: show(last), what, block });
        }
    }
    Ok(())
}
