//! With a socket on the queue: the redirect, the stamp, and what stays untouched beside it; and what the program
//! costs.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use megaping_loader::abi::{STEER_SEAL, STEER_STAMP_SIZE};
use megaping_loader::{LoadError, Steer, SteerConfig, SteerCounter, Verdict};

use crate::frames::{FOREIGN, Frame, Ip, OURS, accepted, extension, request};
use crate::load;

/// An AF_XDP socket with a receive ring, bound to nothing: enough to be put into the map.
fn socket() -> OwnedFd {
    let entries: u32 = 64;
    // SAFETY: no pointers but one to a local that outlives the call; the new descriptor is checked and nobody
    // else's.
    unsafe {
        let fd = libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        let fd = OwnedFd::from_raw_fd(fd);
        let (value, size) = ((&raw const entries).cast(), size_of_val(&entries) as u32);
        let set = libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, libc::XDP_RX_RING, value, size);
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
        fd
    }
}

fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[test]
fn root_ours_are_redirected_behind_a_stamp_and_others_are_not() {
    let steer = load();
    let socket = socket();
    steer.set_socket(0, socket.as_fd()).unwrap();
    for frame in accepted() {
        let bytes = frame.bytes();
        let (before, early) = (steer.counters().unwrap(), monotonic_ns());
        let (verdict, out) = steer.test_run(&bytes).unwrap();
        let late = monotonic_ns();
        let counted = steer.counters().unwrap() - before;
        assert_eq!(verdict, Verdict::Redirect, "{frame:?}");
        assert_eq!(out[STEER_STAMP_SIZE..], bytes, "the frame itself is as it came");
        let word = |at: usize| u64::from_ne_bytes(out[at..at + 8].try_into().unwrap());
        assert_eq!(word(0) ^ word(8), STEER_SEAL);
        assert!((early..=late).contains(&word(0)));
        assert_eq!((counted.frames(), counted.redirected()), (1, 1));
        assert_eq!(counted.total(SteerCounter::NoSocket) + counted.total(SteerCounter::Unstamped), 0);
    }
    for ip in Ip::BOTH {
        for frame in [
            Frame::reply(ip, FOREIGN),
            Frame::echo(ip, ip.request(), OURS),
            Frame::error(ip, 3, &request(ip, FOREIGN)),
            Frame::new(ip, 6, vec![0; 40]),
        ] {
            let (verdict, out) = steer.test_run(&frame.bytes()).unwrap();
            assert_eq!((verdict, out), (Verdict::Pass, frame.bytes()));
        }
    }
    // A socket that is closed leaves the map; its frames go to the kernel, and are counted.
    drop(socket);
    let (verdict, out) = steer.test_run(&Frame::reply(Ip::V4, OURS).bytes()).unwrap();
    assert_eq!((verdict, out), (Verdict::Pass, Frame::reply(Ip::V4, OURS).bytes()));
    assert_eq!(steer.counters().unwrap().total(SteerCounter::NoSocket), 1);
}

#[test]
fn root_nonsense_is_refused_with_what_would_be_right() {
    let everything = Steer::load(SteerConfig { identifier_value: 7, identifier_mask: 0 }).unwrap_err();
    assert!(matches!(everything, LoadError::Config { value: 0, .. }));
    assert!(everything.to_string().contains("at least one bit"), "{everything}");
    let steer = load();
    let socket = socket();
    let far = steer.set_socket(256, socket.as_fd()).unwrap_err();
    assert!(far.to_string().contains("less than 256"), "{far}");
    steer.set_socket(255, socket.as_fd()).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(steer.set_socket(0, file.as_fd()), Err(LoadError::Map { .. })));
}

/// The verifier of an old kernel gives up at a million instructions and is slow long before; and the program runs
/// once a frame. Run with `--nocapture` to see the figures.
#[test]
fn root_the_program_is_cheap_to_verify_and_to_run() {
    let steer = load();
    let verified = steer.verified_instructions().unwrap();
    println!("verified instructions: {verified}");
    assert!((1..20_000).contains(&verified), "{verified}");
    let deep = Frame::reply(Ip::V6, OURS).headers(&vec![extension(60, 0); 8]);
    let frames = [
        ("IPv4 echo reply", Frame::reply(Ip::V4, OURS)),
        ("IPv6 echo reply", Frame::reply(Ip::V6, OURS)),
        ("IPv4 error", Frame::error(Ip::V4, 11, &request(Ip::V4, OURS))),
        ("IPv6 error", Frame::error(Ip::V6, 3, &request(Ip::V6, OURS))),
        ("IPv6 echo reply, 8 extension headers", deep),
        ("IPv4 foreign echo reply", Frame::reply(Ip::V4, FOREIGN)),
        ("IPv4 TCP", Frame::new(Ip::V4, 6, vec![0; 40])),
    ];
    for (name, frame) in frames {
        let mean_ns = steer.measure_ns(&frame.bytes(), 100_000).unwrap();
        println!("{name}: {mean_ns} ns a run");
        assert!(mean_ns < 2_000, "{name}: {mean_ns} ns");
    }
}
