//! The packets that were taken: their bytes, and what became of them, in the order in which they were taken.
//!
//! ```text
//!        oldest                      next
//!          v                           v
//!   | . | left | left | wait | left |  .  |  .  |      a power of two of slots, each with a buffer of its own
//!          \____________________/
//!           taken and not reaped: `reap` stops at the first that still waits
//! ```

use crate::packet::{Departure, Outgoing, Refused, TimeStamp};

use std::net::{IpAddr, Ipv4Addr};

/// Hands out up to `quota` departures; how many.
#[inline]
pub(crate) fn reap(
    quota: u32,
    mut next: impl FnMut() -> Option<Departure>,
    mut each: impl FnMut(Departure),
) -> u32 {
    let mut reaped = 0;
    while reaped < quota {
        let Some(departure) = next() else { break };
        each(departure);
        reaped += 1;
    }
    reaped
}

/// A circle of slots, allocated once.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Box<[u8]>,
    mtu: usize,
    packets: Box<[Outgoing]>,
    results: Box<[Option<Result<TimeStamp, Refused>>]>,
    oldest: u64,
    next: u64,
}

impl Outbox {
    pub(crate) fn new(queue: u32, mtu: usize) -> Self {
        let slots = queue.next_power_of_two() as usize;
        let nobody = Outgoing {
            token: 0,
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            hop_limit: 0,
            traffic_class: 0,
            len: 0,
        };
        Self {
            bytes: vec![0; slots * mtu].into_boxed_slice(),
            mtu,
            packets: vec![nobody; slots].into_boxed_slice(),
            results: vec![None; slots].into_boxed_slice(),
            oldest: 0,
            next: 0,
        }
    }

    /// How many packets may be taken at a time.
    pub(crate) fn slots(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.next - self.oldest == self.packets.len() as u64
    }

    #[inline]
    fn slot_of(&self, number: u64) -> usize {
        number as usize & (self.packets.len() - 1)
    }

    /// Lends the next free buffer to `fill`; the slot that took the packet, or `None` when `fill` had none.
    /// The outbox is not full: the caller has looked.
    #[inline]
    pub(crate) fn take(&mut self, fill: &mut impl FnMut(&mut [u8]) -> Option<Outgoing>) -> Option<u32> {
        debug_assert!(!self.is_full());
        let slot = self.slot_of(self.next);
        let start = slot * self.mtu;
        self.packets[slot] = fill(&mut self.bytes[start..start + self.mtu])?;
        self.results[slot] = None;
        self.next += 1;
        Some(slot as u32)
    }

    /// Takes up to `count` packets and gives their slots to `each`; fewer where there is no more or no room.
    #[inline]
    pub(crate) fn take_some(
        &mut self,
        count: u32,
        fill: &mut impl FnMut(&mut [u8]) -> Option<Outgoing>,
        mut each: impl FnMut(&mut Self, u32),
    ) -> u32 {
        let mut taken = 0;
        while taken < count && !self.is_full() {
            let Some(slot) = self.take(fill) else { break };
            taken += 1;
            each(self, slot);
        }
        taken
    }

    #[inline]
    pub(crate) fn packet(&self, slot: u32) -> &Outgoing {
        &self.packets[slot as usize]
    }

    /// The bytes of a packet, from the IP header on. A packet is never longer than its buffer: the sender
    /// has refused those that claim to be.
    #[inline]
    pub(crate) fn bytes(&self, slot: u32) -> &[u8] {
        let start = slot as usize * self.mtu;
        &self.bytes[start..start + usize::from(self.packets[slot as usize].len).min(self.mtu)]
    }

    /// Says what became of a packet.
    #[inline]
    pub(crate) fn settle(&mut self, slot: u32, result: Result<TimeStamp, Refused>) {
        self.results[slot as usize] = Some(result);
    }

    /// The oldest packet's departure, once it is settled; its slot is free from now on.
    #[inline]
    pub(crate) fn reap(&mut self) -> Option<Departure> {
        if self.oldest == self.next {
            return None;
        }
        let slot = self.slot_of(self.oldest);
        let result = self.results[slot].take()?;
        self.oldest += 1;
        Some(Departure { token: self.packets[slot].token, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(token: u64) -> Outgoing {
        Outgoing {
            token,
            destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hop_limit: 1,
            traffic_class: 0,
            len: 4,
        }
    }

    #[test]
    fn departures_wait_for_those_before_them() {
        let mut outbox = Outbox::new(3, 16);
        assert_eq!(outbox.slots(), 4);
        for round in 0..3u64 {
            let slots: Vec<u32> = (0..4u8)
                .map(|n| {
                    let token = round * 4 + u64::from(n);
                    let fill = &mut |buffer: &mut [u8]| {
                        buffer[..4].fill(n);
                        Some(outgoing(token))
                    };
                    outbox.take(fill).expect("there is room")
                })
                .collect();
            assert!(outbox.is_full());
            assert_eq!(outbox.bytes(slots[2]), [2; 4]);
            outbox.settle(slots[1], Err(Refused::Abandoned));
            assert_eq!(outbox.reap(), None, "the first still waits");
            outbox.settle(slots[0], Ok(TimeStamp::default()));
            assert_eq!(outbox.reap().map(|d| d.token), Some(round * 4));
            assert_eq!(outbox.reap().map(|d| d.result), Some(Err(Refused::Abandoned)));
            assert_eq!(outbox.reap(), None);
            outbox.settle(slots[3], Ok(TimeStamp::default()));
            outbox.settle(slots[2], Ok(TimeStamp::default()));
            assert_eq!(outbox.reap().map(|d| d.token), Some(round * 4 + 2));
            assert_eq!(outbox.reap().map(|d| d.token), Some(round * 4 + 3));
            assert_eq!(outbox.reap(), None);
        }
    }

    #[test]
    fn a_fill_without_a_packet_takes_no_slot() {
        let mut outbox = Outbox::new(1, 16);
        assert_eq!(outbox.take(&mut |_| None), None);
        assert!(!outbox.is_full());
    }
}
