//! The interface.

use super::machine::plural;
use crate::backend::Link;
use crate::doctor::{Area, Diagnosis, Finding, Nic};

/// All of them; one where there is no interface.
#[must_use]
pub fn interface(diagnosis: &Diagnosis) -> Vec<Finding> {
    let (Some(link), Some(nic)) = (&diagnosis.facts.link, &diagnosis.nic) else {
        let text = "there is no default route to find the interface by";
        return vec![Finding::problem(
            Area::Interface,
            text,
            "name one: megaping doctor IFACE (ip link lists them)",
        )];
    };
    let mut findings = vec![device(link, nic)];
    findings.extend(state(link, nic));
    if link.loopback {
        let text = "a loopback has no driver: backends raw and uring alone make sense on it";
        findings.push(Finding::note(Area::Xdp, text));
    } else {
        findings.extend(queues(link, nic, diagnosis.machine.cpus));
        findings.extend(rings(link, nic));
        findings.push(native(link));
        findings.extend(transmit(link));
        findings.extend(zero_copy(link));
        findings.extend(attached(link));
        findings.extend(numa(nic, diagnosis));
    }
    findings.extend(stamps(nic));
    findings
}

fn device(link: &Link, nic: &Nic) -> Finding {
    let driver = link.driver.as_deref().unwrap_or("a driver that does not say its name");
    let version = nic.driver_version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
    let bus = nic.bus.as_deref().map_or_else(String::new, |bus| format!(", at {bus}"));
    Finding::ok(Area::Interface, format!("{}: {driver}{version}{bus}, MTU {}", link.name, link.mtu))
}

fn state(link: &Link, nic: &Nic) -> Option<Finding> {
    let name = &link.name;
    if !link.up {
        let fix = format!("ip link set dev {name} up");
        return Some(Finding::problem(Area::Interface, format!("{name} is down"), fix));
    }
    (!nic.carrier).then(|| {
        Finding::problem(
            Area::Interface,
            format!("{name} has no carrier"),
            "plug in its cable, or start its peer",
        )
    })
}

fn queues(link: &Link, nic: &Nic, cpus: usize) -> Option<Finding> {
    let queues = nic.queues?;
    let text = format!(
        "{} in (of {}), {} out (of {})",
        plural(queues.rx.into(), "queue"),
        queues.rx_max,
        queues.tx,
        queues.tx_max
    );
    let wanted = cpus.min(queues.rx_max as usize);
    Some(if (queues.rx as usize) < wanted {
        let which = if queues.combined { "combined" } else { "rx" };
        let fix = format!("ethtool -L {} {which} {wanted}", link.name);
        Finding::note(Area::Queues, text + ": more shards than that share queues").with_fix(fix)
    } else {
        Finding::ok(Area::Queues, text)
    })
}

fn rings(link: &Link, nic: &Nic) -> Option<Finding> {
    let rings = nic.rings.filter(|rings| rings.rx_max > 0)?;
    let text =
        format!("{} descriptors in (of {}), {} out (of {})", rings.rx, rings.rx_max, rings.tx, rings.tx_max);
    Some(if rings.rx < rings.rx_max.min(1024) {
        let fix = format!("ethtool -G {} rx {}", link.name, rings.rx_max);
        Finding::note(Area::Rings, text + ": a longer ring loses less in bursts").with_fix(fix)
    } else {
        Finding::ok(Area::Rings, text)
    })
}

fn native(link: &Link) -> Finding {
    let driver = link.driver.as_deref().unwrap_or("the driver");
    match link.xdp.native {
        Some(true) => Finding::ok(Area::Xdp, format!("{driver} runs XDP programs itself (native mode)")),
        Some(false) => Finding::problem(
            Area::Xdp,
            format!("{driver} runs no XDP programs on {}: generic mode only, which gains nothing", link.name),
            "a newer driver, other offloads (ethtool -k), or another kind of interface",
        ),
        None => {
            Finding::note(Area::Xdp, "before Linux 6.3 a driver does not say what XDP it has: a run tries it")
        }
    }
}

fn transmit(link: &Link) -> Option<Finding> {
    match link.xdp.transmit {
        Some(true) => {
            Some(Finding::ok(Area::Xdp, "it takes redirected frames (ndo_xdp_xmit), as backend kernel needs"))
        }
        Some(false) if link.xdp.native == Some(true) => Some(Finding::ok(
            Area::Xdp,
            "whether it takes redirected frames (ndo_xdp_xmit) shows once a program is attached: a run tries it",
        )),
        _ => None,
    }
}

fn zero_copy(link: &Link) -> Option<Finding> {
    let driver = link.driver.as_deref().unwrap_or("the driver");
    match link.xdp.zero_copy {
        Some(true) => Some(Finding::ok(Area::Xdp, format!("{driver} has zero-copy AF_XDP"))),
        Some(false) if link.xdp.native == Some(true) => {
            let text = format!("{driver} has no zero-copy AF_XDP here: backend xdp copies each frame");
            Some(Finding::note(Area::Xdp, text))
        }
        _ => None,
    }
}

fn attached(link: &Link) -> Option<Finding> {
    let program = link.xdp.attached.as_deref()?;
    let text = format!("{} runs the XDP program {program} already, and megaping displaces nobody", link.name);
    Some(Finding::problem(
        Area::Xdp,
        text,
        format!("ip link set dev {} xdp off   # if it is yours to remove", link.name),
    ))
}

fn numa(nic: &Nic, diagnosis: &Diagnosis) -> Option<Finding> {
    let several = diagnosis.machine.numa_nodes.is_some_and(|nodes| nodes > 1);
    let node = nic.numa_node.filter(|_| several)?;
    let text = format!("the device is on NUMA node {node}: cores of that node reach it fastest");
    Some(
        Finding::note(Area::Cpu, text)
            .with_fix(format!("numactl --cpunodebind={node} --membind={node} megaping ...")),
    )
}

fn stamps(nic: &Nic) -> Option<Finding> {
    let stamps = nic.stamps?;
    Some(match (stamps.hardware_receive, stamps.software_receive) {
        (true, _) => Finding::ok(Area::Stamps, "the device stamps arrivals, and so does the kernel"),
        (false, true) => Finding::ok(Area::Stamps, "the kernel stamps arrivals; the device does not"),
        (false, false) => Finding::note(
            Area::Stamps,
            "nobody stamps arrivals before we read them: round trips hold our own delay",
        ),
    })
}
