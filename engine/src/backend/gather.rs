//! The facts of this machine, read without changing anything.

use std::fs;
use std::io;

use megaping_loader::probe::{self, XdpFeatures};
use megaping_ring::host::{self, Device};
use procfs::process::{LimitValue, Process};

use super::{Capabilities, Facts, Link, Release, Trial, Xdp};

/// What a run can know before it opens anything: sockets are not tried, since opening them is the trial.
///
/// # Errors
/// `ENODEV` and the like where `interface` is named and not there.
pub fn gather(interface: Option<&str>) -> io::Result<Facts> {
    let own = Process::myself().ok();
    let capabilities = own.as_ref().and_then(|own| own.status().ok()).map_or(0, |status| status.capeff);
    let limit = own.and_then(|own| own.limits().ok()).map(|limits| limits.max_locked_memory.soft_limit);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = Release::parse(&release);
    let name = interface.map(str::to_owned).or_else(default_interface);
    let link = name.as_deref().map(|name| link(name, &kernel)).transpose()?;
    Ok(Facts {
        kernel,
        capabilities: Capabilities(capabilities),
        memlock_bytes: limit.and_then(|limit| match limit {
            LimitValue::Unlimited => None,
            LimitValue::Value(bytes) => Some(bytes),
        }),
        raw_sockets: Trial::unknown(),
        io_uring: Trial::unknown(),
        xdp_sockets: xdp_sockets(),
        live_frames: live_frames(),
        link,
    })
}

/// The interface of the default route: of IPv4, or else of IPv6.
#[must_use]
pub fn default_interface() -> Option<String> {
    let is_default =
        |route: &procfs::net::RouteEntry| route.destination.is_unspecified() && route.mask.is_unspecified();
    let mut routes = procfs::net::route().unwrap_or_default();
    routes.retain(is_default);
    let best = routes.into_iter().min_by_key(|route| route.metrics).map(|route| route.iface);
    best.or_else(|| default_interface_v6(&fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default()))
}

/// Destination, its prefix length, source, its prefix length, next hop, metric, use counts, flags, interface: all
/// but the last in hexadecimal.
pub(super) fn default_interface_v6(table: &str) -> Option<String> {
    /// `RTF_REJECT` of `<linux/route.h>`: an unreachable route, as every table has one at its end.
    const REJECT: u32 = 0x0200;
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "00", _, _, _, metric, _, _, flags, name] = fields[..] else { return None };
        let usable = u32::from_str_radix(flags, 16).ok()? & REJECT == 0;
        usable.then_some((u32::from_str_radix(metric, 16).ok()?, name))
    });
    routes.min().map(|(_, name)| name.to_owned())
}

fn link(name: &str, kernel: &Release) -> io::Result<Link> {
    let device = Device::open(name)?;
    let flags = device.flags()?;
    let state = probe::xdp(name).unwrap_or_default();
    // From 6.3 on the kernel says what drivers can do; one of which it says nothing can nothing.
    let features = state.features.or_else(|| kernel.is_since(6, 3).then(XdpFeatures::default));
    let program = state.driver_program.or(state.generic_program).or(state.hardware_program);
    Ok(Link {
        name: name.to_owned(),
        up: flags.up,
        loopback: flags.loopback,
        mtu: device.mtu()?,
        driver: device.driver().ok().map(|driver| driver.name),
        xdp: Xdp {
            native: features.map(|features| features.basic),
            redirect: features.map(|features| features.redirect),
            transmit: features.map(|features| features.transmit),
            zero_copy: features.map(|features| features.zero_copy),
            attached: program.map(|id| match probe::program_name(id) {
                Some(program) => format!("'{program}' (id {id})"),
                None => format!("of id {id}"),
            }),
        },
    })
}

fn xdp_sockets() -> Trial {
    match host::af_xdp() {
        Ok(()) => Trial::works(),
        // The kernel has them, and asks for a capability, which is a matter of its own.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Trial::unknown(),
        Err(error) => Trial::refused(format!("gets no AF_XDP socket from this kernel ({error})")),
    }
}

fn live_frames() -> Trial {
    match probe::live_frames() {
        Ok(()) => Trial::works(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Trial::refused("may not load a program, with or without capabilities (bpf(2): EPERM)")
        }
        Err(error) => Trial::refused(format!("gets no live frames from this kernel (bpf(2): {error})")),
    }
}
