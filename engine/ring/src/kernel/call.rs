//! The system call that sends: `BPF_PROG_TEST_RUN` with live frames (Linux, `Documentation/bpf/bpf_prog_run.rst`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::abi::MARK;

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 2;
/// The longest frame that the kernel makes: a page less its head and tail room.
pub const LONGEST_FRAME: usize = 3_300;
/// And the shortest.
const SHORTEST_FRAME: usize = 14;

/// The part of `union bpf_attr` that the command reads.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// `struct xdp_md`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

const _: () = assert!(size_of::<TestRun>() == 80 && size_of::<Context>() == 24);

/// Frames to run the program over, and how.
pub struct Call {
    /// What new frames are made of: zeros, which are no packet of any protocol.
    blank: Box<[u8]>,
    context: Context,
    run: TestRun,
}

impl Call {
    /// Frames that the interface `ifindex` seems to have received, and sends when the program says so.
    pub fn new(ifindex: u32, batch: u32) -> Self {
        let context = Context { data: MARK, ingress_ifindex: ifindex, ..Context::default() };
        let run = TestRun {
            ctx_size_in: size_of::<Context>() as u32,
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            batch_size: batch,
            ..TestRun::default()
        };
        Self { blank: vec![0; MARK as usize + LONGEST_FRAME].into(), context, run }
    }

    /// Runs `program` over `count` frames of `length` bytes each.
    pub fn run(&mut self, program: BorrowedFd<'_>, count: u32, length: usize) -> io::Result<()> {
        let size = MARK + length.clamp(SHORTEST_FRAME, LONGEST_FRAME) as u32;
        self.context.data_end = size;
        let run = TestRun {
            prog_fd: program.as_raw_fd().cast_unsigned(),
            data_size_in: size,
            data_in: self.blank.as_ptr().addr() as u64,
            repeat: count,
            ctx_in: (&raw const self.context).addr() as u64,
            ..self.run
        };
        // SAFETY: the kernel reads `data_size_in` bytes of `blank`, which has as many, and the context; it writes
        // back only to `run`. All three outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw const run, size_of::<TestRun>()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
