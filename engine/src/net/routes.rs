//! From a target set to its routes: the kernel is asked once for each stretch of addresses that its tables treat alike.

use std::net::{IpAddr, UdpSocket};

use megaping_wire::Addr;

use super::error::NetError;
use super::netlink::{Link, Netlink, Route};
use super::table::{Goal, Routes};
use crate::targets::TargetSet;

/// Stretches that are told apart.
const MOST_SEGMENTS: usize = 32_768;
/// Targets on the link itself: Linux keeps 1,024 neighbours of a family by default (`gc_thresh3`).
const MOST_NEIGHBOURS: usize = 4_096;

/// What the user chose.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// The interface; else that of the routes.
    pub interface: Option<String>,
    /// The source addresses, IPv4 first; else those that the kernel would use.
    pub sources: [Option<IpAddr>; 2],
}

/// The answer.
#[derive(Debug)]
pub(super) struct Found {
    pub link: Link,
    pub sources: [Option<IpAddr>; 2],
    pub routes: Routes,
}

pub(super) fn find(netlink: &mut Netlink, targets: &TargetSet, choice: &Choice) -> Result<Found, NetError> {
    let links = netlink.links().map_err(asking("interfaces"))?;
    let chosen = match &choice.interface {
        Some(name) => Some(
            links
                .iter()
                .find(|link| link.name == *name)
                .ok_or_else(|| NetError::NoSuchInterface { name: name.clone() })?,
        ),
        None => None,
    };
    for address in choice.sources.into_iter().flatten() {
        UdpSocket::bind((address, 0)).map_err(|_| NetError::ForeignSource { address })?;
    }
    let boundaries = boundaries(netlink, targets)?;
    let mut walk = Walk { links: &links, first: None, sources: [None; 2], routes: Routes::default() };
    let mut from = 0;
    while let Some(target) = targets.first_from(from) {
        let bits = target.to_bits();
        let at = boundaries.partition_point(|boundary| *boundary <= bits);
        let start = at.checked_sub(1).map_or(0, |at| boundaries[at]);
        let end = boundaries.get(at).copied();
        let source = choice.sources[usize::from(!target.is_v4())];
        let route = netlink.route(target.ip(), source, chosen.map(|link| link.index));
        let goal = walk.goal(target, route.map_err(asking("routes"))?)?;
        walk.add(start, goal)?;
        if goal == Goal::OnLink {
            walk.add_neighbours(targets, target, end)?;
        }
        let Some(end) = end else { break };
        from = end;
    }
    let Some((link, _)) = walk.first else {
        return Err(NetError::NoRoute { example: targets.get(0).ip() });
    };
    let sources = [0, 1].map(|family| choice.sources[family].or(walk.sources[family].map(|(ip, _)| ip)));
    Ok(Found { link: link.clone(), sources, routes: walk.routes })
}

fn asking(what: &'static str) -> impl FnOnce(std::io::Error) -> NetError {
    move |source| NetError::Netlink { what, source }
}

/// Where the kernel's treatment of addresses may change: where prefixes of its tables begin, and behind their ends.
fn boundaries(netlink: &mut Netlink, targets: &TargetSet) -> Result<Vec<u128>, NetError> {
    let v4_first = Addr::v4([0; 4]).to_bits();
    let mut boundaries = vec![v4_first, v4_first + (1 << 32)];
    for (v4, wanted) in [(true, targets.has_v4()), (false, targets.has_v6())] {
        if !wanted {
            continue;
        }
        for (first, length) in netlink.prefixes(v4).map_err(asking("routes"))? {
            let width = if v4 { 32 } else { 128 };
            let size = 1u128.checked_shl(width - u32::from(length).min(width)).unwrap_or(0);
            let first = Addr::from(first).to_bits();
            boundaries.push(first);
            boundaries.extend(first.checked_add(size));
        }
    }
    boundaries.sort_unstable();
    boundaries.dedup();
    Ok(boundaries)
}

/// What has been found so far.
struct Walk<'a> {
    links: &'a [Link],
    /// The interface, and a target that leaves by it.
    first: Option<(&'a Link, Addr)>,
    /// By family, with a target that is sent to from there.
    sources: [Option<(IpAddr, Addr)>; 2],
    routes: Routes,
}

impl Walk<'_> {
    fn goal(&mut self, target: Addr, route: Option<Route>) -> Result<Goal, NetError> {
        let Some(route) = route else { return Ok(Goal::Nowhere) };
        let link = self.links.iter().find(|link| link.index == route.interface);
        if route.local || link.is_some_and(|link| link.loopback) {
            return Err(NetError::Local { target: target.ip() });
        }
        let (Some(link), true) = (link, route.unicast) else { return Ok(Goal::Nowhere) };
        match self.first {
            Some((first, other)) if first.index != link.index => {
                let (first, second) = (first.name.clone(), link.name.clone());
                return Err(NetError::TwoInterfaces {
                    first,
                    target: other.ip(),
                    second,
                    other: target.ip(),
                });
            }
            _ if link.mac.is_none() => return Err(NetError::NotEthernet { name: link.name.clone() }),
            Some(_) => {}
            None => self.first = Some((link, target)),
        }
        let known = &mut self.sources[usize::from(!target.is_v4())];
        match (*known, route.source) {
            (Some((first, other)), Some(second)) if first != second => {
                return Err(NetError::TwoSources { target: other.ip(), first, other: target.ip(), second });
            }
            (None, Some(source)) => *known = Some((source, target)),
            _ => {}
        }
        let Some(gateway) = route.gateway else { return Ok(Goal::OnLink) };
        let gateways = &mut self.routes.gateways;
        let index = gateways.iter().position(|known| *known == gateway).unwrap_or_else(|| {
            gateways.push(gateway);
            gateways.len() - 1
        });
        Ok(Goal::Gateway(index as u16))
    }

    /// What lies between segments, and before the first, holds no target: it may be part of one beside it.
    fn add(&mut self, start: u128, goal: Goal) -> Result<(), NetError> {
        let segments = &mut self.routes.segments;
        match segments.last() {
            None => segments.push((0, goal)),
            Some((_, last)) if *last != goal => segments.push((start, goal)),
            Some(_) => {}
        }
        if segments.len() > MOST_SEGMENTS {
            return Err(NetError::TooManyRoutes { most: MOST_SEGMENTS });
        }
        Ok(())
    }

    fn add_neighbours(
        &mut self,
        targets: &TargetSet,
        first: Addr,
        end: Option<u128>,
    ) -> Result<(), NetError> {
        let mut next = Some(first);
        while let Some(target) = next.filter(|target| end.is_none_or(|end| target.to_bits() < end)) {
            if self.routes.on_link.len() == MOST_NEIGHBOURS {
                return Err(NetError::TooManyNeighbours { most: MOST_NEIGHBOURS });
            }
            self.routes.on_link.push(target.to_bits());
            next = target.to_bits().checked_add(1).and_then(|from| targets.first_from(from));
        }
        Ok(())
    }
}
