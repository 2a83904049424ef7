//! Attaching to an interface, and finding again what is attached. Nobody else's program is ever displaced.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::Program;

use crate::LoadError;
use crate::sys::{self, Attached, ProgramInfo};

/// Where in the receive path a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before a socket buffer exists: the fast way.
    Driver,
    /// Behind the driver, on socket buffers: works on any interface, several times slower.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Driver => "driver mode",
            Mode::Generic => "generic mode (the driver has no XDP of its own: slower)",
        })
    }
}

/// Attaches in driver mode, or in generic mode where the driver has none.
pub(crate) fn attach(ifname: &str, program: BorrowedFd<'_>) -> Result<Mode, LoadError> {
    let index = index(ifname)?;
    refuse_occupied(ifname, index)?;
    match sys::attach(index, program, true) {
        Ok(()) => return Ok(Mode::Driver),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err(LoadError::Permission { operation: "attach an XDP program" });
        }
        Err(_) => {}
    }
    match sys::attach(index, program, false) {
        Ok(()) => Ok(Mode::Generic),
        Err(source) => Err(LoadError::Attach { ifname: ifname.into(), source }),
    }
}

/// A program held on an interface by a link: it is detached when this is dropped, and when the process ends in
/// whatever way, because the kernel closes the descriptor.
#[derive(Debug)]
pub(crate) struct Link {
    held: OwnedFd,
    pub mode: Mode,
    /// Why the driver would not have it, in generic mode.
    pub refusal: Option<io::Error>,
}

impl Link {
    /// Attaches in driver mode, or in generic mode where the driver refuses.
    pub fn attach(ifname: &str, program: BorrowedFd<'_>) -> Result<Link, LoadError> {
        let index = index(ifname)?;
        refuse_occupied(ifname, index)?;
        let refusal = match sys::link(index, program, true) {
            Ok(held) => return Ok(Link { held, mode: Mode::Driver, refusal: None }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(LoadError::Permission { operation: "attach an XDP program" });
            }
            Err(e) => e,
        };
        match sys::link(index, program, false) {
            Ok(held) => Ok(Link { held, mode: Mode::Generic, refusal: Some(refusal) }),
            Err(source) => {
                // Somebody may have come in between.
                refuse_occupied(ifname, index)?;
                Err(LoadError::Attach { ifname: ifname.into(), source })
            }
        }
    }

    /// Attaches in driver mode or not at all.
    pub fn attach_to_driver(ifname: &str, program: BorrowedFd<'_>) -> Result<Link, LoadError> {
        let index = index(ifname)?;
        refuse_occupied(ifname, index)?;
        match sys::link(index, program, true) {
            Ok(held) => Ok(Link { held, mode: Mode::Driver, refusal: None }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(LoadError::Permission { operation: "attach an XDP program" })
            }
            Err(source) => {
                refuse_occupied(ifname, index)?;
                Err(LoadError::NoDriverMode { ifname: ifname.into(), source })
            }
        }
    }

    /// Whether the program is on the interface still.
    pub fn is_attached(&self) -> io::Result<bool> {
        Ok(sys::link_interface(self.held.as_fd())? != 0)
    }
}

/// A program of ours that an interface runs.
#[derive(Debug)]
pub(crate) struct Found {
    pub program: OwnedFd,
    pub info: ProgramInfo,
    pub mode: Mode,
}

/// Finds the attached program of that name.
pub(crate) fn find(ifname: &str, program: &'static str) -> Result<Found, LoadError> {
    let not_attached = || LoadError::NotAttached { ifname: ifname.into(), program };
    let there = query(ifname, index(ifname)?)?.ok_or_else(not_attached)?;
    let (fd, info) = program_of(ifname, there)?;
    if info.name != program {
        return Err(not_attached());
    }
    let mode = if there.driver { Mode::Driver } else { Mode::Generic };
    Ok(Found { program: fd, info, mode })
}

/// Takes the program of that name off the interface.
pub(crate) fn detach(ifname: &str, program: &'static str) -> Result<(), LoadError> {
    let found = find(ifname, program)?;
    sys::detach(index(ifname)?, found.program.as_fd(), found.mode == Mode::Driver).map_err(|source| {
        if source.kind() == io::ErrorKind::PermissionDenied {
            LoadError::Permission { operation: "detach an XDP program" }
        } else {
            LoadError::Detach { ifname: ifname.into(), source }
        }
    })
}

/// Turns the refusal to load a program into an error with its fix.
pub(crate) fn load_error(program: &'static str, source: libbpf_rs::Error) -> LoadError {
    if source.kind() == libbpf_rs::ErrorKind::PermissionDenied {
        LoadError::Permission { operation: "load an eBPF program" }
    } else {
        LoadError::Load { program, source }
    }
}

/// An error where the interface has a program, whoever's.
fn refuse_occupied(ifname: &str, index: i32) -> Result<(), LoadError> {
    let Some(there) = query(ifname, index)? else { return Ok(()) };
    let (_, info) = program_of(ifname, there)?;
    Err(LoadError::Occupied { ifname: ifname.into(), program: info.name, id: there.id })
}

pub(crate) fn index(ifname: &str) -> Result<i32, LoadError> {
    sys::interface_index(ifname)
        .map_err(|source| LoadError::NoSuchInterface { ifname: ifname.into(), source })
}

fn query(ifname: &str, index: i32) -> Result<Option<Attached>, LoadError> {
    sys::attached(index).map_err(|source| LoadError::Query { ifname: ifname.into(), source })
}

fn program_of(ifname: &str, there: Attached) -> Result<(OwnedFd, ProgramInfo), LoadError> {
    let program = Program::fd_from_id(there.id).map_err(|e| {
        if e.kind() == libbpf_rs::ErrorKind::PermissionDenied {
            LoadError::Permission { operation: "open the XDP program of the interface" }
        } else {
            LoadError::Query { ifname: ifname.into(), source: io::Error::other(e.to_string()) }
        }
    })?;
    let info = sys::program_info(program.as_fd())
        .map_err(|source| LoadError::Query { ifname: ifname.into(), source })?;
    Ok((program, info))
}
