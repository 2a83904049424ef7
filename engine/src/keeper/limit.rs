//! A bound on what the spool holds, and what happens when it is reached.
//!
//! ```text
//!   block:        0 ........ probing ........ 15/16 .. shedding: what is under way finds room .. 16/16 rejected
//!   drop-oldest:  0 ........ probing ............................................... 16/16 the oldest segment goes
//! ```

use std::time::{Duration, Instant};

use megaping_store::{Spool, StoreError};

use crate::cli::{SpoolFull, SpoolLimit};
use crate::say::say;

/// What is given up is told this often.
const REPEAT: Duration = Duration::from_secs(10);
/// A segment is sealed at this part of the bound: what is being written cannot be given up.
const SEGMENT_PART: u64 = 8;

/// The bound of one spool.
#[derive(Debug)]
pub struct Limiter {
    limit: SpoolLimit,
    is_shedding: bool,
    dropped: u64,
    told: Option<Instant>,
}

impl Limiter {
    /// A spool that was just opened.
    #[must_use]
    pub fn new(limit: SpoolLimit) -> Limiter {
        Limiter { limit, is_shedding: false, dropped: 0, told: None }
    }

    /// Bytes at which a segment is sealed, `usual` where there is room for it.
    #[must_use]
    pub fn segment_bytes(limit: Option<SpoolLimit>, usual: u64) -> u64 {
        limit.map_or(usual, |limit| usual.min(limit.bytes / SEGMENT_PART))
    }

    /// Whether there is room for more rows; makes room where that is the policy.
    ///
    /// # Errors
    /// [`StoreError::Io`] when what is given up cannot be removed.
    pub fn has_room(&mut self, spool: &Spool) -> Result<bool, StoreError> {
        let is_full = || spool.bytes() >= self.limit.bytes;
        if self.limit.policy == SpoolFull::DropOldest {
            while is_full() && spool.shelf().drop_oldest()? {}
        }
        Ok(!is_full())
    }

    /// Looks at the spool, and tells what there is to tell; returns whether probes are to be shed.
    pub fn look(&mut self, spool: &Spool, now: Instant) -> bool {
        let SpoolLimit { bytes, policy } = self.limit;
        match policy {
            SpoolFull::Block => {
                let is_shedding = spool.bytes() >= bytes - bytes / 16;
                if is_shedding && !self.is_shedding {
                    say(format_args!(
                        "megaping: the spool is full (--spool-max {bytes}): probes are shed until there is room"
                    ));
                } else if !is_shedding && self.is_shedding {
                    say("megaping: the spool has room again: probing goes on");
                }
                self.is_shedding = is_shedding;
            }
            SpoolFull::DropOldest => {
                let dropped = spool.shelf().dropped();
                let dropped = dropped.own.max(dropped.upload);
                let is_time = self.told.is_none_or(|told| now.saturating_duration_since(told) >= REPEAT);
                if dropped > self.dropped && is_time {
                    say(format_args!(
                        "megaping: the spool is full (--spool-max {bytes}): {dropped} of the oldest outcomes were \
                         given up so far"
                    ));
                    (self.dropped, self.told) = (dropped, Some(now));
                }
            }
        }
        self.is_shedding
    }
}
