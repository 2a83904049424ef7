//! What an `io_uring` ring is asked to be, and every way in which opening one can fail.

use std::io;

use super::features::Feature;
use crate::sockets::config::{Family, OpenError, RawConfig};

/// What to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UringConfig {
    /// The sockets. `send_batch` is packets an `io_uring_enter`, `receive_batch` is how many buffers go back to the
    /// kernel at a time; all else is as for [`crate::RawRing`].
    pub sockets: RawConfig,
    /// Buffers that the kernel fills while we are away, for each socket: a power of two, 2 to 8192. What comes
    /// when all are full stays in the socket.
    pub buffers: u16,
    /// Features to be treated as if the kernel had not got them: for tests of what happens then.
    pub masked: Vec<Feature>,
}

impl Default for UringConfig {
    fn default() -> Self {
        Self { sockets: RawConfig::default(), buffers: 256, masked: Vec::new() }
    }
}

impl UringConfig {
    pub(super) fn check(&self) -> Result<(), UringOpenError> {
        self.sockets.check()?;
        if !self.buffers.is_power_of_two() || !(2..=8192).contains(&self.buffers) {
            let (field, range) = ("buffers", "a power of two, 2 to 8192");
            return Err(OpenError::OutOfRange { field, value: self.buffers.into(), range }.into());
        }
        Ok(())
    }

    /// Room for every completion that can be under way at a time, so that none is ever without: a batch of
    /// sends, every provided buffer, the end of each multishot receive, a poll of each socket. The kernel
    /// rounds it up to a power of two.
    pub(super) fn completions(&self) -> u32 {
        u32::from(self.sockets.send_batch) + 2 * (u32::from(self.buffers) + 2)
    }
}

/// Why an `io_uring` ring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UringOpenError {
    /// The sockets themselves.
    #[error(transparent)]
    Sockets(#[from] OpenError),
    /// The kernel is too old, or the feature is masked.
    #[error("this kernel ({release}) has no {feature}: the io_uring ring needs Linux {} or newer; use the raw ring here", .feature.since())]
    Missing {
        /// What is missing.
        feature: Feature,
        /// The kernel that runs.
        release: String,
    },
    /// The kernel was built without it.
    #[error(
        "this kernel ({release}) has no io_uring (CONFIG_IO_URING), or a seccomp profile hides it: use the raw ring here"
    )]
    NotBuilt {
        /// The kernel that runs.
        release: String,
        /// ENOSYS.
        source: io::Error,
    },
    /// Somebody forbade it.
    #[error(
        "io_uring is forbidden here: `sysctl kernel.io_uring_disabled` must be 0 (1 does for CAP_SYS_ADMIN), and a \
         container's seccomp profile must allow io_uring_setup"
    )]
    Forbidden {
        /// EPERM or EACCES.
        source: io::Error,
    },
    /// The kernel refused to make the ring, for another reason.
    #[error("{operation} failed while the io_uring ring was set up: {source}")]
    Setup {
        /// The operation, as the manual names it.
        operation: &'static str,
        /// ENOMEM, EMFILE and the like.
        source: io::Error,
    },
    /// The kernel refused the buffers of a socket.
    #[error("cannot register {buffers} buffers for the raw {family} socket: {source}")]
    Buffers {
        /// Whose.
        family: Family,
        /// How many.
        buffers: u16,
        /// ENOMEM and the like.
        source: io::Error,
    },
}
