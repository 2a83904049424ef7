//! Interfaces that go down, programs that are taken off, processes that are killed.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use megaping_ring::Refused;

use crate::rig::{attach, in_own_network, open, packet, replies, send, shell};
use crate::world;

const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_MAP_GET_FD_BY_ID: i32 = 14;
const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;

#[test]
fn root_an_interface_that_is_down_refuses_and_serves_again() {
    in_own_network(|| {
        let (_world, kernel) = (world(), attach());
        let mut ring = open(&kernel, 0, (0..kernel.cpus()).collect());
        let packets: Vec<_> = (0..300).map(|token| packet(token % 2 == 0, token, 32)).collect();
        assert!(send(&mut ring, &packets).iter().all(|departure| departure.result.is_ok()));
        assert_eq!(replies(&mut ring).len(), 300);
        shell("ip link set near down");
        // The driver takes nothing, and the kernel does not say so (every order counts as sent): whoever orders must
        // know the state of the link.
        let departures = send(&mut ring, &packets);
        assert_eq!(departures.len(), 300, "each is told of, once");
        assert_eq!(replies(&mut ring).len(), 0);
        shell("ip link set near up");
        assert!(send(&mut ring, &packets).iter().all(|departure| departure.result.is_ok()));
        assert_eq!(replies(&mut ring).len(), 300);
        shell("ip link del near");
        let departures = send(&mut ring, &packets);
        let gone = Err(Refused::Errno(libc::ENETDOWN));
        assert!(departures.iter().all(|departure| departure.result == gone), "{:?}", departures[0]);
    });
}

/// `bpf(2)` with an attribute of 16 bytes.
fn bpf(command: i32, mut attribute: [u64; 2]) -> i64 {
    // SAFETY: the attribute is valid for the call; what it points to is the caller's.
    unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attribute, 16) }
}

/// The descriptor of a program or a map, closed again: whether there is one of that number.
fn exists(command: i32, id: u32) -> bool {
    let fd = bpf(command, [u64::from(id), 0]);
    if fd < 0 {
        return false;
    }
    // SAFETY: a fresh descriptor, of nobody else.
    unsafe { libc::close(fd as i32) };
    true
}

/// Numbers of the maps of a program.
fn maps_of(program: u32) -> Vec<u32> {
    let fd = bpf(BPF_PROG_GET_FD_BY_ID, [u64::from(program), 0]);
    assert!(fd >= 0, "the child's program is there");
    let mut ids = [0u32; 32];
    // `struct bpf_prog_info`: nr_map_ids at byte 52, map_ids at 56.
    let mut info = [0u64; 8];
    info[6] = (ids.len() as u64) << 32;
    info[7] = ids.as_mut_ptr().addr() as u64;
    let told = bpf(BPF_OBJ_GET_INFO_BY_FD, [fd as u64 | 64 << 32, info.as_mut_ptr().addr() as u64]);
    assert_eq!(told, 0);
    // SAFETY: a fresh descriptor, of nobody else.
    unsafe { libc::close(fd as i32) };
    ids[..(info[6] >> 32) as usize].to_vec()
}

#[test]
fn root_sigkill_leaves_nothing_attached_and_nothing_loaded() {
    const CHILD: &str = "MEGAPING_TEST_KERNEL_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let kernel = attach();
        let _ring = open(&kernel, 0, vec![0]);
        println!("\nREADY");
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    in_own_network(|| {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--nocapture", "life::root_sigkill_leaves_nothing_attached_and_nothing_loaded"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts again");
        let mut told = String::new();
        let mut stdout = child.stdout.take().expect("piped");
        while !told.contains("READY") {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).expect("a pipe"), 1, "the child ended: {told}");
            told.push(byte[0].into());
        }
        let link = shell("ip -d link show near");
        let id = link.split("prog/xdp id ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let program: u32 = id.expect("a program is attached").parse().expect("a number");
        let maps = maps_of(program);
        assert!(maps.len() >= 8, "{maps:?}");
        child.kill().expect("SIGKILL");
        child.wait().expect("it is dead");
        let deadline = Instant::now() + Duration::from_secs(10);
        // The kernel frees them after a grace period.
        while exists(BPF_PROG_GET_FD_BY_ID, program)
            || maps.iter().any(|map| exists(BPF_MAP_GET_FD_BY_ID, *map))
        {
            assert!(Instant::now() < deadline, "program {program}, maps {maps:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!shell("ip -d link show near").contains("prog/xdp"));
    });
}
