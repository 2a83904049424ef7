//! What the kernel can do for us, found out without changing anything: nothing is attached, no frame leaves.
//!
//! System calls: bpf(2) `PROG_LOAD`, `PROG_TEST_RUN`, `PROG_GET_FD_BY_ID`, `OBJ_GET_INFO_BY_FD`; rtnetlink
//! `RTM_GETLINK` and generic netlink `netdev` (Linux 6.3 and newer) through libbpf's `bpf_xdp_query`.

use std::io;
use std::os::fd::AsFd;

use libbpf_rs::Program;

use crate::LoadError;
use crate::attach;
use crate::sys::{self, XdpQuery};

/// Tells whether the kernel runs XDP programs on live frames (`BPF_PROG_TEST_RUN` with
/// `BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18): loads a program that drops, runs one frame through it, and forgets
/// both.
///
/// # Errors
/// `EPERM` where loading is not permitted, `EINVAL` where the kernel is too old, `ENOSYS` without bpf(2).
pub fn live_frames() -> io::Result<()> {
    let program = sys::load_dropper()?;
    sys::test_live(program.as_fd(), 0)
}

/// What an interface says of XDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct XdpState {
    /// The program in the driver, by its id.
    pub driver_program: Option<u32>,
    /// The program in the generic hook.
    pub generic_program: Option<u32>,
    /// The program in the device.
    pub hardware_program: Option<u32>,
    /// What the driver says it can do, where it says anything.
    pub features: Option<XdpFeatures>,
}

/// `NETDEV_XDP_ACT_*` of `<linux/netdev.h>`.
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of its own")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct XdpFeatures {
    /// Runs programs itself, before there is a socket buffer.
    pub basic: bool,
    /// Redirects to sockets and other interfaces.
    pub redirect: bool,
    /// Takes frames that others redirect to it (`ndo_xdp_xmit`). Many drivers say so only while a program is
    /// attached.
    pub transmit: bool,
    /// Moves AF_XDP frames without copying them.
    pub zero_copy: bool,
}

/// Asks netlink what is attached to an interface and what its driver can do.
///
/// # Errors
/// [`LoadError::NoSuchInterface`], [`LoadError::Query`].
pub fn xdp(ifname: &str) -> Result<XdpState, LoadError> {
    let index = attach::index(ifname)?;
    let query = sys::xdp_query(index).map_err(|source| LoadError::Query { ifname: ifname.into(), source })?;
    Ok(state(&query))
}

fn state(query: &XdpQuery) -> XdpState {
    let program = |id: u32| (id != 0).then_some(id);
    // Zero is also what libbpf says where the kernel has no `netdev` family to ask.
    let features = (query.features != 0).then_some(XdpFeatures {
        basic: query.features & 1 != 0,
        redirect: query.features & 2 != 0,
        transmit: query.features & 4 != 0,
        zero_copy: query.features & 8 != 0,
    });
    XdpState {
        driver_program: program(query.driver),
        generic_program: program(query.generic),
        hardware_program: program(query.hardware),
        features,
    }
}

/// The name of a loaded program; `None` where we may not know.
#[must_use]
pub fn program_name(id: u32) -> Option<String> {
    let program = Program::fd_from_id(id).ok()?;
    sys::program_info(program.as_fd()).ok().map(|info| info.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_programs_are_told_apart() {
        let query = XdpQuery { driver: 7, generic: 0, hardware: 0, features: 0b1011 };
        let state = state(&query);
        assert_eq!((state.driver_program, state.generic_program), (Some(7), None));
        let features = state.features.expect("they were told");
        assert!(features.basic && features.redirect && !features.transmit && features.zero_copy);
        assert_eq!(super::state(&XdpQuery::default()).features, None);
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = xdp("nosuch0").expect_err("it is not there").to_string();
        assert!(error.contains("nosuch0") && error.contains("ip link"), "{error}");
        assert_eq!(xdp("lo").map(|state| state.driver_program).ok(), Some(None));
    }

    #[test]
    fn root_a_live_frame_runs_and_leaves_nothing() {
        live_frames().expect("the kernels that the tests run on have it");
    }
}
