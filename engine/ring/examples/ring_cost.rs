//! What a ring itself costs, in nanoseconds a packet.
//!
//! `ring_cost memory` sends echoes through a perfect way and through one with every fault on; `ring_cost sockets`,
//! as root, opens a network namespace of its own and sends over its loopback and into a veth pair, by batch size,
//! with each ring over raw sockets in turn, several rounds, and says the median.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use megaping_ring::{
    Faults, IdentifierMatch, MemoryConfig, MemoryRing, Monotonic, Outgoing, PacketRing, RawConfig, RawRing,
    UringConfig, UringRing,
};

const LEN: u16 = 84;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("memory") => memory(),
        Some("sockets") => sockets(std::env::args().skip(2).filter_map(|batch| batch.parse().ok()).collect()),
        _ => eprintln!("usage: ring_cost memory | ring_cost sockets [BATCH...]"),
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

fn sockets(mut batches: Vec<u16>) {
    if batches.is_empty() {
        batches = vec![1, 8, 16, 32, 64, 256];
    }
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
    println!(
        "nanoseconds of this thread's CPU and system calls, a packet; an empty receive; median of {ROUNDS} rounds"
    );
    for destination in destinations {
        for &batch in &batches {
            compare(destination, batch);
        }
    }
}

const ROUNDS: usize = 5;
const PACKETS: u64 = 50_000;

/// What a packet cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    send_ns: f64,
    receive_ns: f64,
    empty_ns: f64,
    calls: f64,
    /// Mean bound of departures.
    bound_ns: f64,
    /// One echo every 200 microseconds, parked in between: all of CPU, and calls.
    paced_ns: f64,
    paced_calls: f64,
}

/// The rings take turns, so that a noisy minute is everybody's.
fn compare(destination: IpAddr, batch: u16) {
    let sockets = RawConfig {
        ipv4: destination.is_ipv4(),
        ipv6: destination.is_ipv6(),
        identifiers: IdentifierMatch { value: 0x42, mask: 0xffff },
        send_batch: batch,
        receive_batch: batch,
        ..RawConfig::default()
    };
    let uring = UringConfig { sockets: sockets.clone(), ..UringConfig::default() };
    // Opened anew for each turn: on a loopback, the sockets of both would get every packet.
    let round = || -> Result<[Cost; 2], Box<dyn std::error::Error>> {
        let raw = measure(&mut RawRing::open(&sockets)?, destination);
        Ok([raw, measure(&mut UringRing::open(&uring)?, destination)])
    };
    let rounds: Vec<[Cost; 2]> = match (0..ROUNDS).map(|_| round()).collect() {
        Ok(rounds) => rounds,
        Err(error) => return eprintln!("{error}"),
    };
    for (index, name) in ["raw", "uring"].into_iter().enumerate() {
        let median = |part: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(|round| part(&round[index])).collect();
            all.sort_by(f64::total_cmp);
            all[ROUNDS / 2]
        };
        println!(
            "{destination:9} batch {batch:3} {name:5}: send {:4.0} ns (bound {:6.0}), reap and receive {:4.0} ns, \
             {:.3} calls; empty {:3.0} ns; paced {:5.0} ns, {:.2} calls",
            median(|cost| cost.send_ns),
            median(|cost| cost.bound_ns),
            median(|cost| cost.receive_ns),
            median(|cost| cost.calls),
            median(|cost| cost.empty_ns),
            median(|cost| cost.paced_ns),
            median(|cost| cost.paced_calls),
        );
    }
}

/// Sends and receives.
fn measure(ring: &mut impl PacketRing, destination: IpAddr) -> Cost {
    drop(ring.recv(1, |_| ()));
    let template = request(destination);
    let (mut sent, mut came, mut refused) = (0u64, 0u64, 0u64);
    let (mut sending_ns, mut receiving_ns, mut bounds_ns) = (0, 0, 0);
    let (calls, dropped) = (ring.counters().syscalls, ring.counters().rx_dropped);
    while sent < PACKETS {
        let began_ns = cpu_ns();
        let fill = |buffer: &mut [u8]| {
            buffer[..template.len()].copy_from_slice(&template);
            sent += 1;
            Some(outgoing(sent, destination))
        };
        drop(ring.send(256, fill));
        let between_ns = cpu_ns();
        drop(ring.reap(256, |departure| match departure.result {
            Ok(stamp) => bounds_ns += u64::from(stamp.error_ns),
            Err(_) => refused += 1,
        }));
        drop(ring.recv(512, |_| came += 1));
        sending_ns += between_ns - began_ns;
        receiving_ns += cpu_ns() - between_ns;
    }
    while ring.recv(512, |_| came += 1).is_ok_and(|more| more > 0) {}
    let calls = ring.counters().syscalls - calls;
    let expected = if destination.is_loopback() { sent } else { 0 };
    let dropped = ring.counters().rx_dropped - dropped;
    if (came, refused, dropped) != (expected, 0, 0) {
        eprintln!("{came} of {expected} came, {refused} were refused, {dropped} dropped");
    }
    let began_ns = cpu_ns();
    for _ in 0..2_000 {
        drop(ring.recv(64, |_| came += 1));
    }
    let empty_ns = (cpu_ns() - began_ns) as f64 / 2_000.0;
    let (paced_ns, paced_calls) = pace(ring, destination, &template);
    let a_packet = |total: u64| total as f64 / sent as f64;
    Cost {
        bound_ns: a_packet(bounds_ns),
        paced_ns,
        paced_calls,
        send_ns: a_packet(sending_ns),
        receive_ns: a_packet(receiving_ns),
        empty_ns,
        calls: a_packet(calls),
    }
}

/// Sends a packet when it is due, and in between sleeps until there is something to do: CPU and system calls, a
/// packet.
fn pace(ring: &mut impl PacketRing, destination: IpAddr, template: &[u8]) -> (f64, f64) {
    const PACED: u64 = 1_000;
    let (began_ns, calls) = (cpu_ns(), ring.counters().syscalls);
    let (mut due_ns, mut sink) = (ring.now_ns(), 0);
    for token in 0..PACED {
        let fill = |buffer: &mut [u8]| {
            buffer[..template.len()].copy_from_slice(template);
            Some(outgoing(token, destination))
        };
        drop(ring.send(1, fill));
        drop(ring.reap(64, |departure| sink ^= departure.token));
        due_ns += 200_000;
        loop {
            drop(ring.recv(64, |incoming| sink ^= u64::from(incoming.bytes[0])));
            if ring.now_ns() >= due_ns {
                break;
            }
            drop(ring.park(due_ns, true));
        }
    }
    black_box(sink);
    let calls = ring.counters().syscalls - calls;
    ((cpu_ns() - began_ns) as f64 / PACED as f64, calls as f64 / PACED as f64)
}
