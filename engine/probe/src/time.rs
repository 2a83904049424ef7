//! Time as the core sees it: an argument, never a clock.

use std::ops::{Add, Sub};

/// A point in time in nanoseconds of the shard's clock (`CLOCK_MONOTONIC` on a live ring, virtual in a
/// simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Nanoseconds from `earlier` to `self`, zero when `earlier` is in fact later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Nanos {
    type Output = Nanos;
    #[inline]
    fn add(self, ns: u64) -> Nanos {
        Nanos(self.0.saturating_add(ns))
    }
}

impl Sub<u64> for Nanos {
    type Output = Nanos;
    #[inline]
    fn sub(self, ns: u64) -> Nanos {
        Nanos(self.0.saturating_sub(ns))
    }
}
