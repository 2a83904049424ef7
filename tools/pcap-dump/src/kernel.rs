//! `--at xdp`: what the program in the kernel sees, before the engine does: through pinned maps, by aya, so that this
//! tool needs no libbpf.
//!
//! ```text
//!   program --(ring buffer, pinned)--> here: sorted by time, filtered --> pcapng | pcap | text
//!      ^---(switch, pinned): until when somebody looks, one frame of how many
//! ```
//!
//! The switch holds a time, which is put off while this runs: one that is killed costs the program nothing for long.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use megaping_capture::{At, Captured, Counts, Direction, Facts, Filter, Verdict};
use megaping_wire::Addr;
use rustix::time::{ClockId, clock_gettime};

use crate::attach::{Limits, Taken};
use crate::expression::Expression;
use crate::output::{Files, OutputError};
use crate::{LinkType, Record, dissect};

/// The program looks for so long after it was last told to.
const LEASE_NS: u64 = 2_000_000_000;
/// It is told so often.
const RENEW: Duration = Duration::from_millis(500);
/// Frames wait so long for earlier ones of other CPUs.
const SORTED_NS: u64 = 100_000_000;
/// Nothing there: so long until the next look.
const IDLE: Duration = Duration::from_millis(2);
/// Frames that are taken in a row.
const BATCH: usize = 4096;
/// `struct mp_tap_event` (ebpf/include/megaping/abi.h).
const HEADER: usize = 24;

/// Why the program in the kernel shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The engine has no such tap.
    #[error(
        "this engine's tap is not pinned: start it with --capture-pin DIR, or control.capture_pin, on xdp or kernel"
    )]
    NotPinned,
    /// Names are known to the engine alone.
    #[error("the program in the kernel does not know tenants and measurements: leave --{0} out, or --at xdp")]
    NoNames(&'static str),
    /// The pins.
    #[error("{}: {why}; is the engine still there, and are you its user or in its group?", .path.display())]
    Pin {
        /// Which.
        path: PathBuf,
        /// What was wrong.
        why: String,
    },
    /// One looks at a time.
    #[error("{}: somebody is attached already", .0.display())]
    Busy(PathBuf),
    /// The maps are another version's.
    #[error("the tap's ring buffer holds what is no frame: use the pcap-dump that came with the engine")]
    Version,
    /// The file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The tap of a program.
pub struct Kernel {
    events: RingBuf<MapData>,
    switch: Array<MapData, [u64; 2]>,
    counts: PerCpuArray<MapData, [u64; 3]>,
    dir: PathBuf,
    // The engine holds a lock of the directory as long as it lives.
    engine: File,
    _only: File,
    filter: Filter,
    expression: Option<Expression>,
    // From CLOCK_MONOTONIC to the Unix epoch. One for all, so that times stay in their order.
    offset_ns: u64,
    before: Counts,
    waiting: BTreeMap<(u64, u64), Captured>,
    number: u64,
}

impl Kernel {
    /// Opens the pins in `dir`.
    ///
    /// # Errors
    /// [`KernelError`]
    pub fn open(dir: &Path, filter: Filter, expression: Option<Expression>) -> Result<Kernel, KernelError> {
        for (names, flag) in [(&filter.tenants, "tenant"), (&filter.measurements, "measurement")] {
            if !names.is_empty() {
                return Err(KernelError::NoNames(flag));
            }
        }
        let failed = |path: &Path, why: String| KernelError::Pin { path: path.into(), why };
        let engine = File::open(dir).map_err(|error| failed(dir, error.to_string()))?;
        let path = dir.join("reader");
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(&path, error.to_string()));
            }
            _ => {}
        }
        let only = File::open(&path).map_err(|error| failed(&path, error.to_string()))?;
        only.try_lock().map_err(|_| KernelError::Busy(path))?;
        let map = |name: &str| {
            let path = dir.join(name);
            MapData::from_pin(&path).map_err(|error| failed(&path, of(&error)))
        };
        let wrong = |error: MapError| failed(dir, error.to_string());
        let mut kernel = Kernel {
            events: RingBuf::try_from(Map::RingBuf(map("tap_events")?)).map_err(wrong)?,
            switch: Array::try_from(Map::Array(map("tap_switch")?)).map_err(wrong)?,
            counts: PerCpuArray::try_from(Map::PerCpuArray(map("tap_counts")?)).map_err(wrong)?,
            dir: dir.into(),
            engine,
            _only: only,
            filter,
            expression,
            offset_ns: clock_ns(ClockId::Realtime).wrapping_sub(clock_ns(ClockId::Monotonic)),
            before: Counts::default(),
            waiting: BTreeMap::new(),
            number: 0,
        };
        // What one before us left behind.
        while kernel.events.next().is_some() {}
        kernel.before = kernel.counts()?;
        kernel.renew()?;
        Ok(kernel)
    }

    /// Writes frames until the engine ends, a limit is reached, or `stop` is set.
    ///
    /// # Errors
    /// [`KernelError`]; what was written until then is there.
    pub fn write(
        mut self,
        files: &mut Files,
        limits: Limits,
        stop: &Arc<AtomicBool>,
    ) -> Result<Taken, KernelError> {
        let (began, mut taken) = (Instant::now(), Taken::default());
        let mut renewed = Instant::now();
        let is_late = |began: Instant| limits.time.is_some_and(|time| began.elapsed() >= time);
        while !stop.load(Ordering::Relaxed)
            && !limits.are_reached(&taken)
            && !is_late(began)
            && !files.is_over()
        {
            if renewed.elapsed() >= RENEW {
                self.renew()?;
                files.tick()?;
                renewed = Instant::now();
            }
            let found = self.take()?;
            let until = clock_ns(ClockId::Monotonic).wrapping_add(self.offset_ns) - SORTED_NS;
            self.pass_on(until, files, limits, &mut taken)?;
            // It has unlocked its directory, or taken it away.
            if found == 0 {
                if self.is_over() {
                    break;
                }
                std::thread::sleep(IDLE);
            }
        }
        self.take()?;
        self.pass_on(u64::MAX, files, limits, &mut taken)?;
        taken.counts = self.counts()?;
        taken.counts.seen -= self.before.seen;
        taken.counts.dropped_ring -= self.before.dropped_ring;
        files.finish(&taken.counts)?;
        Ok(taken)
    }

    fn is_over(&self) -> bool {
        // Whether somebody has a lock is told by whether one is to be had.
        let is_free = !matches!(self.engine.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_free || !self.dir.exists()
    }

    /// Takes frames out of the ring buffer; how many there were.
    fn take(&mut self) -> Result<usize, KernelError> {
        let mut found = 0;
        while found < BATCH {
            let Some(item) = self.events.next() else { break };
            found += 1;
            let (captured, facts) = frame(&item, self.offset_ns, found as u64).ok_or(KernelError::Version)?;
            drop(item);
            let is_asked_for = self.expression.as_mut().is_none_or(|it| it.wants(&captured.bytes));
            if self.filter.wants(&facts) && is_asked_for {
                self.number += 1;
                self.waiting.insert((captured.time_ns, self.number), captured);
            }
        }
        Ok(found)
    }

    fn pass_on(
        &mut self,
        until_ns: u64,
        files: &mut Files,
        limits: Limits,
        taken: &mut Taken,
    ) -> Result<(), OutputError> {
        while !limits.are_reached(taken) {
            let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= until_ns) else {
                break;
            };
            let captured = first.remove();
            taken.add(&captured);
            files.packet(&captured)?;
        }
        Ok(())
    }

    fn renew(&mut self) -> Result<(), KernelError> {
        self.switch_until(clock_ns(ClockId::Monotonic) + LEASE_NS)
    }

    fn switch_until(&mut self, until_ns: u64) -> Result<(), KernelError> {
        let mut words = [0; 8];
        words[..4].copy_from_slice(&self.filter.sample.to_ne_bytes());
        words[4..].copy_from_slice(&self.filter.snaplen.to_ne_bytes());
        let set = self.switch.set(0, [until_ns, u64::from_ne_bytes(words)], 0);
        set.map_err(|error| KernelError::Pin { path: self.dir.join("tap_switch"), why: error.to_string() })
    }

    fn counts(&self) -> Result<Counts, KernelError> {
        let failed =
            |error: MapError| KernelError::Pin { path: self.dir.join("tap_counts"), why: error.to_string() };
        let mut counts = Counts::default();
        for [_, seen, dropped] in self.counts.get(&0, 0).map_err(failed)?.iter() {
            counts.seen += seen;
            counts.dropped_ring += dropped;
        }
        Ok(counts)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // If it cannot be told, it will be over in two seconds all the same.
        let _off = self.switch_until(0);
        let _gone = std::fs::remove_dir(self.dir.join("reader"));
    }
}

/// A record of the ring buffer as a frame, and what filters ask of it; none where it is no such record.
fn frame(item: &[u8], offset_ns: u64, number: u64) -> Option<(Captured, Facts)> {
    let (header, bytes) = item.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| header[at + byte]));
    let at_ns = u64::from_ne_bytes(std::array::from_fn(|byte| header[byte]));
    let (original_len, kept, queue) = (word(8), word(12) as usize, word(16));
    let (verdict, why) = verdict(u16::from_ne_bytes([header[20], header[21]]))?;
    let bytes = bytes.get(..kept)?.to_vec();
    let time_ns = at_ns.wrapping_add(offset_ns);
    let record =
        Record { number, time_ns: Some(time_ns), link: LinkType::Ethernet, data: &bytes, original_len };
    let sighting = dissect(&record);
    let direction = if verdict == Verdict::Sent { Direction::Out } else { Direction::In };
    let quoted = sighting.quoted.as_ref().map(|quoted| quoted.dst);
    // Whom the probe was for: of a reply its source.
    let target = quoted.or(if direction == Direction::Out { sighting.dst } else { sighting.src });
    let destination = target.map_or(Addr::UNSPECIFIED, Addr::from);
    // The program samples by itself.
    let facts = Facts { direction, verdict, destination, icmp_type: sighting.message_type, key: 0 };
    let captured = Captured {
        time_ns,
        error_ns: 0,
        at: At::Xdp,
        shard: queue as u16,
        direction,
        verdict,
        probe: None,
        key: 0,
        rtt_ns: None,
        destination,
        tenant: String::new(),
        measurement: String::new(),
        remark: why.to_owned(),
        rebuilt: false,
        original_len,
        bytes,
    };
    Some((captured, facts))
}

/// What `enum mp_steer_counter` and `MP_TAP_*` say (ebpf/include/megaping/abi.h).
fn verdict(number: u16) -> Option<(Verdict, &'static str)> {
    Some(match number {
        0 | 1 => (Verdict::Redirected, ""),
        2 => (Verdict::Foreign, ""),
        3 => (Verdict::Passed, "other_icmp"),
        4 => (Verdict::Passed, "not_icmp"),
        5 => (Verdict::Passed, "later_fragment"),
        6 => (Verdict::Malformed, ""),
        7 => (Verdict::Passed, "too_deep"),
        8 => (Verdict::Passed, "no_socket"),
        10 => (Verdict::Dropped, "ring_full"),
        11 => (Verdict::Sent, ""),
        _ => return None,
    })
}

/// An error with what is behind it.
fn of(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(verdict: u16, bytes: &[u8]) -> Vec<u8> {
        let mut item = 7u64.to_ne_bytes().to_vec();
        for word in [bytes.len() as u32, bytes.len() as u32, 3] {
            item.extend(word.to_ne_bytes());
        }
        item.extend(verdict.to_ne_bytes());
        item.extend([0, 0]);
        item.extend(bytes);
        item
    }

    #[test]
    fn records_are_frames_with_a_verdict_and_anything_else_is_refused() {
        let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
        let (captured, facts) = frame(&item(4, &arp), 100, 1).unwrap();
        assert_eq!((captured.time_ns, captured.shard, captured.bytes.len()), (107, 3, 42));
        assert_eq!((facts.verdict, facts.icmp_type), (Verdict::Passed, None));
        assert_eq!(captured.comment(), "at=xdp queue=3 verdict=passed why=not_icmp");
        assert!(frame(&item(9, &arp), 0, 1).is_none(), "no such verdict");
        let whole = item(0, &arp);
        assert!((0..whole.len()).all(|cut| frame(&whole[..cut], 0, 1).is_none()));
    }
}
