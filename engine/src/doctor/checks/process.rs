//! What this process may do, and how much memory it gets.

use crate::backend::Capability;
use crate::doctor::{Area, Diagnosis, Finding};

/// What the receive buffer of a raw socket should hold.
const RECEIVE_BUFFER_BYTES: u64 = 64 << 20;
/// What AF_XDP locks for a queue.
const LOCKED_BYTES: u64 = 8 << 20;

/// All of them.
#[must_use]
pub fn process(diagnosis: &Diagnosis) -> Vec<Finding> {
    let mut findings = vec![permissions(diagnosis)];
    findings.extend(raw_sockets(diagnosis));
    findings.push(memlock(diagnosis));
    findings.extend(huge_pages(diagnosis));
    findings.extend(receive_buffer(diagnosis));
    findings
}

fn permissions(diagnosis: &Diagnosis) -> Finding {
    let held = diagnosis.facts.capabilities;
    // Without CAP_IPC_LOCK the limit on locked memory counts, which has a line of its own.
    let needed = [Capability::NetRaw, Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];
    let missing: Vec<_> = held.missing(&needed).into_iter().map(Capability::name).collect();
    let names = needed.map(Capability::name).join(",");
    let fix = format!("run as root, or: setcap {names}+ep \"$(command -v megaping)\"");
    if missing.is_empty() {
        Finding::ok(Area::Permission, "this process holds every capability that a backend needs")
    } else {
        Finding::problem(Area::Permission, format!("this process lacks {}", missing.join(", ")), fix)
    }
}

/// With the capability, and refused all the same.
fn raw_sockets(diagnosis: &Diagnosis) -> Option<Finding> {
    let trial = &diagnosis.facts.raw_sockets;
    let odd = diagnosis.facts.capabilities.permit(Capability::NetRaw) && trial.works == Some(false);
    odd.then(|| {
        let why = trial.why.clone().unwrap_or_default();
        Finding::problem(Area::Permission, why, "allow raw sockets: a container's profile may forbid them")
    })
}

fn memlock(diagnosis: &Diagnosis) -> Finding {
    let facts = &diagnosis.facts;
    let area = Area::Memory;
    match facts.memlock_bytes {
        None => Finding::ok(area, "no limit on locked memory"),
        Some(_) if facts.capabilities.permit(Capability::IpcLock) => {
            Finding::ok(area, "the limit on locked memory does not bind: cap_ipc_lock is held")
        }
        Some(bytes) if bytes >= LOCKED_BYTES => {
            Finding::ok(area, format!("{} of memory can be locked", mebibytes(bytes)))
        }
        Some(bytes) => {
            let text =
                format!("{} of memory can be locked, and backend xdp locks 8 MiB a queue", mebibytes(bytes));
            Finding::problem(area, text, "ulimit -l unlimited   # or LimitMEMLOCK=infinity in the unit")
        }
    }
}

fn huge_pages(diagnosis: &Diagnosis) -> Option<Finding> {
    let machine = &diagnosis.machine;
    Some(match machine.huge_pages_free? {
        0 => Finding::note(Area::Memory, "no free huge pages: backend xdp takes plain ones, a little slower")
            .with_fix("sysctl -w vm.nr_hugepages=16"),
        free => {
            let size =
                machine.huge_page_bytes.map_or_else(String::new, |bytes| format!(" of {}", mebibytes(bytes)));
            Finding::ok(Area::Memory, format!("{free} free huge pages{size}"))
        }
    })
}

fn receive_buffer(diagnosis: &Diagnosis) -> Option<Finding> {
    if diagnosis.facts.capabilities.permit(Capability::NetAdmin) {
        return Some(Finding::ok(
            Area::Buffers,
            "sockets get the receive buffer they ask for: cap_net_admin is held",
        ));
    }
    let most = diagnosis.machine.receive_buffer_max_bytes?;
    (most < RECEIVE_BUFFER_BYTES).then(|| {
        let text = format!(
            "sockets keep {} KiB of arrivals at most: bursts of answers will be lost here",
            most >> 10
        );
        let fix = format!("sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}   # or cap_net_admin");
        Finding::problem(Area::Buffers, text, fix)
    })
}

fn mebibytes(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}
