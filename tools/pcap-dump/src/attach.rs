//! Attaches to a running engine and writes what its shards see.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use megaping_capture::{Ask, Captured, Counts, Frame, FrameError, Hello, Refusal, protocol};

use crate::output::{Files, OutputError};

/// The socket is looked at so often whether it is time to stop.
const LOOK: Duration = Duration::from_millis(100);
/// An engine answers within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// A hello is no longer.
const HELLO_MAX: u64 = 64 << 10;

/// When to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// After so many packets.
    pub packets: Option<u64>,
    /// After so many bytes of packets.
    pub bytes: Option<u64>,
    /// After this time.
    pub time: Option<Duration>,
}

/// What was captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Packets that were written.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What the engine counted.
    pub counts: Counts,
}

/// Why nothing more is captured.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
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
    #[error(
        "the engine speaks version {theirs} of this, and we {ours}: use the pcap-dump that was built with it"
    )]
    Version {
        /// Its.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// What it says makes no sense.
    #[error("the engine says what cannot be understood: {0}")]
    Frame(#[from] FrameError),
    /// The file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// An engine that has said hello.
pub struct Attached {
    stream: BufReader<UnixStream>,
    /// What it says of itself.
    pub hello: Hello,
}

impl Attached {
    /// Connects, and says what is wanted.
    ///
    /// # Errors
    /// [`AttachError`]
    pub fn to(path: &Path, ask: &Ask) -> Result<Attached, AttachError> {
        let failed = |source| AttachError::Connect { path: path.to_owned(), source };
        let mut stream = UnixStream::connect(path).map_err(failed)?;
        let mut line = serde_json::to_vec(ask).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(&line)).map_err(failed)?;
        let mut stream = BufReader::with_capacity(1 << 20, stream);
        let mut answer = Vec::new();
        stream.by_ref().take(HELLO_MAX).read_until(b'\n', &mut answer).map_err(failed)?;
        if let Ok(Refusal { refused }) = serde_json::from_slice(&answer) {
            return Err(AttachError::Refused(refused));
        }
        let hello: Hello = serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?;
        if hello.version != protocol::VERSION {
            return Err(AttachError::Version { theirs: hello.version, ours: protocol::VERSION });
        }
        stream.get_ref().set_read_timeout(Some(LOOK)).map_err(failed)?;
        Ok(Attached { stream, hello })
    }

    /// Writes packets until the engine ends, a limit is reached, or `stop` is set.
    ///
    /// # Errors
    /// [`AttachError`]; what was written until then is there.
    pub fn write(
        mut self,
        files: &mut Files,
        limits: Limits,
        stop: &Arc<AtomicBool>,
    ) -> Result<Taken, AttachError> {
        let began = Instant::now();
        let (mut taken, mut bytes) = (Taken::default(), Vec::new());
        let is_over = |taken: &Taken| {
            limits.packets.is_some_and(|most| taken.packets >= most)
                || limits.bytes.is_some_and(|most| taken.bytes >= most)
        };
        'reading: while !stop.load(Ordering::Relaxed) && limits.time.is_none_or(|time| began.elapsed() < time)
        {
            let mut used = 0;
            while let Some((frame, len)) = Frame::read(&bytes[used..])? {
                used += len;
                match frame {
                    Frame::Counts(counts) => taken.counts = counts,
                    Frame::Packet(packet) => {
                        taken.add(&packet);
                        files.packet(&packet)?;
                        if is_over(&taken) {
                            break 'reading;
                        }
                    }
                }
            }
            bytes.drain(..used);
            files.tick()?;
            if files.is_over() {
                break;
            }
            match self.stream.fill_buf() {
                Ok([]) => break,
                Ok(more) => {
                    bytes.extend_from_slice(more);
                    let len = more.len();
                    self.stream.consume(len);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // The engine was killed.
                Err(_) => break,
            }
        }
        files.finish(&taken.counts)?;
        Ok(taken)
    }
}

impl Taken {
    fn add(&mut self, packet: &Captured) {
        self.packets += 1;
        self.bytes += packet.bytes.len() as u64;
    }
}
