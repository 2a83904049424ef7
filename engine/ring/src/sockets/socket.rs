//! Opening the sockets: everything that happens once.
//!
//! System calls: `socket`, `setsockopt`, `getsockopt`, `bind`, `recv` (to drain what came before the filter).

use std::ffi::{c_int, c_void};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::config::{Family, OpenError, RawConfig};
use super::filter;

/// `ICMP_FILTER` of `<linux/icmp.h>` and `ICMP6_FILTER` of `<linux/icmpv6.h>`: the number is the same.
const TYPE_FILTER: c_int = 1;
/// `IPV6_AUTOFLOWLABEL` of `<linux/in6.h>`.
const IPV6_AUTOFLOWLABEL: c_int = 70;

/// Opens a family's socket, ready to send and to receive.
pub(crate) fn open(family: Family, config: &RawConfig) -> Result<OwnedFd, OpenError> {
    let socket = create(family)?;
    // First of all the filter, then away with what slipped in before it.
    attach_filter(&socket, family, config)?;
    drain(&socket);
    if let Some(name) = &config.interface {
        bind_interface(&socket, family, name)?;
    }
    set_buffer(&socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, config.receive_buffer_bytes)
        .map_err(|source| OpenError::Option { family, option: "SO_RCVBUF", source })?;
    set_buffer(&socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, config.send_buffer_bytes)
        .map_err(|source| OpenError::Option { family, option: "SO_SNDBUF", source })?;
    let set = |(option, level, name, value): (&'static str, c_int, c_int, c_int)| {
        set_int(&socket, level, name, value).map_err(|source| OpenError::Option { family, option, source })
    };
    set(("SO_TIMESTAMPNS", libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1))?;
    set(("SO_RXQ_OVFL", libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1))?;
    match family {
        Family::Ipv4 => ipv4_options().into_iter().try_for_each(set)?,
        Family::Ipv6 => ipv6_options(config).into_iter().try_for_each(set)?,
    }
    match family {
        Family::Ipv4 => config.source_v4.map_or(Ok(()), |address| bind_ipv4(&socket, address))?,
        Family::Ipv6 => config.source_v6.map_or(Ok(()), |address| bind_ipv6(&socket, address))?,
    }
    Ok(socket)
}

/// `ip(7)`: the header is ours, and nothing is fragmented.
fn ipv4_options() -> [(&'static str, c_int, c_int, c_int); 2] {
    [
        ("IP_HDRINCL", libc::IPPROTO_IP, libc::IP_HDRINCL, 1),
        ("IP_MTU_DISCOVER", libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
    ]
}

/// `ipv6(7)`, RFC 3542: the kernel builds the header, with our defaults, our flow label and no fragments; it
/// tells the hop limit and the traffic class of what comes.
fn ipv6_options(config: &RawConfig) -> [(&'static str, c_int, c_int, c_int); 8] {
    let level = libc::IPPROTO_IPV6;
    [
        ("IPV6_UNICAST_HOPS", level, libc::IPV6_UNICAST_HOPS, config.hop_limit.into()),
        ("IPV6_TCLASS", level, libc::IPV6_TCLASS, config.traffic_class.into()),
        ("IPV6_MTU_DISCOVER", level, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO),
        ("IPV6_DONTFRAG", level, libc::IPV6_DONTFRAG, 1),
        ("IPV6_FLOWINFO_SEND", level, libc::IPV6_FLOWINFO_SEND, 1),
        ("IPV6_AUTOFLOWLABEL", level, IPV6_AUTOFLOWLABEL, 0),
        ("IPV6_RECVHOPLIMIT", level, libc::IPV6_RECVHOPLIMIT, 1),
        ("IPV6_RECVTCLASS", level, libc::IPV6_RECVTCLASS, 1),
    ]
}

fn create(family: Family) -> Result<OwnedFd, OpenError> {
    let (domain, protocol) = match family {
        Family::Ipv4 => (libc::AF_INET, libc::IPPROTO_ICMP),
        Family::Ipv6 => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
    };
    // SAFETY: no pointers; the result is checked before it is used.
    let fd =
        unsafe { libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) };
    if fd < 0 {
        let source = io::Error::last_os_error();
        return Err(match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => OpenError::NoPrivilege { source },
            Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => {
                OpenError::FamilyUnavailable { family, source }
            }
            _ => OpenError::Socket { family, source },
        });
    }
    // SAFETY: the kernel has just given us this descriptor and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The coarse filter by type, which the kernel consults before it copies a message for us, then the fine one by
/// identifier, then the lock, after which nobody can take it off (`socket(7)`).
fn attach_filter(socket: &OwnedFd, family: Family, config: &RawConfig) -> Result<(), OpenError> {
    let failed = |source| OpenError::Filter { family, source };
    let mut program = match family {
        Family::Ipv4 => {
            let blocked = filter::ICMP_ERRORS
                .iter()
                .chain(&[filter::ICMP_ECHO_REPLY])
                .fold(u32::MAX, |blocked, icmp_type| blocked & !(1 << icmp_type));
            set_option(socket, libc::SOL_RAW, TYPE_FILTER, &blocked).map_err(failed)?;
            filter::ipv4(config.identifiers)
        }
        Family::Ipv6 => {
            let mut blocked = [u32::MAX; 8];
            for icmp_type in filter::ICMPV6_ERRORS.iter().chain(&[filter::ICMPV6_ECHO_REPLY]) {
                blocked[usize::from(icmp_type >> 5)] &= !(1 << (icmp_type & 31));
            }
            set_option(socket, libc::SOL_ICMPV6, TYPE_FILTER, &blocked).map_err(failed)?;
            filter::ipv6(config.identifiers)
        }
    };
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &header).map_err(failed)?;
    set_int(socket, libc::SOL_SOCKET, libc::SO_LOCK_FILTER, 1).map_err(failed)
}

/// Takes out what arrived between `socket` and the filter. What a socket's buffer of default size can hold is
/// far below the bound.
fn drain(socket: &OwnedFd) {
    for _ in 0..65_536 {
        // SAFETY: a null buffer of length zero takes a message out without writing anywhere.
        let got = unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
        if got < 0 {
            break;
        }
    }
}

fn bind_interface(socket: &OwnedFd, family: Family, name: &str) -> Result<(), OpenError> {
    // The kernel cuts longer names off, and would bind to whatever has the rest as its name.
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
        let source = io::Error::from_raw_os_error(libc::EINVAL);
        return Err(OpenError::NoSuchInterface { name: name.into(), source });
    }
    set_bytes(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes()).map_err(|source| match source
        .raw_os_error()
    {
        Some(libc::ENODEV) => OpenError::NoSuchInterface { name: name.into(), source },
        Some(libc::EPERM | libc::EACCES) => OpenError::NoPrivilege { source },
        _ => OpenError::Interface { family, name: name.into(), source },
    })
}

fn bind_ipv4(socket: &OwnedFd, address: Ipv4Addr) -> Result<(), OpenError> {
    bind(socket, &ipv4_name(address), address.into())
}

fn bind_ipv6(socket: &OwnedFd, address: Ipv6Addr) -> Result<(), OpenError> {
    bind(socket, &ipv6_name(address, 0), address.into())
}

fn bind<T>(socket: &OwnedFd, name: &T, address: IpAddr) -> Result<(), OpenError> {
    // SAFETY: `name` is a socket address of the size given, both callers see to it, and outlives the call.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), std::ptr::from_ref(name).cast(), size_of::<T>() as libc::socklen_t)
    };
    if bound == 0 {
        return Ok(());
    }
    let source = io::Error::last_os_error();
    Err(match source.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => OpenError::SourceNotHere { address, source },
        _ => OpenError::Source { address, source },
    })
}

/// A socket address without a port: raw sockets have none.
pub(crate) fn ipv4_name(address: Ipv4Addr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
        sin_zero: [0; 8],
    }
}

/// Likewise, with a flow label in host order.
pub(crate) fn ipv6_name(address: Ipv6Addr, flow_label: u32) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: 0,
        sin6_flowinfo: flow_label.to_be(),
        sin6_addr: libc::in6_addr { s6_addr: address.octets() },
        sin6_scope_id: 0,
    }
}

/// Beyond the system's limit where we may, as far as the limit where we may not.
fn set_buffer(socket: &OwnedFd, forced: c_int, plain: c_int, bytes: u32) -> io::Result<()> {
    // The kernel doubles the value, in an int.
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX).min(c_int::MAX / 2);
    set_int(socket, libc::SOL_SOCKET, forced, bytes)
        .or_else(|_| set_int(socket, libc::SOL_SOCKET, plain, bytes))
}

/// The receive buffer that the kernel granted, in bytes of payload and its own overhead.
pub(crate) fn receive_buffer_bytes(socket: &OwnedFd) -> u64 {
    let mut granted: [c_int; 1] = [0];
    get_ints(socket, libc::SO_RCVBUF, &mut granted);
    u64::try_from(granted[0]).unwrap_or(0)
}

/// How many messages the kernel has dropped on this socket, modulo 2^32 (`SK_MEMINFO_DROPS`).
pub(crate) fn drops(socket: &OwnedFd) -> Option<u32> {
    let mut memory: [c_int; 9] = [0; 9];
    let got = get_ints(socket, libc::SO_MEMINFO, &mut memory);
    (got > libc::SK_MEMINFO_DROPS as usize).then(|| memory[libc::SK_MEMINFO_DROPS as usize].cast_unsigned())
}

/// Reads a socket option made of ints; returns how many the kernel wrote.
fn get_ints(socket: &OwnedFd, name: c_int, values: &mut [c_int]) -> usize {
    let mut len = size_of_val(values) as libc::socklen_t;
    // SAFETY: `values` is writable for `len` bytes, and the kernel writes no more than `len` says.
    let got = unsafe {
        let value = values.as_mut_ptr().cast::<c_void>();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value, &raw mut len)
    };
    if got == 0 { len as usize / size_of::<c_int>() } else { 0 }
}

fn set_int(socket: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set_option(socket, level, name, &value)
}

fn set_option<T>(socket: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: any `&T` is readable for its size, and the kernel copies it before the call returns. A pointer
    // within it (`sock_fprog`) is the caller's, who keeps what it points to alive.
    let done = unsafe {
        let value = std::ptr::from_ref(value).cast::<c_void>();
        libc::setsockopt(socket.as_raw_fd(), level, name, value, size_of::<T>() as libc::socklen_t)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_bytes(socket: &OwnedFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: a slice is readable for its length, and the kernel copies it before the call returns.
    let done = unsafe {
        let len = value.len() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast::<c_void>(), len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
