//! What is told of single packets.

mod common;

use common::{
    FAR, MPLS, NEAR, ROUTER, reply_v4, reply_v6, request_v4, request_v6, sighting, sightings, tagged_request,
    time_exceeded_v4, time_exceeded_v6, udp_v4,
};
use pcap_dump::{Class, Cut, Label};
use pcap_file::{DataLink, Endianness, TsResolution};

#[test]
fn echoes_of_both_families() {
    for (packet, text) in [
        (request_v4(5), "IP 192.0.2.1 > 198.51.100.7: ICMP echo request, id 4660, seq 5, length 64, ttl 64"),
        (reply_v4(5), "IP 198.51.100.7 > 192.0.2.1: ICMP echo reply, id 4660, seq 5, length 64, ttl 57"),
        (
            request_v6(6),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 echo request, id 4660, seq 6, length 64, ttl 64",
        ),
        (reply_v6(6), "IP6 2001:db8::2 > 2001:db8::1: ICMP6 echo reply, id 4660, seq 6, length 64, ttl 57"),
    ] {
        let seen = sighting(packet);
        assert_eq!(seen.to_string(), format!("2026-01-02T03:04:05.123456789Z {text}"));
        assert_eq!(seen.class, if text.contains("request") { Class::Request } else { Class::Reply });
        assert!(!seen.is_bad() && seen.cut.is_none());
    }
}

#[test]
fn a_time_exceeded_tells_its_quote_and_labels() {
    let expected = [
        Label { label: 24_001, tc: 0, bottom: false, ttl: 1 },
        Label { label: 16, tc: 1, bottom: true, ttl: 64 },
    ];
    for (packet, quoted) in [
        (time_exceeded_v4(&request_v4(5), &MPLS), "192.0.2.1 > 198.51.100.7"),
        (time_exceeded_v6(&request_v6(5), &MPLS), "2001:db8::1 > 2001:db8::2"),
    ] {
        let seen = sighting(packet);
        assert_eq!(
            (seen.class, seen.kind, &seen.mpls[..]),
            (Class::Error, Some("time_exceeded"), &expected[..])
        );
        let text = seen.to_string();
        let tail = format!(
            "time exceeded, length 152, ttl 61, quotes {quoted} echo request id 4660 seq 5 ttl 64, \
             mpls 24001 tc 0 s 0 ttl 1 / 16 tc 1 s 1 ttl 64"
        );
        assert!(text.ends_with(&tail), "{text}");
    }
}

#[test]
fn an_error_about_another_protocol_names_it() {
    let seen = sighting(time_exceeded_v4(&udp_v4(), &[]));
    assert_eq!(seen.class, Class::Error);
    let quoted = seen.quoted.as_ref().unwrap();
    assert_eq!((quoted.protocol, quoted.id, quoted.seq), (17, None, None));
    assert!(seen.to_string().ends_with("quotes 192.0.2.1 > 198.51.100.7 udp ttl 64"), "{seen}");
}

#[test]
fn an_mtu_is_told() {
    let mut packet = time_exceeded_v4(&request_v4(5), &[]);
    packet[20..28].copy_from_slice(&[3, 4, 0, 0, 0, 0, 0x05, 0xdc]);
    assert_eq!(sighting(packet).mtu, Some(1500));
    let mut packet = time_exceeded_v6(&request_v6(5), &[]);
    packet[40..48].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0x05, 0x00]);
    let seen = sighting(packet);
    assert_eq!((seen.kind, seen.mtu), (Some("packet_too_big"), Some(1280)));
}

#[test]
fn wrong_checksums_are_named() {
    for (at, which) in [(8, "ip"), (40, "icmp")] {
        let mut packet = request_v4(5);
        packet[at] ^= 1;
        let seen = sighting(packet);
        assert_eq!((seen.class, &seen.bad_checksum[..]), (Class::Request, &[which][..]));
        assert!(seen.is_bad() && seen.to_string().contains(&format!(" [bad {which} checksum]")));
    }
    let mut packet = request_v6(5);
    packet[8] ^= 1; // the source address, which the checksum covers
    assert_eq!(sighting(packet).bad_checksum, ["icmp"]);

    let mut harmed = MPLS;
    harmed[9] ^= 1;
    let seen = sighting(time_exceeded_v4(&request_v4(5), &harmed));
    assert_eq!((seen.class, &seen.bad_checksum[..]), (Class::Error, &["extension"][..]));
    assert!(seen.mpls.is_empty());
}

#[test]
fn malformed_packets_say_why() {
    let mutated = |at: usize, value: u8| {
        let mut packet = request_v4(5);
        packet[at] = value;
        packet
    };
    let mut object = MPLS;
    object[2..4].copy_from_slice(&[0xc5, 0xd0]);
    object[5] = 16; // beyond the end
    for (packet, reason) in [
        (mutated(3, 85), "the IP header says 85 bytes from its start, but 84 are there"),
        (mutated(3, 19), "total length 19 is less than the IPv4 header's 20 bytes"),
        (mutated(0, 0x44), "IPv4 header (version, length) contradicts itself"),
        (mutated(0, 0x15), "IP header (version) contradicts itself"),
        (request_v4(5)[..19].to_vec(), "IPv4 header (version, length) is incomplete"),
        (mutated(3, 27), "ICMP header is incomplete"),
        (request_v6(5)[..39].to_vec(), "IPv6 header (version) is incomplete"),
        (vec![], "IP header (version) is incomplete"),
        (time_exceeded_v4(&[0x65; 60], &[]), "quoted packet contradicts itself"),
        (time_exceeded_v4(&request_v4(5), &object), "extension object is incomplete"),
    ] {
        let seen = sighting(packet);
        assert_eq!((seen.class, seen.malformed.as_deref()), (Class::Malformed, Some(reason)));
        assert!(seen.to_string().contains(&format!("[malformed packet 1: {reason}]")), "{seen}");
    }
}

#[test]
fn fragments_and_other_protocols_are_left_alone() {
    let mut first = request_v4(5);
    first[6] = 0x20;
    let seen = sighting(first);
    assert_eq!((seen.class, seen.kind, seen.icmp), (Class::Other, Some("fragment"), true));
    let seen = sighting(udp_v4());
    assert_eq!((seen.class, seen.kind, seen.protocol, seen.is_bad()), (Class::Other, None, Some(17), false));
}

#[test]
fn tags_are_told_from_the_outside() {
    for tags in [&[][..], &[7], &[100, 7]] {
        let seen = sightings(&common::pcap(DataLink::ETHERNET, &[tagged_request(tags)])).unwrap().remove(0);
        assert_eq!((seen.class, &seen.vlan[..]), (Class::Request, tags));
        let tail = tags.iter().map(u16::to_string).collect::<Vec<_>>().join(".");
        assert!(tags.is_empty() || seen.to_string().ends_with(&format!(", vlan {tail}")), "{seen}");
    }
}

/// At whatever byte the capture cuts, nobody is blamed; the same bytes as a whole packet are malformed.
#[test]
fn a_cut_packet_is_not_malformed() {
    for packet in [
        request_v4(5),
        request_v6(5),
        time_exceeded_v4(&request_v4(5), &MPLS),
        time_exceeded_v6(&request_v6(5), &MPLS),
    ] {
        for length in 0..packet.len() {
            let (data, original) = (&packet[..length], packet.len() as u32);
            let capture = |original| {
                let packets = &[(data, original)];
                common::pcap_cut(DataLink::RAW, Endianness::Big, TsResolution::MicroSecond, packets)
            };
            let seen = sightings(&capture(original)).unwrap().remove(0);
            assert!(!seen.is_bad(), "{length}: {seen}");
            assert_eq!(seen.cut, Some(Cut { captured: length, original: packet.len() }));
            let whole = sightings(&capture(length as u32)).unwrap().remove(0);
            assert_eq!(whole.class, Class::Malformed, "{length}: {whole}");
        }
    }
}

#[test]
fn cut_padding_is_no_cut() {
    let packet = request_v4(5);
    let packets = &[(&packet[..], packet.len() as u32 + 4)];
    let capture = common::pcap_cut(DataLink::RAW, Endianness::Little, TsResolution::NanoSecond, packets);
    let seen = sightings(&capture).unwrap().remove(0);
    assert_eq!((seen.class, seen.cut), (Class::Request, None));
    assert_eq!(seen.length, Some(64));
}

#[test]
fn json_has_the_same() {
    let seen = sighting(time_exceeded_v4(&request_v4(5), &MPLS));
    let json = serde_json::to_value(&seen).unwrap();
    let [router, near, far] = [ROUTER, NEAR, FAR].map(|it| std::net::Ipv4Addr::from(it).to_string());
    let expected = serde_json::json!({
        "packet": 1, "time": "2026-01-02T03:04:05.123456789Z", "class": "error", "src": router, "dst": near,
        "ttl": 61, "protocol": 1, "kind": "time_exceeded", "type": 11, "code": 0, "length": 152,
        "quoted": { "src": near, "dst": far, "ttl": 64, "protocol": 1, "id": 4660, "seq": 5 },
        "mpls": [
            { "label": 24001, "tc": 0, "bottom": false, "ttl": 1 },
            { "label": 16, "tc": 1, "bottom": true, "ttl": 64 },
        ],
    });
    assert_eq!(json, expected);
}
