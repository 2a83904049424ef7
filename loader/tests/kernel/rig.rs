//! Both programs over one frame, and what is left behind.

use megaping_loader::{Family, Kernel, KernelConfig, Steer, SteerConfig, SteerCounter, Verdict};

use crate::frames::Ip;

pub const DESKS: usize = 0;
pub const REPLIES: usize = 4;
/// Of `struct mp_desk`.
const TAKEN: usize = 16;
const WRITTEN: usize = 64;
const FULL: usize = 88;
const COUNTERS: usize = 128;

pub const CONFIG: KernelConfig = KernelConfig {
    identifier_value: 0xab00,
    identifier_mask: 0xff00,
    shards: 1,
    ways: 1,
    replies: 8,
    small: 4,
    large: 2,
};
const STEER: SteerConfig =
    SteerConfig { identifier_value: CONFIG.identifier_value, identifier_mask: CONFIG.identifier_mask };

pub fn is_ours(verdict: SteerCounter) -> bool {
    matches!(verdict, SteerCounter::Replies | SteerCounter::Errors)
}

/// What one frame left behind.
pub struct Seen {
    pub verdict: SteerCounter,
    /// A `struct mp_reply`.
    pub reply: Option<[u8; 64]>,
    /// A packet, from its IP header on.
    pub packet: Option<Vec<u8>>,
    /// Whether the packet lay in the ring of large ones.
    pub is_large: bool,
}

pub struct Rig {
    pub kernel: Kernel,
    steer: Steer,
}

/// A desk in the bytes of its map.
pub struct Desk(pub Vec<u8>);

impl Desk {
    fn word(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().expect("eight bytes"))
    }

    pub fn written(&self) -> [u64; 3] {
        std::array::from_fn(|ring| self.word(WRITTEN + 8 * ring))
    }

    pub fn full(&self) -> [u64; 3] {
        std::array::from_fn(|ring| self.word(FULL + 8 * ring))
    }

    pub fn set_taken(&mut self, taken: [u64; 3]) {
        for (ring, count) in taken.iter().enumerate() {
            self.0[TAKEN + 8 * ring..TAKEN + 8 * ring + 8].copy_from_slice(&count.to_ne_bytes());
        }
    }

    fn counted(&self, family: usize, counter: usize) -> u64 {
        self.word(COUNTERS + 8 * (10 * family + counter))
    }
}

impl Rig {
    pub fn load() -> Rig {
        Rig {
            kernel: Kernel::load(&CONFIG).expect("this test loads an eBPF program: run it as root"),
            steer: Steer::load(STEER).expect("the steering program loads"),
        }
    }

    pub fn desk(&self, cpu: u32) -> Desk {
        Desk(self.kernel.read(DESKS, cpu).expect("a desk"))
    }

    /// Runs both programs over a frame. Asserts that they judge alike, that exactly what is ours is dropped and
    /// becomes one record, and that the rest passes as it came.
    pub fn run(&self, frame: &[u8]) -> Seen {
        for cpu in 0..self.kernel.cpus() {
            self.kernel.write(DESKS, cpu, &[0; 384]).expect("a desk");
        }
        let before = self.steer.counters().expect("counters");
        let (verdict, out) = self.kernel.test_run(frame).expect("a run");
        self.steer.test_run(frame).expect("a run");
        let steered = self.steer.counters().expect("counters") - before;
        assert_eq!(out, frame, "the program writes nothing into received frames");

        let mut desks = (0..self.kernel.cpus()).map(|cpu| (cpu, self.desk(cpu)));
        let (cpu, desk) =
            desks.find(|(_, desk)| desk.0.iter().any(|byte| *byte != 0)).expect("it was counted");
        assert!(desks.all(|(_, other)| other.0 == [0; 384]), "on the desk of the CPU that it ran on alone");
        let mut judged = None;
        for (row, family) in [Family::V4, Family::V6, Family::Other].into_iter().enumerate() {
            for (column, counter) in SteerCounter::ALL.into_iter().enumerate().take(8) {
                let count = desk.counted(row, column);
                assert_eq!(count, steered.get(family, counter), "{family:?} {counter:?} of {frame:02x?}");
                if count > 0 {
                    assert!(judged.replace(counter).is_none() && count == 1, "counted once");
                }
            }
        }
        let judged = judged.expect("counted");
        assert_eq!(verdict, if is_ours(judged) { Verdict::Drop } else { Verdict::Pass }, "{judged:?}");
        assert_eq!(
            desk.written().iter().sum::<u64>(),
            u64::from(is_ours(judged)),
            "one record of ours alone"
        );
        assert_eq!(desk.full(), [0; 3]);
        self.seen(cpu, judged, desk.written(), frame)
    }

    fn seen(&self, cpu: u32, verdict: SteerCounter, written: [u64; 3], frame: &[u8]) -> Seen {
        let mut seen = Seen { verdict, reply: None, packet: None, is_large: written[2] == 1 };
        let slots = [CONFIG.replies, CONFIG.small, CONFIG.large];
        let Some(ring) = written.iter().position(|count| *count == 1) else { return seen };
        let record = self.kernel.read(REPLIES + ring, cpu * slots[ring]).expect("a record");
        if ring == 0 {
            seen.reply = Some(record.try_into().expect("64 bytes"));
        } else {
            let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"));
            let length = word(8) as usize;
            let is_v6 =
                frame.windows(2).skip(12).step_by(4).find(|kind| kind != &[0x81, 0] && kind != &[0x88, 0xa8]);
            assert_eq!(word(12), u32::from(is_v6 == Some(&[0x86, 0xdd][..])), "the family");
            seen.packet = Some(record[16..16 + length].to_vec());
        }
        seen
    }
}

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Whether the checksums of an untagged frame without options are right (RFC 1071, the slow way).
pub fn sound(ip: Ip, frame: &[u8]) -> bool {
    let packet = &frame[14..];
    match ip {
        Ip::V4 => sum(&[&packet[..20]]) == 0xffff && sum(&[&packet[20..]]) == 0xffff,
        Ip::V6 => sum(&[&packet[8..40], &packet[4..6], &[0, 58], &packet[40..]]) == 0xffff,
    }
}

/// Writes the checksums of such a frame.
pub fn seal(ip: Ip, frame: &mut [u8]) {
    let icmp = if ip == Ip::V4 { 34 } else { 54 };
    frame[icmp + 2..icmp + 4].fill(0);
    let check = if ip == Ip::V4 {
        frame[24..26].fill(0);
        let header = !sum(&[&frame[14..34]]);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        !sum(&[&frame[34..]])
    } else {
        !sum(&[&frame[22..54], &frame[18..20], &[0, 58], &frame[54..]])
    };
    frame[icmp + 2..icmp + 4].copy_from_slice(&check.to_be_bytes());
}
