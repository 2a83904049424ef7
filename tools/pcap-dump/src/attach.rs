//! Attaches to a running engine and writes what its shards see.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use megaping_capture::client::{self, ConnectError};
use megaping_capture::{Ask, Captured, Counts, Frame, FrameError, Hello};

use crate::expression::Expression;
use crate::kernel::KernelError;
use crate::output::{Files, OutputError};

/// The socket is looked at so often whether it is time to stop.
const LOOK: Duration = Duration::from_millis(100);

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
    /// No engine shows anything.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What it says makes no sense.
    #[error("the engine says what cannot be understood: {0}")]
    Frame(#[from] FrameError),
    /// What a flag says.
    #[error("{0}")]
    Flag(String),
    /// The tap in the kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
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
        let (hello, stream) = client::connect(path, ask)?;
        let set = stream.get_ref().set_read_timeout(Some(LOOK));
        set.map_err(|source| ConnectError::Connect { path: path.to_owned(), source })?;
        Ok(Attached { stream, hello })
    }

    /// Writes packets, those that pass `expression`, until the engine ends, a limit is reached, or `stop` is set.
    ///
    /// # Errors
    /// [`AttachError`]; what was written until then is there.
    pub fn write(
        mut self,
        files: &mut Files,
        mut expression: Option<Expression>,
        limits: Limits,
        stop: &Arc<AtomicBool>,
    ) -> Result<Taken, AttachError> {
        let began = Instant::now();
        let (mut taken, mut bytes) = (Taken::default(), Vec::new());
        'reading: while !stop.load(Ordering::Relaxed) && limits.time.is_none_or(|time| began.elapsed() < time)
        {
            let mut used = 0;
            while let Some((frame, len)) = Frame::read(&bytes[used..])? {
                used += len;
                match frame {
                    Frame::Counts(counts) => taken.counts = counts,
                    Frame::Packet(packet)
                        if expression.as_mut().is_some_and(|it| !it.wants(&packet.bytes)) => {}
                    Frame::Packet(packet) => {
                        taken.add(&packet);
                        files.packet(&packet)?;
                        if limits.are_reached(&taken) {
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

impl Limits {
    /// Whether so much is enough.
    pub(crate) fn are_reached(&self, taken: &Taken) -> bool {
        self.packets.is_some_and(|most| taken.packets >= most)
            || self.bytes.is_some_and(|most| taken.bytes >= most)
    }
}

impl Taken {
    pub(crate) fn add(&mut self, packet: &Captured) {
        self.packets += 1;
        self.bytes += packet.bytes.len() as u64;
    }
}
