//! What the kernel must have, and finding out whether it has it by trying it once, on a ring that is thrown
//! away: `IORING_REGISTER_PROBE` knows operations, but neither their flags nor the ring's.
//!
//! System calls: `io_uring_setup`, `io_uring_register`, `io_uring_enter`, `socketpair`, `send`.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use io_uring::{IoUring, Probe, cqueue, opcode, types};

use super::buffers::Buffers;
use super::config::UringOpenError;

/// Something of `io_uring` that not every kernel has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// The operations `SENDMSG`, `RECVMSG` and `POLL_ADD`.
    Messages,
    /// A wait with a timeout (`IORING_FEAT_EXT_ARG`).
    TimedWait,
    /// A ring of buffers out of which the kernel takes one an arrival (`IORING_REGISTER_PBUF_RING`).
    BufferRing,
    /// One thread submits, and the kernel counts on it (`IORING_SETUP_SINGLE_ISSUER`).
    SingleIssuer,
    /// One `RECVMSG` for any number of arrivals (`IORING_RECV_MULTISHOT`).
    MultishotReceive,
    /// Taking such a one back (`IORING_REGISTER_SYNC_CANCEL`).
    SyncCancel,
    /// Arrivals are worked on when we ask for them, never in between (`IORING_SETUP_DEFER_TASKRUN`). Without
    /// it the ring opens all the same, as [`TaskWork::Cooperative`].
    DeferredTaskWork,
}

impl Feature {
    /// The first kernel that has it.
    #[must_use]
    pub const fn since(self) -> &'static str {
        match self {
            Self::Messages => "5.3",
            Self::TimedWait => "5.11",
            Self::BufferRing => "5.19",
            Self::SingleIssuer | Self::MultishotReceive | Self::SyncCancel => "6.0",
            Self::DeferredTaskWork => "6.1",
        }
    }
}

impl std::fmt::Display for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Messages => "io_uring with SENDMSG, RECVMSG and POLL_ADD",
            Self::TimedWait => "io_uring wait with a timeout (IORING_FEAT_EXT_ARG)",
            Self::BufferRing => "io_uring buffer ring (IORING_REGISTER_PBUF_RING)",
            Self::SingleIssuer => "io_uring for a single issuer (IORING_SETUP_SINGLE_ISSUER)",
            Self::MultishotReceive => "io_uring multishot RECVMSG (IORING_RECV_MULTISHOT)",
            Self::SyncCancel => "io_uring synchronous cancel (IORING_REGISTER_SYNC_CANCEL)",
            Self::DeferredTaskWork => "io_uring deferred task work (IORING_SETUP_DEFER_TASKRUN)",
        })
    }
}

/// When the kernel works on arrivals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskWork {
    /// When we ask for them (Linux 6.1 and newer).
    Deferred,
    /// At the end of any system call of ours: a departure's bound can hold the work on arrivals, too.
    Cooperative,
}

/// Makes a ring with the flags that this crate relies on.
pub(super) fn build(
    entries: u32,
    completions: u32,
    task_work: TaskWork,
    disabled: bool,
) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(completions).setup_single_issuer().setup_submit_all().setup_taskrun_flag();
    match task_work {
        TaskWork::Deferred => builder.setup_defer_taskrun(),
        TaskWork::Cooperative => builder.setup_coop_taskrun(),
    };
    if disabled {
        builder.setup_r_disabled();
    }
    builder.build(entries)
}

/// Tries everything once.
pub(super) fn probe(masked: &[Feature]) -> Result<TaskWork, UringOpenError> {
    let need = |feature, has: bool| {
        if has && !masked.contains(&feature) { Ok(()) } else { Err(missing(feature)) }
    };
    // A ring without any flag tells whether there is io_uring at all.
    let plain = IoUring::new(2).map_err(|source| match source.raw_os_error() {
        Some(libc::ENOSYS) => UringOpenError::NotBuilt { release: release(), source },
        Some(libc::EPERM | libc::EACCES) => UringOpenError::Forbidden { source },
        _ => UringOpenError::Setup { operation: "io_uring_setup", source },
    })?;
    let mut operations = Probe::new();
    // A kernel that cannot be asked (before 5.6) lacks more than that.
    let asked = plain.submitter().register_probe(&mut operations).is_ok();
    let all = [opcode::SendMsg::CODE, opcode::RecvMsg::CODE, opcode::PollAdd::CODE];
    need(Feature::Messages, asked && all.iter().all(|&code| operations.is_supported(code)))?;
    need(Feature::TimedWait, plain.params().is_feature_ext_arg())?;

    let trial = |task_work| {
        build(2, 8, task_work, false).map(Some).or_else(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => Ok(None),
            _ => Err(UringOpenError::Setup { operation: "io_uring_setup", source }),
        })
    };
    let deferred =
        if masked.contains(&Feature::DeferredTaskWork) { None } else { trial(TaskWork::Deferred)? };
    let (ring, task_work) = match deferred {
        Some(ring) => (Some(ring), TaskWork::Deferred),
        None => (trial(TaskWork::Cooperative)?, TaskWork::Cooperative),
    };
    need(Feature::SingleIssuer, ring.is_some())?;
    if let Some(mut ring) = ring {
        let mut buffers = Buffers::new(2, 512);
        need(Feature::BufferRing, buffers.register(&ring.submitter(), 0).is_ok())?;
        let received = receive_twice(&mut ring);
        let cancelled = ring.submitter().register_sync_cancel(None, types::CancelBuilder::any()).is_ok();
        // The end of the request is work of ours, too: until it came, the kernel may look at the buffers.
        let ended = wait(&ring, 1).is_ok() && ring.completion().any(|end| !cqueue::more(end.flags()));
        if !ended {
            buffers.leave_to_the_kernel();
        }
        need(Feature::MultishotReceive, received.map_err(setup("a trial of RECVMSG"))?)?;
        need(Feature::SyncCancel, cancelled && ended)?;
    }
    Ok(task_work)
}

/// Arms one receive on a pair of local sockets and sends two messages: whether it stayed armed for both.
fn receive_twice(ring: &mut IoUring) -> io::Result<bool> {
    let (near, far) = UnixDatagram::pair()?;
    near.set_nonblocking(true)?;
    ring.submitter().register_files(&[near.as_raw_fd()])?;
    // SAFETY: all zeros is a header without name, control messages or pieces.
    let header: libc::msghdr = unsafe { std::mem::zeroed() };
    let entry = opcode::RecvMsgMulti::new(types::Fixed(0), &raw const header, 0).build();
    // SAFETY: `header` outlives the request's submission in `wait` below, and a multishot RECVMSG reads it only
    // then; the buffers it fills are the caller's, who frees them after the request's end or never.
    unsafe { ring.submission().push(&entry).map_err(io::Error::other)? };
    for _ in 0..2 {
        far.send(&[1])?;
        wait(ring, 1)?;
        let Some(arrival) = ring.completion().next() else { return Ok(false) };
        if arrival.result() < 0 || !cqueue::more(arrival.flags()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Submits and waits for completions, for a second at most.
fn wait(ring: &IoUring, completions: u32) -> io::Result<()> {
    let second = types::Timespec::new().sec(1);
    let args = types::SubmitArgs::new().timespec(&second);
    match ring.submitter().submit_with_args(completions as usize, &args) {
        Err(error) if error.raw_os_error() != Some(libc::ETIME) => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn setup(operation: &'static str) -> impl FnOnce(io::Error) -> UringOpenError {
    move |source| UringOpenError::Setup { operation, source }
}

fn missing(feature: Feature) -> UringOpenError {
    UringOpenError::Missing { feature, release: release() }
}

/// The kernel's version, as `uname -r` says it.
fn release() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    read.map_or_else(|_| "of unknown version".into(), |release| release.trim().to_owned())
}
