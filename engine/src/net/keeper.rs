//! Keeps the table true while a run lasts: asks the kernel again when it tells of a change, and now and then.
//!
//! Whoever is not known, or was not heard of for a while, gets a datagram to its discard port (RFC 863): the kernel then
//! asks for its MAC address, or makes sure of it, by ARP or neighbour discovery, as for any packet. That needs no privilege.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::NetError;
use super::live::LiveTargets;
use super::netlink::{Link, Netlink};
use super::routes::{self, Choice};
use super::table::{Shared, State, Table};
use crate::say::say;

/// How often the way out is looked at when the kernel tells nothing.
const LOOK: Duration = Duration::from_millis(250);
/// How often everything is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The longest that a run's start waits for next hops to answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often they are asked while it waits.
const NUDGE: Duration = Duration::from_millis(200);
/// Neighbours that are asked at a time.
const NUDGES: usize = 256;
/// The discard port (RFC 863).
const DISCARD: u16 = 9;

/// Says what is wrong with the program on the interface, if anything is.
pub type Check = Box<dyn Fn() -> Option<String> + Send>;

/// What it takes to find everything again.
pub(super) struct Source {
    pub netlink: Netlink,
    pub targets: Arc<LiveTargets>,
    pub choice: Choice,
    pub link: Link,
    pub nudger: Nudger,
}

impl Source {
    /// Waits until every next hop is known, or for as long as is reasonable; which are not.
    pub fn resolve(&mut self, table: &mut Table) -> io::Result<Vec<IpAddr>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let unsure = self.read_neighbours(table)?;
            let silent = || table.routes.hops().zip(&table.macs).filter(|(_, mac)| mac.is_none());
            if silent().next().is_none() || Instant::now() >= deadline {
                return Ok(silent().map(|(hop, _)| hop).collect());
            }
            self.nudger.nudge(&unsure);
            thread::sleep(NUDGE);
        }
    }

    /// Writes down whom the kernel knows, and returns who should be asked. Who was known stays so: a neighbour that went away
    /// is for the probes to find out.
    fn read_neighbours(&mut self, table: &mut Table) -> io::Result<Vec<IpAddr>> {
        let known: HashMap<IpAddr, _> = self
            .netlink
            .neighbours(self.link.index)?
            .into_iter()
            .map(|neighbour| (neighbour.address, (neighbour.mac, neighbour.stale)))
            .collect();
        let mut unsure = Vec::new();
        for (hop, mac) in table.routes.hops().zip(&mut table.macs) {
            let (now, stale) = known.get(&hop).copied().unwrap_or((None, true));
            *mac = now.or(*mac);
            if stale {
                unsure.push(hop);
            }
        }
        Ok(unsure)
    }

    /// The table as it is now, and who should be asked.
    fn look(&mut self, before: &Table, routes_too: bool) -> io::Result<(Table, Vec<IpAddr>)> {
        let mut table = before.clone();
        let link = self.netlink.links()?.into_iter().find(|link| link.index == self.link.index);
        table.state = match link {
            None => State::Lost(format!("interface {:?} was removed", self.link.name)),
            Some(link) if link.up => State::Up,
            Some(_) => State::Down,
        };
        if table.state != State::Up {
            return Ok((table, Vec::new()));
        }
        if routes_too {
            self.read_routes(&mut table);
        }
        let unsure = self.read_neighbours(&mut table)?;
        Ok((table, unsure))
    }

    /// Routes that lead elsewhere, or nowhere, change nothing: packets go on as they went.
    fn read_routes(&mut self, table: &mut Table) {
        let Ok(found) = routes::find(&mut self.netlink, &self.targets.current(), &self.choice) else {
            return;
        };
        if found.link.index != self.link.index || found.routes == *table.routes {
            return;
        }
        let known: HashMap<IpAddr, _> = table.routes.hops().zip(table.macs.iter().copied()).collect();
        table.macs = found.routes.hops().map(|hop| known.get(&hop).copied().flatten()).collect();
        table.routes = Arc::new(found.routes);
    }
}

/// Has the kernel look for neighbours.
pub(super) struct Nudger {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    interface: u32,
    /// Where to go on next time.
    turn: usize,
}

impl Nudger {
    pub fn new(interface: u32) -> Nudger {
        let socket = |address: IpAddr| {
            let socket = UdpSocket::bind((address, 0)).ok()?;
            socket.set_nonblocking(true).ok().map(|()| socket)
        };
        let (v4, v6) = (socket(Ipv4Addr::UNSPECIFIED.into()), socket(Ipv6Addr::UNSPECIFIED.into()));
        Nudger { v4, v6, interface, turn: 0 }
    }

    /// Failure is no matter: who does not answer is asked again.
    fn nudge(&mut self, hops: &[IpAddr]) {
        let start = if hops.is_empty() { 0 } else { self.turn % hops.len() };
        for hop in hops.iter().cycle().skip(start).take(hops.len().min(NUDGES)) {
            let (socket, to) = match *hop {
                IpAddr::V4(ip) => (&self.v4, SocketAddr::from((ip, DISCARD))),
                IpAddr::V6(ip) => (&self.v6, SocketAddrV6::new(ip, DISCARD, 0, self.interface).into()),
            };
            if let Some(socket) = socket {
                let _asked = socket.send_to(&[], to);
            }
        }
        self.turn = start + hops.len().min(NUDGES);
    }
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub fn start(mut source: Source, shared: Arc<Shared>, check: Option<Check>) -> Result<Keeper, NetError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let news = Netlink::news().map_err(|error| NetError::Netlink { what: "changes", source: error })?;
        let body = move || keep(&mut source, &news, &shared, check.as_ref(), &stopped);
        let thread = thread::Builder::new().name("next-hops".into()).spawn(body).map_err(NetError::Thread)?;
        Ok(Keeper { stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has printed its message.
            let _ended = thread.join();
        }
    }
}

fn keep(source: &mut Source, news: &Netlink, shared: &Shared, check: Option<&Check>, stop: &AtomicBool) {
    let (mut asked, mut targets) = (Instant::now(), source.targets.generation());
    let mut dropped = source.netlink.tx_dropped(source.link.index).ok();
    while !stop.load(Ordering::Relaxed) {
        wait(news);
        let before = shared.table();
        if let Some(why) = check.and_then(|check| check()) {
            shared.replace(Table { state: State::Lost(why), ..Table::clone(&before) });
            return;
        }
        // What an interface drops it tells nobody who renders frames for it: its own count does.
        if let Ok(now) = source.netlink.tx_dropped(source.link.index) {
            shared.dropped(dropped.map_or(0, |before| now.saturating_sub(before)));
            dropped = Some(now);
        }
        let generation = source.targets.generation();
        let changed = news.had_news() || generation != targets;
        targets = generation;
        if !changed && asked.elapsed() < ASK_AGAIN {
            continue;
        }
        asked = Instant::now();
        // What cannot be asked now will be asked again.
        let Ok((table, unsure)) = source.look(&before, changed) else { continue };
        source.nudger.nudge(&unsure);
        if table == *before {
            continue;
        }
        let name = &source.link.name;
        match (&before.state, &table.state) {
            (State::Up, State::Down) => {
                // What was sent since it went down is gone, and nothing counted it.
                shared.dropped(1);
                say(format_args!("megaping: {name} is down: probes wait for it"));
            }
            (State::Down, State::Up) => say(format_args!("megaping: {name} is up again")),
            _ => {}
        }
        shared.replace(table);
    }
}

/// Until there are news, or it is time to look.
fn wait(news: &Netlink) {
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    let fd = news.fd();
    let mut polls = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    debug_assert!(news.as_raw_fd() >= 0);
    if rustix::event::poll(&mut polls, Some(&timeout)).is_err() {
        // A signal; or worse, and then not as fast as can be.
        thread::sleep(LOOK / 10);
    }
}
