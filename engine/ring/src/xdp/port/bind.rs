//! Making a port: its frames, its socket, and the fall-back from zero-copy to copy mode.

use std::error::Error;
use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig, XdpFlags,
};
use xsk_rs::{FrameDesc, Socket, Umem};

use super::{BATCH, Port, busy};
use crate::xdp::config::{Binding, FRAME_SIZE, XdpConfig, XdpOpenError};
use crate::xdp::frame::Ledger;

/// A socket that was closed a moment ago holds its queue until a worker of the kernel has got the lock on all
/// network devices: this long we try again, this often.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_WAIT: Duration = Duration::from_millis(10);

impl Port {
    /// Binds to a queue; `sends` adds the frames for the way out.
    pub(in crate::xdp) fn open(config: &XdpConfig, queue: u32, sends: bool) -> Result<Self, XdpOpenError> {
        let mut refusal = None;
        let patience = Instant::now() + BUSY_PATIENCE;
        if config.zero_copy {
            match Self::bind(config, queue, sends, BindFlags::XDP_ZEROCOPY, patience) {
                Err(XdpOpenError::Bind { source, .. }) => refusal = Some(source),
                other => return other,
            }
        }
        let mut port = Self::bind(config, queue, sends, BindFlags::XDP_COPY, patience)?;
        port.binding.refusal = refusal;
        Ok(port)
    }

    fn bind(
        config: &XdpConfig,
        queue: u32,
        sends: bool,
        how: BindFlags,
        patience: Instant,
    ) -> Result<Self, XdpOpenError> {
        let name = CString::new(config.interface.as_str()).map_err(|_| XdpOpenError::NoSuchInterface {
            name: config.interface.clone(),
            source: io::ErrorKind::InvalidInput.into(),
        })?;
        let interface = Interface::new(name);
        let ring = queue_size(config.ring_size)?;
        let socket_config = SocketConfig::builder()
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .xdp_flags(XdpFlags::empty())
            .bind_flags(how | BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        loop {
            let (umem, descriptors, huge_pages) = make_umem(config, sends)?;
            // SAFETY: the UMEM is new, so no frame of it is in use elsewhere, and no other socket shares it.
            match unsafe { Socket::new(socket_config, &umem, &interface, queue) } {
                Ok((transmit, receive, Some((fill, completion)))) => {
                    let ledger = Ledger::new(descriptors.len() as u32, FRAME_SIZE);
                    let zero_copy = how.contains(BindFlags::XDP_ZEROCOPY);
                    let mut port = Self {
                        transmit,
                        receive,
                        fill,
                        completion,
                        umem,
                        ledger,
                        descriptors: descriptors.into_boxed_slice(),
                        staged: Vec::with_capacity(BATCH),
                        scratch: Box::new([FrameDesc::default(); BATCH]),
                        returned: Vec::with_capacity(BATCH),
                        ring_size: config.ring_size,
                        binding: Binding { queue, zero_copy, refusal: None, huge_pages },
                    };
                    port.fill_up();
                    if config.busy_poll {
                        busy::prefer(port.fd())?;
                    }
                    return Ok(port);
                }
                Ok(_) => return Err(bind_error(config, queue, io::ErrorKind::AlreadyExists.into())),
                Err(e) => {
                    let source = os_error(&e);
                    if source.raw_os_error() != Some(libc::EBUSY) || Instant::now() >= patience {
                        return Err(bind_error(config, queue, source));
                    }
                    std::thread::sleep(BUSY_WAIT);
                }
            }
        }
    }
}

/// Frames for the way in, and where it `sends`, as many for the way out.
fn make_umem(config: &XdpConfig, sends: bool) -> Result<(Umem, Vec<FrameDesc>, bool), XdpOpenError> {
    let frames = if sends { 2 * config.ring_size } else { config.ring_size };
    let ring = queue_size(config.ring_size)?;
    let failed = |source| XdpOpenError::Umem { bytes: u64::from(frames) * u64::from(FRAME_SIZE), source };
    let size = FrameSize::new(FRAME_SIZE).map_err(|e| failed(io::Error::other(e)))?;
    let umem_config = UmemConfig::builder()
        .frame_size(size)
        .fill_queue_size(ring)
        .comp_queue_size(ring)
        .build()
        .map_err(|e| failed(io::Error::other(e)))?;
    let frames = NonZeroU32::new(frames).unwrap_or(NonZeroU32::MIN);
    if config.huge_pages
        && let Ok((umem, descriptors)) = Umem::new(umem_config, frames, true)
    {
        return Ok((umem, descriptors, true));
    }
    let (umem, descriptors) = Umem::new(umem_config, frames, false).map_err(|e| {
        let source = os_error(&e);
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => XdpOpenError::NoPrivilege { source },
            Some(libc::EAFNOSUPPORT) => XdpOpenError::Unsupported { source },
            _ => failed(source),
        }
    })?;
    Ok((umem, descriptors, false))
}

fn queue_size(size: u32) -> Result<QueueSize, XdpOpenError> {
    let range = "a power of two";
    QueueSize::new(size).map_err(|_| XdpOpenError::OutOfRange { field: "ring_size", value: size, range })
}

/// xsk-rs keeps the kernel's error as the source of its own.
fn os_error(error: &(dyn Error + 'static)) -> io::Error {
    let code = error.source().and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    code.map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

fn bind_error(config: &XdpConfig, queue: u32, source: io::Error) -> XdpOpenError {
    let name = config.interface.clone();
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => XdpOpenError::NoPrivilege { source },
        Some(libc::ENODEV) => XdpOpenError::NoSuchInterface { name, source },
        _ => XdpOpenError::Bind { name, queue, source },
    }
}
