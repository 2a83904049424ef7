//! One outcome as it is read back.

use megaping_probe::{Marks, Outcome, StampSource, Verdict};
use megaping_wire::Addr;

/// One stored outcome: [`Outcome`] with its time in Unix nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredRow {
    /// When the probe left, or was due when it did not: nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// Round trip in nanoseconds; zero unless there was an answer.
    pub rtt_ns: u64,
    /// The target's index in the run's target set.
    pub target: u64,
    /// Where the probe went.
    pub destination: Addr,
    /// Who answered: the destination itself where nobody did.
    pub responder: Addr,
    /// Which round of this target, from zero.
    pub seq: u32,
    /// The round trip is true within this many nanoseconds.
    pub error_ns: u32,
    /// Payload bytes of the probe.
    pub size: u16,
    /// The flow (ECMP path) that was explored.
    pub flow: u16,
    /// Answered, error, lost or unsent.
    pub verdict: Verdict,
    /// TTL or hop limit that the probe started with.
    pub hop_limit: u8,
    /// TTL or hop limit that the answer arrived with; zero where there was none.
    pub reply_hop_limit: u8,
    /// Who took the arrival stamp.
    pub stamp_source: StampSource,
    /// Loss that we may have caused ourselves, and other marks.
    pub marks: Marks,
}

/// The four ends of a probe, without their detail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Status {
    /// An echo reply came in time.
    Answered,
    /// An ICMP error came in time.
    Error,
    /// Nothing valid came in time.
    Lost,
    /// It never left.
    Unsent,
}

impl Status {
    /// Every status, in the order of its stored number.
    pub const ALL: [Status; 4] = [Status::Answered, Status::Error, Status::Lost, Status::Unsent];

    /// The status's name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Answered => "answered",
            Status::Error => "error",
            Status::Lost => "lost",
            Status::Unsent => "unsent",
        }
    }
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Status {
        match verdict {
            Verdict::Answered => Status::Answered,
            Verdict::Error { .. } => Status::Error,
            Verdict::Lost => Status::Lost,
            Verdict::Unsent(_) => Status::Unsent,
        }
    }
}

impl StoredRow {
    /// The row that `outcome` is stored as, `unix_offset_ns` after its own clock.
    #[must_use]
    pub fn new(outcome: &Outcome, unix_offset_ns: u64) -> StoredRow {
        StoredRow {
            unix_ns: outcome.at.0.wrapping_add(unix_offset_ns),
            rtt_ns: outcome.rtt_ns,
            target: outcome.target,
            destination: outcome.destination,
            responder: outcome.responder,
            seq: outcome.seq,
            error_ns: outcome.error_ns,
            size: outcome.size,
            flow: outcome.flow,
            verdict: outcome.verdict,
            hop_limit: outcome.hop_limit,
            reply_hop_limit: outcome.reply_hop_limit,
            stamp_source: outcome.stamp_source,
            marks: outcome.marks,
        }
    }
}
