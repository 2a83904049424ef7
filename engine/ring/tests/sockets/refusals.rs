//! What the kernel refuses: packets, and whole rings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use megaping_ring::{OpenError, RawConfig, Refused};

use crate::lab::{
    OURS, SocketRing, V4, V6, config, echo_request, exchange, in_own_network, outgoing, shell, with_each_ring,
};

with_each_ring!(
    root_an_errno_is_its_packets_alone_and_the_rest_goes_on,
    root_a_full_way_out_waits_goes_on_and_can_be_abandoned,
    root_a_ring_that_cannot_be_opened_says_why_and_what_would_be_right,
    root_a_bound_source_is_on_the_packets,
    root_without_privilege_the_error_tells_how_to_get_it,
);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn root_an_errno_is_its_packets_alone_and_the_rest_goes_on<R: SocketRing>() {
    in_own_network(|| {
        shell(
            "ip link set lo mtu 1400; ip route add 192.0.2.0/24 dev lo; ip route add unreachable 198.51.100.0/24",
        );
        let mut ring = R::over(&config()).expect("it opens");
        let cases = [
            (V4, 84, None),
            (ip("203.0.113.1"), 84, Some(libc::ENETUNREACH)),
            (ip("198.51.100.1"), 84, Some(libc::EHOSTUNREACH)),
            (V6, 84, None),
            (ip("2001:db8::1"), 84, Some(libc::ENETUNREACH)),
            (V4, 1_400, None),
            (V4, 1_401, Some(libc::EMSGSIZE)),
            (V6, 1_400, None),
            (V6, 1_401, Some(libc::EMSGSIZE)),
            (V4, 1_501, Some(libc::EMSGSIZE)),
            (ip("127.255.255.255"), 84, Some(libc::EACCES)),
            (V4, 84, None),
            (V6, 84, None),
        ];
        let mut packets: Vec<_> = (0..)
            .zip(cases)
            .map(|(token, (destination, len, _))| {
                (outgoing(token, destination, len), echo_request(destination, OURS, token, len))
            })
            .collect();
        // Too short to have a header.
        packets.push((outgoing(13, V6, 39), vec![0x60; 39]));
        packets.push((outgoing(14, V4, 19), vec![0x45; 19]));
        let run = exchange(&mut ring, &packets);
        for (token, (destination, len, errno)) in (0..).zip(cases) {
            let refused = run.result(token).err();
            assert_eq!(refused, errno.map(Refused::Errno), "{destination}, {len} bytes");
        }
        assert_eq!(run.result(13), Err(Refused::Errno(libc::EINVAL)));
        assert_eq!(run.result(14), Err(Refused::Errno(libc::EINVAL)));
        let mut came: Vec<u64> = run.by_token().into_keys().collect();
        came.sort_unstable();
        assert_eq!(came, [0, 3, 5, 7, 11, 12]);

        let mut ring = R::over(&RawConfig { ipv6: false, ..config() }).expect("it opens");
        let packets = [V6, V4].map(|to| (outgoing(1, to, 84), echo_request(to, OURS, 1, 84)));
        let run = exchange(&mut ring, &packets);
        assert_eq!(run.departures[0].result, Err(Refused::Errno(libc::EAFNOSUPPORT)));
        assert_eq!(run.came.len(), 1);
    });
}

/// A way out of one megabit a second, whose queue is long enough for everything.
const SLOW: &str = "ip link add near type veth peer name far; ip link set near up; ip link set far up;
    ip address add 10.0.0.1/24 dev near; ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:01 dev near nud permanent;
    tc qdisc add dev near root tbf rate 1mbit burst 2k limit 10000000";

fn root_a_full_way_out_waits_goes_on_and_can_be_abandoned<R: SocketRing>() {
    in_own_network(|| {
        shell(SLOW);
        let mut ring = R::over(&RawConfig { ipv6: false, queue: 2_048, ..config() }).expect("it opens");
        let bytes = echo_request(ip("10.0.0.2"), OURS, 0, 84);
        let mut next = 0;
        let mut fill = |buffer: &mut [u8]| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            next += 1;
            Some(outgoing(next, ip("10.0.0.2"), bytes.len()))
        };
        let taken = ring.send(4_096, &mut fill).expect("the ring lives");
        assert!(taken < 1_000, "the socket is full before the device's queue of 1,000 would be: {taken}");
        assert_eq!(ring.counters().tx_full, 1);
        assert_eq!(ring.send(4_096, &mut fill).ok(), Some(0), "nothing is taken while something waits");
        let left = ring.reap(4_096, |departure| assert!(departure.result.is_ok())).expect("the ring lives");
        assert!(left < taken && left + 16 >= taken, "{left} of {taken} left, the rest of a batch waits");
        // Half of the buffer has to drain before the socket is writable again.
        let until_ns = ring.now_ns() + 10_000_000_000;
        ring.park(until_ns, true).expect("the ring lives");
        assert!(ring.now_ns() < until_ns, "woken by room");
        let more = ring.reap(4_096, |departure| assert!(departure.result.is_ok())).expect("the ring lives");
        assert_eq!(left + more, taken, "park sent what waited");
        let again = ring.send(4_096, &mut fill).expect("the ring lives");
        ring.abandon();
        let (mut departed, mut abandoned) = (0, 0);
        let count = |departure: megaping_ring::Departure| match departure.result {
            Ok(_) => departed += 1,
            Err(refused) => {
                assert_eq!(refused, Refused::Abandoned);
                abandoned += 1;
            }
        };
        assert_eq!(ring.reap(4_096, count).ok(), Some(again));
        assert!(
            abandoned > 0 && abandoned <= 16 && departed > 0,
            "{departed} left, {abandoned} were abandoned"
        );
        let queue = shell("tc -s qdisc show dev near");
        assert!(queue.contains("dropped 0"), "nothing was dropped behind our back: {queue}");
    });
}

fn open_error<R: SocketRing>(config: &RawConfig) -> String {
    match R::over(config) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

fn root_a_ring_that_cannot_be_opened_says_why_and_what_would_be_right<R: SocketRing>() {
    in_own_network(|| {
        let interface = |name: &str| RawConfig { interface: Some(name.into()), ..config() };
        for name in ["nosuch0", "", "a-name-that-is-much-too-long", "l\0"] {
            assert!(
                open_error::<R>(&interface(name)).starts_with(&format!("there is no interface {name:?}: "))
            );
        }
        let lo = R::over(&interface("lo")).map(|mut ring| {
            let packets = [V4, V6].map(|to| (outgoing(1, to, 84), echo_request(to, OURS, 1, 84)));
            exchange(&mut ring, &packets).came.len()
        });
        assert_eq!(lo.ok(), Some(2), "the loopback there is");
        let source = RawConfig { source_v4: Some(Ipv4Addr::new(192, 0, 2, 1)), ..config() };
        assert!(open_error::<R>(&source).starts_with("192.0.2.1 is no address of this machine: "));
        let source = RawConfig { source_v6: "2001:db8::1".parse().ok(), ..config() };
        assert!(open_error::<R>(&source).starts_with("2001:db8::1 is no address of this machine: "));
        assert!(open_error::<R>(&RawConfig::default()).starts_with("neither IPv4 nor IPv6"));
        assert_eq!(
            open_error::<R>(&RawConfig { send_batch: 0, ..config() }),
            "send_batch is 0: it must be 1 to 1024"
        );
        assert_eq!(open_error::<R>(&RawConfig { mtu: 67, ..config() }), "mtu is 67: it must be 68 to 65535");
    });
}

fn root_a_bound_source_is_on_the_packets<R: SocketRing>() {
    in_own_network(|| {
        // The kernel makes the route to an IPv6 address some time after the address.
        shell(
            "ip address add 127.0.0.9/8 dev lo; ip address add fd00::9/128 dev lo nodad
            for try in $(seq 200); do
                ip -6 route show table local | grep -q '^local fd00::9' && exit; sleep 0.01
            done; exit 1",
        );
        let (v4, v6) = (Ipv4Addr::new(127, 0, 0, 9), "fd00::9".parse::<Ipv6Addr>().ok());
        let bound = RawConfig { source_v4: Some(v4), source_v6: v6, ..config() };
        let mut ring = R::over(&bound).expect("it opens");
        let packets = [V4, V6].map(|to| (outgoing(1, to, 84), echo_request(to, OURS, 1, 84)));
        let run = exchange(&mut ring, &packets);
        assert_eq!(run.came.len(), 2, "a socket bound to an address hears what is sent to it alone");
        let reply =
            run.came.iter().find(|came| came.layer == megaping_ring::Layer::Ipv4).expect("one of IPv4");
        assert_eq!(reply.bytes[16..20], v4.octets());
    });
}

fn root_without_privilege_the_error_tells_how_to_get_it<R: SocketRing>() {
    in_own_network(|| {
        // SAFETY: no pointers; the raw system call changes this thread alone, which ends with the test.
        let dropped = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(dropped, 0);
        let error = R::over(&config()).err().expect("a nobody may not");
        assert!(matches!(error, OpenError::NoPrivilege { .. }));
        let expected = "raw sockets need CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` the program";
        assert_eq!(error.to_string(), expected);
    });
}
