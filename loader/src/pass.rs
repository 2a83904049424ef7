//! The program that passes every frame: the near end of a veth pair needs one (see `ebpf/pass.bpf.c`).

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use crate::attach::{self, Mode};
use crate::error::LoadError;
use crate::skel::pass::PassSkelBuilder;

const NAME: &str = "megaping_pass";

/// The pass program; it stays on the interface until it is detached or the interface goes.
#[derive(Debug)]
pub struct Pass;

impl Pass {
    /// Loads the program and attaches it to an interface of the caller's network namespace.
    ///
    /// # Errors
    /// [`LoadError::NoSuchInterface`], [`LoadError::Permission`], [`LoadError::Load`],
    /// [`LoadError::Occupied`], [`LoadError::Attach`].
    pub fn attach(ifname: &str) -> Result<Mode, LoadError> {
        let mut storage = MaybeUninit::uninit();
        let skeleton = PassSkelBuilder::default()
            .open(&mut storage)
            .and_then(OpenSkel::load)
            .map_err(|source| attach::load_error(NAME, source))?;
        attach::attach(ifname, skeleton.progs.megaping_pass.as_fd())
    }

    /// Takes the program off again, so that another one can take its place.
    ///
    /// # Errors
    /// [`LoadError::NotAttached`] when the interface runs another program or none, [`LoadError::Detach`].
    pub fn detach(ifname: &str) -> Result<(), LoadError> {
        attach::detach(ifname, NAME)
    }
}
