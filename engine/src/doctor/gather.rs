//! Reads the machine and the interface, without changing anything. What cannot be seen is none.

use std::fs;
use std::path::Path;

use megaping_ring::host::{Channels, Device};
use megaping_ring::{RawConfig, RawRing, UringOpenError, uring};
use procfs::{Current, CurrentSI, KernelStats, Meminfo};

use super::machine::{Machine, Nic, Queues, Rings, Stamps};
use crate::backend::{Facts, Trial};

/// Tries what a run would simply open.
pub fn try_sockets(facts: &mut Facts) {
    let config = RawConfig { ipv4: true, ..RawConfig::default() };
    facts.raw_sockets = match RawRing::open(&config) {
        Ok(_) => Trial::works(),
        Err(error) => Trial::refused(error.to_string()),
    };
    facts.io_uring = match uring::probe(&[]) {
        Ok(_) => Trial::works(),
        Err(UringOpenError::Missing { feature, release }) => Trial::refused(format!(
            "lacks {feature}, which needs Linux {}; this is {release}",
            feature.since()
        )),
        Err(error) => Trial::refused(error.to_string()),
    };
}

/// The machine.
#[must_use]
pub fn machine() -> Machine {
    let memory = Meminfo::current().ok();
    Machine {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        numa_nodes: numa_nodes(),
        steal_permille: KernelStats::current().ok().and_then(|stats| steal_permille(&stats)),
        cpu_quota: cpu_quota(),
        huge_pages_free: memory.as_ref().and_then(|memory| memory.hugepages_free),
        huge_page_bytes: memory.as_ref().and_then(|memory| memory.hugepagesize),
        clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        bpf_jit: number("/proc/sys/net/core/bpf_jit_enable"),
        receive_buffer_max_bytes: number("/proc/sys/net/core/rmem_max"),
        io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        vendor: line("/sys/class/dmi/id/sys_vendor"),
        product: line("/sys/class/dmi/id/product_name"),
    }
}

/// The interface; what it does not say stays none.
#[must_use]
pub fn nic(name: &str) -> Nic {
    let Ok(device) = Device::open(name) else { return Nic::default() };
    let driver = device.driver().ok();
    let said = |text: &String| (!text.is_empty() && text != "N/A").then(|| text.clone());
    let bus = driver.as_ref().and_then(|driver| said(&driver.bus));
    let counters = device.counters().unwrap_or_default();
    Nic {
        driver_version: driver.as_ref().and_then(|driver| said(&driver.version)),
        firmware: driver.as_ref().and_then(|driver| said(&driver.firmware)),
        numa_node: bus.as_deref().and_then(numa_node),
        bus,
        queues: device.channels().ok().map(|channels| queues(&channels)),
        rings: device.ring_sizes().ok().map(|rings| Rings {
            rx: rings.rx,
            tx: rings.tx,
            rx_max: rings.rx_max,
            tx_max: rings.tx_max,
        }),
        stamps: device.stamping().ok().map(|stamps| Stamps {
            software_transmit: stamps.software_transmit,
            software_receive: stamps.software_receive,
            hardware_transmit: stamps.hardware_transmit,
            hardware_receive: stamps.hardware_receive,
        }),
        allowance_exceeded: counters
            .into_iter()
            .filter(|(name, _)| name.ends_with("allowance_exceeded"))
            .collect(),
        carrier: device.flags().is_ok_and(|flags| flags.running),
    }
}

/// Drivers have combined queues, or one kind for each way.
fn queues(channels: &Channels) -> Queues {
    Queues {
        rx: channels.rx + channels.combined,
        tx: channels.tx + channels.combined,
        rx_max: channels.rx_max.max(channels.combined_max),
        tx_max: channels.tx_max.max(channels.combined_max),
        combined: channels.combined_max > 0,
    }
}

/// By the device's address on the bus: what `/sys/class/net` shows depends on which namespace mounted it.
fn numa_node(bus: &str) -> Option<u32> {
    let is_plain = bus.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    let path = format!("/sys/bus/pci/devices/{bus}/numa_node");
    // Where there is one node alone, the kernel says -1.
    is_plain.then(|| line(&path)).flatten()?.parse().ok()
}

fn numa_nodes() -> Option<usize> {
    let entries = fs::read_dir("/sys/devices/system/node").ok()?.flatten();
    let is_node = |name: &str| name.strip_prefix("node").is_some_and(|rest| rest.parse::<u32>().is_ok());
    Some(entries.filter(|entry| entry.file_name().to_str().is_some_and(is_node)).count())
}

fn steal_permille(stats: &KernelStats) -> Option<f64> {
    let total = &stats.total;
    let known = [total.iowait, total.irq, total.softirq, total.steal].into_iter().flatten().sum::<u64>();
    let all = total.user + total.nice + total.system + total.idle + known;
    let steal = total.steal?;
    (all > 0).then(|| (steal as f64 * 10_000.0 / all as f64).round() / 10.0)
}

/// The narrowest `cpu.max` between this process's cgroup and the root (cgroup v2), in CPUs.
fn cpu_quota() -> Option<f64> {
    let table = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = table.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let groups = Path::new(&own).ancestors().map(|group| group.strip_prefix("/").unwrap_or(group).to_owned());
    let quotas = groups.filter_map(|group| {
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(group).join("cpu.max")).ok()?;
        quota(&text)
    });
    quotas.min_by(f64::total_cmp)
}

/// `40000 100000` is 0.4 CPUs, `max 100000` no limit.
pub(super) fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(quota / period)
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

fn number(path: &str) -> Option<u64> {
    line(path)?.parse().ok()
}
