//! The kernel and the machine.

use crate::backend::Trial;
use crate::doctor::{Area, Diagnosis, Finding, Machine};

/// Clocks that are read without a system call.
const FAST_CLOCKS: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];
/// Of the time that the hypervisor gives to others, this much is worth a word, in thousandths.
const STEAL_PERMILLE: f64 = 10.0;

/// All of them.
#[must_use]
pub fn machine(diagnosis: &Diagnosis) -> Vec<Finding> {
    let machine = &diagnosis.machine;
    let mut findings = vec![kernel(diagnosis), xdp_sockets(&diagnosis.facts.xdp_sockets)];
    findings.push(live_frames(diagnosis));
    findings.push(io_uring(diagnosis));
    findings.extend(jit(machine));
    findings.extend(clock(machine));
    findings.push(cpus(machine));
    findings.extend(steal(machine));
    findings.extend(quota(machine));
    findings
}

fn kernel(diagnosis: &Diagnosis) -> Finding {
    let release = &diagnosis.facts.kernel.release;
    if diagnosis.machine.btf {
        Finding::ok(Area::Kernel, format!("Linux {release}, with type information (BTF)"))
    } else {
        let text = format!("Linux {release} shows no type information (BTF) in /sys/kernel/btf");
        Finding::note(Area::Kernel, text)
            .with_fix("a kernel with CONFIG_DEBUG_INFO_BTF helps to debug programs")
    }
}

fn xdp_sockets(trial: &Trial) -> Finding {
    match trial.works {
        Some(true) => Finding::ok(Area::Xdp, "the kernel has AF_XDP sockets"),
        Some(false) => Finding::problem(
            Area::Xdp,
            format!("backend xdp {}", trial.why.as_deref().unwrap_or_default()),
            "use a kernel with CONFIG_XDP_SOCKETS",
        ),
        None => Finding::ok(Area::Xdp, "the kernel has AF_XDP sockets (not for this process: see below)"),
    }
}

fn live_frames(diagnosis: &Diagnosis) -> Finding {
    let (facts, area) = (&diagnosis.facts, Area::Ebpf);
    if !facts.kernel.is_since(5, 18) {
        let text = format!(
            "no live frames in BPF_PROG_TEST_RUN before Linux 5.18, and this is {}",
            facts.kernel.release
        );
        return Finding::problem(area, text, "install a newer kernel");
    }
    match facts.live_frames.works {
        Some(true) => Finding::ok(area, "programs load, and run on live frames (BPF_PROG_TEST_RUN)"),
        Some(false) if facts.capabilities.permit(crate::backend::Capability::Bpf) => Finding::problem(
            area,
            format!("backend kernel {}", facts.live_frames.why.as_deref().unwrap_or_default()),
            "allow bpf(2): leave the container, or give it privileges",
        ),
        _ => Finding::note(
            area,
            "this kernel should run programs on live frames: without privilege it cannot be tried",
        )
        .with_fix("run doctor as root to see"),
    }
}

fn io_uring(diagnosis: &Diagnosis) -> Finding {
    let trial = &diagnosis.facts.io_uring;
    let why = trial.why.as_deref().unwrap_or_default();
    match (trial.works, diagnosis.machine.io_uring_disabled) {
        (Some(true), _) => Finding::ok(Area::IoUring, "has all that the ring needs"),
        (_, Some(1..)) => Finding::problem(Area::IoUring, why, "sysctl -w kernel.io_uring_disabled=0"),
        _ => Finding::problem(Area::IoUring, why, "backend raw does the same: nothing is lost"),
    }
}

fn jit(machine: &Machine) -> Option<Finding> {
    let fix = "sysctl -w net.core.bpf_jit_enable=1";
    (machine.bpf_jit == Some(0))
        .then(|| Finding::problem(Area::Ebpf, "programs are interpreted, many times slower", fix))
}

fn clock(machine: &Machine) -> Option<Finding> {
    let clock = machine.clock_source.as_deref()?;
    Some(if FAST_CLOCKS.contains(&clock) {
        Finding::ok(Area::Time, format!("the clock is {clock}: stamps need no system call"))
    } else {
        let text = format!("the clock is {clock}: each stamp is a system call, or slow in the device");
        Finding::problem(
            Area::Time,
            text,
            "boot with clocksource=tsc on the kernel command line, where there is a tsc",
        )
    })
}

fn cpus(machine: &Machine) -> Finding {
    let nodes = match machine.numa_nodes {
        Some(nodes @ 2..) => format!(", {nodes} NUMA nodes"),
        _ => String::new(),
    };
    let text = format!("{} to run on{nodes}", plural(machine.cpus as u64, "CPU"));
    match machine.cpus {
        1 => Finding::note(Area::Cpu, format!("{text}: shard and store share it")),
        _ => Finding::ok(Area::Cpu, text),
    }
}

fn steal(machine: &Machine) -> Option<Finding> {
    let permille = machine.steal_permille?;
    let text = format!("{:.1} % of the CPU time since boot went to other guests (steal)", permille / 10.0);
    Some(if permille < STEAL_PERMILLE {
        Finding::ok(Area::Cpu, text)
    } else {
        Finding::note(Area::Cpu, text + ": round trips will have tails that no network made")
            .with_fix("an instance with CPUs of its own, or CPU credits where it is burstable")
    })
}

fn quota(machine: &Machine) -> Option<Finding> {
    let quota = machine.cpu_quota?;
    let text =
        format!("the cgroup allows {quota:.2} CPUs (cpu.max): the kernel stops us when that is used up");
    Some(Finding::note(Area::Cpu, text).with_fix("raise CPUQuota= of the unit, or the container's CPU limit"))
}

/// `1 CPU`, `2 CPUs`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
