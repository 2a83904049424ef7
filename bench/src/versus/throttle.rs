//! A burstable instance's baseline: two fifths of a processor for the shards, two fifths for all other threads.
//!
//! Threads of one process are put into control groups with a quota of processor time: version 1 has one file of
//! threads a group, version 2 wants a threaded subtree. The quota is given out every ten milliseconds; what the kernel does in a
//! thread's time (softirqs included) is on its account, what it does elsewhere is not.

use std::fs;
use std::path::{Path, PathBuf};

use super::cpu;
use crate::Result;

/// The quota, and the period in which it is given out, in microseconds: two fifths.
const QUOTA_US: u32 = 4_000;
const PERIOD_US: u32 = 10_000;

/// Two groups that hold the threads of a process; removed, and the threads set free, when dropped.
pub struct Throttle {
    groups: Vec<PathBuf>,
}

impl Throttle {
    /// Puts every thread of a process into one of the two groups.
    ///
    /// # Errors
    /// When the machine has no control groups with a quota, in the reader's words.
    pub fn put_on(pid: u32) -> Result<Throttle> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let root = hierarchy(&mounts).ok_or(
            "no control groups (version 1, controller cpu) are mounted here, and version 2 alone is not supported",
        )?;
        let mut throttle = Throttle { groups: Vec::new() };
        let mut made = Vec::new();
        for name in ["shards", "store"] {
            let group = root.join(format!("megaping-bench-{}-{name}", std::process::id()));
            fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
            throttle.groups.push(group.clone());
            write(&group, "cpu.cfs_period_us", PERIOD_US)?;
            write(&group, "cpu.cfs_quota_us", QUOTA_US)?;
            made.push(group);
        }
        for thread in cpu::threads(pid) {
            let is_shard = cpu::thread_name(pid, thread).starts_with("shard");
            write(&made[usize::from(!is_shard)], "tasks", thread)?;
        }
        Ok(throttle)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        for group in &self.groups {
            let parent = group.parent().unwrap_or(Path::new("/"));
            let tasks = fs::read_to_string(group.join("tasks")).unwrap_or_default();
            for task in tasks.split_whitespace() {
                let _freed = fs::write(parent.join("tasks"), task);
            }
            if let Err(error) = fs::remove_dir(group) {
                eprintln!("megaping-bench: {}: {error}", group.display());
            }
        }
    }
}

/// Where version 1's controller of processor time is mounted.
fn hierarchy(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup" && options.split(',').any(|option| option == "cpu")).then(|| path.into())
    })
}

fn write(group: &Path, file: &str, value: u32) -> Result<()> {
    let path = group.join(file);
    fs::write(&path, value.to_string()).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::hierarchy;

    #[test]
    fn the_controller_of_processor_time_is_found_and_no_other() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\ncgroup /c cgroup rw,cpu,cpuacct 0 0\n";
        assert_eq!(hierarchy(mounts), Some("/c".into()));
        assert_eq!(hierarchy("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"), None);
    }
}
