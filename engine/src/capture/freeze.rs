//! `megaping capture freeze`: what an engine has kept of the newest packets becomes a file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use megaping_capture::client::{self, ConnectError};
use megaping_capture::pcapng::{Link, Writer};
use megaping_capture::{Ask, Frame, FrameError};

/// Why there is no file, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The engine.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What it says makes no sense.
    #[error("the engine says what cannot be understood: {0}")]
    Frame(#[from] FrameError),
    /// It ended before it had said all.
    #[error("the engine ended in the middle: {0}")]
    Read(io::Error),
    /// The file.
    #[error("{}: cannot be written: {source}", .path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Writes what the engine at `socket` has kept into `path`, and says how much that was.
///
/// # Errors
/// [`FreezeError`]
pub fn freeze(socket: &Path, path: &Path) -> Result<ExitCode, FreezeError> {
    let failed = |source| FreezeError::Write { path: path.to_owned(), source };
    let (hello, mut stream) = client::connect(socket, &Ask::Freeze)?;
    let out: Box<dyn Write> = if path.as_os_str() == "-" {
        Box::new(io::stdout())
    } else {
        // What others' packets say is nobody else's business.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        Box::new(file.map_err(failed)?)
    };
    let mut writer =
        Writer::new(BufWriter::new(out), &hello, Link::Raw, 0, "frozen on demand").map_err(failed)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(FreezeError::Read)?;
    let (mut rest, mut span) = (bytes.as_slice(), None);
    while let Some((frame, len)) = Frame::read(rest)? {
        rest = &rest[len..];
        match frame {
            Frame::Packet(packet) => {
                writer.packet(&packet).map_err(failed)?;
                let (first, _) = span.unwrap_or((packet.time_ns, 0));
                span = Some((first, packet.time_ns));
            }
            Frame::Counts(counts) => {
                let (first, last) = span.unwrap_or_default();
                writer.statistics(&counts, first, last).map_err(failed)?;
            }
        }
    }
    writer.get_mut().flush().map_err(failed)?;
    let (first, last) = span.unwrap_or_default();
    let seconds = (last - first) as f64 / 1e9;
    eprintln!("megaping: {} packets of {seconds:.3} s are in {}", writer.written(), path.display());
    Ok(ExitCode::SUCCESS)
}
