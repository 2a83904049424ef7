//! The rules over made-up facts: each feature masked in turn.

use super::gather::default_interface_v6;
use super::*;

/// A machine where everything works.
pub(crate) fn rich() -> Facts {
    Facts {
        kernel: Release::parse("6.12.41-cloud-amd64"),
        capabilities: Capabilities(u64::MAX),
        memlock_bytes: Some(8 << 20),
        raw_sockets: Trial::works(),
        io_uring: Trial::works(),
        xdp_sockets: Trial::works(),
        live_frames: Trial::works(),
        link: Some(Link {
            name: "eth0".into(),
            up: true,
            loopback: false,
            mtu: 1500,
            driver: Some("virtio_net".into()),
            xdp: Xdp {
                native: Some(true),
                redirect: Some(true),
                transmit: Some(false),
                zero_copy: Some(false),
                attached: None,
            },
        }),
    }
}

fn without(mask: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = rich();
    mask(&mut facts);
    facts
}

fn link(mask: impl FnOnce(&mut Link)) -> Facts {
    without(|facts| mask(facts.link.as_mut().unwrap()))
}

fn usable(facts: &Facts) -> Vec<&'static str> {
    rank(facts).iter().filter(|candidate| candidate.is_usable()).map(|usable| usable.kind.name()).collect()
}

fn obstacles(facts: &Facts, kind: Kind) -> Vec<Obstacle> {
    let ranking = rank(facts);
    match &ranking.iter().find(|candidate| candidate.kind == kind).unwrap().verdict {
        Verdict::Blocked(obstacles) => obstacles.clone(),
        other => panic!("{kind}: {other:?}"),
    }
}

#[test]
fn where_everything_works_the_order_is_the_measured_one() {
    assert_eq!(usable(&rich()), ["kernel", "xdp", "raw", "uring"]);
    // What is only known once it was tried is tried.
    let unknown = without(|facts| {
        facts.raw_sockets = Trial::unknown();
        facts.io_uring = Trial::unknown();
        facts.xdp_sockets = Trial::unknown();
        facts.link.as_mut().unwrap().xdp = Xdp::default();
    });
    assert_eq!(usable(&unknown), ["kernel", "xdp", "raw", "uring"]);
}

#[test]
fn a_masked_feature_takes_its_backends_away_and_says_why_and_what_helps() {
    use Capability::{Bpf, IpcLock, NetAdmin, NetRaw, Perfmon, SysAdmin};
    type Case<'a> = (Facts, &'a [&'a str], Kind, &'a str, &'a str);
    let no = Trial::refused;
    let old = |release| without(|facts| facts.kernel = Release::parse(release));
    let but = |bits: &[Capability]| {
        let bits = bits.iter().fold(u64::MAX, |all, &bit| all & !(1 << bit as u64));
        without(|facts| facts.capabilities = Capabilities(bits))
    };
    let cases: [Case; 13] = [
        (old("5.10.0-30-amd64"), &["raw", "uring"], Kind::Xdp, "needs Linux 5.11", "newer kernel"),
        (old("5.15.0"), &["xdp", "raw", "uring"], Kind::Kernel, "needs Linux 5.18", "newer kernel"),
        (
            without(|f| f.live_frames = no("has none")),
            &["xdp", "raw", "uring"],
            Kind::Kernel,
            "has none",
            "bpf(2)",
        ),
        (
            without(|f| f.xdp_sockets = no("none")),
            &["kernel", "raw", "uring"],
            Kind::Xdp,
            "none",
            "CONFIG_XDP_SOCKETS",
        ),
        (without(|f| f.io_uring = no("is off")), &["kernel", "xdp", "raw"], Kind::Uring, "is off", ""),
        (but(&[NetRaw]), &["kernel"], Kind::Raw, "lacks cap_net_raw", "setcap cap_net_raw+ep"),
        (
            but(&[NetAdmin]),
            &["raw", "uring"],
            Kind::Kernel,
            "lacks cap_net_admin",
            "setcap cap_net_admin,cap_bpf",
        ),
        (but(&[Bpf, SysAdmin]), &["raw", "uring"], Kind::Xdp, "lacks cap_bpf", "run as root"),
        (but(&[Perfmon, SysAdmin]), &["raw", "uring"], Kind::Kernel, "lacks cap_perfmon", "run as root"),
        (
            link(|l| l.xdp.native = Some(false)),
            &["raw", "uring"],
            Kind::Xdp,
            "virtio_net has none",
            "whose driver has",
        ),
        (
            link(|l| l.xdp.attached = Some("'theirs' (id 7)".into())),
            &["raw", "uring"],
            Kind::Kernel,
            "the XDP program 'theirs' (id 7) on eth0",
            "ip link set dev eth0 xdp off",
        ),
        (
            link(|l| l.up = false),
            &["raw", "uring"],
            Kind::Kernel,
            "finds eth0 down",
            "ip link set dev eth0 up",
        ),
        (without(|f| f.link = None), &["raw", "uring"], Kind::Kernel, "no default route", "-I NAME"),
    ];
    for (facts, left, kind, why, fix) in cases {
        assert_eq!(usable(&facts), left, "{why}");
        let obstacles = obstacles(&facts, kind);
        assert!(obstacles[0].why.contains(why), "{why}: {obstacles:?}");
        assert!(obstacles[0].fix.as_deref().unwrap_or_default().contains(fix), "{fix}: {obstacles:?}");
    }
    // CAP_SYS_ADMIN stands for both, and the limit binds only those without CAP_IPC_LOCK.
    assert_eq!(usable(&but(&[Bpf, Perfmon])).len(), 4);
    let mut little = but(&[IpcLock]);
    assert_eq!(usable(&little).len(), 4);
    little.memlock_bytes = Some(64 << 10);
    assert_eq!(usable(&little), ["kernel", "raw", "uring"]);
    assert!(obstacles(&little, Kind::Xdp)[0].fix.as_deref().unwrap_or_default().contains("ulimit -l"));
}

#[test]
fn nobody_without_a_capability_gets_anything_and_every_backend_says_so() {
    let nobody = without(|facts| {
        facts.capabilities = Capabilities(0);
        facts.live_frames = Trial::refused("may not load");
    });
    assert_eq!(usable(&nobody), [""; 0]);
    for kind in ORDER {
        let obstacles = obstacles(&nobody, kind);
        assert!(obstacles[0].why.contains("lacks cap_"), "{kind}: {obstacles:?}");
        assert_eq!(obstacles.len(), 1, "what follows from the first is not said: {obstacles:?}");
    }
}

#[test]
fn the_loopback_is_no_fall_back() {
    let lo = link(|link| {
        link.loopback = true;
        link.xdp.native = Some(false);
    });
    assert_eq!(usable(&lo), ["raw", "uring"]);
    let taken = take(&rank(&lo), |_| Ok::<_, String>(())).expect("it opens");
    assert!(taken.kind == Kind::Raw && taken.remark().is_none());
}

#[test]
fn what_does_not_open_is_passed_over_and_told_on_one_line() {
    let ranking = rank(&rich());
    let first = take(&ranking, Ok::<_, String>).expect("all open");
    assert!(first.kind == Kind::Kernel && first.open == Kind::Kernel && first.remark().is_none());

    let taken = take(&ranking, |kind| match kind {
        Kind::Kernel => Err("answers nothing"),
        Kind::Xdp => Err("cannot bind"),
        _ => Ok(kind),
    })
    .expect("sockets open");
    let remark = taken.remark().expect("two were passed over").to_string();
    assert_eq!(remark, "backend raw; kernel answers nothing; xdp cannot bind; more: megaping doctor");

    let unprivileged = without(|facts| facts.capabilities = Capabilities(1 << Capability::NetRaw as u64));
    let taken = take(&rank(&unprivileged), Ok::<_, String>).expect("sockets open");
    let remark = taken.remark().expect("two were passed over").to_string();
    assert!(
        remark.starts_with("backend raw; kernel lacks cap_net_admin, cap_bpf, cap_perfmon (run as root"),
        "{remark}"
    );
    assert!(!remark.contains('\n'), "{remark}");

    let occupied = link(|link| link.xdp.attached = Some("of id 7".into()));
    let taken = take(&rank(&occupied), Ok::<_, String>).expect("sockets open");
    let remark = taken.remark().expect("two were passed over").to_string();
    assert!(remark.contains("kernel and xdp finds") || remark.contains("kernel and xdp: "), "{remark}");
}

#[test]
fn where_nothing_opens_the_last_refusal_is_kept() {
    let refused = take(&rank(&rich()), |kind| Err::<(), _>(format!("{kind} is broken")));
    assert_eq!(refused.unwrap_err().as_deref(), Some("uring is broken"));
    let hopeless = without(|facts| facts.capabilities = Capabilities(0));
    let untried = take(&rank(&hopeless), |_| -> Result<(), String> { panic!("nothing is worth an attempt") });
    assert_eq!(untried.unwrap_err(), None);
}

#[test]
fn releases_are_read() {
    for (release, version) in [
        ("6.1.0-18-amd64", (6, 1)),
        ("5.18", (5, 18)),
        ("6.18.44-fc-v657", (6, 18)),
        ("", (0, 0)),
        ("x", (0, 0)),
    ] {
        assert_eq!(Release::parse(release).version, version, "{release}");
    }
}

#[test]
fn the_default_route_of_ipv6_is_found_and_unreachable_ones_are_none() {
    let table = "\
        fd006d70000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     near\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd006d70000000000000000000000001 00000400 00000001 00000000 00000003     near\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd006d70000000000000000000000001 00000300 00000001 00000000 00000003     best\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
    assert_eq!(default_interface_v6(table).as_deref(), Some("best"));
    assert_eq!(default_interface_v6(&table[table.len() - 150..]), None);
    assert_eq!(default_interface_v6("rubbish\n"), None);
}
