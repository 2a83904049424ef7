//! Which shard runs where, and takes what arrives where.

/// The CPUs that we may run on.
pub fn usable() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
}

/// The core of a shard, of those that we may run on: from the last one down, since interrupts tend to fall on the first.
/// None where there are more shards than cores.
fn core_of(shard: usize, cores: &[usize]) -> Option<usize> {
    cores.len().checked_sub(shard + 1).map(|index| cores[index])
}

/// Which shard takes what arrives on a CPU, or on the queue of that number, since drivers tend to bring a CPU's packets
/// there: the shard that runs on it, or else any. Where there are no fewer queues than shards, each has one.
pub fn served_by(cpu: u32, shards: u32, cores: &[usize]) -> u32 {
    let runs_there = |shard: &u32| core_of(*shard as usize, cores) == Some(cpu as usize);
    (0..shards).find(runs_there).unwrap_or(cpu % shards)
}

/// Pins the calling thread to the core of its shard.
pub fn pin(shard: usize) {
    if let Some(id) = core_of(shard, &usable()) {
        // Where it is not permitted (a container's cpuset changed, say), the shard runs where it is put.
        let _pinned = core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_serves_its_core_and_every_shard_something_where_there_are_enough_queues() {
        for count in [1, 2, 3, 8] {
            let cores: Vec<usize> = (0..count).collect();
            for shards in 1..=8u32 {
                for shard in 0..shards {
                    if let Some(core) = core_of(shard as usize, &cores) {
                        assert_eq!(served_by(core as u32, shards, &cores), shard);
                    }
                }
                for queues in [shards, 2 * shards + 1] {
                    let mut served: Vec<u32> =
                        (0..queues).map(|queue| served_by(queue, shards, &cores)).collect();
                    served.sort_unstable();
                    served.dedup();
                    assert_eq!(served, (0..shards).collect::<Vec<_>>(), "{count} cores, {queues} queues");
                }
            }
        }
    }

    #[test]
    fn cores_that_we_may_not_use_are_nobodys() {
        let cores = [4, 6];
        assert_eq!([0, 1, 2].map(|shard| core_of(shard, &cores)), [Some(6), Some(4), None]);
        assert_eq!([6, 4, 1].map(|cpu| served_by(cpu, 2, &cores)), [0, 1, 1]);
    }
}
