//! What a ring itself costs, in nanoseconds a packet.
//!
//! `ring_cost memory` sends echoes through a perfect way and through one with every fault on; `ring_cost raw`, as
//! root, opens a network namespace of its own and sends over its loopback, by batch size.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use megaping_ring::{
    Faults, IdentifierMatch, MemoryConfig, MemoryRing, Monotonic, Outgoing, PacketRing, RawConfig, RawRing,
};

const LEN: u16 = 84;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("memory") => memory(),
        Some("raw") => raw(),
        _ => eprintln!("usage: ring_cost memory|raw"),
    }
}

fn memory() {
    let all = Faults {
        loss: 10_000,
        duplicate: 10_000,
        corrupt: 10_000,
        corrupt_from: 28,
        reorder: 10_000,
        reorder_hold_ns: 10_000,
        delay_ns: 50_000,
        jitter_ns: 10_000,
    };
    for (name, faults) in [("perfect", Faults::default()), ("every fault", all)] {
        let echo = |request: &[u8], reply: &mut [u8]| {
            reply[..request.len()].copy_from_slice(request);
            Some(request.len())
        };
        let config = MemoryConfig { capacity: 16_384, faults, ..MemoryConfig::default() };
        let mut ring = MemoryRing::new(Monotonic, echo, &config);
        let template = [0x45u8; LEN as usize];
        let (count, began) = (20_000_000u64, Instant::now());
        let (mut sent, mut sink) = (0u64, 0u64);
        while sent < count {
            let fill = |buffer: &mut [u8]| {
                buffer[..template.len()].copy_from_slice(black_box(&template));
                sent += 1;
                Some(outgoing(sent, IpAddr::V4(Ipv4Addr::LOCALHOST)))
            };
            drop(ring.send(64, fill));
            drop(ring.reap(64, |departure| sink = black_box(departure.token)));
            drop(ring.recv(64, |incoming| sink ^= u64::from(black_box(incoming.bytes[0]))));
        }
        let ns = began.elapsed().as_nanos() as f64 / sent as f64;
        black_box(sink);
        println!("memory, {name}: {ns:.1} ns a packet (send, echo, reap, recv)");
    }
}

fn outgoing(token: u64, destination: IpAddr) -> Outgoing {
    Outgoing { token, destination, hop_limit: 64, traffic_class: 0, len: LEN }
}

/// An echo request, as far as a loopback cares: the kernel fills in the checksums of IPv4's header and of ICMPv6.
fn request(destination: IpAddr) -> [u8; LEN as usize] {
    let mut bytes = [0; LEN as usize];
    match destination {
        IpAddr::V4(address) => {
            bytes[..10].copy_from_slice(&[0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1]);
            bytes[16..20].copy_from_slice(&address.octets());
            // Type 8 and identifier 0x0042, over zeros: the checksum is the complement of their sum.
            bytes[20..28].copy_from_slice(&[8, 0, 0xf7, 0xbd, 0, 0x42, 0, 0]);
        }
        IpAddr::V6(_) => {
            bytes[0] = 0x60;
            bytes[40..48].copy_from_slice(&[128, 0, 0, 0, 0, 0x42, 0, 0]);
        }
    }
    bytes
}

/// CPU time of this thread, in nanoseconds: what others do on the machine is not ours.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the kernel to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A loopback, which echoes, and a veth pair whose far end drops frames for a stranger's address.
const NETWORK: &str = "ip link set lo up &&
    ip link add near type veth peer name far && ip link set near up && ip link set far up &&
    ip address add 10.0.0.1/24 dev near && ip address add fd00::1/64 dev near nodad &&
    ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:01 dev near nud permanent &&
    ip neighbour add fd00::2 lladdr 02:00:00:00:00:01 dev near nud permanent";

fn raw() {
    // SAFETY: no pointers; this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        eprintln!("cannot open a network namespace: run as root");
        return;
    }
    let up = std::process::Command::new("sh").args(["-ec", NETWORK]).status();
    if !up.is_ok_and(|status| status.success()) {
        eprintln!("cannot make a veth pair");
        return;
    }
    let destinations: [IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::new(10, 0, 0, 2).into(),
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
    ];
    for destination in destinations {
        for batch in [1, 8, 16, 32, 64, 128, 256] {
            measure(destination, batch);
        }
    }
}

fn measure(destination: IpAddr, batch: u16) {
    let config = RawConfig {
        ipv4: destination.is_ipv4(),
        ipv6: destination.is_ipv6(),
        identifiers: IdentifierMatch { value: 0x42, mask: 0xffff },
        send_batch: batch,
        receive_batch: batch,
        ..RawConfig::default()
    };
    let mut ring = match RawRing::open(&config) {
        Ok(ring) => ring,
        Err(error) => return eprintln!("{error}"),
    };
    let template = request(destination);
    let count = 200_000u64;
    let (mut sent, mut came, mut refused) = (0u64, 0u64, 0u64);
    let (mut sending_ns, mut receiving_ns) = (0, 0);
    while sent < count {
        let began_ns = cpu_ns();
        let fill = |buffer: &mut [u8]| {
            buffer[..template.len()].copy_from_slice(&template);
            sent += 1;
            Some(outgoing(sent, destination))
        };
        drop(ring.send(256, fill));
        let between_ns = cpu_ns();
        drop(ring.reap(256, |departure| refused += u64::from(departure.result.is_err())));
        drop(ring.recv(512, |_| came += 1));
        sending_ns += between_ns - began_ns;
        receiving_ns += cpu_ns() - between_ns;
    }
    let began_ns = cpu_ns();
    for _ in 0..10_000 {
        drop(ring.recv(64, |_| came += 1));
    }
    let empty_ns = (cpu_ns() - began_ns) / 10_000;
    println!(
        "{destination}, batch {batch}: send {} ns, reap and receive {} ns a packet; an empty receive {empty_ns} ns; \
         {came} of {sent} came, {refused} refused, {:?}",
        sending_ns / sent,
        receiving_ns / sent,
        ring.counters(),
    );
}
