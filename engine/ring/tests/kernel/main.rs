//! The kernel ring on a veth pair. All need root.

mod life;
mod rig;
mod wire;

use std::time::{Duration, Instant};

use megaping_loader::{Counter, World, WorldConfig};
use megaping_ring::Refused;
use rig::{MTU, attach, in_own_network, open, packet, pin, replies, send};

fn world() -> World {
    World::attach("far", &WorldConfig { verify: true, ..WorldConfig::default() })
        .expect("the far end takes the world")
}

#[test]
fn root_every_probe_is_answered_between_its_stamps() {
    in_own_network(|| {
        let (world, kernel) = (world(), attach());
        let mut ring = open(&kernel, 0, (0..kernel.cpus()).collect());
        for round in 0..20u64 {
            let packets: Vec<_> =
                (0..400).map(|n| packet(n % 2 == 0, round * 400 + n, 24 + n as usize % 300)).collect();
            let began = ring.now_ns();
            let departures = send(&mut ring, &packets);
            let sent = ring.now_ns();
            let came = replies(&mut ring);
            assert_eq!((departures.len(), came.len()), (400, 400));
            for reply in came {
                assert_eq!(reply.flags & 2, 0, "no checksum is wrong");
                let token = u64::from_be_bytes(reply.key_balance);
                let departure = departures[(token - round * 400) as usize];
                assert_eq!(departure.token, token - round * 400);
                let stamp = departure.result.expect("it left");
                let error = u64::from(stamp.error_ns);
                assert!(stamp.at_ns + error >= began && stamp.at_ns - error.min(stamp.at_ns) <= sent);
                assert!(reply.arrived_ns + error > stamp.at_ns, "no reply comes before its request");
            }
        }
        let counted = world.counters().expect("counters");
        assert_eq!((counted.total(Counter::Replies), counted.total(Counter::Malformed)), (8_000, 0));
        assert_eq!(ring.counters().rx_dropped, 0);
    });
}

#[test]
fn root_a_sleeper_is_woken_by_an_arrival_and_by_time() {
    in_own_network(|| {
        let (_world, kernel) = (world(), attach());
        let mut ring = open(&kernel, 0, (0..kernel.cpus()).collect());
        // By time alone.
        for wake in [true, false] {
            let began = Instant::now();
            let until = ring.now_ns() + 30_000_000;
            ring.park(until, wake).expect("the ring lives");
            let slept = began.elapsed();
            assert!((30..200).contains(&slept.as_millis()), "{slept:?}");
        }
        // By what another ring sends while this one sleeps.
        let mut woken = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pin(0);
                let mut other = open(&kernel, 1, vec![]);
                for token in 0..10 {
                    std::thread::sleep(Duration::from_millis(30));
                    send(&mut other, &[packet(true, token, 32)]);
                }
            });
            while woken < 10 {
                let until = ring.now_ns() + 5_000_000_000;
                ring.park(until, true).expect("the ring lives");
                assert!(ring.now_ns() < until, "five seconds, and no bell");
                let mut arrived = 0;
                ring.recv(1, |record| {
                    if let megaping_ring::kernel::Record::Reply(reply) = record {
                        arrived = reply.arrived_ns;
                    }
                });
                if arrived > 0 {
                    woken += 1;
                    let late = ring.now_ns() - arrived;
                    assert!(late < 25_000_000, "{late} ns after it came");
                }
            }
        });
    });
}

#[test]
fn root_packets_beyond_the_mtu_are_refused_and_do_not_pile_up() {
    in_own_network(|| {
        let (_world, kernel) = (world(), attach());
        let mut ring = open(&kernel, 0, (0..kernel.cpus()).collect());
        let packets = [packet(true, 0, 32), packet(true, 1, usize::from(MTU)), packet(false, 2, 32)];
        let departures = send(&mut ring, &packets);
        let mut refused: Vec<_> = departures.iter().filter(|departure| departure.result.is_err()).collect();
        assert_eq!(refused.len(), 1);
        let refused = refused.remove(0);
        assert_eq!((refused.token, refused.result), (1, Err(Refused::Errno(libc::EMSGSIZE))));
        assert_eq!(replies(&mut ring).len(), 2);
        // However many are offered, no more are taken than can be told of.
        let taken = ring.send(100_000, |slot| {
            *slot = rig::order(&packets[1]);
            Some(megaping_ring::kernel::Ordered { token: 9, len: MTU + 1 })
        });
        let taken = taken.expect("the ring lives");
        assert!((1..=512).contains(&taken), "{taken}");
        let mut told = 0;
        ring.reap(u32::MAX, |_| told += 1);
        assert_eq!(told, taken);
    });
}

#[test]
fn root_two_rings_on_two_cpus_share_nothing() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    in_own_network(|| {
        let (world, kernel) = (world(), attach());
        std::thread::scope(|scope| {
            for cpu in 0..2u32 {
                let kernel = &kernel;
                scope.spawn(move || {
                    pin(cpu as usize);
                    let mut ring = open(kernel, cpu, vec![cpu]);
                    let mut came = 0;
                    for round in 0..50u64 {
                        let packets: Vec<_> =
                            (0..200).map(|n| packet(n % 2 == 0, round * 200 + n, 32)).collect();
                        let departures = send(&mut ring, &packets);
                        assert!(departures.iter().all(|departure| departure.result.is_ok()));
                        came += ring.recv(u32::MAX, |_| ());
                    }
                    came + replies(&mut ring).len() as u32
                });
            }
        });
        assert_eq!(world.counters().expect("counters").total(Counter::Replies), 2 * 50 * 200);
    });
}
