//! A veth pair in a network of its own for each test: the kernel ring's program on one end, and on the other the
//! simulated Internet or a program that passes everything.

use std::process::Command;

use megaping_loader::{Kernel, KernelConfig};
use megaping_ring::kernel::{Ordered, Record, RingSlots};
use megaping_ring::{Departure, KernelOrder, KernelReply, KernelRing, KernelRingConfig, KernelWay};

pub const OURS: u16 = 0x4d07;
pub const MTU: u16 = 1_500;
pub const MACS: [u8; 12] = [2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa];
const SOURCE_V4: [u8; 4] = [198, 18, 0, 2];
const SOURCE_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SLOTS: RingSlots = RingSlots { replies: 1024, small: 64, large: 16 };

/// Runs `test` in a thread with a network namespace of its own, pinned to the first CPU.
pub fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; the new namespace is this thread's alone.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(unshared, 0, "this test needs root: {}", std::io::Error::last_os_error());
        pin(0);
        // Without IPv6 of their own the ends send nothing by themselves.
        shell(
            "ip link add near address 02:00:00:00:00:0a numrxqueues 2 numtxqueues 2 type veth \
             peer name far address 02:00:00:00:00:0b numrxqueues 2 numtxqueues 2; \
             sysctl -qw net.ipv6.conf.near.disable_ipv6=1 net.ipv6.conf.far.disable_ipv6=1; \
             ip link set far up; ip link set near up",
        );
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub fn pin(cpu: usize) {
    assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }), "CPU {cpu} is ours to use");
}

pub fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn attach() -> Kernel {
    let config = KernelConfig {
        identifier_value: 0x4d00,
        identifier_mask: 0xff00,
        shards: 2,
        ways: 2,
        replies: SLOTS.replies,
        small: SLOTS.small,
        large: SLOTS.large,
    };
    let kernel = Kernel::attach("near", &config).expect("the near end takes the program");
    kernel.set_fill(&(0..4096).map(fill).collect::<Vec<_>>()).expect("the fill");
    kernel
}

fn fill(at: usize) -> u8 {
    (at * 7 + 3) as u8
}

/// A ring for one shard that serves these CPUs.
pub fn open(kernel: &Kernel, shard: u32, serves: Vec<u32>) -> KernelRing {
    // SAFETY: a string that ends with a zero.
    let ifindex = unsafe { libc::if_nametoindex(c"near".as_ptr()) };
    let config = KernelRingConfig {
        program: kernel.program_fd(),
        maps: kernel.shared_fds(),
        doorbell: kernel.doorbell_fd(),
        slots: SLOTS,
        ways: 2,
        cpus: kernel.cpus(),
        ifindex,
        shard,
        serves,
        batch: 64,
        burst: 256,
        mtu: MTU,
    };
    let mut ring = KernelRing::open(&config).expect("it opens");
    for (index, ether_type) in [[8, 0], [0x86, 0xdd]].into_iter().enumerate() {
        let mut way = KernelWay::default();
        way.ethernet[..12].copy_from_slice(&MACS);
        way.ethernet[12..14].copy_from_slice(&ether_type);
        way.source = if index == 0 { mapped(&SOURCE_V4) } else { SOURCE_V6 };
        ring.set_way(index, way);
    }
    ring
}

fn mapped(v4: &[u8]) -> [u8; 16] {
    let mut address = [0; 16];
    address[10..12].fill(0xff);
    address[12..].copy_from_slice(v4);
    address
}

/// RFC 1071, the slow way.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

/// The packet that shall leave: an echo request whose first eight payload bytes are the token.
pub fn packet(v4: bool, token: u64, payload: usize) -> Vec<u8> {
    let [high, low] = OURS.to_be_bytes();
    let mut message = vec![if v4 { 8 } else { 128 }, 0, 0, 0, high, low];
    message.extend((token as u16).to_be_bytes());
    message.extend(token.to_be_bytes());
    message.extend(token.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    message.extend(token.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    message.extend((0..payload - 24).map(fill));
    let length = message.len() as u16;
    if v4 {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum);
        let mut header = vec![0x45, token as u8, 0, 0, 0, 0, 0x40, 0, 64, 1, 0, 0];
        header[2..4].copy_from_slice(&(length + 20).to_be_bytes());
        header.extend(SOURCE_V4);
        header.extend([198, 18, 7, token as u8]);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum);
        return [header, message].concat();
    }
    let mut header = vec![0x60, token as u8, 1, 2, 0, 0, 58, 64];
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header.extend(SOURCE_V6);
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, token as u8]);
    let [high, low] = length.to_be_bytes();
    let pseudo = [&header[8..], &[0, 0, high, low, 0, 0, 0, 58], &message].concat();
    message[2..4].copy_from_slice(&checksum(&pseudo));
    [header, message].concat()
}

/// The order that shall become this packet.
pub fn order(packet: &[u8]) -> KernelOrder {
    let v4 = packet[0] >> 4 == 4;
    let icmp = &packet[if v4 { 20 } else { 40 }..];
    let word = |from: &[u8]| from[..8].try_into().expect("eight bytes");
    let half = |from: &[u8]| from[..4].try_into().expect("four bytes");
    KernelOrder {
        destination: if v4 { mapped(&packet[16..20]) } else { packet[24..40].try_into().expect("16 bytes") },
        key_balance: word(&icmp[8..]),
        ordered_at: word(&icmp[16..]),
        mac: word(&icmp[24..]),
        first: half(packet),
        second: half(&packet[if v4 { 8 } else { 4 }..]),
        echo: half(&icmp[4..]),
        checksum: [icmp[2], icmp[3]],
        way: u16::from(!v4),
        sent_ns: 0,
    }
}

/// Sends packets in one go; how many were taken, and what became of them.
pub fn send(ring: &mut KernelRing, packets: &[Vec<u8>]) -> Vec<Departure> {
    let (mut departures, mut nth) = (Vec::new(), 0);
    while departures.len() < packets.len() {
        let taken = ring.send(packets.len() as u32, |slot| {
            let packet = packets.get(nth)?;
            *slot = order(packet);
            nth += 1;
            Some(Ordered { token: nth as u64 - 1, len: packet.len() as u16 })
        });
        taken.expect("the ring lives");
        ring.reap(u32::MAX, |departure| departures.push(departure));
    }
    departures
}

/// Everything that came, until nothing does for 20 ms.
pub fn replies(ring: &mut KernelRing) -> Vec<KernelReply> {
    let mut came = Vec::new();
    loop {
        let got = ring.recv(256, |record| match record {
            Record::Reply(reply) => came.push(*reply),
            Record::Packet { bytes, .. } => panic!("no plain reply: {bytes:02x?}"),
        });
        if got == 0 {
            let until = ring.now_ns() + 20_000_000;
            ring.park(until, true).expect("the ring lives");
            if ring.now_ns() >= until {
                return came;
            }
        }
    }
}
