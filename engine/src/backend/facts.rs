//! What the choice of a backend depends on, as plain data.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Facts {
    /// The kernel.
    pub kernel: Release,
    /// What this process may do.
    pub capabilities: Capabilities,
    /// The most memory that it may lock, in bytes; none: no limit.
    pub memlock_bytes: Option<u64>,
    /// Raw ICMP sockets.
    pub raw_sockets: Trial,
    /// `io_uring` with all that the ring needs of it.
    pub io_uring: Trial,
    /// AF_XDP sockets.
    pub xdp_sockets: Trial,
    /// `BPF_PROG_TEST_RUN` with live frames.
    pub live_frames: Trial,
    /// The interface that probes leave by; none: there is no default route.
    #[serde(skip)]
    pub link: Option<Link>,
}

/// A kernel's version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Release {
    /// As `uname -r` says it.
    pub release: String,
    /// The first two numbers of it.
    #[serde(skip)]
    pub version: (u32, u32),
}

impl Release {
    /// Reads a release, as `6.1.0-18-amd64`. What is no number is zero.
    #[must_use]
    pub fn parse(release: &str) -> Release {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Release { release: release.trim().to_owned(), version }
    }

    /// Whether it is that version or a newer one.
    #[must_use]
    pub fn is_since(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }
}

/// A capability (`capabilities(7)`) that some backend needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "their names in the manual")]
pub enum Capability {
    NetAdmin = 12,
    NetRaw = 13,
    IpcLock = 14,
    SysAdmin = 21,
    Perfmon = 38,
    Bpf = 39,
}

impl Capability {
    /// All of them.
    pub const ALL: [Capability; 6] = [
        Capability::NetRaw,
        Capability::NetAdmin,
        Capability::Bpf,
        Capability::Perfmon,
        Capability::IpcLock,
        Capability::SysAdmin,
    ];

    /// Its name, in lower case as `setcap` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Capability::NetAdmin => "cap_net_admin",
            Capability::NetRaw => "cap_net_raw",
            Capability::IpcLock => "cap_ipc_lock",
            Capability::SysAdmin => "cap_sys_admin",
            Capability::Perfmon => "cap_perfmon",
            Capability::Bpf => "cap_bpf",
        }
    }
}

/// A set of capabilities, as the kernel numbers their bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Whether it permits what `capability` does. `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON`.
    #[must_use]
    pub fn permit(self, capability: Capability) -> bool {
        let has = |capability: Capability| self.0 & (1 << capability as u64) != 0;
        let covered = matches!(capability, Capability::Bpf | Capability::Perfmon);
        has(capability) || covered && has(Capability::SysAdmin)
    }

    /// Those of `needed` that are not permitted.
    #[must_use]
    pub fn missing(self, needed: &[Capability]) -> Vec<Capability> {
        needed.iter().copied().filter(|&capability| !self.permit(capability)).collect()
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Capability::ALL.len()))?;
        for capability in Capability::ALL {
            map.serialize_entry(capability.name(), &self.permit(capability))?;
        }
        map.end()
    }
}

/// The end of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Trial {
    /// Whether it worked; none: not tried, or not to be seen from here.
    pub works: Option<bool>,
    /// Why not.
    pub why: Option<String>,
}

impl Trial {
    /// It worked.
    #[must_use]
    pub const fn works() -> Trial {
        Trial { works: Some(true), why: None }
    }

    /// It did not.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Trial {
        Trial { works: Some(false), why: Some(why.into()) }
    }

    /// Nobody knows.
    #[must_use]
    pub const fn unknown() -> Trial {
        Trial { works: None, why: None }
    }
}

/// An interface.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Link {
    /// `eth0`.
    pub name: String,
    /// Switched on.
    pub up: bool,
    /// The loopback.
    pub loopback: bool,
    /// Longest packet, from the IP header on, in bytes.
    pub mtu: u32,
    /// Its driver; none: it does not say.
    pub driver: Option<String>,
    /// XDP.
    pub xdp: Xdp,
}

/// What an interface says of XDP; none where it, or the kernel, says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Xdp {
    /// The driver runs programs itself.
    pub native: Option<bool>,
    /// It redirects to sockets.
    pub redirect: Option<bool>,
    /// It takes frames that are redirected to it (`ndo_xdp_xmit`). Many say so only while a program is attached.
    pub transmit: Option<bool>,
    /// It moves AF_XDP frames without copying them.
    pub zero_copy: Option<bool>,
    /// A program that is attached already: its name, or its id where the name is not to be seen.
    pub attached: Option<String>,
}
