//! How much of this machine nobody uses.

use std::time::{Duration, Instant};

/// Where the kernel counts what processors do (proc(5)); in a container it is the host's, unless masked.
const STAT: &str = "/proc/stat";
/// What this thread ran, in nanoseconds (proc(5), `/proc/pid/schedstat`).
const OWN: &str = "/proc/thread-self/schedstat";
/// The unit of [`STAT`], on every architecture: `USER_HZ` is 100.
const TICK_NS: f64 = 1e7;
/// A look back over less than this tells noise.
const SHORTEST: Duration = Duration::from_millis(400);
/// A look back over more than this tells of other times.
const LONGEST: Duration = Duration::from_secs(3);

/// Watches how many processors' worth of time is free for the thread that asks.
#[derive(Debug, Default)]
pub struct Spare {
    since: Option<Reading>,
    cores: f64,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    idle_ticks: u64,
    own_ns: u64,
}

impl Spare {
    /// Processors' worth of time that were idle, or spent by this very thread, over the last second or so.
    /// Nothing is spare until that is known. Where the kernel does not tell, everything is.
    pub fn cores(&mut self, now: Instant) -> f64 {
        let (Some(idle_ticks), Some(own_ns)) = (read(STAT, idle_ticks), read(OWN, first_number)) else {
            return f64::INFINITY;
        };
        let reading = Reading { at: now, idle_ticks, own_ns };
        let Some(before) = self.since else {
            self.since = Some(reading);
            return 0.0;
        };
        let window = now.saturating_duration_since(before.at);
        if window >= SHORTEST {
            self.cores = if window <= LONGEST { spare(&before, &reading, window) } else { 0.0 };
            self.since = Some(reading);
        }
        self.cores
    }
}

fn spare(before: &Reading, after: &Reading, window: Duration) -> f64 {
    let idle_ns = after.idle_ticks.saturating_sub(before.idle_ticks) as f64 * TICK_NS;
    let own_ns = after.own_ns.saturating_sub(before.own_ns) as f64;
    (idle_ns + own_ns) / window.as_nanos() as f64
}

fn read(path: &str, parse: fn(&str) -> Option<u64>) -> Option<u64> {
    parse(&std::fs::read_to_string(path).ok()?)
}

/// Idle and waiting-for-disk time of all processors: the fourth and fifth number of the line `cpu`.
fn idle_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace().skip(3);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "cpu  10 20 30 4000 500 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n";
        assert_eq!(idle_ticks(stat), Some(4500));
        assert_eq!(idle_ticks("cpu 1 2 3"), None);
        assert!(read(STAT, idle_ticks).is_some() && read(OWN, first_number).is_some());
    }

    #[test]
    fn what_is_idle_and_what_is_ours_is_spare() {
        let at = Instant::now();
        let before = Reading { at, idle_ticks: 100, own_ns: 0 };
        let after = Reading { at, idle_ticks: 140, own_ns: 300_000_000 };
        assert!((spare(&before, &after, Duration::from_secs(1)) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_spare_until_it_is_known() {
        let mut spare = Spare::default();
        let start = Instant::now();
        assert!(spare.cores(start) == 0.0 && spare.cores(start + SHORTEST / 2) == 0.0);
        assert!(spare.cores(start + SHORTEST + LONGEST) == 0.0, "a look back that is too long");
        assert!(spare.cores(start + SHORTEST + LONGEST + LONGEST) >= 0.0);
    }
}
