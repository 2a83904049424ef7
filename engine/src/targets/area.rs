//! A part of the address space: what may be probed, or may not.

use std::path::Path;

use megaping_wire::Addr;

use super::error::{ItemError, Place, TargetError};
use super::item::{self, Item};
use super::list;
use super::span::{self, Span};

/// Addresses, blocks and ranges together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Area {
    // Merged.
    spans: Vec<Span>,
}

impl Area {
    /// What `items` and the lists in `files` name.
    ///
    /// # Errors
    /// [`TargetError`] for a list that cannot be read, and for an item that is wrong, or a host name.
    pub fn read<'a>(
        items: impl Iterator<Item = (&'a str, Place)>,
        files: impl Iterator<Item = &'a Path>,
    ) -> Result<Area, TargetError> {
        let mut spans = Vec::new();
        let mut add = |item: &str, place: &Place| {
            let problem = match item::parse(item) {
                Ok(Item::Span(span)) => {
                    spans.push(span);
                    return Ok(());
                }
                Ok(Item::Host(_)) => ItemError::NameExcluded,
                Err(problem) => problem,
            };
            Err(TargetError::Item { place: place.clone(), item: item.to_owned(), problem })
        };
        for (item, place) in items {
            add(item, &place)?;
        }
        for file in files {
            list::read(file, &mut add)?;
        }
        span::merge(&mut spans);
        Ok(Area { spans })
    }

    /// Whether it has this address.
    #[must_use]
    pub fn has(&self, addr: &Addr) -> bool {
        let bits = addr.to_bits();
        let after = self.spans.partition_point(|span| span.first <= bits);
        after.checked_sub(1).is_some_and(|at| bits <= self.spans[at].last)
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_has_its_blocks_and_ranges_and_takes_no_names() {
        let place = || Place::in_file("megaping.toml", 7);
        let area = |items: &[&str]| Area::read(items.iter().map(|item| (*item, place())), std::iter::empty());
        let area_of =
            area(&["192.0.2.0/25", "198.51.100.7", "2001:db8::/126", "192.0.2.200-192.0.2.210"]).unwrap();
        let has = |text: &str| area_of.has(&text.parse::<std::net::IpAddr>().unwrap().into());
        assert!(
            ["192.0.2.0", "192.0.2.127", "198.51.100.7", "2001:db8::3", "192.0.2.205"].into_iter().all(has)
        );
        assert!(!["192.0.1.255", "192.0.2.128", "198.51.100.8", "2001:db8::4", "::"].into_iter().any(has));
        let error = area(&["example.net"]).unwrap_err().to_string();
        assert!(error.starts_with("megaping.toml:7: 'example.net'"), "{error}");
        assert!(!Area::default().has(&Addr::v4([127, 0, 0, 1])));
    }
}
