//! Why a run's packets cannot be sent frame by frame.

use std::io;
use std::net::IpAddr;

/// Why there is no way out that frames could take. Sockets of the kernel may still find one: `--backend raw`.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NetError {
    #[error("the kernel does not answer about its {what} (rtnetlink): {source}")]
    Netlink { what: &'static str, source: io::Error },
    #[error("there is no interface {name:?}: `ip link` lists those there are")]
    NoSuchInterface { name: String },
    #[error(
        "interface {name:?} is down or has no carrier: `ip link set {name} up`, or choose another with -I"
    )]
    InterfaceDown { name: String },
    #[error("{address} is no address of this machine: `ip address` lists those there are")]
    ForeignSource { address: IpAddr },
    #[error("no route leads to any target: `ip route get {example}` shows what the kernel thinks")]
    NoRoute { example: IpAddr },
    #[error(
        "{target} is an address of this machine, and frames go to others alone: leave it out, or use --backend raw"
    )]
    Local { target: IpAddr },
    #[error(
        "targets leave by two interfaces, {first:?} ({target}) and {second:?} ({other}): frames are sent by one; \
         choose it with -I, or use --backend raw"
    )]
    TwoInterfaces { first: String, target: IpAddr, second: String, other: IpAddr },
    #[error(
        "interface {name:?} is no Ethernet, so there are no frames to write: choose another with -I, or use \
         --backend raw"
    )]
    NotEthernet { name: String },
    #[error(
        "the kernel would send to {target} from {first} and to {other} from {second}: choose one source address \
         with -S, or use --backend raw"
    )]
    TwoSources { target: IpAddr, first: IpAddr, other: IpAddr, second: IpAddr },
    #[error(
        "more than {most} targets are neighbours on the link itself, more than a kernel keeps addresses of: probe \
         fewer of them, or use --backend raw"
    )]
    TooManyNeighbours { most: usize },
    #[error("targets take more than {most} different routes: use --backend raw")]
    TooManyRoutes { most: usize },
    #[error(
        "none of the next hops ({first}, ...) on {interface:?} answers ARP or neighbour discovery: check the \
         cable and the gateway, `ip neigh` shows what the kernel knows"
    )]
    SilentHops { first: IpAddr, interface: String },
    #[error("the thread that follows routes and neighbours cannot be started: {0}")]
    Thread(#[source] io::Error),
}
