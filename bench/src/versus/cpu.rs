//! Processor time: of the whole machine, and of one program with all its threads and children.

use std::path::Path;

use crate::Result;

/// Nanoseconds in a tick of /proc/stat: `USER_HZ` is 100 on every Linux.
const TICK_NS: u64 = 10_000_000;

/// Time that the machine's processors did not work for us, summed over all of them, since it started.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Idle, waiting for a disk or not, in nanoseconds. With a tickless kernel this is measured, not sampled.
    pub idle_ns: u64,
    /// Taken by the hypervisor for somebody else.
    pub steal_ns: u64,
}

/// Reads /proc/stat.
///
/// # Errors
/// When there is none.
pub fn idle() -> Result<Idle> {
    let text = std::fs::read_to_string("/proc/stat")?;
    parse_idle(&text).ok_or_else(|| "/proc/stat: no line of all processors".into())
}

fn parse_idle(text: &str) -> Option<Idle> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // proc(5): user nice system idle iowait irq softirq steal
    let at = |field: usize| ticks.get(field).map(|ticks| ticks * TICK_NS);
    Some(Idle { idle_ns: at(3)? + at(4)?, steal_ns: at(7)? })
}

/// Processor time of a process, in nanoseconds: its threads that live, and its children.
pub fn process_ns(pid: u32) -> u64 {
    let mut sum = 0;
    for thread in threads(pid) {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}"));
        let ran = read("schedstat").ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        sum += ran.unwrap_or(0);
        let children = read("children").unwrap_or_default();
        sum +=
            children.split_whitespace().filter_map(|child| child.parse().ok()).map(process_ns).sum::<u64>();
    }
    sum
}

/// The threads of a process that live.
pub fn threads(pid: u32) -> Vec<u32> {
    let Ok(entries) = Path::new(&format!("/proc/{pid}/task")).read_dir() else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The name of a thread.
pub fn thread_name(pid: u32, thread: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm"));
    name.map(|name| name.trim_end().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_idle_and_steal_is_apart() {
        let idle =
            parse_idle("cpu  1 2 3 40 5 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n").expect("the first line");
        assert_eq!((idle.idle_ns, idle.steal_ns), (45 * TICK_NS, 8 * TICK_NS));
        assert!(parse_idle("cpu0 1 2 3").is_none());
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let before = process_ns(std::process::id());
        let until = megaping_ring::process_cpu_ns() + 50_000_000;
        while megaping_ring::process_cpu_ns() < until {}
        // The kernel brings the figure of a running thread up to date at ticks.
        assert!(process_ns(std::process::id()) - before > 20_000_000);
    }
}
