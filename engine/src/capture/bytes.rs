//! The bytes of a packet, where the ring that carried it moves none: put together from what is known, and marked as such.

use megaping_capture::{At, Captured, Direction, Verdict};
use megaping_probe::craft::{ICMP_LEN, IPV4_LEN, IPV6_LEN};
use megaping_probe::{Craft, HEADER_LEN, Kind, Order};
use megaping_wire::Addr;
use megaping_wire::checksum::{self, Sum};

use super::tap::{Answer, Event};

const LONGEST: usize = 65_575;
const ICMPV6: u8 = 58;

/// What is needed to put packets together.
pub struct Renderer {
    craft: Craft,
    /// Payload bytes of a probe.
    payload_len: u16,
    /// Where probes come from, IPv4 first.
    sources: [Addr; 2],
    buffer: Vec<u8>,
}

impl Renderer {
    /// For the probes of a run.
    #[must_use]
    pub fn new(craft: Craft, payload_len: u16, sources: [Addr; 2]) -> Renderer {
        Renderer { craft, payload_len, sources, buffer: vec![0; LONGEST] }
    }

    /// What there is to say of an event.
    #[must_use]
    pub fn captured(&mut self, shard: u16, event: &Event) -> Captured {
        let (bytes, original_len, rebuilt) = match (&event.order, &event.answer) {
            (Some(order), _) => self.request(order),
            (None, Some(answer)) => self.answer(event, answer),
            (None, None) => (Vec::new(), 0, true),
        };
        Captured {
            time_ns: event.time_ns,
            error_ns: event.error_ns,
            at: At::Engine,
            shard,
            direction: if event.order.is_some() { Direction::Out } else { Direction::In },
            verdict: event.verdict.unwrap_or(Verdict::Foreign),
            probe: event.probe,
            key: event.key,
            rtt_ns: event.rtt_ns,
            destination: event.destination.unwrap_or(Addr::UNSPECIFIED),
            tenant: String::new(),
            measurement: String::new(),
            remark: String::new(),
            rebuilt,
            original_len: original_len as u32,
            bytes,
        }
    }

    /// A request is rendered again: the same bytes, but for the source address where the kernel chooses that.
    fn request(&mut self, order: &Order) -> (Vec<u8>, usize, bool) {
        let len = self.craft.render(order, &mut self.buffer).unwrap_or(0);
        (self.buffer[..len].to_vec(), len, order.source == Addr::UNSPECIFIED)
    }

    fn answer(&mut self, event: &Event, answer: &Answer) -> (Vec<u8>, usize, bool) {
        match event.bytes.first().map(|byte| byte >> 4) {
            // An ICMPv6 message, whose header the socket took off: its type is 128 or more, or that of an error, below 5.
            Some(version) if !answer.responder.is_v4() && version != 6 => {
                let bytes = self.in_ipv6(answer, &event.bytes, event.original_len);
                (bytes, event.original_len + IPV6_LEN, true)
            }
            Some(_) => (event.bytes.clone(), event.original_len, false),
            None => {
                let bytes = self.reply(answer);
                let len = bytes.len();
                (bytes, len, true)
            }
        }
    }

    fn in_ipv6(&self, answer: &Answer, message: &[u8], original_len: usize) -> Vec<u8> {
        let mut packet = Vec::with_capacity(IPV6_LEN + message.len());
        let class = u32::from(answer.traffic_class) << 20;
        packet.extend_from_slice(&(6 << 28 | class).to_be_bytes());
        packet.extend_from_slice(&(original_len as u16).to_be_bytes());
        packet.extend_from_slice(&[ICMPV6, answer.hop_limit]);
        packet.extend_from_slice(&answer.responder.0);
        packet.extend_from_slice(&self.sources[1].0);
        packet.extend_from_slice(message);
        packet
    }

    /// An echo reply as it must have been: of the kernel ring, which hands out records of those.
    fn reply(&self, answer: &Answer) -> Vec<u8> {
        let Kind::EchoReply = answer.kind else { return Vec::new() };
        let payload_len = usize::from(self.payload_len).max(HEADER_LEN);
        let mut message = vec![0; ICMP_LEN + payload_len];
        message[0] = if answer.responder.is_v4() { 0 } else { 129 };
        message[4..6].copy_from_slice(&answer.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&answer.sequence.to_be_bytes());
        if let Some(evidence) = &answer.evidence {
            // The balance word beside the key is not in the record: the checksum is made true without it.
            message[8..16].copy_from_slice(&(evidence.key << 16).to_be_bytes());
            message[16..24].copy_from_slice(&evidence.ordered_at.0.to_be_bytes());
            message[24..32].copy_from_slice(&evidence.mac.to_be_bytes());
        }
        self.craft.write_fill(&mut message[ICMP_LEN + HEADER_LEN..]);
        if answer.responder.is_v4() {
            let sum = checksum::checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            return self.in_ipv4(answer, &message);
        }
        let pseudo = Sum::pseudo_v6(&answer.responder.0, &self.sources[1].0, message.len() as u32, ICMPV6);
        let sum = pseudo.add_bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let len = message.len();
        self.in_ipv6(answer, &message, len)
    }

    fn in_ipv4(&self, answer: &Answer, message: &[u8]) -> Vec<u8> {
        let total = (IPV4_LEN + message.len()) as u16;
        let mut packet = Vec::with_capacity(total.into());
        packet.extend_from_slice(&[0x45, answer.traffic_class]);
        packet.extend_from_slice(&total.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0, answer.hop_limit, 1, 0, 0]);
        packet.extend_from_slice(&answer.responder.v4_octets());
        let source = if self.sources[0] == Addr::UNSPECIFIED { [0; 4] } else { self.sources[0].v4_octets() };
        packet.extend_from_slice(&source);
        let sum = checksum::checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(message);
        packet
    }
}
