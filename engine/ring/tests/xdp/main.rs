//! The AF_XDP ring against a real kernel, the real steering program and the simulated Internet. All need root.

mod rig;

use std::collections::BTreeSet;
use std::process::Command;

use megaping_loader::{Counter, SteerCounter, WorldConfig};
use megaping_ring::{Departure, FixedHops, PacketRing, Refused, TakenBy, XdpConfig, XdpOpenError, XdpRing};
use rig::{FOREIGN, HOPS, OURS, Rig, V4, V6, config, exchange, in_own_network, outgoing, request, shell};

#[test]
fn root_every_echo_of_ours_returns_stamped_and_foreign_ones_go_to_the_kernel() {
    in_own_network(|| {
        let mut rig = Rig::new(&config(), &WorldConfig { verify: true, ..WorldConfig::default() });
        let began_ns = rig.ring.now_ns();
        // Even tokens are IPv4, odd ones IPv6; every tenth bears an identifier that is not ours. Many times as many
        // as there are frames.
        let foreign = |token: u64| matches!(token % 10, 5 | 6);
        let packets: Vec<_> = (0..20_000u64)
            .map(|token| {
                let destination = if token % 2 == 0 { V4 } else { V6 };
                let identifier = if foreign(token) { FOREIGN } else { OURS };
                let bytes = request(destination, 64, identifier, token);
                (outgoing(token, destination, bytes.len()), bytes)
            })
            .collect();
        let run = exchange(&mut rig.ring, &packets);
        let ended_ns = rig.ring.now_ns();
        let came: BTreeSet<u64> = run.came.iter().map(rig::Came::token).collect();
        let ours: BTreeSet<u64> = (0..20_000).filter(|token| !foreign(*token)).collect();
        assert!(came == ours, "{} of {} came", came.len(), ours.len());
        assert_eq!(run.came.len(), ours.len(), "none came twice");
        for came in &run.came {
            let (expected, reply) = if came.token() % 2 == 0 { (60 + 16, 0) } else { (80 + 16, 129) };
            assert_eq!((came.bytes.len(), came.icmp()[0]), (expected, reply));
            let Departure { result, .. } = run.departures[came.token() as usize];
            let left = result.expect("it left");
            assert_eq!((left.taken_by, came.stamp.taken_by), (TakenBy::User, TakenBy::Xdp));
            assert!(left.at_ns >= began_ns && came.stamp.at_ns <= ended_ns);
            let slack_ns = u64::from(left.error_ns) + u64::from(came.stamp.error_ns);
            assert!(came.stamp.at_ns + slack_ns >= left.at_ns, "a reply comes after its request");
        }
        // What the world sent is what steering saw is what came, or went to the kernel.
        let world = rig.world.counters().unwrap();
        assert_eq!((world.total(Counter::Replies), world.total(Counter::Malformed)), (20_000, 0));
        let steer = rig.steer.counters().unwrap();
        assert_eq!(steer.redirected(), 16_000);
        assert_eq!(steer.total(SteerCounter::Foreign), 4_000);
        assert_eq!(steer.total(SteerCounter::NoSocket) + steer.total(SteerCounter::Unstamped), 0);
        let counters = rig.ring.counters();
        assert_eq!((counters.rx_dropped, counters.rx_truncated), (0, 0));
        assert!(counters.syscalls < 5_000, "{counters:?}: batches, not packets");
        let frames = rig.ring.frames();
        assert_eq!((frames.lent, frames.strays, frames.total), (0, 0, 3 * 256));
    });
}

#[test]
fn root_errors_that_quote_our_requests_come_too() {
    in_own_network(|| {
        let world = WorldConfig { min_hops: 5, max_hops: 5, mpls_ppm: 500_000, ..WorldConfig::default() };
        let mut rig = Rig::new(&config(), &world);
        let packets: Vec<_> = (0..40u64)
            .map(|token| {
                let destination = if token % 2 == 0 { V4 } else { V6 };
                let bytes = request(destination, 1 + (token / 10) as u8, OURS, token);
                (outgoing(token, destination, bytes.len()), bytes)
            })
            .collect();
        let run = exchange(&mut rig.ring, &packets);
        assert_eq!(run.came.len(), 40);
        assert!(run.came.iter().all(|came| matches!(came.icmp()[0], 3 | 11)), "time exceeded");
        assert_eq!(rig.steer.counters().unwrap().total(SteerCounter::Errors), 40);
    });
}

#[test]
fn root_the_hosts_own_ping_does_not_notice_us() {
    in_own_network(|| {
        let mut rig = Rig::new(&config(), &WorldConfig::default());
        shell(
            "ip address add 198.18.0.2/30 dev near; ip address add fd00:6d70::2/64 dev near nodad
             ip neigh add 198.18.0.1 lladdr 02:00:00:00:00:0b dev near
             ip neigh add fd00:6d70::1 lladdr 02:00:00:00:00:0b dev near",
        );
        // Its identifier is given, because a random one could be ours.
        let ping = |to| {
            Command::new("ping").args(["-q", "-c", "50", "-i", "0.01", "-W", "2", "-e", "4660", to]).output()
        };
        let pings = std::thread::scope(|scope| {
            let pings = scope.spawn(|| ["198.18.0.1", "fd00:6d70::1"].map(ping));
            let bytes = request(V4, 64, OURS, 0);
            let (mut left, mut came) = (0, 0);
            while !pings.is_finished() {
                let fill = |buffer: &mut [u8]| {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    Some(outgoing(0, V4, bytes.len()))
                };
                rig.ring.send(16, fill).expect("the ring lives");
                rig.ring.reap(64, |departure| left += u32::from(departure.result.is_ok())).expect("it lives");
                rig.ring.recv(64, |_| came += 1).expect("the ring lives");
            }
            assert!(left > 1_000 && came > 1_000, "{left} requests left and {came} replies came meanwhile");
            pings.join().expect("no panic")
        });
        for ping in pings {
            let output = String::from_utf8(ping.expect("ping runs").stdout).expect("text");
            assert!(output.contains("50 received"), "{output}");
        }
        let foreign = rig.steer.counters().unwrap().total(SteerCounter::Foreign);
        assert_eq!(foreign, 100, "its replies went by the steering program");
    });
}

#[test]
fn root_what_cannot_leave_is_refused_in_its_turn() {
    in_own_network(|| {
        let mut rig = Rig::with_hops(&config(), FixedHops { v6: None, ..HOPS }, &WorldConfig::default());
        let good = request(V4, 64, OURS, 0);
        let packets = [
            (outgoing(0, V4, good.len()), good.clone()),
            (outgoing(1, V6, 96), request(V6, 64, OURS, 1)),
            (outgoing(2, V4, 1501), good.clone()),
            (outgoing(3, V4, 19), good.clone()),
            (outgoing(4, V4, good.len()), good),
        ];
        let run = exchange(&mut rig.ring, &packets);
        let refused = |errno| Err(Refused::Errno(errno));
        let results: Vec<_> = run.departures.iter().map(|departure| departure.result.map(|_| ())).collect();
        let expected =
            [Ok(()), refused(libc::ENETUNREACH), refused(libc::EMSGSIZE), refused(libc::EINVAL), Ok(())];
        assert_eq!(results, expected);
        assert_eq!(run.came.len(), 2);
    });
}

#[test]
fn root_an_interface_that_goes_down_holds_packets_until_it_is_up_or_they_are_abandoned() {
    in_own_network(|| {
        let mut rig = Rig::new(&config(), &WorldConfig::default());
        let ring = &mut rig.ring;
        let send = |ring: &mut XdpRing<FixedHops>, tokens: std::ops::Range<u64>| {
            let mut tokens = tokens;
            let sent = ring.send(10, |buffer| {
                let (token, bytes) = tokens.next().map(|token| (token, request(V4, 64, OURS, token)))?;
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Some(outgoing(token, V4, bytes.len()))
            });
            sent.expect("the ring lives")
        };
        let reap = |ring: &mut XdpRing<FixedHops>| {
            let mut reaped = Vec::new();
            ring.reap(100, |departure| reaped.push(departure)).expect("the ring lives");
            reaped
        };
        shell("ip link set near down");
        assert_eq!(send(ring, 0..3), 3);
        assert_eq!(send(ring, 3..6), 0, "nothing more is taken while nothing leaves");
        assert!(reap(ring).is_empty());
        let before_ns = ring.now_ns();
        ring.park(before_ns + 5_000_000, true).expect("the ring lives");
        assert!(reap(ring).is_empty());

        shell("ip link set near up");
        let mut left = Vec::new();
        let deadline = ring.now_ns() + 5_000_000_000;
        while left.len() < 3 && ring.now_ns() < deadline {
            assert_eq!(ring.send(0, |_| None).expect("the ring lives"), 0);
            left.extend(reap(ring));
        }
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|departure| departure.result.is_ok_and(|stamp| stamp.at_ns > before_ns)));

        shell("ip link set near down");
        assert_eq!(send(ring, 6..8), 2);
        ring.abandon();
        let given_up: Vec<_> = reap(ring).iter().map(|d| (d.token, d.result)).collect();
        assert_eq!(given_up, [(6, Err(Refused::Abandoned)), (7, Err(Refused::Abandoned))]);
        assert!(ring.frames().balanced());
        assert_eq!(ring.frames().lent, 0);
    });
}

#[test]
fn root_packets_that_a_device_without_carrier_drops_are_not_called_sent() {
    in_own_network(|| {
        let mut rig = Rig::new(&config(), &WorldConfig::default());
        let bytes = request(V4, 64, OURS, 0);
        let packets: Vec<_> = (0..5).map(|token| (outgoing(token, V4, bytes.len()), bytes.clone())).collect();
        shell("ip link set far down");
        let run = exchange(&mut rig.ring, &packets);
        let dropped = Err(Refused::Errno(libc::EBUSY));
        assert!(run.departures.iter().all(|departure| departure.result == dropped), "{:?}", run.departures);
        // Also while we sleep, and nothing else has the kernel send.
        let mut left = packets.iter();
        let fill = |buffer: &mut [u8]| {
            let (outgoing, bytes) = left.next()?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Some(*outgoing)
        };
        assert_eq!(rig.ring.send(5, fill).expect("the ring lives"), 5);
        let mut results = Vec::new();
        let deadline = rig.ring.now_ns() + 5_000_000_000;
        while results.len() < 5 && rig.ring.now_ns() < deadline {
            let until_ns = rig.ring.now_ns() + 1_000_000;
            rig.ring.park(until_ns, true).expect("the ring lives");
            rig.ring.reap(5, |departure| results.push(departure.result)).expect("the ring lives");
        }
        assert_eq!(results, [dropped; 5]);

        shell("ip link set far up");
        let run = exchange(&mut rig.ring, &packets);
        assert!(run.departures.iter().all(|departure| departure.result.is_ok()), "{:?}", run.departures);
        assert_eq!(run.came.len(), 5);
        assert_eq!(rig.world.counters().unwrap().total(Counter::Requests), 5);
    });
}

#[test]
fn root_without_capabilities_it_says_which_is_missing() {
    in_own_network(|| {
        // SAFETY: no pointers. The bare system call changes this thread alone, which ends with the test; its
        // effective capabilities go with user 0.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(changed, 0, "{}", std::io::Error::last_os_error());
        let refused = XdpRing::open(&config(), HOPS).err().expect("it must not open");
        assert!(matches!(refused, XdpOpenError::NoPrivilege { .. }), "{refused:?}");
        assert!(refused.to_string().contains("CAP_NET_RAW"), "{refused}");
    });
}

#[test]
fn root_what_cannot_be_opened_says_why() {
    in_own_network(|| {
        let error = |config: XdpConfig| XdpRing::open(&config, HOPS).err().expect("it must not open");
        assert!(matches!(error(XdpConfig { queues: vec![], ..config() }), XdpOpenError::NoQueue));
        for ring_size in [0, 63, 100, 32768] {
            assert!(matches!(error(XdpConfig { ring_size, ..config() }), XdpOpenError::OutOfRange { .. }));
        }
        for mtu in [67, 1779] {
            assert!(matches!(error(XdpConfig { mtu, ..config() }), XdpOpenError::OutOfRange { .. }));
        }
        for send_batch in [0, 33] {
            assert!(matches!(error(XdpConfig { send_batch, ..config() }), XdpOpenError::OutOfRange { .. }));
        }
        let nosuch = error(XdpConfig { interface: "nosuch".into(), ..config() });
        assert!(matches!(nosuch, XdpOpenError::NoSuchInterface { .. }), "{nosuch:?}");
        let beyond = error(XdpConfig { queues: vec![99], ..config() });
        assert!(matches!(beyond, XdpOpenError::Bind { queue: 99, .. }), "{beyond:?}");

        let first = XdpRing::open(&XdpConfig { queues: vec![0], ..config() }, HOPS).expect("it opens");
        let binding = first.bindings().next().expect("one queue");
        assert!(!binding.zero_copy && binding.refusal.is_some(), "veth has no zero-copy, and it is said");
        let second = error(XdpConfig { queues: vec![0], ..config() });
        assert!(
            matches!(&second, XdpOpenError::Bind { source, .. } if source.raw_os_error() == Some(libc::EBUSY))
        );
        drop(first);
        XdpRing::open(&config(), HOPS).expect("the queue is free again");
    });
}
