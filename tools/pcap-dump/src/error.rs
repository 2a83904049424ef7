//! What ends the reading of a capture.

use std::io;

use pcap_file::PcapError;

/// Why a capture cannot be read on. The messages continue one that names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input failed.
    #[error("cannot read it: {0}")]
    Read(#[source] io::Error),
    /// There is no byte in it.
    #[error("it is empty; expected a pcap or pcapng capture")]
    Empty,
    /// It begins with something else.
    #[error(
        "neither pcap nor pcapng: it begins with {0:02x?}, and a capture with the magic number of its format"
    )]
    NotACapture(Vec<u8>),
    /// It ends in the middle of something.
    #[error(
        "it ends in the middle of a header, block or packet behind packet {0} (or one is longer than 8 MB): \
         was the capture still being written?"
    )]
    Torn(u64),
    /// A header or block contradicts its format.
    #[error("broken behind packet {packets}: {reason}")]
    Format {
        /// Packets that could be read before.
        packets: u64,
        /// What is wrong.
        reason: String,
    },
    /// Packets begin with a header that this program does not know.
    #[error(
        "link type {0} is not known; known are Ethernet (1), raw IP (101, 228, 229) and Linux cooked capture \
         (113, 276)"
    )]
    LinkType(u32),
    /// The output failed.
    #[error("cannot write the output: {0}")]
    Write(#[source] io::Error),
}

impl Error {
    /// What the reader of the format says, behind this many packets.
    pub(crate) fn reading(error: PcapError, packets: u64) -> Error {
        match error {
            PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => Error::Torn(packets),
            PcapError::IoError(error) => Error::Read(error),
            PcapError::IncompleteBuffer => Error::Torn(packets),
            other => Error::Format { packets, reason: other.to_string() },
        }
    }

    /// Whether the reader of our output has left, which is no mistake of anybody's.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
