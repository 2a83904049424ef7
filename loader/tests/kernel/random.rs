//! Frames that nobody thought of.

use megaping_wire::checksum;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::frames::{Frame, Ip, OURS, accepted};
use crate::rig::{Rig, is_ours, seal};

/// A plain reply of any size, and changes to it that leave it mostly whole.
fn changed() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let frames = accepted().iter().map(Frame::bytes).collect::<Vec<_>>();
    let plain = (any::<bool>(), vec(any::<u8>(), 0..1_400)).prop_map(|(v4, body)| {
        let ip = if v4 { Ip::V4 } else { Ip::V6 };
        let [high, low] = OURS.to_be_bytes();
        let mut bytes = Frame::icmp(ip, ip.reply(), 0, [high, low, 1, 1], &body).bytes();
        seal(ip, &mut bytes);
        bytes
    });
    let frame = prop_oneof![plain, proptest::sample::select(frames)];
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (frame, edits, 0..3usize, vec(any::<u8>(), 0..8)).prop_map(|(mut bytes, edits, cut, tail)| {
        for (at, value) in &edits {
            let at = at.index(bytes.len().min(120));
            bytes[at] = *value;
        }
        bytes.truncate(bytes.len() - cut);
        bytes.extend(&tail);
        (edits.is_empty() && cut == 0 && tail.is_empty(), bytes)
    })
}

/// megaping-wire's opinion of a frame that the program calls a plain reply: whether its checksums are right.
fn wire_says_sound(frame: &[u8]) -> bool {
    if frame[12..14] == [8, 0] {
        return checksum::verify(&frame[14..34]) && checksum::verify(&frame[34..]);
    }
    let pseudo = [&frame[22..54], &[0, 0], &frame[18..20], &[0, 0, 0, 58], &frame[54..]].concat();
    checksum::verify(&pseudo)
}

#[test]
fn root_random_frames_are_judged_as_by_the_steering_program_and_kept_whole() {
    let rig = Rig::load();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(20_000)
    });
    let outcome = runner.run(&(changed(), vec(any::<u8>(), 14..200)), |((is_whole, bytes), noise)| {
        // The rig asserts verdict, counters and that there is one record.
        rig.run(&noise);
        let seen = rig.run(&bytes);
        if is_whole {
            prop_assert!(is_ours(seen.verdict));
        }
        if let Some(record) = seen.reply {
            prop_assert_eq!(record[54] & 2 == 0, wire_says_sound(&bytes));
        }
        if let Some(packet) = seen.packet {
            prop_assert!(bytes.ends_with(&packet) && bytes.len() - packet.len() <= 22);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
