//! The world program under `BPF_PROG_TEST_RUN`: verdicts, bytes and counters, against the model. Needs root.

mod common;

use std::net::IpAddr;

use common::{ETHERNET, Echo, read, read_error};
use megaping_loader::world::model::{self, Fate, Nat, Tos, Way};
use megaping_loader::{Counter, Counters, Family, Quote, Verdict, World, WorldConfig};

const TARGETS: [&str; 2] = ["10.1.2.3", "fd00:1::5"];

fn load(config: &WorldConfig) -> World {
    World::load(config).expect("this test loads an eBPF program: run it as root")
}

/// Runs one frame; the verdict, the frame after it, and what was counted.
fn run(world: &World, frame: &[u8]) -> (Verdict, Vec<u8>, Counters) {
    let before = world.counters().unwrap();
    let (verdict, out) = world.test_run(frame).unwrap();
    let counted = world.counters().unwrap() - before;
    assert!(counted.balanced(), "{counted:?}");
    assert_eq!(counted.total(Counter::Failed), 0);
    (verdict, out, counted)
}

/// Exactly these counters of the target's family are one, and nothing else was counted.
fn assert_counted(counted: &Counters, to: IpAddr, expected: &[Counter]) {
    let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
    for counter in Counter::ALL {
        let want = u64::from(expected.contains(&counter));
        assert_eq!(counted.get(family, counter), want, "{} to {to}", counter.name());
        assert_eq!(counted.total(counter), want);
    }
}

/// A reply to `echo`, as it should be but for the checksum and one payload bit.
fn assert_reply(echo: &Echo, out: &[u8], from: IpAddr, path: u8) -> Vec<u8> {
    let answer = read(out);
    assert_eq!((answer.from, answer.to), (from, echo.from));
    assert_eq!(answer.hop_limit, 64 - (path - 1));
    assert_eq!(answer.icmp[..2], if echo.to.is_ipv4() { [0, 0] } else { [129, 0] });
    assert_eq!(answer.icmp[4..8], [&echo.id.to_be_bytes()[..], &echo.seq.to_be_bytes()[..]].concat());
    assert_eq!(answer.icmp.len(), 8 + echo.payload.len());
    answer.icmp[8..].to_vec()
}

/// An error about `echo` from the router of `hop`, with all that the model foretells of it.
fn assert_error(config: &WorldConfig, echo: &Echo, out: &[u8], hop: u8, kind: [u8; 2]) -> usize {
    let v4 = echo.to.is_ipv4();
    let (answer, router) = (read(out), model::router(config, &way(echo), hop));
    assert_eq!((answer.from, answer.to), (router.address, echo.from));
    assert_eq!(answer.hop_limit, 255 - (hop - 1));
    assert_eq!(answer.icmp[..2], kind);
    assert!(answer.icmp_checksum_ok);
    let extended = !router.labels.is_empty() || router.interface;
    let report = read_error(&answer.icmp, v4, extended);
    assert_eq!(report.labels, router.labels);
    assert_eq!(report.interface, router.interface.then_some((hop.into(), 1500)));
    assert_eq!(report.told, extended && !router.legacy);
    // The packet as that router saw it: the same with a smaller hop limit, and what was rewritten on the way.
    let mut seen = Echo { hop_limit: echo.hop_limit - (hop - 1), ..echo.clone() };
    match router.nat {
        Some(Nat::Source) => seen.from = model::nat_source(v4),
        Some(Nat::Destination) => seen.to = model::nat_destination(echo.to),
        None => {}
    }
    match router.tos {
        Some(Tos::Dscp) => seen.traffic_class = 0x20 | seen.traffic_class & 3,
        Some(Tos::Ecn) => seen.traffic_class |= 3,
        None => {}
    }
    let packet = &seen.frame()[ETHERNET..];
    let limit = match (config.quote, v4) {
        (Quote::Eight, true) => 28,
        (Quote::Eight, false) => 48,
        (Quote::Full, _) if extended => 128,
        (Quote::Full, true) => 548,
        (Quote::Full, false) => 1232,
    };
    let quoted = packet.len().min(limit);
    assert_eq!(report.quote[..quoted], packet_with_original_icmp(echo, packet)[..quoted]);
    assert!(report.quote[quoted..].iter().all(|b| *b == 0), "padding is zero");
    assert_eq!(report.quote.len(), if extended { 128 } else { quoted });
    report.labels.len()
}

fn way(echo: &Echo) -> Way {
    Way { to: echo.to, flow: echo.flow(), at_ns: 1 }
}

/// Nothing of the rewriting reaches the ICMP part: only the IP header differs.
fn packet_with_original_icmp(echo: &Echo, packet: &[u8]) -> Vec<u8> {
    let header = if echo.to.is_ipv4() { 20 } else { 40 };
    [&packet[..header], &echo.frame()[ETHERNET + header..]].concat()
}

#[test]
fn root_plain_echo_is_answered_at_every_length() {
    for verify in [false, true] {
        let world = load(&WorldConfig { verify, ..WorldConfig::default() });
        for to in TARGETS {
            for length in (0..70).chain([511, 512, 1000, 1452, 1471, 1472, 2000, 3000]) {
                let echo = Echo::to(to).payload_len(length);
                let (verdict, out, counted) = run(&world, &echo.frame());
                assert_eq!(verdict, Verdict::Redirect);
                assert_eq!(assert_reply(&echo, &out, echo.to, 1), echo.payload);
                assert!(read(&out).icmp_checksum_ok, "{to}, {length} bytes");
                assert_counted(&counted, echo.to, &[Counter::Requests, Counter::Replies]);
            }
        }
    }
}

#[test]
fn root_every_truncation_is_passed_and_every_padding_is_cut() {
    let world = load(&WorldConfig { verify: true, ..WorldConfig::default() });
    for to in TARGETS {
        let echo = Echo::to(to);
        let frame = echo.frame();
        for length in ETHERNET..frame.len() {
            let (verdict, out, counted) = run(&world, &frame[..length]);
            assert_eq!(verdict, Verdict::Pass, "{to} cut at {length}");
            assert_eq!(out, frame[..length], "what is passed is untouched");
            assert_counted(&counted, echo.to, &[Counter::Passed]);
        }
        for padding in 1..30 {
            let padded = [&frame[..], &vec![0xaa; padding]].concat();
            let (verdict, out, counted) = run(&world, &padded);
            assert_eq!(verdict, Verdict::Redirect);
            assert_eq!(assert_reply(&echo, &out, echo.to, 1), echo.payload);
            assert_counted(&counted, echo.to, &[Counter::Requests, Counter::Replies]);
        }
    }
}

#[test]
fn root_what_is_not_a_request_is_passed_untouched() {
    let world = load(&WorldConfig::default());
    let change = |to: &str, at: usize, value: u8| {
        let mut frame = Echo::to(to).frame();
        frame[at] = value;
        frame
    };
    let frames = [
        ("an echo reply", change("10.1.2.3", 34, 0)),
        ("an unknown code", change("10.1.2.3", 35, 1)),
        ("IPv4 options", change("10.1.2.3", 14, 0x46)),
        ("a first fragment", change("10.1.2.3", 20, 0x20)),
        ("a later fragment", change("10.1.2.3", 21, 1)),
        ("UDP", change("10.1.2.3", 23, 17)),
        ("a length below the headers", change("10.1.2.3", 17, 27)),
        ("multicast", Echo::to("224.0.0.1").frame()),
        ("broadcast", Echo::to("255.255.255.255").frame()),
        ("an ICMPv6 reply", change("fd00:1::5", 54, 129)),
        ("a neighbour solicitation", change("fd00:1::5", 54, 135)),
        ("an extension header", change("fd00:1::5", 20, 0)),
        ("IPv6 multicast", Echo::to("ff02::1").frame()),
        ("a length below ICMPv6's header", change("fd00:1::5", 19, 7)),
        ("ARP", change("10.1.2.3", 13, 6)),
        ("a VLAN tag", change("10.1.2.3", 12, 0x81)),
    ];
    for (what, frame) in frames {
        let (verdict, out, counted) = run(&world, &frame);
        assert_eq!(verdict, Verdict::Pass, "{what}");
        assert_eq!(out, frame, "{what}");
        assert_eq!(counted.total(Counter::Passed), 1, "{what}");
    }
}

#[test]
fn root_a_wrong_checksum_is_malformed_wherever_it_is() {
    let world = load(&WorldConfig { verify: true, ..WorldConfig::default() });
    for (to, first) in [("10.1.2.3", ETHERNET + 20), ("fd00:1::5", ETHERNET + 40)] {
        for length in [0, 1, 2, 3, 55, 56] {
            let echo = Echo::to(to).payload_len(length);
            let frame = echo.frame();
            for at in first + 2..frame.len() {
                let mut spoiled = frame.clone();
                spoiled[at] ^= 0x10;
                let (verdict, _, counted) = run(&world, &spoiled);
                assert_eq!(verdict, Verdict::Drop, "{to}, byte {at}");
                assert_counted(&counted, echo.to, &[Counter::Malformed]);
            }
        }
    }
    let mut spoiled = Echo::to("10.1.2.3").frame();
    spoiled[ETHERNET + 1] ^= 1;
    let (verdict, _, counted) = run(&world, &spoiled);
    assert_eq!((verdict, counted.total(Counter::Malformed)), (Verdict::Drop, 1), "IPv4 header checksum");
}

/// Found by the test below: the incremental checksum (RFC 1624) of a reply whose bytes are all zero came out as 0,
/// which no receiver accepts. The other request's reply sums to 0xffff, where 0 would have been right as well.
#[test]
fn root_replies_of_zeroes_have_a_checksum_that_verifies() {
    let world = load(&WorldConfig { verify: true, ..WorldConfig::default() });
    for (id, payload) in [(0, vec![]), (0, vec![0; 56]), (0xffff, vec![0; 56])] {
        let echo = Echo { id, seq: 0, payload, ..Echo::to("10.0.0.1") };
        let (verdict, out, counted) = run(&world, &echo.frame());
        assert_eq!(verdict, Verdict::Redirect);
        assert!(read(&out).icmp_checksum_ok, "{:02x?}", &out[ETHERNET..]);
        assert_counted(&counted, echo.to, &[Counter::Requests, Counter::Replies]);
    }
}

/// Every behaviour at once, many destinations and packets, both quotes, with and without labels: the program and
/// the model agree about each of them.
#[test]
fn root_the_program_does_what_the_model_says() {
    let mut kinds = std::collections::BTreeMap::new();
    for (seed, quote, mpls_ppm) in
        [(1, Quote::Full, 0), (2, Quote::Eight, 0), (3, Quote::Full, 500_000), (4, Quote::Eight, 1_000_000)]
    {
        let config = WorldConfig {
            seed,
            dead_ppm: 100_000,
            unreachable_ppm: 100_000,
            other_address_ppm: 100_000,
            loss_ppm: 100_000,
            corrupt_ppm: 100_000,
            mpls_ppm,
            min_hops: 1,
            max_hops: 20,
            quote,
            verify: true,
            ..WorldConfig::default()
        };
        let world = load(&config);
        for i in 0..1_000u16 {
            for base in ["10.7", "fd00:7:"] {
                let to = match base {
                    "10.7" => format!("10.7.{}.{}", i >> 8, i & 0xff),
                    _ => format!("fd00:7:{i:x}::{i:x}"),
                };
                let length = [0, 5, 8, 56, 60, 90, 300, 600, 1300][usize::from(i) % 9];
                let hop_limit = [64, 1, 3, 8, 0, 255, 20][usize::from(i) % 7];
                let echo =
                    Echo { id: i * 7, seq: i, ..Echo::to(&to) }.payload_len(length).hop_limit(hop_limit);
                *kinds.entry(check_against_model(&world, &config, &echo)).or_insert(0) += 1;
            }
        }
    }
    let names = ["corrupt", "dead", "dropped", "labelled", "other", "reply", "time exceeded", "unreachable"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), names, "every behaviour was met: {kinds:?}");
    assert!(kinds.values().all(|n| *n > 50), "{kinds:?}");
}

/// Routers that are not alike: each trait was met in both families, with both quotes, before a change and after.
#[test]
fn root_routers_are_as_unlike_as_the_model_says() {
    let mut kinds = std::collections::BTreeMap::new();
    for (seed, quote, change_at_ns) in [(1, Quote::Full, 0), (2, Quote::Eight, u64::MAX)] {
        let config = WorldConfig {
            seed,
            unreachable_ppm: 100_000,
            mpls_ppm: 300_000,
            min_hops: 6,
            max_hops: 20,
            silent_ppm: 100_000,
            limited_ppm: 200_000,
            ecmp_ppm: 400_000,
            ecmp_width: 3,
            nat_source_ppm: 200_000,
            nat_destination_ppm: 200_000,
            tos_ppm: 400_000,
            interface_ppm: 300_000,
            legacy_ppm: 300_000,
            change_ppm: 500_000,
            change_at_ns,
            quote,
            verify: true,
            ..WorldConfig::default()
        };
        let world = load(&config);
        for i in 0..1_000u16 {
            for to in
                [format!("10.{}.{}.{}", i & 7, i >> 8, i & 0xff), format!("fd00:{}:{i:x}::{i:x}", i & 7)]
            {
                let length = [0, 56, 60, 90, 300, 1300][usize::from(i) % 6];
                let hop_limit = (i % 21) as u8 + 1;
                let echo = Echo { id: i * 7, seq: i, flow_label: (i * 3).into(), ..Echo::to(&to) };
                let echo = echo.payload_len(length).hop_limit(hop_limit);
                *kinds.entry(check_against_model(&world, &config, &echo)).or_insert(0) += 1;
            }
        }
    }
    let names = ["labelled", "limited", "reply", "silent", "time exceeded", "unreachable"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), names, "every behaviour was met: {kinds:?}");
    assert!(kinds.values().all(|n| *n > 50), "{kinds:?}");
}

fn check_against_model(world: &World, config: &WorldConfig, echo: &Echo) -> &'static str {
    let v4 = echo.to.is_ipv4();
    let (verdict, out, counted) = run(world, &echo.frame());
    let path = model::path_length(config, echo.to);
    let foretold = model::fate(config, &way(echo), echo.hop_limit, echo.id, echo.seq, &echo.payload);
    let (counter, kind) = match foretold {
        Fate::Dropped => (Counter::Dropped, "dropped"),
        Fate::Dead => (Counter::Dead, "dead"),
        Fate::Silent(_) => (Counter::Silent, "silent"),
        Fate::Limited(_) => (Counter::Limited, "limited"),
        Fate::Reply(from) => {
            assert_eq!(assert_reply(echo, &out, from, path), echo.payload);
            assert!(read(&out).icmp_checksum_ok, "{echo:?}: {:02x?}", &out[ETHERNET..]);
            (Counter::Replies, if from == echo.to { "reply" } else { "other" })
        }
        Fate::Corrupt(from, byte, bit) => {
            let mut payload = assert_reply(echo, &out, from, path);
            if let Some(spoiled) = payload.get_mut(byte) {
                *spoiled ^= 1 << bit;
            }
            assert_eq!(payload, echo.payload);
            assert!(!read(&out).icmp_checksum_ok);
            (Counter::Corrupted, "corrupt")
        }
        Fate::TimeExceeded(hop) => {
            let labels = assert_error(config, echo, &out, hop, if v4 { [11, 0] } else { [3, 0] });
            (Counter::TimeExceeded, if labels > 0 { "labelled" } else { "time exceeded" })
        }
        Fate::Unreachable(hop) => {
            let labels = assert_error(config, echo, &out, hop, if v4 { [3, 1] } else { [1, 3] });
            (Counter::Unreachable, if labels > 0 { "labelled" } else { "unreachable" })
        }
    };
    let mut expected = vec![Counter::Requests, counter];
    if kind == "other" {
        expected.push(Counter::OtherAddress);
    }
    if kind == "labelled" {
        expected.push(Counter::Mpls);
    }
    assert_counted(&counted, echo.to, &expected);
    let silent = matches!(counter, Counter::Dropped | Counter::Dead | Counter::Silent | Counter::Limited);
    assert_eq!(verdict, if silent { Verdict::Drop } else { Verdict::Redirect });
    kind
}

#[test]
fn root_configuration_and_counters_are_read_back_and_reset() {
    let world = load(&WorldConfig::default());
    assert_eq!(world.config().unwrap(), WorldConfig::default());
    assert_eq!(world.mode(), None);
    let config = WorldConfig { dead_ppm: 1_000_000, seed: 9, ..WorldConfig::default() };
    world.set_config(&config).unwrap();
    assert_eq!(world.config().unwrap(), config);
    let (verdict, _, counted) = run(&world, &Echo::to("10.0.0.1").frame());
    assert_eq!((verdict, counted.total(Counter::Dead)), (Verdict::Drop, 1));
    assert!(world.set_config(&WorldConfig { max_hops: 65, ..config }).is_err());
    assert_eq!(world.config().unwrap(), config, "a refused configuration changes nothing");
    world.reset().unwrap();
    assert_eq!(world.counters().unwrap(), Counters::default());
}
