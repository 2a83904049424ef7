//! What the `io_uring` ring alone has: buffers that run out, features that are missing, a thread that owns it.

use std::time::Duration;

use megaping_ring::{
    Feature, OpenError, PacketRing, RawConfig, TaskWork, UringConfig, UringOpenError, UringRing,
};

use crate::lab::{OURS, V4, V6, config, echo_request, exchange, in_own_network, outgoing, shell};

fn echoes(count: u64) -> Vec<(megaping_ring::Outgoing, Vec<u8>)> {
    let echo = |token| {
        let destination = if token % 2 == 0 { V4 } else { V6 };
        (outgoing(token, destination, 84), echo_request(destination, OURS, token, 84))
    };
    (0..count).map(echo).collect()
}

/// Sends all the packets before anything is received.
fn send_all(ring: &mut UringRing, packets: &[(megaping_ring::Outgoing, Vec<u8>)]) {
    let mut left = packets.iter();
    let fill = |buffer: &mut [u8]| {
        let (outgoing, bytes) = left.next()?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Some(*outgoing)
    };
    assert_eq!(ring.send(u32::MAX, fill).ok(), Some(packets.len() as u32));
    let reaped = ring.reap(u32::MAX, |departure| assert!(departure.result.is_ok()));
    assert_eq!(reaped.ok(), Some(packets.len() as u32));
}

#[test]
fn root_when_the_buffers_run_out_the_socket_keeps_what_comes() {
    in_own_network(|| {
        for masked in [vec![], vec![Feature::DeferredTaskWork]] {
            let sockets = RawConfig { queue: 2_048, ..config() };
            let few = UringConfig { sockets, buffers: 4, masked };
            let mut ring = UringRing::open(&few).expect("it opens");
            send_all(&mut ring, &echoes(2_000));
            let mut tokens = Vec::new();
            // Odd quotas, so that buffers stay with us between the calls.
            while tokens.len() < 2_000 {
                let came = ring.recv(3, |incoming| {
                    let icmp = if incoming.bytes[0] == 0x45 { 20 } else { 0 };
                    let token = incoming.bytes[icmp + 8..icmp + 16].try_into().expect("eight bytes");
                    tokens.push(u64::from_be_bytes(token));
                });
                assert_ne!(came.expect("the ring lives"), 0, "{} of 2000 came", tokens.len());
            }
            assert_eq!(ring.recv(3, |_| ()).ok(), Some(0));
            for family in [0, 1] {
                let of_family = tokens.iter().filter(|&token| token % 2 == family);
                assert!(of_family.copied().eq((family..2_000).step_by(2)), "in the order in which they came");
            }
            assert!(ring.exhausted() > 100, "{}", ring.exhausted());
            assert_eq!((ring.counters().rx_dropped, ring.overflowed()), (0, 0));
        }
    });
}

#[test]
fn root_looking_for_arrivals_where_there_are_none_is_no_system_call() {
    in_own_network(|| {
        let config = UringConfig { sockets: config(), ..UringConfig::default() };
        let mut ring = UringRing::open(&config).expect("it opens");
        assert_eq!(exchange(&mut ring, &echoes(64)).came.len(), 64);
        let before = ring.counters().syscalls;
        for _ in 0..1_000 {
            assert_eq!(ring.recv(64, |_| ()).ok(), Some(0));
        }
        assert_eq!(ring.counters().syscalls, before);
        send_all(&mut ring, &echoes(64));
        assert_eq!(ring.counters().syscalls, before + 4, "16 packets of both families a call");
        assert_eq!(ring.recv(64, |_| ()).ok(), Some(64));
        assert!(ring.counters().syscalls <= before + 4 + 3, "{:?}", ring.counters());
    });
}

#[test]
fn root_a_park_that_is_not_to_wake_sleeps_through_arrivals() {
    in_own_network(|| {
        for masked in [vec![], vec![Feature::DeferredTaskWork]] {
            let config = UringConfig { sockets: config(), masked, ..UringConfig::default() };
            let mut ring = UringRing::open(&config).expect("it opens");
            // Armed before there is something to receive, so that arrivals reach the ring.
            assert_eq!(ring.recv(8, |_| ()).ok(), Some(0));
            send_all(&mut ring, &echoes(8));
            let until_ns = ring.now_ns() + 20_000_000;
            ring.park(until_ns, false).expect("the ring lives");
            assert!(ring.now_ns() >= until_ns);
            let before_ns = ring.now_ns();
            ring.park(before_ns + 5_000_000_000, true).expect("the ring lives");
            assert!(ring.now_ns() < before_ns + 1_000_000_000, "what came earlier ends it at once");
            assert_eq!(ring.recv(8, |_| ()).ok(), Some(8));
        }
    });
}

#[test]
fn root_a_full_way_out_is_waited_for_through_a_flood_that_is_not() {
    in_own_network(|| {
        shell(
            "ip link add near type veth peer name far; ip link set near up; ip link set far up;
            ip address add 10.0.0.1/24 dev near;
            ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:01 dev near nud permanent;
            tc qdisc add dev near root tbf rate 1mbit burst 2k limit 10000000",
        );
        let sockets = RawConfig { ipv6: false, queue: 2_048, ..config() };
        let few = UringConfig { sockets: sockets.clone(), buffers: 8, ..UringConfig::default() };
        let mut ring = UringRing::open(&few).expect("it opens");
        let far = "10.0.0.2".parse().expect("an address");
        let bytes = echo_request(far, OURS, 0, 84);
        let fill = |buffer: &mut [u8]| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Some(outgoing(7, far, bytes.len()))
        };
        assert_eq!(ring.recv(8, |_| ()).ok(), Some(0));
        assert!(ring.send(2_000, fill).expect("the ring lives") < 2_000);
        // More replies than there are buffers, from another ring.
        let mut other =
            UringRing::open(&UringConfig { sockets, ..UringConfig::default() }).expect("it opens");
        send_all(&mut other, &echoes(64).into_iter().step_by(2).collect::<Vec<_>>());
        let until_ns = ring.now_ns() + 10_000_000_000;
        ring.park(until_ns, false).expect("the ring lives");
        assert!(ring.now_ns() < until_ns, "woken by room");
        assert_eq!(ring.recv(64, |_| ()).ok(), Some(32), "nothing was lost meanwhile");
        ring.abandon();
    });
}

#[test]
fn root_a_missing_feature_is_named_with_the_kernel_that_has_it() {
    in_own_network(|| {
        let open = |masked: &[Feature]| {
            UringRing::open(&UringConfig {
                sockets: config(),
                masked: masked.into(),
                ..UringConfig::default()
            })
        };
        let needed = [
            Feature::Messages,
            Feature::TimedWait,
            Feature::BufferRing,
            Feature::SingleIssuer,
            Feature::MultishotReceive,
            Feature::SyncCancel,
        ];
        for feature in needed {
            let error = open(&[feature]).err().expect("it cannot do without");
            assert!(matches!(error, UringOpenError::Missing { feature: missing, .. } if missing == feature));
            let text = error.to_string();
            assert!(text.contains(&feature.to_string()) && text.contains(feature.since()), "{text}");
            assert!(text.ends_with("use the raw ring here"), "{text}");
        }
        for (masked, expected) in
            [(vec![], TaskWork::Deferred), (vec![Feature::DeferredTaskWork], TaskWork::Cooperative)]
        {
            let mut ring = open(&masked).expect("it opens");
            assert_eq!(ring.task_work(), expected);
            let run = exchange(&mut ring, &echoes(1_000));
            assert_eq!(run.came.len(), 1_000);
            assert_eq!((ring.counters().rx_dropped, ring.overflowed()), (0, 0));
        }
    });
}

#[test]
fn root_numbers_that_do_not_work_are_named() {
    in_own_network(|| {
        for buffers in [0, 1, 3, 16_384] {
            let config = UringConfig { sockets: config(), buffers, ..UringConfig::default() };
            let error = UringRing::open(&config).err().expect("it cannot");
            assert!(matches!(error, UringOpenError::Sockets(OpenError::OutOfRange { field: "buffers", .. })));
        }
        let largest = RawConfig { send_batch: 1_024, queue: 4_096, ..config() };
        let config = UringConfig { sockets: largest, buffers: 8_192, ..UringConfig::default() };
        let mut ring = UringRing::open(&config).expect("it opens");
        assert_eq!(exchange(&mut ring, &echoes(2_000)).came.len(), 2_000);
    });
}

#[test]
fn root_a_ring_belongs_to_the_thread_that_uses_it_first() {
    in_own_network(|| {
        let config = UringConfig { sockets: config(), ..UringConfig::default() };
        let mut ring = UringRing::open(&config).expect("it opens");
        let mut ring = std::thread::spawn(move || {
            assert_eq!(exchange(&mut ring, &echoes(100)).came.len(), 100);
            ring
        })
        .join()
        .expect("a ring opened elsewhere works");
        let packets = echoes(2);
        let mut left = packets.iter();
        let fill = |buffer: &mut [u8]| {
            let (outgoing, bytes) = left.next()?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Some(*outgoing)
        };
        let down = ring.send(2, fill).expect_err("it is another thread's");
        assert_eq!((down.operation, down.source.raw_os_error()), ("io_uring_enter", Some(libc::EEXIST)));
        ring.abandon();
        let mut abandoned = 0;
        let each = |departure: megaping_ring::Departure| abandoned += u32::from(departure.result.is_err());
        assert_eq!(ring.reap(8, each).ok(), Some(2), "all that was taken comes back");
        assert_eq!(abandoned, 2);
    });
}

/// Makes a system call of this thread alone, and of its children, fail with an errno.
fn forbid(call: libc::c_long, errno: i32) {
    let line = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call.cast_unsigned() as u32),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call; the filter is this thread's, which ends with the test.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const header) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn root_where_io_uring_is_forbidden_or_not_built_the_error_says_what_to_do() {
    for (errno, expected) in [
        (libc::EPERM, "`sysctl kernel.io_uring_disabled` must be 0"),
        (libc::ENOSYS, "(CONFIG_IO_URING)"),
        (libc::ENOMEM, "io_uring_setup failed"),
    ] {
        in_own_network(move || {
            forbid(libc::SYS_io_uring_setup, errno);
            let config = UringConfig { sockets: config(), ..UringConfig::default() };
            let error = UringRing::open(&config).err().expect("it cannot").to_string();
            assert!(error.contains(expected), "{error}");
        });
    }
}

#[test]
fn root_a_ring_that_is_dropped_under_a_flood_leaves_nothing_behind() {
    in_own_network(|| {
        let with = |buffers| UringConfig {
            sockets: RawConfig { queue: 1_024, ..config() },
            buffers,
            ..UringConfig::default()
        };
        let mut flood = UringRing::open(&with(8)).expect("it opens");
        let sockets = || {
            let lines = |file| std::fs::read_to_string(file).expect("proc is there").lines().count() - 1;
            lines("/proc/thread-self/net/raw") + lines("/proc/thread-self/net/raw6")
        };
        for unread in 0..50 {
            let mut ring = UringRing::open(&with(if unread % 2 == 0 { 8 } else { 1_024 })).expect("it opens");
            assert_eq!(ring.recv(1, |_| ()).ok(), Some(0));
            assert_eq!(sockets(), 4);
            send_all(&mut flood, &echoes(1_000));
            // Some of it in completions, some in the sockets, some handed out.
            assert_eq!(ring.recv(unread, |_| ()).ok(), Some(unread));
            drop(ring);
            // Another test may be starting a process, which has a copy of every descriptor for a moment.
            let closed = (0..1_000).any(|_| {
                let closed = sockets() == 2;
                if !closed {
                    std::thread::sleep(Duration::from_millis(1));
                }
                closed
            });
            assert!(closed, "the sockets of a ring that is gone are closed");
            while flood.recv(1_024, |_| ()).expect("the ring lives") > 0 {}
        }
        assert_eq!(flood.overflowed(), 0);
    });
}
