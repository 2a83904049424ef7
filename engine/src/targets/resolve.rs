//! Host names to addresses, before the run begins.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use megaping_wire::Addr;

use super::Family;
use super::error::{Place, TargetError};

/// Lookups under way at once: a resolver answers in milliseconds, a list may hold thousands of names.
const MAX_THREADS: usize = 16;

/// A name that waits for its address.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub name: Box<str>,
    pub place: Place,
}

/// Whatever knows the addresses of a name, best first.
pub(super) trait Lookup: Fn(&str) -> io::Result<Vec<IpAddr>> + Sync {}

impl<F: Fn(&str) -> io::Result<Vec<IpAddr>> + Sync> Lookup for F {}

/// The system's resolver, whose order of addresses is that of RFC 6724.
pub(super) fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|socket| socket.ip()).collect())
}

/// The address of every host, in order: its first, or its first of the family.
pub(super) fn all(
    hosts: &[Host],
    family: Option<Family>,
    lookup: impl Lookup,
) -> Result<Vec<Addr>, TargetError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut found = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(host) = hosts.get(index) else { break };
            let result = one(host, family, &lookup);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            found.push((index, result));
        }
        found
    };
    let mut found = thread::scope(|scope| {
        let helpers = MAX_THREADS.min(hosts.len()).saturating_sub(1);
        // A thread that the system refuses is no loss: the others take its names.
        let spawn = |_| thread::Builder::new().name("resolve".into()).spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut found = work();
        for helper in helpers {
            match helper.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    // In order, so that of several names that fail the first one is reported.
    found.sort_unstable_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, result)| result).collect()
}

fn one(host: &Host, family: Option<Family>, lookup: &impl Lookup) -> Result<Addr, TargetError> {
    let (place, name) = (host.place.clone(), host.name.to_string());
    let addresses = match lookup(&host.name) {
        Ok(addresses) => addresses,
        Err(cause) => return Err(TargetError::UnknownHost { place, host: name, cause }),
    };
    let mut addresses = addresses.into_iter().map(Addr::from);
    let fits = |addr: &Addr| family.is_none_or(|family| Family::of(*addr) == family);
    if let Some(addr) = addresses.find(fits) {
        return Ok(addr);
    }
    let Some(family) = family else {
        let cause = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        return Err(TargetError::UnknownHost { place, host: name, cause });
    };
    Err(TargetError::HostWithoutFamily { place, host: name, family: family.name(), flag: family.flag() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: usize) -> Vec<Host> {
        let host = |n| Host { name: format!("h{n}").into(), place: Place::in_file("FILE", n as u64 + 1) };
        (0..count).map(host).collect()
    }

    fn both(name: &str) -> io::Result<Vec<IpAddr>> {
        let n: u16 = name[1..].parse().map_err(io::Error::other)?;
        if n == 666 || n == 700 {
            return Err(io::Error::other("no such name"));
        }
        let [high, low] = n.to_be_bytes();
        Ok(vec![IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]), IpAddr::from([10, 0, high, low])])
    }

    #[test]
    fn families_are_chosen_and_the_order_is_kept() {
        let hosts = hosts(300);
        for (family, last) in
            [(None, "fd00::12b"), (Some(Family::V4), "10.0.1.43"), (Some(Family::V6), "fd00::12b")]
        {
            let found = all(&hosts, family, both).unwrap();
            assert_eq!(found.len(), 300);
            assert_eq!(found[299].to_string(), last);
        }
        let only_v4 = |_: &str| Ok(vec![IpAddr::from([192, 0, 2, 1])]);
        let error = all(&hosts[4..5], Some(Family::V6), only_v4).unwrap_err().to_string();
        assert_eq!(error, "FILE:5: 'h4' has no IPv6 address, and -6 asks for one: leave -6 out");
    }

    #[test]
    fn an_unknown_name_is_reported_with_its_place() {
        let error = all(&hosts(690), None, both).unwrap_err().to_string();
        assert!(error.starts_with("FILE:667: 'h666' cannot be resolved: no such name"), "{error}");
        let nothing = |_: &str| Ok(Vec::new());
        let error = all(&hosts(1), None, nothing).unwrap_err().to_string();
        assert!(error.contains("it has no address"), "{error}");
    }
}
