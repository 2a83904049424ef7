//! The side of one who looks on: connects to an engine's socket and says what is wanted.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Ask, Hello, Refusal, protocol};

/// An engine answers within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// A hello is no longer.
const HELLO_MAX: u64 = 64 << 10;

/// Why no engine shows anything.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No engine is there.
    #[error("{}: no engine answers: {source}; is one running with --capture, or control.capture in its configuration?", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It says no.
    #[error("the engine refuses: {0}")]
    Refused(String),
    /// It is another version's.
    #[error("the engine speaks version {theirs} of this, and we {ours}: use the program that came with it")]
    Version {
        /// Its.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
}

/// Connects, and says what is wanted: the engine's hello, and the stream of frames behind it.
///
/// # Errors
/// [`ConnectError`]
pub fn connect(path: &Path, ask: &Ask) -> Result<(Hello, BufReader<UnixStream>), ConnectError> {
    let failed = |source| ConnectError::Connect { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    let mut line = serde_json::to_vec(ask).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(&line)).map_err(failed)?;
    let mut stream = BufReader::with_capacity(1 << 20, stream);
    let mut answer = Vec::new();
    stream.by_ref().take(HELLO_MAX).read_until(b'\n', &mut answer).map_err(failed)?;
    if let Ok(Refusal { refused }) = serde_json::from_slice(&answer) {
        return Err(ConnectError::Refused(refused));
    }
    let hello: Hello = serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?;
    if hello.version != protocol::VERSION {
        return Err(ConnectError::Version { theirs: hello.version, ours: protocol::VERSION });
    }
    Ok((hello, stream))
}
