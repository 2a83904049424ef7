//! The time that one end of a veth pair spends on what came in (see `ebpf/meter.bpf.c`).

use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

use crate::attach;
use crate::error::LoadError;
use crate::skel::meter::MeterSkelBuilder;

const NAME: &str = "megaping_poll";
const POLLS: &str = "meter_polls";

/// Takes time for as long as it lives.
#[derive(Debug)]
pub struct Meter {
    polls: MapHandle,
    _links: Vec<Link>,
}

impl Meter {
    /// Begins to time the polls of every veth of this name, in any network namespace.
    ///
    /// # Errors
    /// [`LoadError::Permission`], [`LoadError::Load`]: some kernels have no tracepoints.
    pub fn start(ifname: &str) -> Result<Meter, LoadError> {
        let failed = |source| attach::load_error(NAME, source);
        let mut storage = MaybeUninit::uninit();
        let mut open = MeterSkelBuilder::default().open(&mut storage).map_err(failed)?;
        if let Some(data) = open.maps.rodata_data.as_deref_mut() {
            // One byte stays zero: the name's end.
            for (place, byte) in data.meter_name.iter_mut().take(15).zip(ifname.bytes()) {
                *place = byte.cast_signed();
            }
        }
        let skeleton = open.load().map_err(failed)?;
        let programs =
            [&skeleton.progs.megaping_entry, &skeleton.progs.megaping_poll, &skeleton.progs.megaping_exit];
        let links =
            programs.into_iter().map(|program| program.attach().map_err(failed)).collect::<Result<_, _>>()?;
        let polls = MapHandle::try_from(&skeleton.maps.meter_polls).map_err(failed)?;
        Ok(Meter { polls, _links: links })
    }

    /// Nanoseconds of all CPUs since the start.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn total_ns(&self) -> Result<u64, LoadError> {
        let read = self.polls.lookup_percpu(&[0; 4], MapFlags::ANY);
        let records = read.map_err(|source| LoadError::Map { map: POLLS, operation: "read", source })?;
        let total = |record: &Vec<u8>| record.get(8..16)?.try_into().ok().map(u64::from_ne_bytes);
        Ok(records.iter().flatten().filter_map(total).sum())
    }
}
