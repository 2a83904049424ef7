//! Plain replies: the 64 bytes of their record, and checksums.

use crate::frames::{Frame, Ip, OURS};
use crate::rig::{Rig, seal, sound};

const V6: u8 = 1;
const CORRUPT: u8 = 2;

/// A reply with this much payload behind our header, checksums right.
fn reply(ip: Ip, rest: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..24 + rest).map(|at| (at * 37 + 11) as u8).collect();
    let [high, low] = OURS.to_be_bytes();
    let mut bytes = Frame::icmp(ip, ip.reply(), 0, [high, low, 0x12, 0x34], &body).bytes();
    seal(ip, &mut bytes);
    bytes
}

fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid pointer for the call to write to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) }, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[test]
fn root_the_record_of_a_plain_reply_says_what_stood_in_it() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        for (class, hop_limit) in (0..=255u8).zip((0..=255u8).rev()) {
            let mut bytes = reply(ip, 8);
            if ip == Ip::V4 {
                (bytes[15], bytes[22]) = (class, hop_limit);
            } else {
                // The last four bits are the flow label's.
                (bytes[14], bytes[15], bytes[21]) = (0x60 | class >> 4, class << 4 | 0xf, hop_limit);
            }
            seal(ip, &mut bytes);
            let before = now_ns();
            let record = rig.run(&bytes).reply.expect("a plain reply");
            let arrived = u64::from_ne_bytes(record[..8].try_into().expect("eight bytes"));
            assert!((before..=now_ns()).contains(&arrived));
            let (responder, icmp) = match ip {
                Ip::V4 => ([&[0; 10][..], &[0xff; 2], &bytes[26..30]].concat(), &bytes[34..]),
                Ip::V6 => (bytes[22..38].to_vec(), &bytes[54..]),
            };
            assert_eq!(record[8..24], responder);
            assert_eq!(record[24..48], icmp[8..32], "key and balance, time, MAC");
            assert_eq!(record[48..52], icmp[4..8], "identifier and sequence");
            assert_eq!(record[52..54], [hop_limit, class]);
            assert_eq!(record[54], if ip == Ip::V4 { 0 } else { V6 }, "{bytes:02x?}");
        }
    }
}

#[test]
fn root_a_right_checksum_is_right_in_every_size() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        for rest in (0..300).chain(1_380..1_440).chain([2_000, 3_001, 3_333]) {
            let bytes = reply(ip, rest);
            let record = rig.run(&bytes).reply.expect("a plain reply");
            assert_eq!(record[54] & CORRUPT, 0, "{rest} bytes, {ip:?}");
        }
    }
}

#[test]
fn root_any_flipped_bit_is_seen() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        for rest in [0, 1, 8, 15, 38, 39, 40, 41, 42, 43, 101, 1_376] {
            let bytes = reply(ip, rest);
            let step = if rest > 100 { 13 } else { 1 };
            let (mut plain, mut flips) = (0, 0);
            for bit in (14 * 8..bytes.len() * 8).step_by(step) {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flips += 1;
                // Where it makes another packet of it, the program need not call it a plain reply.
                let Some(record) = rig.run(&flipped).reply else { continue };
                plain += 1;
                let corrupt = record[54] & CORRUPT != 0;
                assert_eq!(corrupt, !sound(ip, &flipped), "bit {bit} of {rest} bytes more, {ip:?}");
                // RFC 8200: no checksum covers class, flow label and hop limit.
                let uncovered = ip == Ip::V6 && (bit / 8 < 18 || bit / 8 == 21);
                assert_eq!(corrupt, !uncovered, "bit {bit} of {rest} bytes more, {ip:?}");
            }
            assert!(plain * 10 > flips * 7, "{plain} of {flips}");
        }
    }
}

#[test]
fn root_a_reply_that_lost_our_header_is_left_to_the_parser() {
    let rig = Rig::load();
    let [high, low] = OURS.to_be_bytes();
    for ip in Ip::BOTH {
        for body in 0..24usize {
            let bytes = Frame::icmp(ip, ip.reply(), 0, [high, low, 0, 1], &vec![7; body]).bytes();
            let seen = rig.run(&bytes);
            assert_eq!((seen.reply, seen.packet.as_deref()), (None, Some(&bytes[14..])), "{body} bytes");
        }
    }
}
