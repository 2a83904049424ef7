//! Stamps: departures spread over a batch, and arrivals carried from the kernel's wall clock to ours.
//!
//! The kernel stamps arrivals with `CLOCK_REALTIME`; everything else runs on `CLOCK_MONOTONIC`. Both tick at the
//! same rate and differ by an offset that changes only when somebody sets the clock (`timekeeping` in the
//! kernel slews both alike), so one reading of the offset a batch is exact, within the time that it took.

use crate::clock::{monotonic_ns, realtime_ns};
use crate::packet::{TakenBy, TimeStamp};

/// The stamp of packet `index` of the `count` that left, in their order, between two readings of the clock:
/// the middle of its share, off by no more than to the farther reading.
#[inline]
pub(crate) fn departure(before_ns: u64, after_ns: u64, index: u32, count: u32) -> TimeStamp {
    let span = after_ns.saturating_sub(before_ns);
    let into = span.saturating_mul(2 * u64::from(index) + 1) / (2 * u64::from(count.max(1)));
    let error_ns = into.max(span.saturating_sub(into));
    TimeStamp { at_ns: before_ns + into, error_ns: bounded(error_ns), taken_by: TakenBy::User }
}

/// One reading of how far the wall clock is from ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit ends the name, and all of these have the same")]
pub(super) struct Offset {
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    ahead_ns: i64,
    /// Off by at most this.
    error_ns: u32,
    /// Our clock when it was read.
    now_ns: u64,
}

impl Offset {
    /// Reads the wall clock between two readings of ours.
    #[inline]
    pub(super) fn read() -> Self {
        let before_ns = monotonic_ns();
        let wall_ns = realtime_ns();
        Self::of(before_ns, wall_ns, monotonic_ns())
    }

    #[inline]
    fn of(before_ns: u64, wall_ns: u64, after_ns: u64) -> Self {
        let width = after_ns.saturating_sub(before_ns);
        let middle_ns = before_ns + width / 2;
        Self {
            ahead_ns: wall_ns.wrapping_sub(middle_ns).cast_signed(),
            error_ns: bounded(width.div_ceil(2)),
            now_ns: after_ns,
        }
    }

    /// Whether somebody set the wall clock between the two readings: stamps from before then cannot be carried
    /// over with either.
    #[inline]
    fn stepped_since(&self, earlier: &Self) -> bool {
        let moved = self.ahead_ns.abs_diff(earlier.ahead_ns);
        moved > u64::from(self.error_ns) + u64::from(earlier.error_ns) + 1_000
    }

    /// A wall clock reading on our clock.
    #[inline]
    fn carry(&self, wall_ns: u64) -> TimeStamp {
        let at_ns = wall_ns.wrapping_sub(self.ahead_ns.cast_unsigned()).min(self.now_ns);
        TimeStamp { at_ns, error_ns: self.error_ns, taken_by: TakenBy::Kernel }
    }
}

/// What a socket must remember to stamp its arrivals.
#[derive(Debug)]
pub(super) struct ArrivalClock {
    offset: Offset,
    /// The socket was last known to be empty then: whatever is in it came later.
    empty_at_ns: u64,
    /// The wall clock was set while messages were waiting; holds until the socket is empty.
    stepped: bool,
}

impl ArrivalClock {
    /// For a socket that is empty now.
    pub(super) fn new() -> Self {
        let offset = Offset::read();
        Self { offset, empty_at_ns: offset.now_ns, stepped: false }
    }

    /// A batch was read: `offset` was taken right after.
    #[inline]
    pub(super) fn batch(&mut self, offset: Offset) {
        self.stepped |= offset.stepped_since(&self.offset);
        self.offset = offset;
    }

    /// The stamp of a message of the batch, with the kernel's wall clock stamp if it gave one.
    #[inline]
    pub(super) fn stamp(&self, wall_ns: Option<u64>) -> TimeStamp {
        match wall_ns {
            Some(wall_ns) if !self.stepped => self.offset.carry(wall_ns),
            _ => {
                let at_ns = self.offset.now_ns;
                let error_ns = bounded(at_ns.saturating_sub(self.empty_at_ns));
                TimeStamp { at_ns, error_ns, taken_by: TakenBy::User }
            }
        }
    }

    /// The last batch emptied the socket; the system call that found out began at `began_ns`.
    #[inline]
    pub(super) fn emptied(&mut self, began_ns: u64) {
        self.empty_at_ns = began_ns;
        self.stepped = false;
    }
}

#[inline]
fn bounded(ns: u64) -> u32 {
    u32::try_from(ns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departures_are_spread_in_order_and_the_bound_holds() {
        for count in [1, 2, 3, 64] {
            let mut last = 0;
            for index in 0..count {
                let stamp = departure(1_000, 7_411, index, count);
                assert!(stamp.at_ns > last && stamp.at_ns < 7_411);
                assert!(
                    stamp.at_ns.saturating_sub(stamp.error_ns.into()) <= 1_000,
                    "reaches back to the first reading"
                );
                assert!(stamp.at_ns + u64::from(stamp.error_ns) >= 7_411, "reaches on to the last reading");
                last = stamp.at_ns;
            }
        }
        assert_eq!(departure(5, 5, 0, 1).error_ns, 0);
        assert_eq!(departure(9, 5, 0, 0).at_ns, 9, "a clock that went back is a span of nothing");
    }

    const WALL: u64 = 1_753_000_000_000_000_000;

    #[test]
    fn kernel_stamps_are_carried_over_within_the_bound() {
        let offset = Offset::of(1_000, WALL + 1_020, 1_050);
        let stamp = offset.carry(WALL + 900);
        assert_eq!(stamp.taken_by, TakenBy::Kernel);
        assert_eq!(stamp.error_ns, 25);
        assert!(stamp.at_ns.abs_diff(900) <= 25);
        assert_eq!(offset.carry(WALL + 999_999).at_ns, 1_050, "nothing comes after it was read");
    }

    #[test]
    fn a_wall_clock_that_was_set_spoils_stamps_until_the_socket_is_empty() {
        let read = |at, step| Offset::of(at, WALL.wrapping_add_signed(step) + at + 10, at + 20);
        let mut clock = ArrivalClock { offset: read(1_000, 0), empty_at_ns: 500, stepped: false };
        clock.batch(read(2_000, 0));
        assert_eq!(clock.stamp(Some(WALL + 1_900)).taken_by, TakenBy::Kernel);
        for step in [5_000_000_000, -3_600_000_000_000] {
            clock.batch(read(3_000, step));
            let stamp = clock.stamp(Some(WALL + 2_900));
            assert_eq!(stamp, TimeStamp { at_ns: 3_020, error_ns: 2_520, taken_by: TakenBy::User });
            clock.batch(read(4_000, step));
            assert_eq!(clock.stamp(Some(WALL)).taken_by, TakenBy::User, "still not empty");
            clock.emptied(3_990);
            clock.batch(read(5_000, step));
            let stamp = clock.stamp(Some(WALL.wrapping_add_signed(step) + 4_950));
            assert_eq!((stamp.at_ns.abs_diff(4_950) <= 10, stamp.taken_by), (true, TakenBy::Kernel));
            clock = ArrivalClock { offset: read(2_000, 0), empty_at_ns: 500, stepped: false };
        }
    }

    #[test]
    fn without_a_kernel_stamp_the_bound_reaches_back_to_the_empty_socket() {
        let clock =
            ArrivalClock { offset: Offset::of(9_000, WALL, 9_010), empty_at_ns: 2_010, stepped: false };
        assert_eq!(clock.stamp(None), TimeStamp { at_ns: 9_010, error_ns: 7_000, taken_by: TakenBy::User });
    }

    #[test]
    fn real_readings_agree_with_each_other() {
        let first = Offset::read();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let second = Offset::read();
        assert!(!second.stepped_since(&first));
    }
}
