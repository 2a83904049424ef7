//! The kernel ring's program: a handle on `ebpf/kernel.bpf.c` and the maps that it shares with the ring.
//!
//! ```text
//!   shard -> orders, desk -> BPF_PROG_TEST_RUN on live frames -> the program renders -> interface
//!   shard <- replies, packets <- the same program, as the interface's XDP program  <-  interface
//! ```
//!
//! Attaching it has a second use: a program that some interface runs is in the kernel's dispatcher already, so that
//! `BPF_PROG_TEST_RUN` need not put it there and wait for two RCU grace periods, of 10 ms each, in every call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenMapMut};

use crate::abi::{KERNEL_BURST, KERNEL_VALUES};
use crate::attach::{self, Link};
use crate::error::LoadError;
use crate::skel::kernel::{KernelSkelBuilder, OpenKernelSkel};
use crate::sys;
use crate::tap::{self, Tap};
use crate::verdict::{self, Verdict};

const NAME: &str = "megaping_kernel";
const DESKS: &str = "kernel_desks";
/// The place of the fill among the shared maps.
const FILL: usize = 3;
/// Bytes of metadata that mark a live frame: `MP_KERNEL_MARK`.
pub const MARK: u32 = 28;

/// What to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelConfig {
    /// The bits of the ICMP identifier that ours have.
    pub identifier_value: u16,
    /// Which bits count; at least one.
    pub identifier_mask: u16,
    /// Shards that send; each has 256 slots for orders.
    pub shards: u32,
    /// Next hops, at least one.
    pub ways: u32,
    /// Replies that a CPU can keep for its shard; a power of two.
    pub replies: u32,
    /// Other packets of up to 240 bytes; a power of two.
    pub small: u32,
    /// Other packets of up to 1,520 bytes; a power of two.
    pub large: u32,
}

/// The loaded program with its maps.
///
/// Dropping it detaches the program, and so does the end of the process, SIGKILL included.
#[derive(Debug)]
pub struct Kernel {
    link: Option<Link>,
    program: OwnedFd,
    maps: Vec<MapHandle>,
    doorbell: MapHandle,
    tap: Tap,
    cpus: u32,
}

impl Kernel {
    /// Loads the program and attaches it to an interface of the caller's network namespace, in driver mode.
    ///
    /// # Errors
    /// Those of [`Kernel::load`]; [`LoadError::NoSuchInterface`], [`LoadError::Occupied`] when the interface runs any
    /// XDP program already, [`LoadError::NoDriverMode`].
    pub fn attach(ifname: &str, config: &KernelConfig) -> Result<Kernel, LoadError> {
        let mut kernel = Kernel::load(config)?;
        kernel.link = Some(Link::attach_to_driver(ifname, kernel.program.as_fd())?);
        Ok(kernel)
    }

    /// Loads the program without attaching it, for [`Kernel::test_run`].
    ///
    /// # Errors
    /// [`LoadError::Config`], [`LoadError::Permission`], [`LoadError::Load`], [`LoadError::OtherVersion`].
    pub fn load(config: &KernelConfig) -> Result<Kernel, LoadError> {
        check(config)?;
        let failed = |source| attach::load_error(NAME, source);
        let cpus = Kernel::possible_cpus()?;
        let mut storage = MaybeUninit::uninit();
        let mut open = KernelSkelBuilder::default().open(&mut storage).map_err(failed)?;
        configure(&mut open, config, cpus)?;
        open.maps.tap_events.set_max_entries(tap::EVENTS).map_err(failed)?;
        let skeleton = open.load().map_err(failed)?;
        let program = skeleton.progs.megaping_kernel.as_fd().try_clone_to_owned();
        let maps = &skeleton.maps;
        let shared = [
            MapHandle::try_from(&maps.kernel_desks),
            MapHandle::try_from(&maps.kernel_orders),
            MapHandle::try_from(&maps.kernel_ways),
            MapHandle::try_from(&maps.kernel_fill),
            MapHandle::try_from(&maps.kernel_replies),
            MapHandle::try_from(&maps.kernel_small),
            MapHandle::try_from(&maps.kernel_large),
        ];
        let maps: Vec<MapHandle> = shared.into_iter().collect::<Result<_, _>>().map_err(failed)?;
        for ((map, size), handle) in KERNEL_VALUES.into_iter().zip(&maps) {
            let found = handle.value_size() as usize;
            if found != size {
                let found = format!("has values of {found} bytes, not {size}");
                return Err(LoadError::OtherVersion { map, found });
            }
        }
        let tap = Tap::new(
            MapHandle::try_from(&skeleton.maps.tap_events).map_err(failed)?,
            MapHandle::try_from(&skeleton.maps.data_tap).map_err(failed)?,
            MapHandle::try_from(&skeleton.maps.tap_counts).map_err(failed)?,
        );
        Ok(Kernel {
            link: None,
            program: program.map_err(|e| failed(e.into()))?,
            maps,
            doorbell: MapHandle::try_from(&skeleton.maps.kernel_doorbell).map_err(failed)?,
            tap,
            cpus,
        })
    }

    /// CPUs that the machine may have: the program makes room for each.
    ///
    /// # Errors
    /// [`LoadError::Load`] where the kernel does not say.
    pub fn possible_cpus() -> Result<u32, LoadError> {
        let cpus = libbpf_rs::num_possible_cpus().map_err(|source| attach::load_error(NAME, source))?;
        Ok(cpus as u32)
    }

    /// Writes what follows our header in every payload: [`crate::abi::KERNEL_FILL`] bytes.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn set_fill(&self, fill: &[u8]) -> Result<(), LoadError> {
        self.write(FILL, 0, fill)
    }

    /// Whether the program is on its interface still.
    ///
    /// # Errors
    /// [`LoadError::Query`].
    pub fn is_attached(&self) -> Result<bool, LoadError> {
        let Some(link) = &self.link else { return Ok(false) };
        link.is_attached().map_err(|source| LoadError::Query { ifname: "(of the link)".into(), source })
    }

    /// The program, for `BPF_PROG_TEST_RUN`.
    #[must_use]
    pub fn program_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// The maps to be mapped into memory, in the order of [`KERNEL_VALUES`]: desks, orders, ways, fill, replies,
    /// small and large packets.
    #[must_use]
    pub fn shared_fds(&self) -> [BorrowedFd<'_>; 7] {
        std::array::from_fn(|index| self.maps[index].as_fd())
    }

    /// The ring buffer (`BPF_MAP_TYPE_RINGBUF`) that becomes readable when a sleeping shard shall wake.
    #[must_use]
    pub fn doorbell_fd(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }

    /// What shows the frames that the program sees and makes.
    pub fn tap(&mut self) -> &mut Tap {
        &mut self.tap
    }

    /// CPUs that the machine may have: each has a desk and its part of each ring.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Runs the program once over a frame, as if it had been received: the verdict and the frame afterwards.
    ///
    /// # Errors
    /// [`LoadError::TestRun`].
    pub fn test_run(&self, frame: &[u8]) -> Result<(Verdict, Vec<u8>), LoadError> {
        verdict::test_run(self.program.as_fd(), frame)
    }

    /// Runs the program once over a marked frame, which it takes for a live one: with an order on the desk of the
    /// calling CPU it renders that. The verdict and the frame afterwards, without its mark.
    ///
    /// # Errors
    /// [`LoadError::TestRun`].
    pub fn test_render(&self, frame: &[u8]) -> Result<(Verdict, Vec<u8>), LoadError> {
        verdict::test_marked(self.program.as_fd(), frame, MARK)
    }

    /// Writes one entry of a shared map, by its place in [`KERNEL_VALUES`]; for those who do not map them.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn write(&self, map: usize, key: u32, value: &[u8]) -> Result<(), LoadError> {
        let (name, _) = KERNEL_VALUES[map];
        let written = self.maps[map].update(&key.to_ne_bytes(), value, MapFlags::ANY);
        written.map_err(|source| LoadError::Map { map: name, operation: "written", source })
    }

    /// Reads one entry, likewise.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn read(&self, map: usize, key: u32) -> Result<Vec<u8>, LoadError> {
        let (name, _) = KERNEL_VALUES[map];
        let read = self.maps[map].lookup(&key.to_ne_bytes(), MapFlags::ANY);
        let value = read.map_err(|source| LoadError::Map { map: name, operation: "read", source })?;
        Ok(value.unwrap_or_default())
    }

    /// Mean time of a run over a received frame, in nanoseconds, of `repeat` runs in a row.
    ///
    /// # Errors
    /// [`LoadError::TestRun`].
    pub fn measure_ns(&self, frame: &[u8], repeat: u32) -> Result<u32, LoadError> {
        let run = sys::test_run(self.program.as_fd(), frame, &mut [0; 4096], repeat);
        Ok(run.map_err(|source| LoadError::TestRun { source })?.mean_ns)
    }

    /// Instructions that the verifier walked; see [`crate::Steer::verified_instructions`].
    ///
    /// # Errors
    /// [`LoadError::Query`].
    pub fn verified_instructions(&self) -> Result<u32, LoadError> {
        let info = sys::program_info(self.program.as_fd());
        let info = info.map_err(|source| LoadError::Query { ifname: "(of the program)".into(), source })?;
        Ok(info.verified_instructions)
    }
}

fn check(config: &KernelConfig) -> Result<(), LoadError> {
    let refuse = |setting, value: u32, allowed| LoadError::Config { setting, value: value.into(), allowed };
    if config.identifier_mask == 0 {
        return Err(refuse(
            "the mask of the identifiers",
            0,
            "at least one bit, so that other programs keep theirs",
        ));
    }
    for (setting, value) in [("replies", config.replies), ("small", config.small), ("large", config.large)] {
        if !value.is_power_of_two() || value > 1 << 20 {
            return Err(refuse(setting, value, "a power of two, at most 2^20"));
        }
    }
    for (setting, value) in [("shards", config.shards), ("ways", config.ways)] {
        if !(1..=1 << 16).contains(&value) {
            return Err(refuse(setting, value, "1 to 65,536"));
        }
    }
    Ok(())
}

/// Sets constants, and the sizes of the maps.
fn configure(open: &mut OpenKernelSkel<'_>, config: &KernelConfig, cpus: u32) -> Result<(), LoadError> {
    let Some(constants) = open.maps.rodata_data.as_deref_mut() else {
        return Err(LoadError::OtherVersion { map: ".rodata", found: "is missing".into() });
    };
    constants.identifier_value = config.identifier_value & config.identifier_mask;
    constants.identifier_mask = config.identifier_mask;
    constants.ring_slots = [config.replies, config.small, config.large];
    let maps = &mut open.maps;
    let size = |name: &'static str, map: &mut OpenMapMut<'_>, entries: u32| {
        map.set_max_entries(entries).map_err(|source| LoadError::Map {
            map: name,
            operation: "sized",
            source,
        })
    };
    size(DESKS, &mut maps.kernel_desks, cpus)?;
    size("kernel_orders", &mut maps.kernel_orders, config.shards * KERNEL_BURST)?;
    size("kernel_ways", &mut maps.kernel_ways, config.ways)?;
    size("kernel_replies", &mut maps.kernel_replies, cpus * config.replies)?;
    size("kernel_small", &mut maps.kernel_small, cpus * config.small)?;
    size("kernel_large", &mut maps.kernel_large, cpus * config.large)
}

/// `BPF_PROG_TEST_RUN` refuses what it does not know with `EINVAL` or `ENOTSUPP`: whether it runs live frames here.
///
/// # Errors
/// The kernel's refusal.
pub fn probe_live_frames(kernel: &Kernel) -> io::Result<()> {
    sys::test_live(kernel.program.as_fd(), MARK)
}
