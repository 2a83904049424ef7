//! Whatever is ours and not plain: its bytes, as they came.

use crate::frames::{Frame, Ip, OURS, accepted, request};
use crate::rig::Rig;

const SMALL: usize = 240;
const LARGE: usize = 1520;

#[test]
fn root_everything_but_a_plain_reply_is_kept_byte_for_byte() {
    let rig = Rig::load();
    let mut kept = 0;
    for frame in accepted() {
        let seen = rig.run(&frame.bytes());
        let plain = frame.tags.is_empty()
            && frame.options.is_empty()
            && frame.headers.is_empty()
            && frame.payload[0] == frame.ip.reply();
        assert_eq!(seen.reply.is_some(), plain, "{frame:?}");
        if !plain {
            assert_eq!(seen.packet, Some(frame.packet()), "{frame:?}");
            kept += 1;
        }
    }
    assert!(kept > 50, "{kept}");
}

#[test]
fn root_sizes_choose_the_ring_and_the_longest_are_cut() {
    let rig = Rig::load();
    for ip in Ip::BOTH {
        for length in (130..260).chain(1_500..1_540).chain([3_000]) {
            for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
                let quote = request(ip, OURS);
                let headers = if ip == Ip::V4 { 28 } else { 48 };
                let body: Vec<u8> = (0..length - headers).map(|at| (at * 31) as u8).collect();
                let body = [&quote[..], &body[quote.len()..]].concat();
                let frame = Frame::error(ip, 3, &body).tags(tags);
                let packet = frame.packet();
                assert_eq!(packet.len(), length);
                let seen = rig.run(&frame.bytes());
                assert_eq!(seen.is_large, length > SMALL, "{length} bytes");
                assert_eq!(seen.packet.as_deref(), Some(&packet[..length.min(LARGE)]), "{length} bytes");
            }
        }
    }
}
