//! What is on the wire is what was ordered, byte for byte: nothing of a page that held something else leaks.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use megaping_loader::Pass;

use crate::rig::{MACS, MTU, attach, in_own_network, open, packet, send};

/// Everything that arrives at the far end.
struct Capture(OwnedFd);

impl Capture {
    fn open() -> Capture {
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        // SAFETY: a string that ends with a zero; a fresh descriptor is ours; both pointers are valid for the calls.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, all);
            assert!(fd >= 0);
            let size = 64 << 20;
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const size).cast(), 4);
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = all as u16;
            address.sll_ifindex = libc::if_nametoindex(c"far".as_ptr()).cast_signed();
            let length = size_of::<libc::sockaddr_ll>() as u32;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), length), 0);
            Capture(OwnedFd::from_raw_fd(fd))
        }
    }

    /// The next frames, until there are `count` or none comes for a second.
    fn take(&self, count: usize) -> Vec<Vec<u8>> {
        let (mut frames, mut buffer) = (Vec::new(), vec![0u8; 9_000]);
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        while frames.len() < count {
            // SAFETY: one pollfd; a buffer of that length.
            let got = unsafe {
                libc::poll(&raw mut poll, 1, 1_000);
                libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0)
            };
            let Ok(got) = usize::try_from(got) else { break };
            frames.push(buffer[..got].to_vec());
        }
        frames
    }
}

/// Fills pages with a pattern and gives them back: the kernel hands them to whoever asks next on this CPU, uncleaned.
fn poison_pages() {
    drop(std::hint::black_box(vec![0xa5u8; 4 << 20]));
}

#[test]
fn root_nothing_but_what_was_ordered_is_on_the_wire() {
    in_own_network(|| {
        Pass::attach("far").expect("the far end takes frames");
        let kernel = attach();
        let mut ring = open(&kernel, 0, (0..kernel.cpus()).collect());
        let capture = Capture::open();
        let mut compared = 0;
        for round in 0..40u64 {
            // Long and short ones in turn, so that pages are used again by others; every third round the shortest.
            let packets: Vec<_> = (0..256u64)
                .map(|n| {
                    let token = round * 256 + n;
                    let most = if round % 3 == 0 { 60 } else { usize::from(MTU) - 48 };
                    let size = 24 + (token as usize).wrapping_mul(2_654_435_761) % (most - 23);
                    packet((token ^ token >> 3) % 2 == 0, token, size)
                })
                .collect();
            poison_pages();
            let departures = send(&mut ring, &packets);
            assert!(departures.iter().all(|departure| departure.result.is_ok()));
            let frames = capture.take(packets.len());
            assert_eq!(frames.len(), packets.len());
            for (frame, packet) in frames.iter().zip(&packets) {
                let ether_type: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
                assert_eq!(frame[..], [&MACS[..], &ether_type, packet].concat());
                compared += 1;
            }
        }
        assert_eq!(compared, 40 * 256);
        assert_eq!(capture.take(1), Vec::<Vec<u8>>::new(), "and not a frame more");
    });
}
