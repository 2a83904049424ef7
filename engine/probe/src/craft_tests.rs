use super::*;
use crate::border::{Kind, Stamp};
use crate::parse;
use crate::time::Nanos;
use megaping_wire::{icmp, icmpv4, icmpv6, ipv4, ipv6};
use proptest::prelude::*;

fn any_order() -> impl Strategy<Value = Order> {
    let v4 = any::<[u8; 4]>().prop_map(Addr::v4);
    let v6 =
        any::<[u8; 16]>().prop_map(|bytes| if Addr(bytes).is_v4() { Addr([1; 16]) } else { Addr(bytes) });
    let pair = prop_oneof![(v4.clone(), v4), (v6.clone(), v6)];
    (
        (any::<u64>(), any::<u64>(), any::<u64>(), pair),
        (any::<u16>(), 24u16..1472, any::<u16>(), any::<u8>(), any::<u8>()),
    )
        .prop_map(
            |(
                (key, ordered_ns, mac, (source, destination)),
                (identifier, payload_len, flow, hop_limit, class),
            )| {
                Order {
                    key,
                    ordered_at: Nanos(ordered_ns),
                    mac,
                    destination,
                    source,
                    identifier,
                    sequence: key as u16,
                    payload_len,
                    flow,
                    hop_limit,
                    traffic_class: class,
                }
            },
        )
}

fn render(order: &Order, fill: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0xee; 2048];
    let len = Craft::new(fill).render(order, &mut buffer).expect("it fits");
    buffer.truncate(len);
    buffer
}

/// The reply that a host makes of a request: addresses swapped, type changed, checksum anew.
fn answer(request: &[u8], order: &Order) -> Vec<u8> {
    let mut reply = request.to_vec();
    if order.destination.is_v4() {
        reply[12..16].copy_from_slice(&request[16..20]);
        reply[16..20].copy_from_slice(&request[12..16]);
        reply[20] = icmpv4::ECHO_REPLY;
        let mut message = icmp::Message::new_unchecked(&mut reply[20..]);
        icmpv4::fill_checksum(&mut message);
    } else {
        reply[8..24].copy_from_slice(&request[24..40]);
        reply[24..40].copy_from_slice(&request[8..24]);
        reply[40] = icmpv6::ECHO_REPLY;
        let mut message = icmp::Message::new_unchecked(&mut reply[40..]);
        icmpv6::fill_checksum(&mut message, order.destination, order.source);
    }
    reply
}

fn parse_any(packet: &[u8]) -> Result<crate::Arrival<'_>, megaping_wire::Error> {
    if packet[0] >> 4 == 4 {
        parse::ipv4(packet, Stamp::default())
    } else {
        parse::ipv6(packet, Stamp::default())
    }
}

#[test]
fn the_buffer_must_hold_it_and_the_header_must_fit() {
    let order = Order {
        key: 1,
        ordered_at: Nanos(2),
        mac: 3,
        destination: Addr::v4([192, 0, 2, 1]),
        source: Addr::UNSPECIFIED,
        identifier: 4,
        sequence: 1,
        payload_len: 32,
        flow: 0,
        hop_limit: 64,
        traffic_class: 0,
    };
    let craft = Craft::new(&[7; 8]);
    assert_eq!(craft.render(&order, &mut [0; 59]), None);
    assert_eq!(craft.render(&order, &mut [0; 60]), Some(60));
    assert_eq!(craft.render(&Order { payload_len: 23, ..order }, &mut [0; 60]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is rendered is a sound packet that says what the order says.
    #[test]
    fn the_wire_says_what_the_order_says(order in any_order(), fill in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = render(&order, &fill);
        let (message, label) = if order.destination.is_v4() {
            let packet = ipv4::Packet::new_checked(&bytes[..]).unwrap();
            prop_assert!(packet.verify_checksum() && packet.dont_fragment());
            prop_assert_eq!((packet.source(), packet.destination()), (order.source, order.destination));
            prop_assert_eq!((packet.ttl(), packet.traffic_class()), (order.hop_limit, order.traffic_class));
            prop_assert_eq!(usize::from(packet.total_len()), bytes.len());
            let message = icmpv4::message(&packet).unwrap();
            prop_assert!(icmpv4::verify_checksum(&message));
            (message, None)
        } else {
            let packet = ipv6::Packet::new_checked(&bytes[..]).unwrap();
            prop_assert_eq!((packet.source(), packet.destination()), (order.source, order.destination));
            prop_assert_eq!((packet.hop_limit(), packet.traffic_class()), (order.hop_limit, order.traffic_class));
            let message = icmpv6::message(&packet).unwrap();
            prop_assert!(icmpv6::verify_checksum(&message, order.source, order.destination));
            (message, Some(packet.flow_label()))
        };
        prop_assert_eq!((message.identifier(), message.sequence()), (order.identifier, order.sequence));
        prop_assert_eq!(message.body().len(), usize::from(order.payload_len));
        // Paris: checksum and label are the flow's, whatever the rest.
        prop_assert_eq!(message.checksum(), flow_checksum(order.flow));
        prop_assert_eq!(label, label.map(|_| flow_label(order.identifier, order.flow)));
        let tail = &message.body()[HEADER_LEN..];
        let expected: Vec<u8> = if fill.is_empty() {
            vec![0; tail.len()]
        } else {
            fill.iter().copied().cycle().take(tail.len()).collect()
        };
        prop_assert_eq!(tail, &expected[..]);
    }

    /// The answer to what is rendered brings everything back that the core asks for.
    #[test]
    fn a_reply_brings_the_order_back(order in any_order()) {
        let bytes = answer(&render(&order, &[1, 2, 3]), &order);
        let arrival = parse_any(&bytes).unwrap();
        prop_assert_eq!(arrival.kind, Kind::EchoReply);
        prop_assert_eq!(arrival.integrity, crate::Integrity::Good);
        prop_assert_eq!((arrival.responder, arrival.destination), (order.destination, order.destination));
        prop_assert_eq!((arrival.identifier, arrival.sequence), (order.identifier, order.sequence));
        let evidence = arrival.evidence.unwrap();
        prop_assert_eq!(evidence.key, order.key & ((1 << KEY_BITS) - 1));
        prop_assert_eq!((evidence.ordered_at, evidence.mac), (order.ordered_at, order.mac));
    }

    /// A flipped bit anywhere in the message is noticed.
    #[test]
    fn a_flipped_bit_is_noticed(order in any_order(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = answer(&render(&order, &[]), &order);
        let from = if order.destination.is_v4() { IPV4_LEN } else { IPV6_LEN };
        let at = from + at.index(bytes.len() - from);
        bytes[at] ^= 1 << bit;
        if let Ok(arrival) = parse_any(&bytes) {
            prop_assert_eq!(arrival.integrity, crate::Integrity::BadChecksum);
        }
    }

    /// recognise(quote8(craft(order))) = order: the first eight bytes past the IP header name the probe, and a
    /// long quote brings the evidence too.
    #[test]
    fn a_quote_names_the_probe(order in any_order(), long in any::<bool>()) {
        let request = render(&order, &[]);
        let v4 = order.destination.is_v4();
        let ip = if v4 { IPV4_LEN } else { IPV6_LEN };
        let quoted = &request[..if long { request.len() } else { ip + 8 }];
        let router = if v4 { Addr::v4([203, 0, 113, 9]) } else { Addr([0x20; 16]) };
        let mut bytes = vec![0; ip + 8 + quoted.len()];
        let reply_to = Order { destination: order.source, source: router, ..order };
        let message_len = (8 + quoted.len()) as u16;
        if v4 {
            write_ipv4(&reply_to, message_len, (&mut bytes[..ip]).try_into().unwrap());
        } else {
            write_ipv6(&reply_to, message_len, (&mut bytes[..ip]).try_into().unwrap());
        }
        bytes[ip] = if v4 { icmpv4::TIME_EXCEEDED } else { icmpv6::TIME_EXCEEDED };
        bytes[ip + 8..].copy_from_slice(quoted);
        let mut message = icmp::Message::new_unchecked(&mut bytes[ip..]);
        if v4 {
            icmpv4::fill_checksum(&mut message);
        } else {
            icmpv6::fill_checksum(&mut message, router, order.source);
        }
        let arrival = parse_any(&bytes).unwrap();
        let icmp_type = if v4 { icmpv4::TIME_EXCEEDED } else { icmpv6::TIME_EXCEEDED };
        prop_assert_eq!(arrival.kind, Kind::Error { icmp_type, code: 0 });
        prop_assert_eq!((arrival.responder, arrival.destination), (router, order.destination));
        prop_assert_eq!((arrival.identifier, arrival.sequence), (order.identifier, order.sequence));
        prop_assert_eq!(arrival.quoted.hop_limit, order.hop_limit);
        prop_assert_eq!(arrival.quoted.source, order.source);
        prop_assert_eq!(arrival.integrity, crate::Integrity::Good);
        prop_assert_eq!(arrival.evidence.is_some(), long && order.mac != 0);
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        let _either = parse_any(&bytes);
    }
}
