//! The rules: from facts to every way, fastest first.
//!
//! A rule forbids only what is certain. What may or may not work is left to the attempt, which is the proof.

use serde::Serialize;

use super::{Capability, Facts, Kind, Link, ORDER};

/// Frames of one AF_XDP queue at its default size, in bytes: they are locked.
const XDP_FRAMES_BYTES: u64 = 8 << 20;

/// A way to the wire, judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub kind: Kind,
    /// Whether it can be used.
    pub verdict: Verdict,
}

/// Whether a way can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing speaks against it.
    Usable,
    /// Something is in the way: all that is.
    Blocked(Vec<Obstacle>),
    /// There is nothing to be made faster here: why.
    Pointless(&'static str),
}

/// What is in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Obstacle {
    /// A clause about the backend: "lacks `cap_bpf`".
    pub why: String,
    /// What would take it away: a command, or a sentence.
    pub fix: Option<String>,
}

impl Obstacle {
    fn new(why: impl Into<String>, fix: impl Into<String>) -> Obstacle {
        Obstacle { why: why.into(), fix: Some(fix.into()) }
    }
}

impl Candidate {
    /// Whether it is worth an attempt.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.verdict == Verdict::Usable
    }
}

/// Judges every way.
#[must_use]
pub fn rank(facts: &Facts) -> Vec<Candidate> {
    ORDER.map(|kind| Candidate { kind, verdict: judge(kind, facts) }).into()
}

fn judge(kind: Kind, facts: &Facts) -> Verdict {
    let obstacles = match kind {
        Kind::Kernel | Kind::Xdp => match &facts.link {
            None => {
                vec![Obstacle::new("finds no default route to learn the interface from", "name one: -I NAME")]
            }
            Some(link) if link.loopback => {
                return Verdict::Pointless("has no use for the loopback, which has no driver");
            }
            Some(link) => {
                let own = if kind == Kind::Kernel { kernel(facts) } else { xdp(facts) };
                own.into_iter().chain(driver(link)).collect()
            }
        },
        Kind::Raw => raw(facts),
        Kind::Uring => raw(facts).into_iter().chain(refused(&facts.io_uring, "")).collect(),
    };
    if obstacles.is_empty() { Verdict::Usable } else { Verdict::Blocked(obstacles) }
}

/// What probing inside XDP needs.
const KERNEL_NEEDS: [Capability; 3] = [Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];
/// What AF_XDP and its steering program need.
const XDP_NEEDS: [Capability; 4] =
    [Capability::NetRaw, Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];

fn kernel(facts: &Facts) -> Vec<Obstacle> {
    let mut obstacles = lacking(facts, &KERNEL_NEEDS);
    let release = &facts.kernel;
    if !release.is_since(5, 18) {
        let why =
            format!("needs Linux 5.18 (live frames in BPF_PROG_TEST_RUN), and this is {}", release.release);
        obstacles.push(Obstacle::new(why, "install a newer kernel"));
    } else if obstacles.is_empty() {
        let fix = "allow bpf(2): not in a container without privileges, CONFIG_BPF_SYSCALL in the kernel";
        obstacles.extend(refused(&facts.live_frames, fix));
    }
    obstacles
}

fn xdp(facts: &Facts) -> Vec<Obstacle> {
    let mut obstacles = lacking(facts, &XDP_NEEDS);
    let release = &facts.kernel;
    if release.is_since(5, 11) {
        obstacles.extend(refused(&facts.xdp_sockets, "use a kernel with CONFIG_XDP_SOCKETS"));
    } else {
        let why = format!("needs Linux 5.11, and this is {}", release.release);
        obstacles.push(Obstacle::new(why, "install a newer kernel"));
    }
    let short = facts.memlock_bytes.is_some_and(|limit| limit < XDP_FRAMES_BYTES);
    if short && !facts.capabilities.permit(Capability::IpcLock) {
        let why = format!("locks {} MiB a queue, more than the limit", XDP_FRAMES_BYTES >> 20);
        obstacles.push(Obstacle::new(why, "ulimit -l unlimited, or cap_ipc_lock"));
    }
    obstacles
}

/// What both ask of the interface.
fn driver(link: &Link) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let name = &link.name;
    if let Some(program) = &link.xdp.attached {
        obstacles.push(Obstacle::new(
            format!("finds the XDP program {program} on {name}, and displaces nobody"),
            format!("ip link set dev {name} xdp off   # if it is yours to remove"),
        ));
    }
    if link.xdp.native == Some(false) {
        let driver = link.driver.as_deref().unwrap_or("unknown");
        obstacles.push(Obstacle::new(
            format!("needs XDP in the driver, and {driver} has none on {name}"),
            "use an interface whose driver has: veth, virtio_net, ena, gve, ixgbe, i40e, ice, mlx5",
        ));
    }
    if !link.up {
        obstacles.push(Obstacle::new(format!("finds {name} down"), format!("ip link set dev {name} up")));
    }
    obstacles
}

fn raw(facts: &Facts) -> Vec<Obstacle> {
    let lacking = lacking(facts, &[Capability::NetRaw]);
    if lacking.is_empty() { refused(&facts.raw_sockets, "").into_iter().collect() } else { lacking }
}

fn lacking(facts: &Facts, needed: &[Capability]) -> Vec<Obstacle> {
    let missing: Vec<_> = facts.capabilities.missing(needed).into_iter().map(Capability::name).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let needed: Vec<_> = needed.iter().map(|capability| capability.name()).collect();
    let fix = format!("run as root, or: setcap {}+ep \"$(command -v megaping)\"", needed.join(","));
    vec![Obstacle::new(format!("lacks {}", missing.join(", ")), fix)]
}

/// An attempt that failed; its own words may hold the fix already.
fn refused(trial: &super::Trial, fix: &str) -> Option<Obstacle> {
    let why = trial.why.clone().filter(|_| trial.works == Some(false))?;
    Some(Obstacle { why, fix: (!fix.is_empty()).then(|| fix.to_owned()) })
}
