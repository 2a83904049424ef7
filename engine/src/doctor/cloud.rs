//! What is known of clouds and of the drivers of their interfaces, from public documentation and driver sources.

use super::{Area, Diagnosis, Finding, Nic};
use crate::backend::Link;

/// EC2's burstable families, which share one table: what a vCPU earns, in per cent.
const BURSTABLE: [&str; 3] = ["t3", "t3a", "t4g"];
const BASELINE: [(&str, u32); 7] = [
    ("nano", 5),
    ("micro", 10),
    ("small", 20),
    ("medium", 20),
    ("large", 30),
    ("xlarge", 40),
    ("2xlarge", 40),
];

/// All of them.
#[must_use]
pub fn checks(diagnosis: &Diagnosis) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(provider(diagnosis));
    findings.extend(credits(diagnosis));
    if let (Some(link), Some(nic)) = (&diagnosis.facts.link, &diagnosis.nic) {
        match link.driver.as_deref() {
            Some("ena") => findings.extend(ena(link, nic)),
            Some("gve" | "gvnic") => findings.extend(gve(link, nic)),
            Some("virtio_net") => findings.extend(virtio(link, nic, diagnosis)),
            _ => {}
        }
        findings.extend(allowances(nic));
    }
    findings
}

fn is_ec2(diagnosis: &Diagnosis) -> bool {
    diagnosis.machine.vendor.as_deref() == Some("Amazon EC2")
}

fn provider(diagnosis: &Diagnosis) -> Option<Finding> {
    let vendor = diagnosis.machine.vendor.as_deref()?;
    let product = diagnosis.machine.product.as_deref().unwrap_or("a machine of unknown type");
    Some(if is_ec2(diagnosis) {
        let text = format!(
            "{vendor} {product}: ICMP is tracked whatever the security group says (conntrack_allowance_exceeded); \
             megaping's identifiers are stable for each target, so that one target is one flow"
        );
        Finding::note(Area::Cloud, text)
    } else {
        Finding::ok(Area::Cloud, format!("the machine is a {product} by {vendor}"))
    })
}

fn credits(diagnosis: &Diagnosis) -> Option<Finding> {
    let product = diagnosis.machine.product.as_deref().filter(|_| is_ec2(diagnosis))?;
    let (family, size) = product.split_once('.')?;
    let (_, percent) =
        BASELINE.into_iter().find(|(known, _)| BURSTABLE.contains(&family) && *known == size)?;
    let earned_ns = diagnosis.machine.cpus as u64 * u64::from(percent) * 10;
    let text = format!(
        "{product} is burstable: it earns {percent} % of each CPU, which at 1,000,000 probes/s is {earned_ns} ns a probe \
         for everything; beyond that it spends CPU credits"
    );
    Some(
        Finding::note(Area::Cloud, text).with_fix("watch CPUCreditBalance, or take a fixed-performance type"),
    )
}

/// The in-tree driver has basic XDP and redirect; Amazon's own one (its version is not the kernel's) has
/// zero-copy from 2.13 on, and no longer halves the queues from 2.17 on.
fn ena(link: &Link, nic: &Nic) -> Vec<Finding> {
    let mut findings = Vec::new();
    let amazons = nic.driver_version.as_deref().and_then(ena_version);
    let halves = amazons.is_none_or(|version| version < (2, 17));
    if let Some(queues) = nic.queues.filter(|queues| halves && queues.rx * 2 > queues.rx_max && queues.rx > 0)
    {
        let half = (queues.rx_max / 2).max(1);
        let text = format!(
            "ena runs XDP on at most half of its queues, and {} of {} are in use",
            queues.rx, queues.rx_max
        );
        findings.push(if queues.rx > half {
            Finding::problem(Area::Cloud, text, format!("ethtool -L {} combined {half}", link.name))
        } else {
            Finding::problem(
                Area::Cloud,
                text,
                "an instance type with more queues, or Amazon's driver from 2.17 on",
            )
        });
    }
    findings.extend(mtu_limit(link, "ena", 3498));
    if link.xdp.zero_copy != Some(true) {
        let text = "zero-copy AF_XDP is in Amazon's own ena driver from 2.13 on; the kernel's has none";
        findings.push(Finding::note(Area::Cloud, text).with_fix("https://github.com/amzn/amzn-drivers"));
    }
    findings
}

/// Amazon's versions look like `2.13.0g`; the kernel's driver has the kernel's version.
fn ena_version(version: &str) -> Option<(u32, u32)> {
    let (number, letter) = version.split_at_checked(version.len().checked_sub(1)?)?;
    if letter != "g" {
        return None;
    }
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// XDP needs as many receive as transmit queues, and as many again in reserve.
fn gve(link: &Link, nic: &Nic) -> Vec<Finding> {
    let queues = nic.queues.filter(|queues| queues.rx != queues.tx || queues.tx * 2 > queues.tx_max);
    let mut findings: Vec<_> = queues
        .map(|queues| {
            let half = (queues.tx_max.min(queues.rx_max) / 2).max(1);
            let text = format!(
                "gve runs XDP with as many queues in as out, and at most half of them: {} in, {} out of {}",
                queues.rx, queues.tx, queues.tx_max
            );
            Finding::problem(Area::Cloud, text, format!("ethtool -L {} rx {half} tx {half}", link.name))
        })
        .into_iter()
        .collect();
    findings.extend(mtu_limit(link, "gve", 2032));
    findings
}

/// Without a queue to spare for each CPU, transmission from XDP takes a lock.
fn virtio(link: &Link, nic: &Nic, diagnosis: &Diagnosis) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(queues) = nic.queues
        && u64::from(queues.rx) + diagnosis.machine.cpus as u64 > u64::from(queues.rx_max)
    {
        let text = format!(
            "virtio_net wants a spare queue a CPU for XDP: {} of {} are in use, so sending from XDP takes a lock",
            queues.rx, queues.rx_max
        );
        let spare = u64::from(queues.rx_max).saturating_sub(diagnosis.machine.cpus as u64);
        let finding = Finding::note(Area::Cloud, text);
        findings.push(match spare {
            0 => finding.with_fix("give the guest more queues (twice its CPUs), where you can"),
            spare => finding.with_fix(format!("ethtool -L {} combined {spare}", link.name)),
        });
    }
    findings.extend(mtu_limit(link, "virtio_net", 3506));
    if link.xdp.zero_copy != Some(true) && !diagnosis.facts.kernel.is_since(6, 13) {
        let text = "zero-copy AF_XDP is in virtio_net from Linux 6.11 (in) and 6.13 (out) on";
        findings.push(Finding::note(Area::Cloud, text).with_fix("install a newer kernel"));
    }
    findings
}

fn mtu_limit(link: &Link, driver: &str, limit: u32) -> Option<Finding> {
    (link.mtu > limit).then(|| {
        let text =
            format!("{driver} runs XDP up to an MTU of about {limit}, and {} has {}", link.name, link.mtu);
        Finding::problem(Area::Cloud, text, format!("ip link set dev {} mtu 1500", link.name))
    })
}

fn allowances(nic: &Nic) -> Vec<Finding> {
    if nic.allowance_exceeded.is_empty() {
        return Vec::new();
    }
    let hit: Vec<_> = nic.allowance_exceeded.iter().filter(|(_, count)| *count > 0).collect();
    if hit.is_empty() {
        return vec![Finding::ok(
            Area::Cloud,
            "the cloud has held no packet back (allowance counters are all zero)",
        )];
    }
    let said: Vec<_> = hit.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let text = format!("the cloud held packets back since boot: {}", said.join(", "));
    vec![Finding::problem(Area::Cloud, text, "a lower --rate, or a larger instance")]
}
