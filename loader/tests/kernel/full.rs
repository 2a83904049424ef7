//! Rings that nobody reads.

use megaping_loader::Verdict;

use crate::frames::{Frame, Ip, OURS, request};
use crate::rig::{CONFIG, DESKS, REPLIES, Rig};

/// Numbered frames for one ring: the number stands in the last two bytes.
fn numbered(ring: usize, number: u16) -> Vec<u8> {
    let mut frame = match ring {
        0 => Frame::reply(Ip::V4, OURS),
        1 => Frame::error(Ip::V6, 1, &request(Ip::V6, OURS)),
        _ => Frame::error(Ip::V4, 11, &[&request(Ip::V4, OURS)[..], &[1; 700]].concat()),
    }
    .bytes();
    let end = frame.len();
    frame[end - 2..].copy_from_slice(&number.to_be_bytes());
    frame
}

/// Where the number stands in the record.
fn number_in(record: &[u8], ring: usize) -> u16 {
    let end = if ring == 0 { 48 } else { 16 + numbered(ring, 0).len() - 14 };
    u16::from_be_bytes([record[end - 2], record[end - 1]])
}

#[test]
fn root_a_full_ring_counts_overwrites_nothing_and_flows_again() {
    // One CPU: what is asserted lies on its desk.
    pin(0);
    let rig = Rig::load();
    for (ring, slots) in [CONFIG.replies, CONFIG.small, CONFIG.large].into_iter().enumerate() {
        rig.kernel.write(DESKS, 0, &[0; 384]).expect("a desk");
        let kept = || -> Vec<u16> {
            (0..slots)
                .map(|slot| number_in(&rig.kernel.read(REPLIES + ring, slot).expect("a record"), ring))
                .collect()
        };
        let send = |numbers: std::ops::Range<u16>| {
            for number in numbers {
                let (verdict, _) = rig.kernel.test_run(&numbered(ring, number)).expect("a run");
                assert_eq!(verdict, Verdict::Drop, "ours is never handed to the kernel, kept or not");
            }
        };
        let count = |of: [u64; 3]| {
            let others = of.iter().sum::<u64>() - of[ring];
            assert_eq!(others, 0, "the other rings see nothing");
            of[ring]
        };
        let slots_16 = slots as u16;
        send(0..slots_16 + 5);
        let mut desk = rig.desk(0);
        assert_eq!((count(desk.written()), count(desk.full())), (u64::from(slots), 5));
        assert_eq!(kept(), (0..slots_16).collect::<Vec<_>>());

        // One taken makes room for one.
        let mut taken = [0; 3];
        taken[ring] = 1;
        desk.set_taken(taken);
        rig.kernel.write(DESKS, 0, &desk.0).expect("a desk");
        send(100..103);
        let mut desk = rig.desk(0);
        assert_eq!((count(desk.written()), count(desk.full())), (u64::from(slots) + 1, 7));
        assert_eq!(kept(), std::iter::once(100).chain(1..slots_16).collect::<Vec<_>>());

        // All taken: a whole ring of new ones, in order behind the last.
        taken[ring] = u64::from(slots) + 1;
        desk.set_taken(taken);
        rig.kernel.write(DESKS, 0, &desk.0).expect("a desk");
        send(200..200 + slots_16);
        let desk = rig.desk(0);
        assert_eq!((count(desk.written()), count(desk.full())), (2 * u64::from(slots) + 1, 7));
        let mut all = kept();
        all.sort_unstable();
        assert_eq!(all, (200..200 + slots_16).collect::<Vec<_>>());
        assert_eq!(kept()[1 % slots as usize], 200);
    }
}

fn pin(cpu: usize) {
    // SAFETY: a zeroed set is an empty one; the pointers are valid for the calls.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    assert_eq!(pinned, 0);
}
