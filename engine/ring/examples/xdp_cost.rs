//! What the AF_XDP ring does, in answers a second and processor time an answer.
//!
//! `xdp_cost [SECONDS] [RINGS] [QUOTA] [SEND_BATCH]`, as root: opens a network namespace of its own with a veth pair, the
//! simulated Internet on its far end, the steering program and one ring for each of RINGS queues (a thread each,
//! pinned by nobody) on the near end, and keeps as many requests going as the rings take. The requests are written
//! once each and not matched: this is the ring alone.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use megaping_loader::{Counter, Steer, SteerConfig, SteerCounter, World, WorldConfig};
use megaping_ring::{FixedHops, Outgoing, PacketRing, XdpConfig, XdpRing, process_cpu_ns};

/// An echo request of 60 bytes to 198.18.0.1 with identifier 0x4d07; its checksums are right.
const REQUEST: [u8; 60] = {
    let mut bytes = [0; 60];
    let header =
        [0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 1, 0, 0, 198, 18, 0, 2, 198, 18, 0, 1, 8, 0, 0, 0, 0x4d, 7];
    let mut at = 0;
    while at < header.len() {
        bytes[at] = header[at];
        at += 1;
    }
    let ([b10, b11], [b22, b23]) = (checksum(&bytes, 0, 20), checksum(&bytes, 20, 60));
    (bytes[10], bytes[11], bytes[22], bytes[23]) = (b10, b11, b22, b23);
    bytes
};

const fn checksum(bytes: &[u8], mut at: usize, end: usize) -> [u8; 2] {
    let mut sum = 0u32;
    while at < end {
        sum += (bytes[at] as u32) << 8 | bytes[at + 1] as u32;
        at += 2;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    (!((sum + (sum >> 16)) as u16)).to_be_bytes()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (seconds, rings, quota, send_batch) = (next(3)?, next(1)?, next(64)?, next(16)?);
    // SAFETY: no pointers; no other thread runs yet.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err("a network namespace of one's own needs root".into());
    }
    let queues = format!("numrxqueues {rings} numtxqueues {rings}");
    let script = format!(
        "ip link add near address 02:00:00:00:00:0a {queues} type veth \
         peer name far address 02:00:00:00:00:0b {queues}; ip link set far up; ip link set near up"
    );
    if !Command::new("sh").args(["-ec", &script]).status()?.success() {
        return Err("no veth pair".into());
    }
    let world = World::attach("far", &WorldConfig::default())?;
    let steer = Steer::attach("near", SteerConfig { identifier_value: 0x4d00, identifier_mask: 0xff00 })?;
    let mut workers = Vec::new();
    let (began, began_cpu_ns) = (Instant::now(), process_cpu_ns());
    for queue in 0..rings {
        let config = XdpConfig {
            interface: "near".into(),
            queues: vec![queue],
            source_mac: [2, 0, 0, 0, 0, 0xa],
            send_batch: u16::try_from(send_batch)?,
            ..XdpConfig::default()
        };
        let ring = XdpRing::open(&config, FixedHops { v4: Some([2, 0, 0, 0, 0, 0xb]), v6: None })?;
        for (queue, socket) in ring.sockets() {
            steer.set_socket(queue, socket)?;
        }
        let until = began + Duration::from_secs(seconds.into());
        workers.push(std::thread::spawn(move || run(ring, quota, until)));
    }
    let (mut sent, mut dropped, mut answered) = (0u64, 0u64, 0u64);
    for worker in workers {
        let (ring, tally) = worker.join().map_err(|_| "a worker panicked")?;
        (sent, dropped, answered) = (sent + tally.sent, dropped + tally.dropped, answered + tally.answered);
        let error_ns = tally.errors_ns / tally.sent.max(1);
        println!(
            "  {:?}, {:?}, departures known within {error_ns} ns (mean)",
            ring.counters(),
            ring.frames()
        );
    }
    let (elapsed, cpu_ns) = (began.elapsed(), process_cpu_ns() - began_cpu_ns);
    println!(
        "{rings} rings, {quota} a call, {send_batch} a batch: sent {sent}, dropped on the way out {dropped}, answered {answered} ({:.0}/s), {:.0} ns of this process each",
        answered as f64 / elapsed.as_secs_f64(),
        cpu_ns as f64 / answered as f64
    );
    let (world, steer) = (world.counters()?, steer.counters()?);
    println!(
        "  world replied {}, steering redirected {}, unstamped {}",
        world.total(Counter::Replies),
        steer.redirected(),
        steer.total(SteerCounter::Unstamped)
    );
    Ok(())
}

/// What became of a worker's packets.
#[derive(Default)]
struct Tally {
    sent: u64,
    /// Taken, and not sent.
    dropped: u64,
    answered: u64,
    /// The error bounds of all departures together.
    errors_ns: u64,
}

/// Sends until the time is over, then waits for what is on its way.
fn run(mut ring: XdpRing<FixedHops>, quota: u32, until: Instant) -> (XdpRing<FixedHops>, Tally) {
    let destination = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    let len = REQUEST.len() as u16;
    let mut tally = Tally::default();
    let mut quiet = 0;
    while quiet < 100 {
        let going = Instant::now() < until;
        let fill = |buffer: &mut [u8]| {
            buffer[..REQUEST.len()].copy_from_slice(&REQUEST);
            Some(Outgoing { token: 0, destination, hop_limit: 64, traffic_class: 0, len })
        };
        let done = ring.send(if going { quota } else { 0 }, fill).and_then(|_| {
            ring.reap(u32::MAX, |departure| match departure.result {
                Ok(at) => {
                    tally.sent += 1;
                    tally.errors_ns += u64::from(at.error_ns);
                }
                Err(_) => tally.dropped += 1,
            })?;
            // The driver may bring the answers to several rings on one queue.
            ring.recv(8 * quota, |_| tally.answered += 1)
        });
        match done {
            Ok(0) if !going => {
                quiet += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(_) => quiet = 0,
            Err(e) => {
                eprintln!("{e}: {}", e.source);
                break;
            }
        }
    }
    (ring, tally)
}
