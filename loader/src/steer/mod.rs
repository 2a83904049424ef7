//! Steering: a handle on `ebpf/steer.bpf.c`, its sockets and its counters.
//!
//! ```text
//!   interface -> XDP program -> ours?  yes -> steer_sockets[receive queue] -> AF_XDP socket, stamp in front
//!                                      no  -> kernel, as it came
//! ```

mod counters;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

pub use counters::{SteerCounter, SteerCounters};

use crate::abi::{STEER_COUNTERS_SIZE, STEER_QUEUES};
use crate::attach::{self, Link, Mode};
use crate::error::LoadError;
use crate::skel::steer::SteerSkelBuilder;
use crate::sys;
use crate::tap::{self, Tap};
use crate::verdict::{self, Verdict};

const NAME: &str = "megaping_steer";
const SOCKETS: &str = "steer_sockets";
const COUNTERS: &str = "steer_counters";
const KEY: [u8; 4] = [0; 4];

/// Whose probes these are: those for which `identifier & mask == value & mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SteerConfig {
    /// The bits of the ICMP identifier that ours have.
    pub identifier_value: u16,
    /// Which bits count; at least one, or the host's own `ping` would get no reply.
    pub identifier_mask: u16,
}

/// A loaded steering program with its maps.
///
/// Dropping it detaches the program, and so does the end of the process, SIGKILL included.
#[derive(Debug)]
pub struct Steer {
    // Detached first, so that no frame looks for a socket in a map that goes.
    link: Option<Link>,
    program: OwnedFd,
    sockets: MapHandle,
    counters: MapHandle,
    tap: Tap,
}

impl Steer {
    /// Loads the program and attaches it to an interface of the caller's network namespace: in driver mode, or in
    /// generic mode where the driver refuses ([`Steer::mode`], [`Steer::refusal`]).
    ///
    /// # Errors
    /// [`LoadError::Config`] for a mask of zero, [`LoadError::NoSuchInterface`], [`LoadError::Permission`],
    /// [`LoadError::Load`], [`LoadError::Occupied`] when the interface runs any XDP program already,
    /// [`LoadError::Attach`].
    pub fn attach(ifname: &str, config: SteerConfig) -> Result<Steer, LoadError> {
        let mut steer = Steer::load(config)?;
        steer.link = Some(Link::attach(ifname, steer.program.as_fd())?);
        Ok(steer)
    }

    /// Loads the program without attaching it, for [`Steer::test_run`].
    ///
    /// # Errors
    /// [`LoadError::Config`], [`LoadError::Permission`], [`LoadError::Load`].
    pub fn load(config: SteerConfig) -> Result<Steer, LoadError> {
        if config.identifier_mask == 0 {
            return Err(LoadError::Config {
                setting: "the mask of the identifiers",
                value: 0,
                allowed: "at least one bit, so that other programs keep theirs",
            });
        }
        let mut storage = MaybeUninit::uninit();
        let failed = |source| attach::load_error(NAME, source);
        let mut open = SteerSkelBuilder::default().open(&mut storage).map_err(failed)?;
        let Some(constants) = open.maps.rodata_data.as_deref_mut() else {
            return Err(LoadError::OtherVersion { map: ".rodata", found: "is missing".into() });
        };
        constants.identifier_value = config.identifier_value & config.identifier_mask;
        constants.identifier_mask = config.identifier_mask;
        open.maps.tap_events.set_max_entries(tap::EVENTS).map_err(failed)?;
        let skeleton = open.load().map_err(failed)?;
        let program = skeleton.progs.megaping_steer.as_fd().try_clone_to_owned();
        let counters = MapHandle::try_from(&skeleton.maps.steer_counters).map_err(failed)?;
        let found = counters.value_size() as usize;
        if found != STEER_COUNTERS_SIZE {
            let found = format!("has values of {found} bytes, not {STEER_COUNTERS_SIZE}");
            return Err(LoadError::OtherVersion { map: COUNTERS, found });
        }
        Ok(Steer {
            link: None,
            program: program.map_err(|e| failed(e.into()))?,
            sockets: MapHandle::try_from(&skeleton.maps.steer_sockets).map_err(failed)?,
            counters,
            tap: Tap::new(
                MapHandle::try_from(&skeleton.maps.tap_events).map_err(failed)?,
                MapHandle::try_from(&skeleton.maps.data_tap).map_err(failed)?,
                MapHandle::try_from(&skeleton.maps.tap_counts).map_err(failed)?,
            ),
        })
    }

    /// Where the program runs; `None` when it was only loaded.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.link.as_ref().map(|link| link.mode)
    }

    /// Why the driver refused, when the program had to take generic mode.
    #[must_use]
    pub fn refusal(&self) -> Option<&io::Error> {
        self.link.as_ref().and_then(|link| link.refusal.as_ref())
    }

    /// Whether the program is on its interface still: somebody with the rights may detach it, and an interface
    /// may go.
    ///
    /// # Errors
    /// [`LoadError::Query`].
    pub fn is_attached(&self) -> Result<bool, LoadError> {
        let Some(link) = &self.link else { return Ok(false) };
        link.is_attached().map_err(|source| LoadError::Query { ifname: "(of the link)".into(), source })
    }

    /// The map of the sockets (`BPF_MAP_TYPE_XSKMAP`), by receive queue.
    #[must_use]
    pub fn sockets_fd(&self) -> BorrowedFd<'_> {
        self.sockets.as_fd()
    }

    /// Sends what arrives on a receive queue to an AF_XDP socket, which must be bound to that queue of the
    /// interface: the kernel drops what it redirects to another. The kernel takes the socket out of the map when
    /// it is closed.
    ///
    /// # Errors
    /// [`LoadError::Config`] for a queue of 256 or more, [`LoadError::Map`] for a descriptor that is no AF_XDP
    /// socket, or one without a receive ring.
    pub fn set_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), LoadError> {
        if queue >= STEER_QUEUES {
            let (value, allowed) = (u64::from(queue), "less than 256");
            return Err(LoadError::Config { setting: "the receive queue", value, allowed });
        }
        let written =
            self.sockets.update(&queue.to_ne_bytes(), &socket.as_raw_fd().to_ne_bytes(), MapFlags::ANY);
        written.map_err(|source| LoadError::Map { map: SOCKETS, operation: "written", source })
    }

    /// What shows the frames that the program sees.
    pub fn tap(&mut self) -> &mut Tap {
        &mut self.tap
    }

    /// All counters, summed over the CPUs. Not a snapshot while packets arrive.
    ///
    /// # Errors
    /// [`LoadError::Map`], [`LoadError::OtherVersion`].
    pub fn counters(&self) -> Result<SteerCounters, LoadError> {
        let read = self.counters.lookup_percpu(&KEY, MapFlags::ANY);
        let records = read.map_err(|source| LoadError::Map { map: COUNTERS, operation: "read", source })?;
        let mut sum = SteerCounters::default();
        for record in records.unwrap_or_default() {
            sum.add(&record).ok_or_else(|| LoadError::OtherVersion {
                map: COUNTERS,
                found: format!("has a value of {} bytes", record.len()),
            })?;
        }
        Ok(sum)
    }

    /// Runs the program over one Ethernet frame (`BPF_PROG_TEST_RUN`): the verdict and the frame as it leaves,
    /// behind its metadata where it has some. The kernel takes the loopback's queue 0 for the receive queue.
    ///
    /// # Errors
    /// [`LoadError::TestRun`]; the kernel takes frames of 14 to about 3,500 bytes.
    pub fn test_run(&self, frame: &[u8]) -> Result<(Verdict, Vec<u8>), LoadError> {
        verdict::test_run(self.program.as_fd(), frame)
    }

    /// Mean time of a run over a frame, in nanoseconds, of `repeat` runs in a row.
    ///
    /// # Errors
    /// [`LoadError::TestRun`].
    pub fn measure_ns(&self, frame: &[u8], repeat: u32) -> Result<u32, LoadError> {
        let run = sys::test_run(self.program.as_fd(), frame, &mut [0; 4096], repeat);
        Ok(run.map_err(|source| LoadError::TestRun { source })?.mean_ns)
    }

    /// Instructions that the verifier walked to be sure of the program; it gives up at a million. Zero where the
    /// kernel (before 5.16) does not say.
    ///
    /// # Errors
    /// [`LoadError::Query`].
    pub fn verified_instructions(&self) -> Result<u32, LoadError> {
        let info = sys::program_info(self.program.as_fd());
        let info = info.map_err(|source| LoadError::Query { ifname: "(of the program)".into(), source })?;
        Ok(info.verified_instructions)
    }
}
