//! The kernel ring's program over received frames, by `BPF_PROG_TEST_RUN`: what it makes of each, and that it judges
//! as the steering program does. Needs root; nothing is attached.

#[path = "../steer/frames.rs"]
mod frames;
mod full;
mod packets;
mod random;
mod replies;
mod rig;

use frames::{ETHERNET, FOREIGN, Frame, Ip, OURS, accepted, extension, fragment_header, request};
use megaping_loader::{Kernel, LoadError};
use rig::{CONFIG, Rig, is_ours};

#[test]
fn root_every_type_and_code_is_judged_as_by_the_steering_program() {
    let rig = Rig::load();
    let [high, low] = OURS.to_be_bytes();
    for ip in Ip::BOTH {
        let (mut replies, mut packets) = (0, 0);
        for icmp_type in 0..=255u8 {
            for code in 0..=255u8 {
                let frame = Frame::icmp(ip, icmp_type, code, [high, low, 0, 1], &request(ip, OURS));
                let seen = rig.run(&frame.bytes());
                let of_type = icmp_type == ip.reply() || ip.errors().contains(&icmp_type);
                assert_eq!(is_ours(seen.verdict), of_type, "type {icmp_type}, code {code}, {ip:?}");
                // A reply with a code is nothing plain: the parser shall see it.
                assert_eq!(seen.reply.is_some(), icmp_type == ip.reply() && code == 0);
                replies += u32::from(seen.reply.is_some());
                packets += u32::from(seen.packet.is_some());
            }
        }
        assert_eq!((replies, packets), (1, 256 * ip.errors().len() as u32 + 255));
    }
}

#[test]
fn root_every_identifier_is_judged_by_mask_and_value() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        for identifier in 0..=u16::MAX {
            let seen = rig.run(&Frame::reply(ip, identifier).bytes());
            assert_eq!(seen.reply.is_some(), identifier & 0xff00 == 0xab00, "{identifier:#x}");
        }
        for identifier in (0..=u16::MAX).step_by(97).chain(0xaaf0..0xac10) {
            let seen = rig.run(&Frame::error(ip, 3, &request(ip, identifier)).bytes());
            assert_eq!(seen.packet.is_some(), identifier & 0xff00 == 0xab00, "{identifier:#x}");
        }
    }
}

#[test]
fn root_every_truncation_is_judged_as_by_the_steering_program() {
    let rig = Rig::load();
    for frame in accepted() {
        let bytes = frame.bytes();
        assert!(is_ours(rig.run(&bytes).verdict), "{frame:?}");
        for length in 14..bytes.len() {
            assert!(!is_ours(rig.run(&bytes[..length]).verdict), "{length} bytes of {frame:?}");
        }
    }
    assert!(
        matches!(rig.kernel.test_run(&[0; 13]), Err(LoadError::TestRun { .. })),
        "the kernel takes no less"
    );
}

#[test]
fn root_lengths_that_lie_and_padding_never_make_a_plain_reply() {
    let rig = Rig::load();
    for frame in accepted() {
        let bytes = frame.bytes();
        for padding in [1, 2, 3, 30, 500] {
            let padded = [&bytes[..], &vec![0xff; padding]].concat();
            let seen = rig.run(&padded);
            assert_eq!(seen.packet.as_deref(), Some(&padded[ETHERNET + 4 * frame.tags.len()..]), "{frame:?}");
        }
    }
    for ip in Ip::BOTH {
        let bytes = Frame::reply(ip, OURS).bytes();
        let (at, whole) = if ip == Ip::V4 { (16, bytes.len() - 14) } else { (18, bytes.len() - 54) };
        for length in (0..=u16::MAX).filter(|length| usize::from(*length) != whole) {
            let mut bytes = bytes.clone();
            bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
            assert_eq!(rig.run(&bytes).reply, None, "length {length} of {whole}");
        }
    }
}

#[test]
fn root_what_stands_before_the_message_is_judged_as_by_the_steering_program() {
    let rig = Rig::load();
    let mut frames = Vec::new();
    for ip in Ip::BOTH {
        for frame in
            [Frame::reply(ip, OURS), Frame::error(ip, 3, &request(ip, OURS)), Frame::reply(ip, FOREIGN)]
        {
            for tags in [&[0x8100u16][..], &[0x88a8, 0x8100], &[0x8100; 3], &[0x9100]] {
                frames.push(frame.clone().tags(tags));
            }
            for protocol in 0..=255 {
                frames.push(Frame::new(ip, protocol, frame.payload.clone()));
            }
            if ip == Ip::V4 {
                frames.extend((0..=40).step_by(4).map(|bytes| frame.clone().options(bytes)));
                frames.extend((0..16).map(|bit| frame.clone().fragment(1 << bit)));
            } else {
                for protocol in [0, 43, 51, 60] {
                    for count in 1..=9 {
                        frames.push(frame.clone().headers(&vec![extension(protocol, 1); count]));
                    }
                }
                for (offset, more) in [(0, false), (0, true), (8, false), (8, true), (0xfff8, true)] {
                    frames.push(frame.clone().headers(&[fragment_header(offset, more)]));
                }
            }
        }
    }
    let mut ours = 0;
    for frame in &frames {
        let seen = rig.run(&frame.bytes());
        ours += u32::from(is_ours(seen.verdict));
        let dressed = !frame.tags.is_empty() || !frame.options.is_empty() || !frame.headers.is_empty();
        assert!(!(dressed && seen.reply.is_some()), "{frame:?}");
    }
    assert!(ours > 100 && ours < frames.len() as u32, "{ours} of {}", frames.len());
}

#[test]
fn root_versions_and_other_ethernet_types_go_to_the_kernel() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        let plain = Frame::reply(ip, OURS).bytes();
        for first in 0..=255u8 {
            let mut bytes = plain.clone();
            bytes[14] = first;
            rig.run(&bytes);
        }
        for ether_type in (0..=u16::MAX).step_by(7) {
            let mut bytes = plain.clone();
            bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
            rig.run(&bytes);
        }
    }
}

#[test]
fn root_sizes_that_are_no_powers_of_two_and_an_empty_mask_are_refused() {
    for config in [
        megaping_loader::KernelConfig { identifier_mask: 0, ..CONFIG },
        megaping_loader::KernelConfig { replies: 3, ..CONFIG },
        megaping_loader::KernelConfig { small: 0, ..CONFIG },
        megaping_loader::KernelConfig { large: 1 << 21, ..CONFIG },
        megaping_loader::KernelConfig { shards: 0, ..CONFIG },
        megaping_loader::KernelConfig { ways: 65_537, ..CONFIG },
    ] {
        assert!(matches!(Kernel::load(&config), Err(LoadError::Config { .. })), "{config:?}");
    }
}
