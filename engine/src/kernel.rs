//! Between orders and the kernel ring: words instead of packets on the way out, records instead of packets on the way
//! in. The counterpart of [`crate::adapter`] for the ring that moves no bytes.

use megaping_probe::{
    Arrival, Craft, Down, Evidence, HEADER_LEN, Integrity, Kind, Nanos, Order, Quoted, Ring, RingCounters,
    Sent, Stamp, StampSource, Unsent, parse,
};
use megaping_ring::kernel::{Ordered, Record};
use megaping_ring::{KernelOrder, KernelReply, KernelRing, KernelWay};
use megaping_wire::Addr;

use crate::adapter::{down, sent};
use crate::net::Hopper;

/// Orders that may be refused between two calls: one whole call's.
const REFUSED_MAX: usize = 256;
/// How far off the clock of the program in the kernel can be when it stamps an arrival, in nanoseconds.
const STAMP_ERROR_NS: u32 = 100;
/// `EtherType`s, IPv4 first.
const ETHER_TYPES: [[u8; 2]; 2] = [[0x08, 0x00], [0x86, 0xdd]];

/// The kernel ring with the arithmetic of packets in front and the parser behind.
pub struct KernelAdapter {
    ring: KernelRing,
    craft: Craft,
    hops: Hopper,
    from: From,
    malformed: u64,
    // Orders that cannot leave: each is owed one report.
    refused: Vec<Sent>,
}

/// Who the packets are from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    /// The interface's own address; zeros where it has none.
    pub mac: [u8; 6],
    /// Addresses, IPv4 first.
    pub addresses: [Addr; 2],
}

impl KernelAdapter {
    /// Orders go through `ring`, by the next hops of `hops`.
    #[must_use]
    pub fn new(ring: KernelRing, craft: Craft, hops: Hopper, from: From) -> KernelAdapter {
        let mut adapter =
            KernelAdapter { ring, craft, hops, from, malformed: 0, refused: Vec::with_capacity(REFUSED_MAX) };
        adapter.write_ways();
        adapter
    }

    /// Shows the program the next hops: two ways each, one for a family.
    fn write_ways(&mut self) {
        for (hop, mac) in self.hops.macs().iter().enumerate() {
            for (family, ether_type) in ETHER_TYPES.iter().enumerate() {
                let mut way = KernelWay { source: self.from.addresses[family].0, ..KernelWay::default() };
                way.ethernet[..6].copy_from_slice(&mac.unwrap_or_default());
                way.ethernet[6..12].copy_from_slice(&self.from.mac);
                way.ethernet[12..14].copy_from_slice(ether_type);
                self.ring.set_way(2 * hop + family, way);
            }
        }
    }
}

impl Ring for KernelAdapter {
    #[inline]
    fn now(&mut self) -> Nanos {
        Nanos(self.ring.now_ns())
    }

    fn send(&mut self, quota: u32, mut next: impl FnMut() -> Option<Order>) -> Result<u32, Down> {
        if self.hops.refresh() {
            self.hops.check().map_err(|source| Down { operation: "sending", source })?;
            self.write_ways();
        }
        let KernelAdapter { ring, craft, hops, refused, from, .. } = self;
        let refused_before = refused.len();
        let is_up = hops.is_up();
        let mut taken = ring.send(quota, |slot| {
            while refused.len() < REFUSED_MAX {
                let order = next()?;
                match write_order(&order, craft, hops, is_up, slot) {
                    Ok(len) => {
                        debug_assert_eq!(
                            order.source,
                            from.addresses[usize::from(!order.destination.is_v4())]
                        );
                        return Some(Ordered { token: order.key, len });
                    }
                    Err(why) => refused.push(Sent { key: order.key, result: Err(why) }),
                }
            }
            None
        });
        if let Ok(taken) = &mut taken {
            *taken += (refused.len() - refused_before) as u32;
        }
        taken.map_err(down)
    }

    #[inline]
    fn reap(&mut self, quota: u32, mut each: impl FnMut(Sent)) -> Result<u32, Down> {
        let owed = self.refused.len().min(quota as usize);
        for refused in self.refused.drain(..owed) {
            each(refused);
        }
        let reaped = self.ring.reap(quota - owed as u32, |departure| each(sent(departure)));
        Ok(owed as u32 + reaped)
    }

    #[inline]
    fn recv(&mut self, quota: u32, mut each: impl FnMut(&Arrival<'_>)) -> Result<u32, Down> {
        let KernelAdapter { ring, malformed, .. } = self;
        Ok(ring.recv(quota, |record| match record {
            Record::Reply(reply) => each(&arrival_of(reply)),
            Record::Packet { arrived_ns, is_v6, bytes } => {
                let stamp = stamp(arrived_ns);
                let parsed = if is_v6 { parse::ipv6(bytes, stamp) } else { parse::ipv4(bytes, stamp) };
                match parsed {
                    Ok(arrival) => each(&arrival),
                    Err(_) => *malformed += 1,
                }
            }
        }))
    }

    fn park(&mut self, until: Nanos, wake_on_arrival: bool) -> Result<(), Down> {
        self.ring.park(until.0, wake_on_arrival).map_err(down)
    }

    /// Nothing is ever on its way: what was taken left, or was refused, before the call returned.
    fn abandon(&mut self) {}

    fn counters(&self) -> RingCounters {
        let counters = self.ring.counters();
        RingCounters {
            rx_dropped: counters.rx_dropped,
            rx_malformed: self.malformed,
            tx_full: counters.tx_full,
            tx_dropped: self.hops.tx_dropped(),
        }
    }
}

/// Writes an order as the program takes it, and returns the packet's length; or why it cannot leave.
#[inline]
fn write_order(
    order: &Order,
    craft: &Craft,
    hops: &Hopper,
    is_up: bool,
    slot: &mut KernelOrder,
) -> Result<u16, Unsent> {
    if !is_up {
        return Err(Unsent::InterfaceDown);
    }
    let hop = hops.hop_of(&order.destination);
    if hops.mac(hop).is_none() {
        return Err(Unsent::NoRoute);
    }
    let words = craft.words(order).ok_or(Unsent::TooLong)?;
    let [key_balance, ordered_at, mac] = words.header;
    *slot = KernelOrder {
        destination: order.destination.0,
        key_balance,
        ordered_at,
        mac,
        first: words.first,
        second: words.second,
        echo: words.echo,
        checksum: words.checksum,
        way: 2 * hop + u16::from(!order.destination.is_v4()),
        sent_ns: 0,
    };
    Ok(words.len)
}

#[inline]
fn arrival_of(reply: &KernelReply) -> Arrival<'static> {
    let [i0, i1, s0, s1] = reply.echo;
    let responder = Addr(reply.responder);
    let sound = reply.flags & KernelReply::CORRUPT == 0;
    Arrival {
        kind: Kind::EchoReply,
        responder,
        destination: responder,
        identifier: u16::from_be_bytes([i0, i1]),
        sequence: u16::from_be_bytes([s0, s1]),
        evidence: Some(Evidence {
            key: u64::from_be_bytes(reply.key_balance) >> 16,
            ordered_at: Nanos(u64::from_be_bytes(reply.ordered_at)),
            mac: u64::from_be_bytes(reply.mac),
        }),
        integrity: if sound { Integrity::Good } else { Integrity::BadChecksum },
        hop_limit: reply.hop_limit,
        traffic_class: reply.traffic_class,
        stamp: stamp(reply.arrived_ns),
        quoted: Quoted::default(),
        packet: &[],
    }
}

#[inline]
const fn stamp(arrived_ns: u64) -> Stamp {
    Stamp { at: Nanos(arrived_ns), error_ns: STAMP_ERROR_NS, source: StampSource::Xdp }
}

const _: () = assert!(HEADER_LEN == 24, "the program in the kernel reads three words of ours");
