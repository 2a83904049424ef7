//! What can go wrong in the lab, with the fix.

use std::io;
use std::path::PathBuf;

use megaping_loader::LoadError;

/// One variant for each operation.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel side.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The TUN interface was not made.
    #[error(
        "cannot make the TUN interface `{name}` ({source}): this needs root (CAP_NET_ADMIN), /dev/net/tun, and a \
         name of at most 15 characters that is not taken"
    )]
    Tun {
        /// Its name.
        name: String,
        /// From the kernel.
        source: io::Error,
    },
    /// Reading the TUN interface failed while it ran.
    #[error("reading the TUN interface failed ({0}): was it removed?")]
    TunRead(io::Error),
    /// Signals or threads could not be set up.
    #[error("cannot set up {what}: {source}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The counters could not be written.
    #[error(
        "cannot write the counters to `{path}` ({source}): name a file in a directory that can be written"
    )]
    Counters {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}
