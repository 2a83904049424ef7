//! A bound on what the spool holds, and what happens when it is reached.
//!
//! *Block*: from 15/16 of the bound on no probe leaves, until less than 12/16 are taken. What comes back of those under
//! way is kept in any case, and may go a little beyond the bound; rows that say no more than that a probe was shed are
//! counted, and kept while there is room. *Drop oldest*: at the bound the oldest segment goes.

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

    /// Makes room for more rows, where that is the policy; returns whether there is room for those, too, that tell of
    /// probes that never left for want of it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when what is given up cannot be removed.
    pub fn make_room(&mut self, spool: &Spool) -> Result<bool, StoreError> {
        match self.limit.policy {
            SpoolFull::Block => Ok(spool.bytes() < self.shed_at()),
            SpoolFull::DropOldest => {
                while spool.bytes() >= self.limit.bytes && spool.shelf().drop_oldest()? {}
                Ok(true)
            }
        }
    }

    fn shed_at(&self) -> u64 {
        self.limit.bytes - self.limit.bytes / 16
    }

    /// Looks at the spool, and tells what there is to tell; returns whether probes are to be shed.
    pub fn look(&mut self, spool: &Spool, now: Instant) -> bool {
        let SpoolLimit { bytes, policy } = self.limit;
        match policy {
            SpoolFull::Block => {
                let most = if self.is_shedding { bytes - bytes / 4 } else { self.shed_at() };
                let is_shedding = spool.bytes() >= most;
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
