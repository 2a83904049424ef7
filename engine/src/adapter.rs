//! Between orders and packet bytes: what makes a ring that moves packets a [`Ring`].

use megaping_probe::{
    Arrival, Craft, Down, Nanos, Order, Ring, RingCounters, Sent, Stamp, StampSource, Unsent, parse,
};
use megaping_ring::{
    Departure, Incoming, Layer, Outgoing, PacketRing, Refused, RingDown, TakenBy, TimeStamp,
};

/// A packet ring with a renderer in front and a parser behind.
#[derive(Debug)]
pub struct PacketAdapter<P> {
    ring: P,
    craft: Craft,
    malformed: u64,
    // An order that no buffer could hold: it is owed one report.
    too_long: Option<u64>,
}

impl<P: PacketRing> PacketAdapter<P> {
    /// Orders rendered by `craft` go through `ring`.
    #[must_use]
    pub fn new(ring: P, craft: Craft) -> PacketAdapter<P> {
        PacketAdapter { ring, craft, malformed: 0, too_long: None }
    }

    /// The ring itself.
    #[must_use]
    pub fn ring(&self) -> &P {
        &self.ring
    }
}

impl<P: PacketRing> Ring for PacketAdapter<P> {
    const SORTED: bool = P::SORTED;

    #[inline]
    fn now(&mut self) -> Nanos {
        Nanos(self.ring.now_ns())
    }

    #[inline]
    fn send(&mut self, quota: u32, mut next: impl FnMut() -> Option<Order>) -> Result<u32, Down> {
        let PacketAdapter { ring, craft, too_long, .. } = self;
        if too_long.is_some() {
            return Ok(0);
        }
        let taken = ring.send(quota, |buffer| {
            let order = next()?;
            let Some(len) = craft.render(&order, buffer) else {
                *too_long = Some(order.key);
                return None;
            };
            Some(Outgoing {
                token: order.key,
                destination: order.destination.ip(),
                hop_limit: order.hop_limit,
                traffic_class: order.traffic_class,
                len: len as u16,
            })
        });
        Ok(taken.map_err(down)? + u32::from(too_long.is_some()))
    }

    #[inline]
    fn reap(&mut self, quota: u32, mut each: impl FnMut(Sent)) -> Result<u32, Down> {
        if let Some(key) = self.too_long.take() {
            each(Sent { key, result: Err(Unsent::TooLong) });
        }
        self.ring.reap(quota, |departure| each(sent(departure))).map_err(down)
    }

    #[inline]
    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Arrival<'_>)) -> Result<u32, Down> {
        let PacketAdapter { ring, malformed, .. } = self;
        let hand_out = |incoming: &Incoming<'_>| {
            let stamp = stamp_of(incoming.stamp);
            let arrival = match incoming.layer {
                Layer::Ipv4 => parse::ipv4(incoming.bytes, stamp),
                Layer::Ipv6 => parse::ipv6(incoming.bytes, stamp),
                Layer::Icmpv6 { source, hop_limit, traffic_class } => {
                    let outer =
                        parse::Outer { responder: megaping_wire::Addr(source), hop_limit, traffic_class };
                    parse::icmpv6(incoming.bytes, &outer, stamp)
                }
            };
            match arrival {
                Ok(arrival) => each(&arrival),
                Err(_) => *malformed += 1,
            }
        };
        ring.recv(quota, hand_out).map_err(down)
    }

    fn park(&mut self, until: Nanos, wake_on_arrival: bool) -> Result<(), Down> {
        self.ring.park(until.0, wake_on_arrival).map_err(down)
    }

    fn abandon(&mut self) {
        self.ring.abandon();
    }

    fn counters(&self) -> RingCounters {
        let counters = self.ring.counters();
        RingCounters {
            rx_dropped: counters.rx_dropped,
            rx_malformed: self.malformed + counters.rx_truncated,
            tx_full: counters.tx_full,
            tx_dropped: counters.tx_dropped,
        }
    }
}

/// What a ring says of a packet that it took, in the words of the core.
#[inline]
pub(crate) fn sent(departure: Departure) -> Sent {
    let result = match departure.result {
        Ok(stamp) => Ok(stamp_of(stamp)),
        Err(Refused::Abandoned) => Err(Unsent::Stopped),
        Err(Refused::Errno(errno)) => Err(reason_of(errno)),
    };
    Sent { key: departure.token, result }
}

#[inline]
fn stamp_of(stamp: TimeStamp) -> Stamp {
    let source = match stamp.taken_by {
        TakenBy::User => StampSource::User,
        TakenBy::Kernel => StampSource::Kernel,
        TakenBy::Xdp => StampSource::Xdp,
        TakenBy::Hardware => StampSource::Hardware,
        TakenBy::Virtual => StampSource::Virtual,
    };
    Stamp { at: Nanos(stamp.at_ns), error_ns: stamp.error_ns, source }
}

pub(crate) fn down(error: RingDown) -> Down {
    Down { operation: error.operation, source: error.source }
}

/// What an errno of sendmsg(2) means for the probe that met it.
fn reason_of(errno: i32) -> Unsent {
    match errno {
        libc::ENETUNREACH | libc::EHOSTUNREACH => Unsent::NoRoute,
        libc::EMSGSIZE => Unsent::TooLong,
        libc::EACCES | libc::EPERM => Unsent::Denied,
        libc::ENETDOWN | libc::ENODEV | libc::ENXIO => Unsent::InterfaceDown,
        // EBUSY: the device dropped it, its queue was full.
        libc::ENOBUFS | libc::ENOMEM | libc::EBUSY => Unsent::NoBuffers,
        libc::EADDRNOTAVAIL | libc::EINVAL | libc::EAFNOSUPPORT => Unsent::BadAddress,
        _ => Unsent::Os,
    }
}
