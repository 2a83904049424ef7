//! The clocks that a ring can run on.
//!
//! System calls: `clock_gettime` (answered by the vDSO, without entering the kernel) and, to sleep,
//! `clock_nanosleep`.

use crate::packet::TakenBy;

/// A monotonic clock that can be slept on.
pub trait Clock {
    /// What stamps of this clock say of who took them.
    const TAKEN_BY: TakenBy;

    /// Reads the clock, in nanoseconds; never less than the last reading.
    fn now_ns(&mut self) -> u64;

    /// Returns when the clock shows `until_ns`, or a little earlier (a signal); at once when it already does.
    fn sleep_until(&mut self, until_ns: u64);
}

/// The machine's `CLOCK_MONOTONIC`; sleeps in the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    const TAKEN_BY: TakenBy = TakenBy::User;

    #[inline]
    fn now_ns(&mut self) -> u64 {
        monotonic_ns()
    }

    fn sleep_until(&mut self, until_ns: u64) {
        let until = timespec_of(until_ns);
        // SAFETY: `until` is a valid timespec that lives on this stack frame through the call, and the kernel
        // writes no remaining time for an absolute sleep, so the last pointer may be null.
        unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const until,
                std::ptr::null_mut(),
            );
        }
    }
}

/// A clock that moves only when it is read or slept on: a simulation runs as fast as it computes, and the
/// same way every time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Virtual {
    now_ns: u64,
    step_ns: u64,
}

impl Virtual {
    /// A clock that shows `start_ns` and moves on by `step_ns` at each reading, so that a loop which only
    /// reads it still sees time pass.
    #[must_use]
    pub const fn new(start_ns: u64, step_ns: u64) -> Self {
        Self { now_ns: start_ns, step_ns }
    }

    /// Moves the clock on by `ns`.
    pub const fn advance(&mut self, ns: u64) {
        self.now_ns = self.now_ns.saturating_add(ns);
    }
}

impl Clock for Virtual {
    const TAKEN_BY: TakenBy = TakenBy::Virtual;

    #[inline]
    fn now_ns(&mut self) -> u64 {
        let now = self.now_ns;
        self.now_ns = now.saturating_add(self.step_ns);
        now
    }

    fn sleep_until(&mut self, until_ns: u64) {
        self.now_ns = self.now_ns.max(until_ns);
    }
}

/// Has the kernel wake the calling thread when it asked to be woken, and not up to 50 us later in company of others
/// (`prctl(2)`, `PR_SET_TIMERSLACK`).
pub fn wake_on_time() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Processor time of this process so far, all threads and their system calls, in nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Reads `CLOCK_MONOTONIC`, in nanoseconds.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Reads `CLOCK_REALTIME`, in nanoseconds since 1970.
#[inline]
pub(crate) fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the kernel to write to. Both clocks exist on every Linux, so the
    // call cannot fail; if it did, the zeros above stand.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    nanoseconds_of(time.tv_sec, time.tv_nsec)
}

/// Seconds and nanoseconds as one number; negative parts (before 1970) count as zero.
#[inline]
pub(crate) fn nanoseconds_of(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(nanoseconds).unwrap_or(0))
}

/// A duration or a point in time as the kernel takes it; what does not fit is as long as can be.
pub(crate) fn timespec_of(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_clock_moves_by_its_step_and_by_sleep() {
        let mut clock = Virtual::new(100, 7);
        assert_eq!(clock.now_ns(), 100);
        assert_eq!(clock.now_ns(), 107);
        clock.sleep_until(1_000);
        assert_eq!(clock.now_ns(), 1_000);
        clock.sleep_until(5);
        assert_eq!(clock.now_ns(), 1_007, "sleeping never turns the clock back");
    }

    #[test]
    fn monotonic_sleeps_until_the_time() {
        let mut clock = Monotonic;
        let until = clock.now_ns() + 3_000_000;
        clock.sleep_until(until);
        assert!(clock.now_ns() >= until);
        clock.sleep_until(0);
    }

    #[test]
    fn times_survive_the_way_through_timespec() {
        for ns in [0, 1, 999_999_999, 1_000_000_000, 1_753_000_000_123_456_789] {
            let time = timespec_of(ns);
            assert_eq!(nanoseconds_of(time.tv_sec, time.tv_nsec), ns);
        }
        assert_eq!(nanoseconds_of(-5, -1), 0);
    }
}
