//! What to tell of an arrival, however it was taken out of the socket.

use super::config::Family;
use super::control::read_notes;
use super::snmp;
use super::stamps::{ArrivalClock, Offset};
use crate::packet::{Counters, Incoming, Layer};

/// One message as the socket gave it.
pub(crate) struct Message<'a> {
    /// IPv4: from the IP header on; IPv6: from the ICMPv6 header on.
    pub(crate) bytes: &'a [u8],
    /// It was longer than its buffer.
    pub(crate) truncated: bool,
    /// Its control messages.
    pub(crate) control: &'a [u8],
    /// Whom it came from, of IPv6; anything, of IPv4.
    pub(crate) source: [u8; 16],
}

/// What a socket must remember to tell of its arrivals.
pub(crate) struct Reception {
    family: Family,
    clock: ArrivalClock,
    /// The kernel's own count of drops when we last saw it, modulo 2^32.
    drops: u32,
    /// The same in full.
    dropped: u64,
    /// Messages with a wrong checksum before this socket was.
    harmed_before: u64,
}

impl Reception {
    /// For a socket that is empty now.
    pub(crate) fn new(family: Family) -> Self {
        Self { family, clock: ArrivalClock::new(), drops: 0, dropped: 0, harmed_before: harmed(family) }
    }

    /// A batch was read: `offset` was taken right after.
    #[inline]
    pub(crate) fn batch(&mut self, offset: Offset) {
        self.clock.batch(offset);
    }

    /// The last batch emptied the socket; the look that found out began at `began_ns`.
    #[inline]
    pub(crate) fn emptied(&mut self, began_ns: u64) {
        self.clock.emptied(began_ns);
    }

    /// Gives one message to `each`; false when it was cut and is only counted.
    #[inline]
    pub(crate) fn hand_out(
        &mut self,
        message: &Message<'_>,
        counters: &mut Counters,
        each: &mut impl FnMut(&Incoming<'_>),
    ) -> bool {
        let notes = read_notes(message.control);
        if let Some(drops) = notes.drops {
            self.dropped += u64::from(drops.wrapping_sub(self.drops));
            self.drops = drops;
        }
        if message.truncated {
            counters.rx_truncated += 1;
            return false;
        }
        let layer = match self.family {
            Family::Ipv4 => Layer::Ipv4,
            // The kernel kept the header (RFC 3542 section 3): what we know of it, it told beside the message.
            Family::Ipv6 => Layer::Icmpv6 {
                source: message.source,
                hop_limit: notes.hop_limit,
                traffic_class: notes.traffic_class,
            },
        };
        each(&Incoming { bytes: message.bytes, layer, stamp: self.clock.stamp(notes.wall_ns) });
        true
    }

    /// All that was dropped for want of room so far, what no message has told of yet included; `now` is the
    /// kernel's count, just asked.
    pub(crate) fn dropped(&self, now: Option<u32>) -> u64 {
        let dropped = self.dropped + now.map_or(0, |now| u64::from(now.wrapping_sub(self.drops)));
        if dropped == 0 {
            return 0;
        }
        // Read after the drops: what was harmed on the way is counted there a moment later than here.
        dropped.saturating_sub(harmed(self.family).saturating_sub(self.harmed_before))
    }
}

/// Messages with a wrong checksum that the kernel counts as drops of ours too: of IPv6 alone.
fn harmed(family: Family) -> u64 {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => snmp::checksum_errors_v6().unwrap_or(0),
    }
}
