//! The simulated Internet: a handle on `ebpf/world.bpf.c` and its two maps.

mod config;
mod counters;
pub mod model;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

pub use config::{Quote, WorldConfig};
pub use counters::{Counter, Counters, Family};

use crate::abi::{WORLD_CONFIG_SIZE, WORLD_COUNTERS_SIZE, WorldConfigAbi};
use crate::attach::{self, Mode};
use crate::error::LoadError;
use crate::skel::world::WorldSkelBuilder;
use crate::sys::{self, RunTime};
use crate::verdict::{self, Verdict};

const NAME: &str = "megaping_world";
const CONFIG: &str = "world_config";
const COUNTERS: &str = "world_counters";
const KEY: [u8; 4] = [0; 4];

/// A loaded world program with its maps.
///
/// Dropping it detaches nothing: an attached program lives as long as its interface.
#[derive(Debug)]
pub struct World {
    program: OwnedFd,
    config: MapHandle,
    counters: MapHandle,
    mode: Option<Mode>,
}

impl World {
    /// Loads the program and attaches it to an interface of the caller's network namespace.
    ///
    /// # Errors
    /// [`LoadError::Config`], [`LoadError::NoSuchInterface`], [`LoadError::Permission`], [`LoadError::Load`],
    /// [`LoadError::Occupied`] when the interface runs any XDP program already, [`LoadError::Attach`].
    pub fn attach(ifname: &str, config: &WorldConfig) -> Result<World, LoadError> {
        let mut world = World::load(config)?;
        world.mode = Some(attach::attach(ifname, world.program.as_fd())?);
        Ok(world)
    }

    /// Loads the program without attaching it, for [`World::test_run`].
    ///
    /// # Errors
    /// [`LoadError::Config`], [`LoadError::Permission`], [`LoadError::Load`], [`LoadError::Map`].
    pub fn load(config: &WorldConfig) -> Result<World, LoadError> {
        let abi = config.to_abi()?;
        let mut storage = MaybeUninit::uninit();
        let failed = |source| attach::load_error(NAME, source);
        let skeleton =
            WorldSkelBuilder::default().open(&mut storage).and_then(OpenSkel::load).map_err(failed)?;
        let program = skeleton.progs.megaping_world.as_fd().try_clone_to_owned();
        let world = World {
            program: program.map_err(|e| failed(e.into()))?,
            config: MapHandle::try_from(&skeleton.maps.world_config).map_err(failed)?,
            counters: MapHandle::try_from(&skeleton.maps.world_counters).map_err(failed)?,
            mode: None,
        };
        world.check_sizes()?;
        world.write_config(&abi)?;
        Ok(world)
    }

    /// Finds the world that an interface runs.
    ///
    /// # Errors
    /// [`LoadError::NoSuchInterface`], [`LoadError::NotAttached`], [`LoadError::Permission`],
    /// [`LoadError::OtherVersion`] when the program there was made by another version of megaping.
    pub fn open(ifname: &str) -> Result<World, LoadError> {
        let found = attach::find(ifname, NAME)?;
        let (mut config, mut counters) = (None, None);
        for id in found.info.map_ids {
            let map = MapHandle::from_map_id(id).map_err(|source| {
                if source.kind() == libbpf_rs::ErrorKind::PermissionDenied {
                    LoadError::Permission { operation: "open the maps of the world" }
                } else {
                    LoadError::Map { map: "of the world", operation: "opened", source }
                }
            })?;
            if map.name() == CONFIG {
                config = Some(map);
            } else if map.name() == COUNTERS {
                counters = Some(map);
            }
        }
        let missing = |map| LoadError::OtherVersion { map, found: "is missing".into() };
        let world = World {
            program: found.program,
            config: config.ok_or_else(|| missing(CONFIG))?,
            counters: counters.ok_or_else(|| missing(COUNTERS))?,
            mode: Some(found.mode),
        };
        world.check_sizes()?;
        Ok(world)
    }

    /// Where the program runs; `None` when it is not attached.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Replaces the configuration. Not atomic towards packets that are on their way: change it while no probe is
    /// in flight, or count those as either.
    ///
    /// # Errors
    /// [`LoadError::Config`] when a setting is out of range, [`LoadError::Map`].
    pub fn set_config(&self, config: &WorldConfig) -> Result<(), LoadError> {
        self.write_config(&config.to_abi()?)
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// [`LoadError::Map`], [`LoadError::OtherVersion`].
    pub fn config(&self) -> Result<WorldConfig, LoadError> {
        let read = self.config.lookup(&KEY, MapFlags::ANY);
        let value = read.map_err(|source| LoadError::Map { map: CONFIG, operation: "read", source })?;
        let bytes: Option<[u8; WORLD_CONFIG_SIZE]> = value.and_then(|v| v.try_into().ok());
        let other = || LoadError::OtherVersion { map: CONFIG, found: "has a value of another size".into() };
        Ok(WorldConfig::from_abi(&WorldConfigAbi::from_bytes(&bytes.ok_or_else(other)?)))
    }

    /// All counters, summed over the CPUs. Not a snapshot while packets arrive.
    ///
    /// # Errors
    /// [`LoadError::Map`], [`LoadError::OtherVersion`].
    pub fn counters(&self) -> Result<Counters, LoadError> {
        let read = self.counters.lookup_percpu(&KEY, MapFlags::ANY);
        let records = read.map_err(|source| LoadError::Map { map: COUNTERS, operation: "read", source })?;
        let mut sum = Counters::default();
        for record in records.unwrap_or_default() {
            sum.add(&record).ok_or_else(|| LoadError::OtherVersion {
                map: COUNTERS,
                found: format!("has a value of {} bytes", record.len()),
            })?;
        }
        Ok(sum)
    }

    /// Sets all counters to zero; packets that arrive meanwhile may be counted or not.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn reset(&self) -> Result<(), LoadError> {
        let failed = |source| LoadError::Map { map: COUNTERS, operation: "written", source };
        let cpus = libbpf_rs::num_possible_cpus().map_err(failed)?;
        let zeroes = vec![vec![0; WORLD_COUNTERS_SIZE]; cpus];
        self.counters.update_percpu(&KEY, &zeroes, MapFlags::ANY).map_err(failed)
    }

    /// What the program has cost so far: it counts only while `kernel.bpf_stats_enabled` is set.
    ///
    /// # Errors
    /// [`LoadError::Query`].
    pub fn run_time(&self) -> Result<RunTime, LoadError> {
        let info = sys::program_info(self.program.as_fd());
        let info = info.map_err(|source| LoadError::Query { ifname: "(of the world)".into(), source })?;
        Ok(info.run)
    }

    /// Runs the program over one Ethernet frame (`BPF_PROG_TEST_RUN`): the verdict and the frame as it leaves.
    ///
    /// # Errors
    /// [`LoadError::TestRun`]; the kernel takes frames of 14 to about 3,500 bytes.
    pub fn test_run(&self, frame: &[u8]) -> Result<(Verdict, Vec<u8>), LoadError> {
        verdict::test_run(self.program.as_fd(), frame)
    }

    fn write_config(&self, abi: &WorldConfigAbi) -> Result<(), LoadError> {
        let written = self.config.update(&KEY, &abi.to_bytes(), MapFlags::ANY);
        written.map_err(|source| LoadError::Map { map: CONFIG, operation: "written", source })
    }

    /// The one check of the ABI that no assertion can make: that the loaded program is of this build.
    fn check_sizes(&self) -> Result<(), LoadError> {
        let maps =
            [(CONFIG, &self.config, WORLD_CONFIG_SIZE), (COUNTERS, &self.counters, WORLD_COUNTERS_SIZE)];
        for (map, handle, size) in maps {
            let found = handle.value_size() as usize;
            if found != size {
                return Err(LoadError::OtherVersion {
                    map,
                    found: format!("has values of {found} bytes, not {size}"),
                });
            }
        }
        Ok(())
    }
}
