//! A network of one's own for each test, and packets built by hand.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use megaping_ring::{
    Departure, IdentifierMatch, Layer, OpenError, Outgoing, PacketRing, RawConfig, RawRing, Refused,
    TimeStamp, UringConfig, UringOpenError, UringRing,
};

pub const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// An identifier of ours, by [`config`]'s prefix.
pub const OURS: u16 = 0x4d07;
pub const FOREIGN: u16 = 0x4e07;
/// Offset of the ICMP header in the packets made here.
pub const ICMP_V4: usize = 20;
pub const ICMP_V6: usize = 40;

/// Runs `test` in a thread with a network namespace of its own, which dies with the thread and its sockets,
/// whether the test passes or panics; its loopback is up.
pub fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; the new namespace is this thread's alone.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(unshared, 0, "this test needs root: {}", std::io::Error::last_os_error());
        shell("ip link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command in this thread's network; returns what it printed.
pub fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A ring over raw sockets; the tests here are written once and run with each.
pub trait SocketRing: PacketRing + Sized {
    fn over(sockets: &RawConfig) -> Result<Self, OpenError>;
}

impl SocketRing for RawRing {
    fn over(sockets: &RawConfig) -> Result<Self, OpenError> {
        Self::open(sockets)
    }
}

impl SocketRing for UringRing {
    fn over(sockets: &RawConfig) -> Result<Self, OpenError> {
        let config = UringConfig { sockets: sockets.clone(), ..UringConfig::default() };
        Self::open(&config).map_err(|error| match error {
            UringOpenError::Sockets(error) => error,
            other => panic!("{other}: {:?}", std::error::Error::source(&other)),
        })
    }
}

/// Makes a test of each function here for each ring.
macro_rules! with_each_ring {
    ($($test:ident),* $(,)?) => {
        mod raw {
            $(#[test] fn $test() { super::$test::<megaping_ring::RawRing>(); })*
        }
        mod uring {
            $(#[test] fn $test() { super::$test::<megaping_ring::UringRing>(); })*
        }
    };
}
pub(crate) use with_each_ring;

pub fn config() -> RawConfig {
    let identifiers = IdentifierMatch { value: 0x4d00, mask: 0xff00 };
    RawConfig { ipv4: true, ipv6: true, identifiers, ..RawConfig::default() }
}

/// RFC 1071, the slow way.
pub fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// An IP packet with an ICMP message in it: type, code zero, four bytes, and what follows.
pub fn packet(destination: IpAddr, icmp_type: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![icmp_type, 0, 0, 0];
    message.extend(rest);
    message.extend(body);
    let len = message.len() as u16;
    match destination {
        IpAddr::V4(address) => {
            let sum = checksum(&message, 0);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 1, 0, 0, 0, 0, 0, 0];
            packet[2..4].copy_from_slice(&(len + 20).to_be_bytes());
            packet.extend(address.octets());
            [packet, message].concat()
        }
        IpAddr::V6(address) => {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, 58, 64];
            packet[4..6].copy_from_slice(&len.to_be_bytes());
            packet.extend(Ipv6Addr::LOCALHOST.octets());
            packet.extend(address.octets());
            let sum = checksum(&[&packet[8..], &message].concat(), u32::from(len) + 58);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            [packet, message].concat()
        }
    }
}

pub fn echo_request(destination: IpAddr, identifier: u16, token: u64, len: usize) -> Vec<u8> {
    let icmp_type = if destination.is_ipv4() { 8 } else { 128 };
    let header = if destination.is_ipv4() { ICMP_V4 } else { ICMP_V6 } + 8;
    let mut body = token.to_be_bytes().to_vec();
    body.resize(len.saturating_sub(header).max(8), 0x5a);
    let [high, low] = identifier.to_be_bytes();
    packet(destination, icmp_type, [high, low, 0, 1], &body)
}

pub fn outgoing(token: u64, destination: IpAddr, len: usize) -> Outgoing {
    Outgoing { token, destination, hop_limit: 64, traffic_class: 0, len: len as u16 }
}

/// One message that came, as the tests look at it.
#[derive(Clone, Debug)]
pub struct Came {
    pub bytes: Vec<u8>,
    pub layer: Layer,
    pub stamp: TimeStamp,
}

impl Came {
    /// The ICMP message.
    pub fn icmp(&self) -> &[u8] {
        match self.layer {
            Layer::Ipv4 => &self.bytes[ICMP_V4..],
            Layer::Ipv6 => panic!("raw sockets give no IPv6 header"),
            Layer::Icmpv6 { .. } => &self.bytes,
        }
    }

    /// The token of an echo's body.
    pub fn token(&self) -> u64 {
        u64::from_be_bytes(self.icmp()[8..16].try_into().expect("eight bytes"))
    }
}

/// Everything that happened to the packets of a run.
#[derive(Default)]
pub struct Run {
    pub departures: Vec<Departure>,
    pub came: Vec<Came>,
}

impl Run {
    pub fn result(&self, token: u64) -> Result<TimeStamp, Refused> {
        self.departures.iter().find(|departure| departure.token == token).expect("it was reaped").result
    }

    pub fn by_token(&self) -> HashMap<u64, &Came> {
        self.came.iter().map(|came| (came.token(), came)).collect()
    }
}

/// Sends the packets, waits until all have departed and nothing has come for 50 ms.
pub fn exchange(ring: &mut impl PacketRing, packets: &[(Outgoing, Vec<u8>)]) -> Run {
    let mut run = Run::default();
    let mut left = packets.iter();
    let mut quiet_at = ring.now_ns();
    let deadline = quiet_at + 10_000_000_000;
    while run.departures.len() < packets.len() || ring.now_ns() < quiet_at + 50_000_000 {
        assert!(ring.now_ns() < deadline, "{} of {} departed", run.departures.len(), packets.len());
        let fill = |buffer: &mut [u8]| {
            let (outgoing, bytes) = left.next()?;
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            Some(*outgoing)
        };
        let mut moved = ring.send(64, fill).expect("the ring lives");
        moved += ring.reap(64, |departure| run.departures.push(departure)).expect("the ring lives");
        moved += ring
            .recv(64, |incoming| {
                let (bytes, layer, stamp) = (incoming.bytes.to_vec(), incoming.layer, incoming.stamp);
                run.came.push(Came { bytes, layer, stamp });
            })
            .expect("the ring lives");
        if moved > 0 {
            quiet_at = ring.now_ns();
        } else {
            ring.park(quiet_at + 50_000_000, true).expect("the ring lives");
        }
    }
    let tokens: Vec<u64> = run.departures.iter().map(|departure| departure.token).collect();
    let taken: Vec<u64> = packets.iter().map(|(outgoing, _)| outgoing.token).collect();
    assert_eq!(tokens, taken, "departures come in the order taken");
    run
}

/// A packet socket on the loopback, for what the kernel will not send and to see what it did send.
pub struct Tap(std::os::fd::OwnedFd);

impl Tap {
    pub fn open() -> Self {
        use std::os::fd::FromRawFd;
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointers; the descriptor is checked and nobody else's.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, i32::from(all));
            assert!(fd >= 0);
            Self(std::os::fd::OwnedFd::from_raw_fd(fd))
        }
    }

    /// Puts an IPv6 packet on the loopback as it is, checksum and all.
    pub fn inject_ipv6(&self, packet: &[u8]) {
        use std::os::fd::AsRawFd;
        // SAFETY: a zeroed sockaddr_ll is valid; all pointers are to locals that outlive the call.
        let sent = unsafe {
            let mut name: libc::sockaddr_ll = std::mem::zeroed();
            name.sll_family = libc::AF_PACKET as u16;
            name.sll_protocol = (libc::ETH_P_IPV6 as u16).to_be();
            name.sll_ifindex = 1;
            let len = size_of::<libc::sockaddr_ll>() as u32;
            let name = (&raw const name).cast();
            libc::sendto(self.0.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, name, len)
        };
        assert_eq!(sent, packet.len().cast_signed());
    }

    /// Every packet that the loopback carried since it was opened, from the IP header on; each is seen on its
    /// way out and on its way in.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        use std::os::fd::AsRawFd;
        let mut packets = Vec::new();
        let mut buffer = [0u8; 2048];
        loop {
            // SAFETY: the buffer is writable for its length.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(got) = usize::try_from(got) else { return packets };
            packets.push(buffer[..got].to_vec());
        }
    }
}
