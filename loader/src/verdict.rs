//! What an XDP program says about a frame, asked without a network.

use std::os::fd::BorrowedFd;

use crate::{LoadError, sys};

/// Frames that a test run may return: one page less the kernel's head and tail room.
const TEST_FRAME: usize = 4096;

/// What a program says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`: to the kernel.
    Pass,
    /// `XDP_TX`: back out of the interface.
    Transmit,
    /// `XDP_REDIRECT`: to a socket.
    Redirect,
    /// Anything else, which no program of ours should say.
    Unexpected(u32),
}

/// Runs a program once over a frame: its verdict, and the frame as it left it, metadata in front.
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> Result<(Verdict, Vec<u8>), LoadError> {
    let mut out = vec![0; TEST_FRAME];
    let run = sys::test_run(program, frame, &mut out, 1).map_err(|source| LoadError::TestRun { source })?;
    out.truncate(run.length);
    Ok((verdict_of(run.verdict), out))
}

/// The same over a frame with `mark` bytes of metadata before it; the frame comes back without them.
pub(crate) fn test_marked(
    program: BorrowedFd<'_>,
    frame: &[u8],
    mark: u32,
) -> Result<(Verdict, Vec<u8>), LoadError> {
    let mut out = vec![0; TEST_FRAME];
    let (run, left) =
        sys::test_marked(program, frame, &mut out, mark).map_err(|source| LoadError::TestRun { source })?;
    out.truncate(run.length);
    out.drain(..(left as usize).min(run.length));
    Ok((verdict_of(run.verdict), out))
}

const fn verdict_of(returned: u32) -> Verdict {
    match returned {
        1 => Verdict::Drop,
        2 => Verdict::Pass,
        3 => Verdict::Transmit,
        4 => Verdict::Redirect,
        other => Verdict::Unexpected(other),
    }
}
