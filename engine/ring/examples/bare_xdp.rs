//! The ceiling: AF_XDP sockets and nothing else. No schedule, no records, no matching, no stamps, no ownership of
//! frames: requests that were written once are sent again and again, and replies are counted.
//!
//! `bare_xdp IFACE QUEUES SECONDS [SIZE]`, as root, on an interface whose other end answers echo requests to any
//! address (`scripts/lab`) and that runs no XDP program yet. One pinned thread and one socket a queue; SIZE is the
//! payload of a request. Prints `{"sent": n, "answered": n}`.

use std::error::Error;
use std::ffi::CString;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::{Duration, Instant};

use megaping_loader::{Steer, SteerConfig};
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig, XdpFlags,
};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

/// Entries of each ring.
const RING: u32 = 4096;
/// Frames that are handed over at a time.
const BATCH: usize = 64;
/// `XDP_MAX_TX_SKB_BUDGET`: what the kernel takes in one call; 32 where it does not know the option.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Bytes of a frame.
const FRAME: u32 = 2048;
const IDENTIFIER: u16 = 0x4d07;

struct Port {
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// By frame: all requests, ready to send.
    requests: Vec<FrameDesc>,
    /// Those that nobody has.
    ready: Vec<FrameDesc>,
    _umem: Umem,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [iface, queues, seconds, rest @ ..] = &args[..] else {
        return Err("bare_xdp IFACE QUEUES SECONDS [SIZE]".into());
    };
    let (queues, seconds) = (queues.parse::<u32>()?, Duration::try_from_secs_f64(seconds.parse()?)?);
    let size = rest.first().map_or(Ok(32), |size| size.parse::<usize>())?.clamp(8, 1400);
    let steer =
        Steer::attach(iface, SteerConfig { identifier_value: IDENTIFIER & 0xff00, identifier_mask: 0xff00 })?;
    let mut ports = Vec::new();
    for queue in 0..queues {
        let port = Port::open(iface, queue, size)?;
        // SAFETY: the queue holds the socket open, and lives longer than the borrow.
        let socket = unsafe { BorrowedFd::borrow_raw(port.tx.fd().as_raw_fd()) };
        steer.set_socket(queue, socket)?;
        ports.push(port);
    }
    let until = Instant::now() + seconds;
    let workers: Vec<_> = ports
        .into_iter()
        .enumerate()
        .map(|(core, port)| {
            std::thread::spawn(move || {
                pin(core);
                port.run(until)
            })
        })
        .collect();
    let (mut sent, mut answered) = (0, 0);
    for worker in workers {
        let tally = worker.join().map_err(|_| "a worker panicked")?;
        (sent, answered) = (sent + tally.0, answered + tally.1);
    }
    println!("{{\"sent\": {sent}, \"answered\": {answered}}}");
    Ok(())
}

impl Port {
    fn open(iface: &str, queue: u32, size: usize) -> Result<Port, Box<dyn Error>> {
        let ring = QueueSize::new(RING)?;
        let umem_config = UmemConfig::builder()
            .frame_size(FrameSize::new(FRAME)?)
            .fill_queue_size(ring)
            .comp_queue_size(ring)
            .build()?;
        let frames = NonZeroU32::new(2 * RING).ok_or("no frames")?;
        let (umem, mut requests) = Umem::new(umem_config, frames, false)?;
        let config = SocketConfig::builder()
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .xdp_flags(XdpFlags::empty())
            .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        let interface = Interface::new(CString::new(iface)?);
        // SAFETY: the UMEM is new, and no other socket shares it.
        let (tx, rx, queues) = unsafe { Socket::new(config, &umem, &interface, queue)? };
        let (mut fill, completion) = queues.ok_or("the socket has no fill ring")?;
        for (number, descriptor) in requests.iter_mut().enumerate().skip(RING as usize) {
            let bytes = request(queue, number, size);
            // SAFETY: the frame is of this UMEM, and nobody has it.
            let mut data = unsafe { umem.data_mut(descriptor) };
            data.cursor().write_all(&bytes)?;
        }
        let ready = requests[RING as usize..].to_vec();
        // SAFETY: these frames are of this UMEM, and nobody has them.
        unsafe { fill.produce(&requests[..RING as usize]) };
        lift_budget(&tx);
        Ok(Port { tx, rx, fill, completion, requests, ready, _umem: umem })
    }

    /// Sends until the time is over: how many requests, and how many answers.
    fn run(mut self, until: Instant) -> (u64, u64) {
        let (mut sent, mut answered) = (0u64, 0u64);
        let mut scratch = [FrameDesc::default(); BATCH];
        let end = until + Duration::from_millis(100);
        loop {
            // SAFETY: the scratch descriptors name no frame; they are overwritten.
            let done = unsafe { self.completion.consume(&mut scratch) };
            let requests = &self.requests;
            self.ready.extend(scratch[..done].iter().map(|gone| requests[gone.addr() / FRAME as usize]));
            let now = Instant::now();
            if now < until && self.ready.len() >= BATCH {
                let from = self.ready.len() - BATCH;
                // SAFETY: these frames are of this UMEM, and nobody has them; those taken leave the list.
                let taken = unsafe { self.tx.produce(&self.ready[from..]) };
                self.ready.truncate(self.ready.len() - taken);
                sent += taken as u64;
            }
            if self.tx.needs_wakeup() {
                // SAFETY: no buffer and no address, both of length zero.
                unsafe {
                    libc::sendto(self.tx.fd().as_raw_fd(), ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0)
                };
            }
            // SAFETY: as above.
            let came = unsafe { self.rx.consume(&mut scratch) };
            answered += came as u64;
            // SAFETY: the kernel has just handed these frames back.
            unsafe { self.fill.produce(&scratch[..came]) };
            if now >= end {
                return (sent, answered);
            }
        }
    }
}

/// Has the kernel take a whole batch a call; one that does not know the option takes 32.
fn lift_budget(tx: &TxQueue) {
    let budget: libc::c_int = 64;
    const { assert!(BATCH == 64, "the budget is a batch") };
    // SAFETY: the value is an integer that outlives the call.
    unsafe {
        libc::setsockopt(
            tx.fd().as_raw_fd(),
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            (&raw const budget).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}

fn pin(core: usize) {
    // SAFETY: the set is plain data for which zero is a value, and it outlives the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// An echo request in its Ethernet frame, from and to the lab's ends, each to an address of its own.
fn request(queue: u32, number: usize, size: usize) -> Vec<u8> {
    let [queue, high, low] = [queue as u8, (number >> 8) as u8, number as u8];
    let mut bytes = vec![2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 8, 0];
    let [len_high, len_low] = ((28 + size) as u16).to_be_bytes();
    let ip = [0x45, 0, len_high, len_low, 0, 0, 0x40, 0, 64, 1, 0, 0, 198, 18, 0, 2, 10, queue, high, low];
    let [id_high, id_low] = IDENTIFIER.to_be_bytes();
    bytes.extend(ip);
    bytes.extend([8, 0, 0, 0, id_high, id_low, high, low]);
    bytes.resize(42 + size, 0);
    for (from, to, at) in [(14, 34, 24), (34, 42 + size, 36)] {
        let sum = checksum(&bytes[from..to]);
        bytes[at..at + 2].copy_from_slice(&sum);
    }
    bytes
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
