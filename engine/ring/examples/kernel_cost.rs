//! What the kernel ring does, in answers a second and processor time an answer.
//!
//! `kernel_cost [SECONDS] [SHARDS] [BURST] [BATCH] [GAP_US]`, as root: opens a network namespace of its own with a veth
//! pair, the simulated Internet on its far end, and on the near end the kernel ring's program with one shard for each of
//! SHARDS cores (pinned). Each sends BURST orders a call, BATCH of them in a row, and sleeps `GAP_US` in between. Orders are
//! constant and answers are counted, not matched: this is the ring alone.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use megaping_loader::{Counter, Kernel, KernelConfig, World, WorldConfig};
use megaping_ring::kernel::{Ordered, Record, RingSlots};
use megaping_ring::{KernelOrder, KernelRing, KernelRingConfig, KernelWay, process_cpu_ns};

const SLOTS: RingSlots = RingSlots { replies: 1 << 15, small: 1 << 10, large: 256 };

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (seconds, shards, burst, batch, gap_us) = (next(3)?, next(1)?, next(256)?, next(64)?, next(0)?);
    // SAFETY: no pointers; no other thread runs yet.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err("a network namespace of one's own needs root".into());
    }
    let script = "ip link add near address 02:00:00:00:00:0a numrxqueues 2 numtxqueues 2 type veth \
         peer name far address 02:00:00:00:00:0b numrxqueues 2 numtxqueues 2; ip link set far up; ip link set near up";
    if !Command::new("sh").args(["-ec", script]).status()?.success() {
        return Err("no veth pair".into());
    }
    let world = World::attach("far", &WorldConfig::default())?;
    let config = KernelConfig {
        identifier_value: 0x4d00,
        identifier_mask: 0xff00,
        shards,
        ways: 1,
        replies: SLOTS.replies,
        small: SLOTS.small,
        large: SLOTS.large,
    };
    let kernel = Kernel::attach("near", &config)?;
    println!("  verifier walked {} instructions", kernel.verified_instructions()?);
    let mut way = KernelWay::default();
    way.ethernet[..14].copy_from_slice(&[2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 8, 0]);
    way.source = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 18, 0, 2];
    kernel.write(2, 0, &[&way.ethernet[..], &way.source].concat())?;
    // SAFETY: a string with its end.
    let ifindex = unsafe { libc::if_nametoindex(c"near".as_ptr()) };
    let mut workers = Vec::new();
    let (began, began_cpu_ns) = (Instant::now(), process_cpu_ns());
    for shard in 0..shards {
        let ring = KernelRing::open(&KernelRingConfig {
            program: kernel.program_fd(),
            maps: kernel.shared_fds(),
            doorbell: kernel.doorbell_fd(),
            slots: SLOTS,
            ways: 1,
            cpus: kernel.cpus(),
            ifindex,
            shard,
            serves: vec![shard],
            batch,
            burst,
            mtu: 1500,
        })?;
        let until = began + Duration::from_secs(seconds.into());
        workers.push(std::thread::spawn(move || run(ring, shard as usize, gap_us, until)));
    }
    let (mut sent, mut refused, mut answered) = (0u64, 0u64, 0u64);
    for worker in workers {
        let (ring, mut tally) = worker.join().map_err(|_| "a worker panicked")?;
        (sent, refused, answered) = (sent + tally.sent, refused + tally.refused, answered + tally.answered);
        tally.rtts_ns.sort_unstable();
        let quantile =
            |q: f64| tally.rtts_ns.get((tally.rtts_ns.len() as f64 * q) as usize).copied().unwrap_or(0);
        println!(
            "  {:?}; round trip p50 {} p99 {} p99.9 {} ns; departures known within {} ns (mean)",
            ring.counters(),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            tally.errors_ns / tally.sent.max(1)
        );
    }
    let (elapsed, cpu_ns) = (began.elapsed(), process_cpu_ns() - began_cpu_ns);
    println!(
        "{shards} shards, {burst} a call, {batch} a batch: sent {sent}, refused {refused}, answered {answered} ({:.0}/s), {:.0} ns of this process each",
        answered as f64 / elapsed.as_secs_f64(),
        cpu_ns as f64 / answered as f64
    );
    println!("  world replied {}", world.counters()?.total(Counter::Replies));
    Ok(())
}

#[derive(Default)]
struct Tally {
    sent: u64,
    refused: u64,
    answered: u64,
    errors_ns: u64,
    rtts_ns: Vec<u32>,
}

/// Sends until the time is over, then waits for what is on its way.
fn run(mut ring: KernelRing, core: usize, gap_us: u32, until: Instant) -> (KernelRing, Tally) {
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let mut tally = Tally::default();
    let mut quiet = 0;
    let mut number = 0u64;
    let mut left_ns = vec![0u64; 1 << 16];
    while quiet < 20 {
        let going = Instant::now() < until;
        let fill = |order: &mut KernelOrder| {
            number += 1;
            *order = order_of(number);
            Some(Ordered { token: number, len: 60 })
        };
        if let Err(e) = ring.send(if going { 256 } else { 0 }, fill) {
            eprintln!("{e}: {}", e.source);
            break;
        }
        ring.reap(u32::MAX, |departure| match departure.result {
            Ok(at) => {
                tally.sent += 1;
                tally.errors_ns += u64::from(at.error_ns);
                left_ns[departure.token as usize & 0xffff] = at.at_ns;
            }
            Err(_) => tally.refused += 1,
        });
        let count = ring.recv(4096, |record| {
            tally.answered += 1;
            if let Record::Reply(reply) = record
                && tally.rtts_ns.len() < 10_000_000
            {
                let token = u64::from_be_bytes(reply.key_balance) >> 16;
                tally.rtts_ns.push(reply.arrived_ns.saturating_sub(left_ns[token as usize & 0xffff]) as u32);
            }
        });
        quiet = if going || count > 0 { 0 } else { quiet + 1 };
        if gap_us > 0 || !going {
            let pause_ns = u64::from(gap_us).max(if going { 0 } else { 1000 }) * 1000;
            let until_ns = ring.now_ns() + pause_ns;
            if let Err(e) = ring.park(until_ns, false) {
                eprintln!("{e}: {}", e.source);
                break;
            }
        }
    }
    (ring, tally)
}

fn order_of(number: u64) -> KernelOrder {
    let mut order = KernelOrder {
        first: [0x45, 0, 0, 60],
        second: [64, 1, 0, 0],
        key_balance: (number << 16).to_be_bytes(),
        echo: [0x4d, 7, (number >> 8) as u8, number as u8],
        ..KernelOrder::default()
    };
    order.destination = [
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0xff,
        0xff,
        10,
        (number >> 16) as u8,
        (number >> 8) as u8,
        number as u8,
    ];
    let header =
        [&order.first[..], &[0, 0, 0x40, 0], &order.second, &[198, 18, 0, 2], &order.destination[12..]]
            .concat();
    let check = checksum(&header);
    order.second[2..].copy_from_slice(&check);
    let message = [&[8, 0, 0, 0][..], &order.echo, &order.key_balance].concat();
    order.checksum = checksum(&message);
    order
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
