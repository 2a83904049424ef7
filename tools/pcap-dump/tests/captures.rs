//! Formats, link types, byte orders and clocks of captures, and what is refused.

mod common;

use common::{
    MPLS, TIME, arp, dumped, pcap, pcap_cut, pcapng, pcapng_in, reply_v4, request_v4, request_v6, sightings,
    tagged_request, time_exceeded_v4, udp_v4,
};
use pcap_dump::{Class, Error, Only, Options, Summary};
use pcap_file::{DataLink, Endianness, TsResolution};

#[test]
fn classic_captures_in_both_orders_and_clocks() {
    let packet = request_v4(1);
    for endianness in [Endianness::Big, Endianness::Little] {
        for (resolution, time_ns) in
            [(TsResolution::NanoSecond, 123_456_789), (TsResolution::MicroSecond, 123_456_000)]
        {
            let capture = pcap_cut(DataLink::IPV4, endianness, resolution, &[(&packet, 84)]);
            let seen = sightings(&capture).unwrap().remove(0);
            assert_eq!(seen.class, Class::Request);
            assert_eq!(seen.time.unwrap().0, (TIME.as_secs() * 1_000_000_000 + time_ns));
        }
    }
}

#[test]
fn pcapng_with_its_clocks_and_simple_packets() {
    let nanoseconds = TIME.as_nanos() as u64;
    for (resolution, ticks, expected) in [
        (Some(9), nanoseconds, nanoseconds),
        (Some(6), nanoseconds / 1000, nanoseconds / 1000 * 1000),
        (None, nanoseconds / 1000, nanoseconds / 1000 * 1000),
        (Some(0x80), 5, 5_000_000_000),
    ] {
        // The last packet is odd in length, and comes again in a simple block without time, padded.
        let mut odd = request_v6(2);
        odd.push(0);
        let packets = [request_v4(1), odd];
        for endianness in [Endianness::Big, Endianness::Little] {
            let capture = pcapng_in(endianness, DataLink::RAW, resolution, ticks, &packets);
            let seen = sightings(&capture).unwrap();
            let times: Vec<_> = seen.iter().map(|it| it.time.map(|time| time.0)).collect();
            assert_eq!(times, [Some(expected), Some(expected), None]);
            assert!(seen.iter().all(|it| it.class == Class::Request && it.cut.is_none()));
            assert!(seen[2].to_string().starts_with("- IP6 "), "{}", seen[2]);
        }
    }
}

#[test]
fn cooked_captures() {
    let sll = [&[0; 14][..], &[8, 0], &request_v4(1)].concat();
    let sll2 = [&[0x86, 0xdd][..], &[0; 18], &request_v6(1)].concat();
    for (link, packet) in [(DataLink::LINUX_SLL, sll), (DataLink::LINUX_SLL2, sll2)] {
        assert_eq!(sightings(&pcap(link, &[packet])).unwrap()[0].class, Class::Request);
    }
}

fn mixed() -> Vec<u8> {
    let ethernet = |packet: Vec<u8>| [&[2; 12][..], &[8, 0], &packet].concat();
    let mut harmed = reply_v4(2);
    harmed[30] ^= 1;
    let mut torn = request_v4(3);
    torn.truncate(50);
    let packets = [
        tagged_request(&[7]),
        ethernet(reply_v4(1)),
        ethernet(harmed),
        ethernet(time_exceeded_v4(&request_v4(4), &MPLS)),
        ethernet(torn),
        ethernet(udp_v4()),
        arp(),
    ];
    pcap(DataLink::ETHERNET, &packets)
}

#[test]
fn every_packet_is_counted_once_and_icmp_is_printed() {
    let (text, summary, result) = dumped(&mixed(), Options::default());
    result.unwrap();
    let expected = Summary {
        packets: 7,
        requests: 1,
        replies: 2,
        errors: 1,
        other: 2,
        malformed: 1,
        bad_checksum: 1,
        cut: 0,
    };
    assert_eq!(summary, expected);
    assert_eq!(
        summary.to_string(),
        "packets 7: requests 1, replies 2, errors 1, other 2, malformed 1; bad checksum 1, cut 0"
    );
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_choice_prints_its_own_and_counts_all() {
    for (only, lines) in [(Only::Malformed, 2), (Only::Requests, 1), (Only::Replies, 2), (Only::Errors, 1)] {
        for json in [false, true] {
            let (text, summary, _) = dumped(&mixed(), Options { json, only: Some(only) });
            assert_eq!((text.lines().count(), summary.packets), (lines, 7), "{only:?}");
            let objects = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
            assert_eq!(objects.count(), if json { lines } else { 0 });
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    assert!(matches!(sightings(&[]), Err(Error::Empty)));
    for bytes in [&b"PK"[..], b"hello, world", &[0x1f, 0x8b, 8, 0]] {
        let error = sightings(bytes).unwrap_err();
        assert!(matches!(error, Error::NotACapture(_)), "{error}");
    }
    let foreign = pcap(DataLink::IEEE802_11, &[]);
    assert!(matches!(sightings(&foreign), Err(Error::LinkType(105))));
    let foreign = pcapng(DataLink::IEEE802_11, None, 0, &[request_v4(1)]);
    assert!(matches!(sightings(&foreign), Err(Error::LinkType(105))));
}

/// A capture that ends anywhere gives the packets that are whole, and says behind which one it ended.
#[test]
fn a_torn_capture_gives_what_is_whole() {
    for (capture, header, ends) in [
        (pcap(DataLink::RAW, &[request_v4(1), request_v4(2)]), 24, [24 + 100, 24 + 200]),
        (pcapng(DataLink::RAW, None, 0, &[request_v4(1)]), 28 + 20, [28 + 20 + 116, 28 + 20 + 116 + 100]),
    ] {
        assert_eq!(capture.len(), ends[1]);
        for length in 5..capture.len() {
            let (_, summary, result) = dumped(&capture[..length], Options::default());
            assert_eq!(summary.packets, u64::from(length >= ends[0]), "length {length}");
            match result {
                Ok(()) => assert!([28, header, ends[0]].contains(&length), "length {length}"),
                Err(Error::Torn(packets)) => assert_eq!(packets, summary.packets),
                Err(error) => panic!("length {length}: {error}"),
            }
        }
    }
}

#[test]
fn contradictions_of_a_pcapng_are_named() {
    let good = pcapng(DataLink::RAW, None, 0, &[request_v4(1)]);
    let enhanced = 28 + 20 + 8;
    for (at, value, message) in [
        (enhanced, 3, "broken behind packet 0: interface 3 is named, but 1 are described before it"),
        (enhanced + 12, 200, "broken behind packet 0: a packet block says 200 bytes, but holds 84"),
    ] {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert_eq!(sightings(&bytes).unwrap_err().to_string(), message);
    }
}
