//! What comes through, and how it is told.

use megaping_ring::{Layer, Outgoing, RawConfig, TakenBy};

use crate::lab::{
    self, FOREIGN, ICMP_V4, ICMP_V6, OURS, SocketRing, Tap, V4, V6, config, echo_request, exchange,
    in_own_network, outgoing, packet, with_each_ring,
};

with_each_ring!(
    root_a_thousand_echoes_of_each_family_return_with_kernel_stamps,
    root_errors_pass_when_they_quote_us_and_only_then,
    root_the_headers_on_the_wire_are_those_that_were_asked_for,
    root_what_the_kernel_drops_is_counted_to_the_last_message,
    root_ipv6_replies_with_a_wrong_checksum_never_come_and_are_no_drops_of_ours,
    root_messages_longer_than_a_buffer_are_counted_and_kept_back,
    root_park_sleeps_until_the_time_or_an_arrival,
);

fn root_a_thousand_echoes_of_each_family_return_with_kernel_stamps<R: SocketRing>() {
    in_own_network(|| {
        let mut ring = R::over(&config()).expect("it opens");
        let began_ns = ring.now_ns();
        // Even tokens are IPv4, odd ones IPv6; every tenth bears an identifier that is not ours.
        let packets: Vec<_> = (0..2_000u64)
            .map(|token| {
                let destination = if token % 2 == 0 { V4 } else { V6 };
                let identifier = if token % 10 == 5 || token % 10 == 6 { FOREIGN } else { OURS };
                let bytes = echo_request(destination, identifier, token, 84);
                (outgoing(token, destination, bytes.len()), bytes)
            })
            .collect();
        let run = exchange(&mut ring, &packets);
        let ended_ns = ring.now_ns();
        assert_eq!(run.came.len(), 1_600, "all of ours, none of the others, no request of our own");
        let came = run.by_token();
        for (token, came) in &came {
            assert!(token % 10 != 5 && token % 10 != 6);
            let icmp_type = came.icmp()[0];
            match came.layer {
                Layer::Ipv4 => assert_eq!((token % 2, icmp_type, came.bytes.len()), (0, 0, 84)),
                Layer::Icmpv6 { source, hop_limit, traffic_class } => {
                    assert_eq!((token % 2, icmp_type, came.bytes.len()), (1, 129, 84 - ICMP_V6));
                    assert_eq!((source[15], hop_limit, traffic_class), (1, 64, 0));
                }
                Layer::Ipv6 => panic!("raw sockets give no IPv6 header"),
            }
            let left = run.result(*token).expect("it left");
            assert_eq!((left.taken_by, came.stamp.taken_by), (TakenBy::User, TakenBy::Kernel));
            assert!(left.at_ns >= began_ns && came.stamp.at_ns <= ended_ns);
            let slack_ns = u64::from(left.error_ns) + u64::from(came.stamp.error_ns);
            assert!(
                came.stamp.at_ns + slack_ns >= left.at_ns,
                "a reply comes after its request, within the bounds"
            );
        }
        assert_eq!(came.len(), 1_600);
        let counters = ring.counters();
        assert_eq!((counters.rx_dropped, counters.rx_truncated), (0, 0));
        assert!(
            counters.syscalls >= 2_000 / 16 && counters.syscalls < 2_000,
            "{counters:?}: batches, not packets"
        );
    });
}

fn root_errors_pass_when_they_quote_us_and_only_then<R: SocketRing>() {
    in_own_network(|| {
        let mut ring = R::over(&config()).expect("it opens");
        let mut packets = Vec::new();
        let mut add = |destination, icmp_type, identifier| {
            let quoted = echo_request(destination, identifier, packets.len() as u64, 84);
            let bytes = packet(destination, icmp_type, [0; 4], &quoted);
            packets.push((outgoing(packets.len() as u64, destination, bytes.len()), bytes));
        };
        for identifier in [OURS, FOREIGN] {
            for icmp_type in [3, 11, 12, 13, 17, 42] {
                add(V4, icmp_type, identifier);
            }
            for icmp_type in [1, 2, 3, 4, 5, 100, 127] {
                add(V6, icmp_type, identifier);
            }
        }
        let run = exchange(&mut ring, &packets);
        let mut types: Vec<_> =
            run.came.iter().map(|came| (came.layer == Layer::Ipv4, came.icmp()[0])).collect();
        types.sort_unstable();
        assert_eq!(
            types,
            [(false, 1), (false, 2), (false, 3), (false, 4), (true, 3), (true, 11), (true, 12)]
        );
        assert!(
            run.came.iter().all(|came| came.icmp()[8] >> 4 == if came.layer == Layer::Ipv4 { 4 } else { 6 })
        );
    });
}

fn root_the_headers_on_the_wire_are_those_that_were_asked_for<R: SocketRing>() {
    in_own_network(|| {
        let mut ring = R::over(&config()).expect("it opens");
        let tap = Tap::open();
        let mut packets = Vec::new();
        for (token, hop_limit, traffic_class, label) in
            [(0, 64, 0, 0), (1, 7, 0, 0x12345), (2, 64, 184, 0xfffff), (3, 255, 3, 1)]
        {
            for destination in [V4, V6] {
                let mut bytes = echo_request(destination, OURS, token, 84);
                if destination.is_ipv4() {
                    (bytes[1], bytes[8]) = (traffic_class, hop_limit);
                } else {
                    let first = 6u32 << 28 | u32::from(traffic_class) << 20 | label;
                    bytes[..4].copy_from_slice(&first.to_be_bytes());
                    bytes[7] = hop_limit;
                }
                let outgoing = outgoing(token, destination, bytes.len());
                packets.push((Outgoing { hop_limit, traffic_class, ..outgoing }, bytes));
            }
        }
        let run = exchange(&mut ring, &packets);
        assert_eq!(run.came.len(), packets.len());
        let seen = tap.packets();
        for (outgoing, mut bytes) in packets {
            if outgoing.destination.is_ipv4() {
                // The kernel fills the source, which is zero here, and with it the header's checksum.
                bytes[12..16].copy_from_slice(&[127, 0, 0, 1]);
                let sum = lab::checksum(&bytes[..ICMP_V4], 0);
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                assert_eq!(bytes[4..8], [0, 0, 0x40, 0], "Don't Fragment, and no identification");
            }
            let copies = seen.iter().filter(|packet| **packet == bytes).count();
            assert_eq!(copies, 2, "byte for byte, out and in: {outgoing:?}");
        }
    });
}

fn root_what_the_kernel_drops_is_counted_to_the_last_message<R: SocketRing>() {
    in_own_network(|| {
        let small = RawConfig { ipv6: false, receive_buffer_bytes: 8_192, queue: 4_096, ..config() };
        let mut ring = R::over(&small).expect("it opens");
        // Replies that nobody asked for: the kernel counts whatever comes while the buffer is full, before it
        // looks at any filter, and on a loopback requests come too.
        let bytes = packet(V4, 0, [0x4d, 7, 0, 1], &[0x5a; 56]);
        let mut sent = 0;
        let fill = |buffer: &mut [u8]| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            sent += 1;
            Some(outgoing(sent, V4, bytes.len()))
        };
        assert_eq!(ring.send(1_000, fill).expect("the ring lives"), 1_000);
        assert_eq!(ring.reap(2_000, |departure| assert!(departure.result.is_ok())).ok(), Some(1_000));
        let before = ring.counters().rx_dropped;
        assert!(before > 900, "a small buffer overflows: {before}");
        let came = ring.recv(2_000, |_| ()).expect("the ring lives");
        assert_eq!(u64::from(came) + ring.counters().rx_dropped, 1_000);
        assert_eq!(ring.counters().rx_dropped, before, "told beside a message or asked for, it counts once");
        // Now that there is room again, the next reply tells of the drops before it.
        assert_eq!(exchange(&mut ring, &[(outgoing(1, V4, bytes.len()), bytes)]).came.len(), 1);
        assert_eq!(ring.counters().rx_dropped, before);
    });
}

fn root_ipv6_replies_with_a_wrong_checksum_never_come_and_are_no_drops_of_ours<R: SocketRing>() {
    in_own_network(|| {
        let mut ring = R::over(&config()).expect("it opens");
        let tap = Tap::open();
        let mut reply = packet(V6, 129, [0x4d, 7, 0, 1], &[0x5a; 24]);
        tap.inject_ipv6(&reply);
        *reply.last_mut().expect("it has bytes") ^= 1;
        tap.inject_ipv6(&reply);
        assert_eq!(exchange(&mut ring, &[]).came.len(), 1, "the good one alone");
        assert_eq!(ring.counters().rx_dropped, 0, "the network harmed it, not we");
    });
}

fn root_messages_longer_than_a_buffer_are_counted_and_kept_back<R: SocketRing>() {
    in_own_network(|| {
        let mut sender = R::over(&config()).expect("it opens");
        let mut small = R::over(&RawConfig { mtu: 100, ..config() }).expect("it opens");
        let packets = [(V4, 100), (V4, 101), (V6, 140), (V6, 141)].map(|(destination, len)| {
            let bytes = echo_request(destination, OURS, len as u64, len);
            (outgoing(len as u64, destination, len), bytes)
        });
        assert_eq!(exchange(&mut sender, &packets).came.len(), 4);
        assert_eq!(exchange(&mut small, &[]).came.len(), 2, "an IPv6 buffer is not charged for the header");
        assert_eq!(small.counters().rx_truncated, 2);
    });
}

fn root_park_sleeps_until_the_time_or_an_arrival<R: SocketRing>() {
    in_own_network(|| {
        let mut ring = R::over(&config()).expect("it opens");
        let until_ns = ring.now_ns() + 20_000_000;
        ring.park(until_ns, true).expect("the ring lives");
        let now_ns = ring.now_ns();
        assert!(now_ns >= until_ns && now_ns < until_ns + 1_000_000_000);
        let bytes = echo_request(V6, OURS, 1, 84);
        let fill = |buffer: &mut [u8]| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Some(outgoing(1, V6, bytes.len()))
        };
        assert_eq!(ring.send(1, fill).ok(), Some(1));
        let until_ns = ring.now_ns() + 5_000_000_000;
        ring.park(until_ns, true).expect("the ring lives");
        assert!(ring.now_ns() < until_ns, "the reply woke it");
        assert_eq!(ring.recv(8, |_| ()).ok(), Some(1));
        ring.park(0, true).expect("a time that has passed is no wait");
    });
}
