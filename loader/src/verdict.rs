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
    let verdict = match run.verdict {
        1 => Verdict::Drop,
        2 => Verdict::Pass,
        3 => Verdict::Transmit,
        4 => Verdict::Redirect,
        other => Verdict::Unexpected(other),
    };
    Ok((verdict, out))
}
