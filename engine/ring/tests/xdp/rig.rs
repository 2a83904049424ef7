//! A veth pair in a network of its own for each test: our ring and the steering program on one end, the simulated
//! Internet on the other.
//!
//! ```text
//!   ring <-- AF_XDP <-- steer -- near ==== far -- world: answers every echo
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use megaping_loader::{Steer, SteerConfig, World, WorldConfig};
use megaping_ring::{Departure, FixedHops, Layer, Outgoing, PacketRing, TimeStamp, XdpConfig, XdpRing};

pub const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 7, 7));
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7));
pub const OURS: u16 = 0x4d07;
pub const FOREIGN: u16 = 0x4e07;
pub const QUEUES: u32 = 2;
const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
pub const HOPS: FixedHops = FixedHops { v4: Some(FAR_MAC), v6: Some(FAR_MAC) };

/// Runs `test` in a thread with a network namespace of its own, which dies with the thread and its sockets,
/// whether the test passes or panics.
pub fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; the new namespace is this thread's alone.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(unshared, 0, "this test needs root: {}", std::io::Error::last_os_error());
        let queues = format!("numrxqueues {QUEUES} numtxqueues {QUEUES}");
        shell(&format!(
            "ip link add near address 02:00:00:00:00:0a {queues} type veth \
             peer name far address 02:00:00:00:00:0b {queues}; ip link set far up; ip link set near up"
        ));
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub fn shell(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn config() -> XdpConfig {
    XdpConfig {
        interface: "near".into(),
        queues: (0..QUEUES).collect(),
        source_mac: NEAR_MAC,
        ring_size: 256,
        ..XdpConfig::default()
    }
}

pub struct Rig {
    pub world: World,
    pub steer: Steer,
    pub ring: XdpRing<FixedHops>,
}

impl Rig {
    pub fn new(config: &XdpConfig, world: &WorldConfig) -> Self {
        Self::with_hops(config, HOPS, world)
    }

    pub fn with_hops(config: &XdpConfig, hops: FixedHops, world: &WorldConfig) -> Self {
        let world = World::attach("far", world).expect("the far end takes the world");
        let identifiers = SteerConfig { identifier_value: 0x4d00, identifier_mask: 0xff00 };
        let steer = Steer::attach("near", identifiers).expect("the near end takes the steering program");
        let ring = XdpRing::open(config, hops).expect("it opens");
        for (queue, socket) in ring.sockets() {
            steer.set_socket(queue, socket).expect("the socket has a receive ring");
        }
        Self { world, steer, ring }
    }
}

/// RFC 1071, the slow way.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A whole echo request, with checksums, that carries a token; of even length.
pub fn request(destination: IpAddr, hop_limit: u8, identifier: u16, token: u64) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    let mut message = vec![if destination.is_ipv4() { 8 } else { 128 }, 0, 0, 0, high, low, 0, 1];
    message.extend(token.to_be_bytes());
    message.extend([0x5a; 40]);
    let length = message.len() as u16;
    match destination {
        IpAddr::V4(address) => {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum);
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, hop_limit, 1, 0, 0, 198, 18, 0, 2];
            header[2..4].copy_from_slice(&(length + 20).to_be_bytes());
            header.extend(address.octets());
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum);
            [header, message].concat()
        }
        IpAddr::V6(address) => {
            let mut header = vec![0x60, 0, 0, 0, 0, length as u8, 58, hop_limit];
            header.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).octets());
            header.extend(address.octets());
            let pseudo = [&header[8..], &[0, 0, 0, length as u8, 0, 0, 0, 58], &message].concat();
            message[2..4].copy_from_slice(&checksum(&pseudo));
            [header, message].concat()
        }
    }
}

pub fn outgoing(token: u64, destination: IpAddr, len: usize) -> Outgoing {
    Outgoing { token, destination, hop_limit: 64, traffic_class: 0, len: len as u16 }
}

/// One packet that came.
pub struct Came {
    pub bytes: Vec<u8>,
    pub layer: Layer,
    pub stamp: TimeStamp,
}

impl Came {
    pub fn icmp(&self) -> &[u8] {
        &self.bytes[if self.layer == Layer::Ipv4 { 20 } else { 40 }..]
    }

    /// The token of an echo reply.
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

/// Sends the packets, waits until all have departed and nothing has come for 50 ms.
pub fn exchange(ring: &mut XdpRing<FixedHops>, packets: &[(Outgoing, Vec<u8>)]) -> Run {
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
        let mut moved = ring.send(100, fill).expect("the ring lives");
        moved += ring.reap(100, |departure| run.departures.push(departure)).expect("the ring lives");
        moved += ring
            .recv(100, |incoming| {
                let (bytes, layer, stamp) = (incoming.bytes.to_vec(), incoming.layer, incoming.stamp);
                run.came.push(Came { bytes, layer, stamp });
            })
            .expect("the ring lives");
        assert!(ring.frames().balanced(), "{:?}", ring.frames());
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
