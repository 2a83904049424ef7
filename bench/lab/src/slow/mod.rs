//! `megaping-lab slow`: an Internet in user space, for what XDP cannot do: delay, jitter, reordering, duplicates.
//!
//! ```text
//!   routes -> TUN -> reader thread -> channel -> this thread: answer, plan, heap -> TUN
//!             read(2), stamp, bounded           drops when full, and counts it
//! ```
//!
//! It is good for some 100,000 packets a second; replies leave within about 0.1 ms of their time.

mod counters;
mod echo;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use tun_rs::{DeviceBuilder, SyncDevice};

use self::counters::SlowCounters;
use self::echo::Echo;
use self::queue::{Kind, Queue, Treatment, Waiting};
use crate::error::LabError;
use crate::permille;

/// Packets between the reader and the queue.
const CHANNEL: usize = 4096;
/// Replies that may wait: a second of 100,000 a second.
const QUEUE: usize = 100_000;
/// Packets taken from the channel before due replies are looked at again.
const BURST: usize = 64;
const MTU: u16 = 1500;
/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often the counters' file is written.
const REPORT: Duration = Duration::from_millis(200);

/// The slow world; prints its counters as JSON when it is stopped (SIGTERM, SIGINT).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The TUN interface to make; it goes when this program ends
    tun_name: String,
    /// Every reply waits this long
    #[arg(long, value_name = "US", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000_000))]
    delay_us: u64,
    /// And up to this much longer, evenly spread
    #[arg(long, value_name = "US", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000_000))]
    jitter_us: u64,
    /// Replies held back for another delay and jitter (at least 1 ms), so that later ones overtake them
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    reorder_permille: u32,
    /// Replies that come twice
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    duplicate_permille: u32,
    /// Requests that get lost
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    loss_permille: u32,
    /// Another seed is another Internet
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Keep the counters, as JSON, in this file (written five times a second)
    #[arg(long, value_name = "FILE")]
    counters: Option<PathBuf>,
}

impl Args {
    fn treatment(&self) -> Treatment {
        Treatment {
            delay: Duration::from_micros(self.delay_us),
            jitter: Duration::from_micros(self.jitter_us),
            reorder_ppm: self.reorder_permille,
            duplicate_ppm: self.duplicate_permille,
            loss_ppm: self.loss_permille,
            seed: self.seed,
        }
    }
}

/// A packet as the reader took it from the interface.
struct Arrived {
    at: Instant,
    packet: Vec<u8>,
}

/// Runs until a signal.
pub fn run(args: &Args) -> Result<(), LabError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|source| LabError::Start { what: "the handler of signals", source })?;
    }
    let device = DeviceBuilder::new().name(&args.tun_name).mtu(MTU).packet_information(false).build_sync();
    let device = Arc::new(device.map_err(|source| LabError::Tun { name: args.tun_name.clone(), source })?);
    let lost = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let (sender, receiver) = mpsc::sync_channel(CHANNEL);
    let (reader_device, reader_lost) = (Arc::clone(&device), Arc::clone(&lost));
    let reader = thread::Builder::new().name("tun-reader".into());
    let reader = reader
        .spawn(move || read(&reader_device, &sender, &reader_lost))
        .map_err(|source| LabError::Start { what: "the reading thread", source })?;
    let mut world = World {
        treatment: args.treatment(),
        queue: Queue::new(QUEUE),
        counters: SlowCounters::default(),
        device,
        lost,
    };
    let disconnected = world.serve(&receiver, &stop, args.counters.as_deref())?;
    println!("{}", world.report().to_json()?);
    match disconnected.then(|| reader.join()) {
        Some(Ok(Err(e))) => Err(LabError::TunRead(e)),
        // Stopped by a signal: the reader sits in read(2), and goes with the process.
        _ => Ok(()),
    }
}

/// Reads until the interface fails. What does not fit the channel is counted, by family, and never answered.
fn read(device: &SyncDevice, sender: &SyncSender<Arrived>, lost: &[AtomicU64; 2]) -> std::io::Result<()> {
    let mut buffer = [0; MTU as usize];
    loop {
        let length = device.recv(&mut buffer)?;
        let arrived = Arrived { at: Instant::now(), packet: buffer[..length].to_vec() };
        match sender.try_send(arrived) {
            Ok(()) => {}
            Err(TrySendError::Full(mut arrived)) => {
                if let Echo::Reply { v4, .. } = echo::answer(&mut arrived.packet) {
                    lost[usize::from(!v4)].fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(TrySendError::Disconnected(_)) => return Ok(()),
        }
    }
}

struct World {
    treatment: Treatment,
    queue: Queue,
    counters: SlowCounters,
    device: Arc<SyncDevice>,
    /// Requests that the reader had to throw away: IPv4, IPv6.
    lost: Arc<[AtomicU64; 2]>,
}

impl World {
    /// Serves until a signal comes (`false`), or until the reader has ended (`true`).
    fn serve(
        &mut self,
        arrivals: &Receiver<Arrived>,
        stop: &AtomicBool,
        file: Option<&std::path::Path>,
    ) -> Result<bool, LabError> {
        let mut next_report = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if let Some(file) = file.filter(|_| now >= next_report) {
                self.report().write_to(file)?;
                next_report = now + REPORT;
            }
            while let Some(waiting) = self.queue.pop(now) {
                self.send(&waiting);
            }
            let due = self.queue.next_due().map_or(TICK, |due| due.saturating_duration_since(now));
            match arrivals.recv_timeout(due.min(TICK)) {
                Ok(arrived) => {
                    self.arrive(arrived);
                    arrivals.try_iter().take(BURST).for_each(|arrived| self.arrive(arrived));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
            }
        }
        if let Some(file) = file {
            self.report().write_to(file)?;
        }
        Ok(false)
    }

    fn arrive(&mut self, arrived: Arrived) {
        let Arrived { at, mut packet } = arrived;
        let (v4, hash) = match echo::answer(&mut packet) {
            Echo::Reply { v4, hash } => (v4, hash),
            Echo::Malformed { v4 } => return self.counters.family(v4).malformed += 1,
            Echo::Other { v4 } => return self.counters.family(v4).passed += 1,
        };
        let plan = self.treatment.plan(hash);
        let family = self.counters.family(v4);
        family.requests += 1;
        if plan.lost {
            family.dropped += 1;
            return;
        }
        let copy = plan.duplicate.map(|delay| (delay, packet.clone()));
        let kind = Kind { v4, reordered: plan.reordered, copy: false };
        if !self.queue.push(at + plan.delay, kind, packet) {
            family.overflow += 1;
            return;
        }
        family.queued += 1;
        if let Some((delay, packet)) = copy {
            // No seat for a copy means no copy: nobody was promised one.
            self.queue.push(at + delay, Kind { v4, reordered: false, copy: true }, packet);
        }
    }

    fn send(&mut self, waiting: &Waiting) {
        let sent = self.device.send(&waiting.packet).is_ok();
        let family = self.counters.family(waiting.v4);
        if waiting.copy {
            family.duplicates += u64::from(sent);
            return;
        }
        family.queued -= 1;
        family.replies += u64::from(sent);
        family.unsent += u64::from(!sent);
        family.reordered += u64::from(sent && waiting.reordered);
    }

    fn report(&self) -> SlowCounters {
        let mut counters = self.counters;
        for (lost, v4) in self.lost.iter().zip([true, false]) {
            let lost = lost.load(Ordering::Relaxed);
            let family = counters.family(v4);
            family.requests += lost;
            family.overflow += lost;
        }
        counters
    }
}
