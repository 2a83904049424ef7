//! `craft`, `parse` and `far-end`: between meaning and packet bytes.
//!
//! Each works on as many packets as a breath handles, over and over, so that they are in the cache, as they
//! are in a shard that has just received them.

use std::hint::black_box;

use megaping::responder;
use megaping_probe::{Craft, Nanos, Order, Stamp, StampSource, parse};

use super::{Stage, StageArgs};
use crate::Result;
use crate::load::{self, BREATH_NS, Family, START};
use crate::meter::Meter;

const MTU: usize = 128;
/// Packets, and so many times each, in a section.
const PACKETS: usize = 200;
const REPEATS: u64 = 20;

struct Packet {
    bytes: [u8; MTU],
    len: usize,
}

pub fn run(args: &StageArgs, meter: &mut Meter) -> Result<()> {
    let orders = orders(args)?;
    let craft = load::craft();
    let requests = orders.iter().map(|order| request(&craft, order)).collect::<Option<Vec<Packet>>>();
    let requests = requests.ok_or("a probe does not fit its buffer")?;
    let replies = requests.iter().map(reply).collect::<Option<Vec<Packet>>>();
    let replies = replies.ok_or("the far end did not answer")?;
    let stamp = Stamp { at: START, error_ns: 0, source: StampSource::Virtual };
    let good = replies.iter().filter(|reply| parsed(args.family, reply, stamp)).count();
    if good != replies.len() {
        return Err("a reply could not be read".into());
    }
    let mut buffer = [0; MTU];
    while meter.probes() < args.probes {
        match args.name {
            Stage::Craft => meter.run(|| {
                repeat(&orders, |order| black_box(craft.render(order, black_box(&mut buffer))).is_some())
            }),
            Stage::FarEnd => meter.run(|| {
                repeat(&requests, |request| {
                    let bytes = &request.bytes[..request.len];
                    black_box(responder::echo(bytes, black_box(&mut buffer))).is_some()
                })
            }),
            _ => meter.run(|| repeat(&replies, |reply| parsed(args.family, reply, stamp))),
        }
    }
    Ok(())
}

#[inline]
fn repeat<T>(items: &[T], mut work: impl FnMut(&T) -> bool) -> u64 {
    let mut done = 0;
    for _ in 0..REPEATS {
        for item in items {
            done += u64::from(work(item));
        }
    }
    done
}

#[inline]
fn parsed(family: Family, packet: &Packet, stamp: Stamp) -> bool {
    let bytes = black_box(&packet.bytes[..packet.len]);
    let arrival = match family {
        Family::V4 => parse::ipv4(bytes, stamp),
        Family::V6 => parse::ipv6(bytes, stamp),
    };
    black_box(&arrival).is_ok()
}

fn orders(args: &StageArgs) -> Result<Vec<Order>> {
    let mut core = load::core(args.family, args.targets)?;
    let mut orders = Vec::new();
    let mut now = Nanos(START.0);
    while orders.len() < PACKETS {
        now = now + BREATH_NS;
        orders.extend(std::iter::from_fn(|| core.next_order(now, usize::MAX)).take(PACKETS - orders.len()));
    }
    Ok(orders)
}

fn request(craft: &Craft, order: &Order) -> Option<Packet> {
    let mut bytes = [0; MTU];
    let len = craft.render(order, &mut bytes)?;
    Some(Packet { bytes, len })
}

fn reply(request: &Packet) -> Option<Packet> {
    let mut bytes = [0; MTU];
    let len = responder::echo(&request.bytes[..request.len], &mut bytes)?;
    Some(Packet { bytes, len })
}
