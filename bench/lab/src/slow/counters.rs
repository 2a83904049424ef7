//! What the slow world saw and did.

use std::fs;
use std::io::{self, Write};
use std::ops::AddAssign;
use std::path::Path;

use serde::Serialize;

use crate::error::LabError;

/// The counters of one family. The law: requests = replies + dropped + overflow + unsent + queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FamilyCounters {
    /// Well-formed echo requests.
    pub requests: u64,
    /// Replies written to the interface, second copies not among them.
    pub replies: u64,
    /// Lost on purpose.
    pub dropped: u64,
    /// Lost because the queue was full.
    pub overflow: u64,
    /// Refused by the interface.
    pub unsent: u64,
    /// Replies that wait for their time.
    pub queued: u64,
    /// Of the replies, those that were held back on purpose.
    pub reordered: u64,
    /// Second copies written, beside the replies.
    pub duplicates: u64,
    /// Requests with a bad checksum; not answered, and not among the requests.
    pub malformed: u64,
    /// Packets that are no echo request; ignored.
    pub passed: u64,
}

impl AddAssign for FamilyCounters {
    fn add_assign(&mut self, other: FamilyCounters) {
        self.requests += other.requests;
        self.replies += other.replies;
        self.dropped += other.dropped;
        self.overflow += other.overflow;
        self.unsent += other.unsent;
        self.queued += other.queued;
        self.reordered += other.reordered;
        self.duplicates += other.duplicates;
        self.malformed += other.malformed;
        self.passed += other.passed;
    }
}

/// Both families.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlowCounters {
    pub v4: FamilyCounters,
    pub v6: FamilyCounters,
}

#[derive(Serialize)]
struct Report {
    v4: FamilyCounters,
    v6: FamilyCounters,
    total: FamilyCounters,
}

impl SlowCounters {
    pub fn family(&mut self, v4: bool) -> &mut FamilyCounters {
        if v4 { &mut self.v4 } else { &mut self.v6 }
    }

    /// One line of JSON, in the shape of `world counters --json`.
    pub fn to_json(self) -> Result<String, LabError> {
        let mut total = self.v4;
        total += self.v6;
        let report = Report { v4: self.v4, v6: self.v6, total };
        serde_json::to_string(&report).map_err(|e| LabError::Output(e.into()))
    }

    /// Writes the JSON so that a reader finds the old file or the new one, never half of it.
    pub fn write_to(self, path: &Path) -> Result<(), LabError> {
        let json = self.to_json()?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&temporary)?;
            writeln!(file, "{json}")?;
            fs::rename(&temporary, path)
        };
        write().map_err(|source| LabError::Counters { path: path.into(), source })
    }
}
