//! The steering program under `BPF_PROG_TEST_RUN`, and on interfaces of a network of its own. Needs root.
//!
//! Without a socket the verdict is always "pass" (`bpf_redirect_map` falls back to it): what the program thinks of
//! a frame is asserted on its counters.

mod attached;
mod frames;
mod headers;
mod sockets;

use frames::{FOREIGN, Frame, Ip, OURS, accepted, request};
use megaping_loader::{Family, LoadError, Steer, SteerConfig, SteerCounter, Verdict};

const CONFIG: SteerConfig = SteerConfig { identifier_value: 0xab00, identifier_mask: 0xff00 };

fn load() -> Steer {
    Steer::load(CONFIG).expect("this test loads an eBPF program: run it as root")
}

fn family(ip: Ip) -> Family {
    if ip == Ip::V4 { Family::V4 } else { Family::V6 }
}

/// Runs one frame without a socket: it must pass, unchanged, and be counted once; says under what.
fn judged(steer: &Steer, frame: &[u8]) -> (Family, SteerCounter) {
    let before = steer.counters().unwrap();
    let (verdict, out) = steer.test_run(frame).unwrap();
    let counted = steer.counters().unwrap() - before;
    assert_eq!(verdict, Verdict::Pass);
    assert_eq!(out, frame, "a frame that goes to the kernel is untouched");
    assert_eq!(counted.frames(), 1, "{counted:?}");
    assert_eq!(counted.redirected(), 0);
    let ours = counted.total(SteerCounter::Replies) + counted.total(SteerCounter::Errors);
    assert_eq!(counted.total(SteerCounter::NoSocket), ours);
    assert_eq!(counted.total(SteerCounter::Unstamped), 0);
    let families = [Family::V4, Family::V6, Family::Other];
    let mut all = families.into_iter().flat_map(|family| SteerCounter::ALL.map(|counter| (family, counter)));
    all.find(|(family, counter)| counted.get(*family, *counter) == 1).unwrap()
}

fn assert_judged(steer: &Steer, frame: &Frame, expected: SteerCounter) {
    assert_eq!(judged(steer, &frame.bytes()), (family(frame.ip), expected), "{frame:?}");
}

fn is_ours(verdict: SteerCounter) -> bool {
    matches!(verdict, SteerCounter::Replies | SteerCounter::Errors)
}

#[test]
fn root_every_type_and_code_is_judged_by_its_type() {
    let steer = load();
    let [high, low] = OURS.to_be_bytes();
    for ip in Ip::BOTH {
        for icmp_type in 0..=255u8 {
            for code in [0, 1, 2, 3, 4, 5, 13, 128, 255] {
                // Our identifier where an echo has it, and our request where an error quotes it.
                let frame = Frame::icmp(ip, icmp_type, code, [high, low, 0, 1], &request(ip, OURS));
                let expected = match icmp_type {
                    reply if reply == ip.reply() => SteerCounter::Replies,
                    error if ip.errors().contains(&error) => SteerCounter::Errors,
                    _ => SteerCounter::OtherIcmp,
                };
                assert_judged(&steer, &frame, expected);
            }
        }
    }
}

#[test]
fn root_every_identifier_is_judged_by_mask_and_value() {
    let configs = [
        CONFIG,
        SteerConfig { identifier_value: 0xffff, identifier_mask: 0x8001 },
        SteerConfig { identifier_value: 0x1234, identifier_mask: 0xffff },
    ];
    for config in configs {
        let steer = Steer::load(config).unwrap();
        for ip in Ip::BOTH {
            for (quoted, expected) in [(false, SteerCounter::Replies), (true, SteerCounter::Errors)] {
                let mut ours = 0;
                for high in 0..=255u16 {
                    let before = steer.counters().unwrap();
                    let mut want = 0;
                    for identifier in high << 8..=high << 8 | 0xff {
                        let frame = if quoted {
                            Frame::error(ip, 3, &request(ip, identifier))
                        } else {
                            Frame::reply(ip, identifier)
                        };
                        steer.test_run(&frame.bytes()).unwrap();
                        want +=
                            u64::from((identifier ^ config.identifier_value) & config.identifier_mask == 0);
                    }
                    let counted = steer.counters().unwrap() - before;
                    assert_eq!(counted.get(family(ip), expected), want);
                    assert_eq!(counted.get(family(ip), SteerCounter::Foreign), 256 - want);
                    ours += want;
                }
                assert_eq!(ours, 1 << config.identifier_mask.count_zeros());
            }
        }
    }
}

#[test]
fn root_every_truncation_goes_to_the_kernel() {
    let steer = load();
    for frame in accepted() {
        let bytes = frame.bytes();
        assert!(is_ours(judged(&steer, &bytes).1), "{frame:?}");
        for length in 14..bytes.len() {
            let (_, verdict) = judged(&steer, &bytes[..length]);
            assert!(!is_ours(verdict), "{length} bytes of {frame:?}: {verdict:?}");
            assert_eq!(verdict, SteerCounter::Malformed, "{length} bytes of {frame:?}");
        }
        // What Ethernet pads with does not matter.
        assert!(is_ours(judged(&steer, &[&bytes[..], &[0xff; 30]].concat()).1));
    }
    assert!(matches!(steer.test_run(&[0; 13]), Err(LoadError::TestRun { .. })), "the kernel takes no less");
}

#[test]
fn root_lengths_that_say_less_than_is_there_are_believed() {
    let steer = load();
    for frame in accepted().iter().filter(|frame| frame.tags.is_empty()) {
        let bytes = frame.bytes();
        let (at, whole) = match frame.ip {
            Ip::V4 => (16, bytes.len() - 14),
            Ip::V6 => (18, bytes.len() - 54),
        };
        let headers = whole - frame.payload.len();
        // Least that is needed of the message: its header, and of a quote the IP header and eight bytes.
        let message = match (frame.payload[0] == frame.ip.reply(), frame.ip) {
            (true, _) => 8,
            (false, Ip::V4) => 36,
            (false, Ip::V6) => 56,
        };
        for length in 0..=whole + 1 {
            let mut bytes = bytes.clone();
            bytes[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
            let ours = (headers + message..=whole).contains(&length);
            let (_, verdict) = judged(&steer, &bytes);
            assert_eq!(is_ours(verdict), ours, "length {length} in {frame:?}");
            assert!(ours || verdict == SteerCounter::Malformed);
        }
    }
}

#[test]
fn root_errors_about_other_packets_are_foreign() {
    let steer = load();
    for ip in Ip::BOTH {
        let (protocol, type_at, tcp) = if ip == Ip::V4 { (9, 20, 6) } else { (6, 40, 6) };
        for icmp_type in ip.errors() {
            let quoting = |edit: &dyn Fn(&mut Vec<u8>)| {
                let mut quote = request(ip, OURS);
                edit(&mut quote);
                Frame::error(ip, *icmp_type, &quote)
            };
            let foreign = SteerCounter::Foreign;
            assert_judged(&steer, &Frame::error(ip, *icmp_type, &request(ip, FOREIGN)), foreign);
            assert_judged(&steer, &quoting(&|quote| quote[protocol] = tcp), foreign);
            assert_judged(&steer, &quoting(&|quote| quote[protocol] = 17), foreign);
            for quoted in (0..=255).filter(|quoted| *quoted != ip.request()) {
                assert_judged(&steer, &quoting(&|quote| quote[type_at] = quoted), foreign);
            }
            for version in (0..16).filter(|version| *version != if ip == Ip::V4 { 4 } else { 6 }) {
                let frame = quoting(&|quote| quote[0] = version << 4 | quote[0] & 15);
                assert_judged(&steer, &frame, SteerCounter::Malformed);
            }
        }
    }
    // A quoted later fragment has no ICMP header, whatever its bytes look like; more may follow the first.
    let later = Frame::echo(Ip::V4, 8, OURS).fragment(0x2001).packet();
    assert_judged(&steer, &Frame::error(Ip::V4, 11, &later), SteerCounter::Foreign);
    let first = Frame::echo(Ip::V4, 8, OURS).fragment(0x2000).packet();
    assert_judged(&steer, &Frame::error(Ip::V4, 11, &first), SteerCounter::Errors);
}

#[test]
fn root_other_protocols_go_to_the_kernel() {
    let steer = load();
    // The body is that of a reply to us, so that only the protocol tells.
    let body = Frame::reply(Ip::V4, OURS).payload;
    for ip in Ip::BOTH {
        let (icmp, extensions): (u8, &[u8]) =
            if ip == Ip::V4 { (1, &[]) } else { (58, &[0, 43, 44, 51, 60]) };
        for protocol in (0..=255).filter(|protocol| *protocol != icmp && !extensions.contains(protocol)) {
            assert_judged(&steer, &Frame::new(ip, protocol, body.clone()), SteerCounter::NotIcmp);
        }
        // The versions must be those of the Ethernet type.
        let mut bytes = Frame::reply(ip, OURS).bytes();
        for version in 0..16u8 {
            bytes[frames::ETHERNET] = version << 4 | 5;
            let right = version == if ip == Ip::V4 { 4 } else { 6 };
            assert_eq!(is_ours(judged(&steer, &bytes).1), right, "{ip:?} with version {version}");
        }
    }
    for ethertype in (0..=0xffffu16).filter(|e| ![0x0800, 0x86dd, 0x8100, 0x88a8].contains(e)).step_by(13) {
        let mut frame = Frame::reply(Ip::V4, OURS).bytes();
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        assert_eq!(judged(&steer, &frame), (Family::Other, SteerCounter::NotIcmp), "{ethertype:#x}");
    }
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    assert_eq!(judged(&steer, &arp), (Family::Other, SteerCounter::NotIcmp));
}
