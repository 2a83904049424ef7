//! The few calls that libbpf-rs does not wrap, each made safe here.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_rs::libbpf_sys;

/// Maps that a program of ours can have; more are not looked at.
const MAX_MAPS: usize = 16;

/// The index of an interface in the calling thread's network namespace.
pub fn interface_index(ifname: &str) -> io::Result<i32> {
    let name = CString::new(ifname).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `name` is NUL-terminated and lives across the call, which keeps no pointer.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => i32::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// What netlink says is attached to an interface.
#[derive(Debug, Clone, Copy)]
pub struct Attached {
    /// The id of the program.
    pub id: u32,
    /// Whether the driver runs it, rather than the generic hook behind it.
    pub driver: bool,
}

/// Asks netlink for the XDP program of an interface; `None` when there is none.
pub fn attached(index: i32) -> io::Result<Option<Attached>> {
    let there = xdp_query(index)?;
    let driver = there.driver != 0 || there.hardware != 0;
    let first = [there.driver, there.hardware, there.generic].into_iter().find(|id| *id != 0);
    Ok(first.map(|id| Attached { id, driver }))
}

/// What netlink says of an interface: ids of programs, or zero; `NETDEV_XDP_ACT_*`, or zero where nobody says.
#[derive(Debug, Clone, Copy, Default)]
pub struct XdpQuery {
    pub driver: u32,
    pub generic: u32,
    pub hardware: u32,
    pub features: u64,
}

/// `RTM_GETLINK` for what is attached, and the `netdev` family, where there is one, for what could be.
pub fn xdp_query(index: i32) -> io::Result<XdpQuery> {
    let mut opts = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: `opts` is a live structure whose `sz` says how much of it libbpf may write.
    check(unsafe { libbpf_sys::bpf_xdp_query(index, 0, &raw mut opts) })?;
    Ok(XdpQuery {
        driver: opts.drv_prog_id,
        generic: opts.skb_prog_id,
        hardware: opts.hw_prog_id,
        features: opts.feature_flags,
    })
}

/// Loads an XDP program that drops every frame.
pub fn load_dropper() -> io::Result<OwnedFd> {
    // `r0 = XDP_DROP; exit`: registers, offset and what is not set are zero.
    let instruction = |code, imm| libbpf_sys::bpf_insn { code, imm, ..Default::default() };
    let code = libbpf_sys::BPF_ALU64 | libbpf_sys::BPF_MOV;
    let program = [
        instruction(code as u8, libbpf_sys::XDP_DROP.cast_signed()),
        instruction((libbpf_sys::BPF_JMP | libbpf_sys::BPF_EXIT) as u8, 0),
    ];
    let (name, license) = (c"megaping_probe", c"GPL");
    // SAFETY: the names are NUL-terminated, `program` has as many instructions as is said, no options are passed;
    // all outlive the call, which keeps no pointer.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            name.as_ptr(),
            license.as_ptr(),
            program.as_ptr(),
            program.len() as libbpf_sys::size_t,
            ptr::null_mut(),
        )
    };
    check(fd)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A loaded program's name and the ids of its maps.
#[derive(Debug)]
pub struct ProgramInfo {
    /// At most fifteen bytes, as the kernel keeps it.
    pub name: String,
    /// In the order of the object file.
    pub map_ids: Vec<u32>,
    /// Instructions that the verifier walked to be sure of it.
    pub verified_instructions: u32,
    /// How often it ran, and for how long in all, while the kernel kept such statistics.
    pub run: RunTime,
}

/// What a program has cost while `kernel.bpf_stats_enabled` was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunTime {
    /// Runs.
    pub runs: u64,
    /// Their time together, in nanoseconds; a part of what it takes to read the clock twice is in it.
    pub ns: u64,
}

/// `BPF_OBJ_GET_INFO_BY_FD` for a program.
pub fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut map_ids = [0u32; MAX_MAPS];
    let mut info = libbpf_sys::bpf_prog_info {
        nr_map_ids: MAX_MAPS as u32,
        map_ids: map_ids.as_mut_ptr() as u64,
        ..Default::default()
    };
    let mut size = size_of_val(&info) as u32;
    // SAFETY: `info` and `size` are live; `info` is zero but for `map_ids`, which points to as many elements as
    // `nr_map_ids` says, so the kernel writes nowhere else. The array outlives the call.
    check(unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(program.as_raw_fd(), (&raw mut info).cast(), &raw mut size)
    })?;
    let name: Vec<u8> = info.name.iter().map(|c| c.to_ne_bytes()[0]).take_while(|c| *c != 0).collect();
    let known = MAX_MAPS.min(info.nr_map_ids as usize);
    Ok(ProgramInfo {
        name: String::from_utf8_lossy(&name).into_owned(),
        map_ids: map_ids[..known].to_vec(),
        verified_instructions: info.verified_insns,
        run: RunTime { runs: info.run_cnt, ns: info.run_time_ns },
    })
}

/// Runs a program over a frame (`BPF_PROG_TEST_RUN`), each time as the last run left it: the last verdict, and
/// the frame afterwards.
pub fn test_run(program: BorrowedFd<'_>, frame: &[u8], out: &mut [u8], repeat: u32) -> io::Result<TestRun> {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        data_out: out.as_mut_ptr().cast(),
        data_size_out: out.len() as u32,
        repeat: repeat.cast_signed(),
        ..Default::default()
    };
    // SAFETY: the kernel reads `data_size_in` bytes of `frame` and writes at most `data_size_out` bytes of `out`;
    // both slices outlive the call, and `sz` is the size of `opts`.
    check(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut opts) })?;
    Ok(TestRun { verdict: opts.retval, length: opts.data_size_out as usize, mean_ns: opts.duration })
}

/// Runs a program once over a frame that has `mark` bytes of zero as metadata in front; `out` begins with what is left
/// of them, and the second number says how many bytes that are.
pub fn test_marked(
    program: BorrowedFd<'_>,
    frame: &[u8],
    out: &mut [u8],
    mark: u32,
) -> io::Result<(TestRun, u32)> {
    let mut input = vec![0; mark as usize];
    input.extend(frame);
    let context = libbpf_sys::xdp_md { data: mark, data_end: input.len() as u32, ..Default::default() };
    let mut after = libbpf_sys::xdp_md::default();
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: input.as_ptr().cast(),
        data_size_in: input.len() as u32,
        data_out: out.as_mut_ptr().cast(),
        data_size_out: out.len() as u32,
        ctx_in: (&raw const context).cast(),
        ctx_size_in: size_of_val(&context) as u32,
        ctx_out: (&raw mut after).cast(),
        ctx_size_out: size_of_val(&after) as u32,
        repeat: 1,
        ..Default::default()
    };
    // SAFETY: the kernel reads `data_size_in` bytes of `input` and `ctx_size_in` of `context`, and writes at most
    // `data_size_out` bytes of `out` and `ctx_size_out` of `after`; all four outlive the call, and `sz` is the size of
    // `opts`.
    check(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut opts) })?;
    let run = TestRun { verdict: opts.retval, length: opts.data_size_out as usize, mean_ns: opts.duration };
    Ok((run, after.data))
}

/// Runs a program over one live frame of zeros, which belongs to no protocol; `mark` bytes of metadata in front.
pub fn test_live(program: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    let input = [0u8; 92];
    let context = libbpf_sys::xdp_md { data: mark, data_end: input.len() as u32, ..Default::default() };
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: input.as_ptr().cast(),
        data_size_in: input.len() as u32,
        ctx_in: (&raw const context).cast(),
        ctx_size_in: size_of_val(&context) as u32,
        repeat: 1,
        flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: 1,
        ..Default::default()
    };
    // SAFETY: the kernel reads `data_size_in` bytes of `input` and `ctx_size_in` of `context`, which outlive the
    // call; nothing is to be written, and `sz` is the size of `opts`.
    check(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut opts) })
}

/// What [`test_run`] learnt.
#[derive(Debug, Clone, Copy)]
pub struct TestRun {
    /// The program's return value.
    pub verdict: u32,
    /// Bytes of the frame afterwards.
    pub length: usize,
    /// Mean time of a run, nanoseconds.
    pub mean_ns: u32,
}

/// Attaches a program by netlink, in driver or generic mode, if the interface has none.
pub fn attach(index: i32, program: BorrowedFd<'_>, driver: bool) -> io::Result<()> {
    let mode = if driver { libbpf_sys::XDP_FLAGS_DRV_MODE } else { libbpf_sys::XDP_FLAGS_SKB_MODE };
    let flags = mode | libbpf_sys::XDP_FLAGS_UPDATE_IF_NOEXIST;
    // SAFETY: no options are passed, and the descriptor is borrowed for the call.
    check(unsafe { libbpf_sys::bpf_xdp_attach(index, program.as_raw_fd(), flags, ptr::null()) })
}

/// Attaches a program through a link, in driver or generic mode; it is attached as long as the descriptor is open
/// in some process. The kernel refuses (`EBUSY`, `EEXIST`) where there is a program already.
pub fn link(index: i32, program: BorrowedFd<'_>, driver: bool) -> io::Result<OwnedFd> {
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags: if driver { libbpf_sys::XDP_FLAGS_DRV_MODE } else { libbpf_sys::XDP_FLAGS_SKB_MODE },
        ..Default::default()
    };
    // SAFETY: `opts` is live, zero but for its flags, and `sz` is its size; the descriptor is borrowed for the call.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), index, libbpf_sys::BPF_XDP, &raw const opts)
    };
    check(fd)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The index of the interface that an XDP link is attached to; zero once somebody has detached it, or the
/// interface is gone.
pub fn link_interface(link: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut size = size_of_val(&info) as u32;
    // SAFETY: `info` and `size` are live, and the kernel writes at most `size` bytes.
    check(unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(link.as_raw_fd(), (&raw mut info).cast(), &raw mut size)
    })?;
    // SAFETY: the link was made by `link`, for XDP, so that this is the variant that the kernel filled in; it was
    // zero before, and any number is an index.
    Ok(unsafe { info.__bindgen_anon_1.xdp.ifindex })
}

/// Detaches `program`, and nothing else, from an interface.
pub fn detach(index: i32, program: BorrowedFd<'_>, driver: bool) -> io::Result<()> {
    let mode = if driver { libbpf_sys::XDP_FLAGS_DRV_MODE } else { libbpf_sys::XDP_FLAGS_SKB_MODE };
    let opts = libbpf_sys::bpf_xdp_attach_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_attach_opts>() as libbpf_sys::size_t,
        old_prog_fd: program.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: `opts` is live and `sz` is its size; the descriptor in it is borrowed for the call.
    check(unsafe { libbpf_sys::bpf_xdp_detach(index, mode | libbpf_sys::XDP_FLAGS_REPLACE, &raw const opts) })
}

fn check(ret: i32) -> io::Result<()> {
    if ret < 0 { Err(io::Error::from_raw_os_error(-ret)) } else { Ok(()) }
}
