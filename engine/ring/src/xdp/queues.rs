//! How many receive queues an interface uses.
//!
//! System calls: `socket`, `ioctl` (`SIOCETHTOOL`).

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// `<linux/sockios.h>` and `<linux/ethtool.h>`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Receive queues of an interface of this network namespace; one where the driver knows of no more.
///
/// # Errors
/// ENODEV where there is no such interface, and what else ioctl(2) says.
pub fn receive_queues(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    // SAFETY: all zeros is a value of this C struct: an empty name and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    let socket = UnixDatagram::unbound()?;
    // SAFETY: the name ends in zeros, the data points to a live `struct ethtool_channels` whose command says that the
    // kernel shall fill it; it keeps neither pointer.
    if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) } == 0 {
        return Ok((channels.rx + channels.combined).max(1));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => Ok(1),
        _ => Err(error),
    }
}
