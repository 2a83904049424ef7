//! Questions to rtnetlink(7), one at a time.
//!
//! System calls: `socket`, `bind`, `sendto`, `recvfrom`, `ppoll`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Groups of rtnetlink(7) that tell of links, neighbours and routes: `RTNLGRP_LINK`, `_NEIGH`, `_IPV4_ROUTE`,
/// `_IPV6_ROUTE`.
const GROUPS: [u32; 4] = [1, 3, 7, 11];

/// An interface as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its address, where it is an Ethernet.
    pub mac: Option<[u8; 6]>,
    /// Longest packet, from the IP header on.
    pub mtu: u32,
    /// Whether it is this machine's loopback.
    pub loopback: bool,
    /// Whether it is up and has carrier.
    pub up: bool,
}

/// Where the kernel would send a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The interface's index.
    pub interface: u32,
    /// Who it goes to on the link; nobody but the destination itself, where there is none.
    pub gateway: Option<IpAddr>,
    /// The source address that the kernel would give it.
    pub source: Option<IpAddr>,
    /// Whether the destination is an address of this machine.
    pub local: bool,
    /// Whether it is another machine's, and one machine's: neither broadcast nor multicast.
    pub unicast: bool,
}

/// What the kernel knows of somebody on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its IP address.
    pub address: IpAddr,
    /// Its MAC address, where it is known.
    pub mac: Option<[u8; 6]>,
    /// Whether the kernel would make sure before it goes on using it.
    pub stale: bool,
}

/// A socket for questions, or for news.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket for questions.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Opens a socket on which the kernel tells when links, neighbours or routes have changed.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and setsockopt(2).
    pub fn news() -> io::Result<Netlink> {
        let mut netlink = Netlink::open()?;
        for group in GROUPS {
            netlink.socket.add_membership(group)?;
        }
        netlink.socket.set_non_blocking(true)?;
        netlink.sequence = 0;
        Ok(netlink)
    }

    /// The socket, to be waited on.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads all news there are; whether there were any. What they say is asked for again.
    #[must_use]
    pub fn had_news(&self) -> bool {
        let mut any = false;
        // More than fits is told as ENOBUFS, which is news as well.
        for _ in 0..1024 {
            match self.socket.recv_from_full() {
                Ok(_) => any = true,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => break,
            }
        }
        any
    }

    /// Every interface of this network namespace.
    ///
    /// # Errors
    /// The operating system's.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), true)?;
        Ok(answers.iter().filter_map(link_of).collect())
    }

    /// Packets that an interface has dropped on their way out, as it counts them (`IFLA_STATS64`).
    ///
    /// # Errors
    /// The operating system's; `ENODEV` where there is no such interface.
    pub fn tx_dropped(&mut self, interface: u32) -> io::Result<u64> {
        let mut question = LinkMessage::default();
        question.header.index = interface;
        let answers = self.ask(RouteNetlinkMessage::GetLink(question), false)?;
        let stats = |answer: &RouteNetlinkMessage| match answer {
            RouteNetlinkMessage::NewLink(message) => {
                message.attributes.iter().find_map(|attribute| match attribute {
                    LinkAttribute::Stats64(stats) => Some(stats.tx_dropped),
                    _ => None,
                })
            }
            _ => None,
        };
        answers.iter().find_map(stats).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    /// Every address of this network namespace.
    ///
    /// # Errors
    /// The operating system's.
    pub fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        let answers = self.ask(RouteNetlinkMessage::GetAddress(AddressMessage::default()), true)?;
        Ok(answers.iter().filter_map(address_of).collect())
    }

    /// The prefixes of a family's routes in all tables: first address and length.
    ///
    /// # Errors
    /// The operating system's.
    pub fn prefixes(&mut self, v4: bool) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut question = RouteMessage::default();
        question.header.address_family = family(v4);
        let answers = self.ask(RouteNetlinkMessage::GetRoute(question), true)?;
        Ok(answers.iter().filter_map(prefix_of).collect())
    }

    /// Where a packet to `destination` would go; `None` where no route leads there, or one that says so.
    ///
    /// # Errors
    /// The operating system's.
    pub fn route(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) -> io::Result<Option<Route>> {
        let mut question = RouteMessage::default();
        let length = if destination.is_ipv4() { 32 } else { 128 };
        question.header.address_family = family(destination.is_ipv4());
        question.header.destination_prefix_length = length;
        question.attributes.push(RouteAttribute::Destination(destination.into()));
        if let Some(source) = source {
            question.header.source_prefix_length = length;
            question.attributes.push(RouteAttribute::Source(source.into()));
        }
        question.attributes.extend(interface.map(RouteAttribute::Oif));
        match self.ask(RouteNetlinkMessage::GetRoute(question), false) {
            Ok(answers) => Ok(answers.iter().find_map(route_of)),
            // No route; and what blackhole (EINVAL), unreachable and prohibit routes answer.
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL | libc::ENETDOWN,
                ) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Everybody whom the kernel knows on a link.
    ///
    /// # Errors
    /// The operating system's.
    pub fn neighbours(&mut self, interface: u32) -> io::Result<Vec<Neighbour>> {
        let answers = self.ask(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), true)?;
        Ok(answers.iter().filter_map(|answer| neighbour_of(answer, interface)).collect())
    }

    fn ask(&mut self, question: RouteNetlinkMessage, dump: bool) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(question));
        message.header.flags = NLM_F_REQUEST | if dump { NLM_F_DUMP } else { 0 };
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if self.read(&datagram, dump, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Reads the messages of a datagram; whether the answer is complete.
    fn read(&self, datagram: &[u8], dump: bool, answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
        let mut rest = datagram;
        while let Ok(buffer) = NetlinkBuffer::new_checked(&rest) {
            let length = buffer.length() as usize;
            let ours = buffer.sequence_number() == self.sequence;
            // A message that this library does not understand is none that we asked for.
            if let (true, Ok(message)) = (ours, NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)) {
                match message.payload {
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(true),
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    _ => {}
                }
                if !dump {
                    return Ok(true);
                }
            } else if ours && !dump {
                return Ok(true);
            }
            // Messages are aligned to four bytes (netlink(7), NLMSG_ALIGN).
            match rest.get(length.next_multiple_of(4)..) {
                Some(more) if length > 0 => rest = more,
                _ => break,
            }
        }
        Ok(false)
    }
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

fn family(v4: bool) -> AddressFamily {
    if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn mac_of(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok().filter(|mac| *mac != [0; 6])
}

fn link_of(answer: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else { return None };
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        loopback: header.link_layer_type == LinkLayerType::Loopback,
        up: header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(bytes) if header.link_layer_type == LinkLayerType::Ether => {
                link.mac = mac_of(bytes);
            }
            _ => {}
        }
    }
    Some(link)
}

fn address_of(answer: &RouteNetlinkMessage) -> Option<IpAddr> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    let of = |wants_local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) if wants_local => Some(*ip),
            AddressAttribute::Address(ip) if !wants_local => Some(*ip),
            _ => None,
        })
    };
    // On a link between two alone, the address is the other end's.
    of(true).or_else(|| of(false))
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn prefix_of(answer: &RouteNetlinkMessage) -> Option<(IpAddr, u8)> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let header = &message.header;
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => {
            ip_of(address).map(|first| (first, header.destination_prefix_length))
        }
        _ => None,
    })
}

fn route_of(answer: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let kind = message.header.kind;
    if matches!(kind, RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit) {
        return None;
    }
    let local = matches!(kind, RouteType::Local | RouteType::Anycast);
    let unicast = kind == RouteType::Unicast;
    let mut route = Route { interface: 0, gateway: None, source: None, local, unicast };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.interface = *index,
            RouteAttribute::Gateway(address) => route.gateway = ip_of(address),
            RouteAttribute::Via(via) => route.gateway = via_of(via),
            RouteAttribute::PrefSource(address) => route.source = ip_of(address),
            _ => {}
        }
    }
    Some(route)
}

/// A gateway of the other family (RFC 5549: IPv4 by an IPv6 neighbour).
fn via_of(via: &netlink_packet_route::route::RouteVia) -> Option<IpAddr> {
    use netlink_packet_route::route::RouteVia;
    match via {
        RouteVia::Inet(ip) => Some((*ip).into()),
        RouteVia::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn neighbour_of(answer: &RouteNetlinkMessage, interface: u32) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = answer else { return None };
    if message.header.ifindex != interface {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some((*ip).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some((*ip).into()),
            NeighbourAttribute::LinkLocalAddress(bytes) => mac = mac_of(bytes),
            _ => {}
        }
    }
    let state = message.header.state;
    let known = !matches!(state, NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::None);
    Some(Neighbour {
        address: address?,
        mac: mac.filter(|_| known),
        stale: !known || state == NeighbourState::Stale,
    })
}
