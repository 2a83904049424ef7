//! What the ring reports and what arrives, matched to what was ordered.

use super::Core;
use super::ending::{answer, outcome};
use crate::border::{Arrival, Integrity, Kind, Sent};
use crate::inflight::State;
use crate::outcome::{Marks, Outcome, Unsent, Verdict};
use crate::work::Work;

impl<W: Work> Core<W> {
    /// Takes the ring's word on an order; an outcome where the probe did not leave.
    #[inline]
    pub fn on_sent(&mut self, sent: Sent) -> Option<Outcome> {
        let entry = self.table.get(sent.key)?;
        match sent.result {
            Ok(stamp) => {
                self.ledger.sent += 1;
                self.ledger.last_sent = stamp.at;
                // An answer that overtook this report has closed the entry already.
                if entry.state == State::Ordered {
                    entry.at = stamp.at;
                    entry.error_ns = stamp.error_ns;
                    entry.state = State::Flying;
                }
                None
            }
            Err(reason) if entry.state == State::Ordered => {
                let reason = match reason {
                    // The ring gives up only when told to: for the end of the run, or because it was full
                    // for as long as a probe lives.
                    Unsent::Stopped if !self.stopping => Unsent::RingFull,
                    other => other,
                };
                entry.state = State::Unsent;
                let outcome = outcome(entry, Verdict::Unsent(reason));
                self.ledger.close(outcome.verdict);
                self.work.on_end(&outcome, None);
                Some(outcome)
            }
            Err(_) => None,
        }
    }

    /// Matches what came; an outcome where it is the first valid answer of a probe under way.
    #[inline]
    pub fn on_arrival(&mut self, arrival: &Arrival<'_>) -> Option<Outcome> {
        if arrival.integrity == Integrity::BadChecksum {
            self.ledger.invalid += 1;
            return None;
        }
        let Some(position) = self.locate(arrival) else {
            self.file_unmatched(arrival);
            return None;
        };
        // Present: `locate` has just looked at it.
        let entry = self.table.get(position)?;
        match entry.state {
            State::Flying | State::Ordered => {}
            State::Answered => {
                self.ledger.duplicates += 1;
                return None;
            }
            State::Lost => {
                self.ledger.late += 1;
                return None;
            }
            State::Unsent | State::Empty => {
                self.ledger.invalid += 1;
                return None;
            }
        }
        let class = self.work.class(entry.target, self.plan.class());
        if arrival.stamp.at.since(entry.at) > class.timeout_ns {
            // Its time was over before it came, and only the tick that says so is still to come.
            self.ledger.late += 1;
            return None;
        }
        let answered = answer(entry, arrival, &self.plan, class);
        entry.state = State::Answered;
        self.rtt_max_ns = self.rtt_max_ns.max(answered.rtt_ns);
        self.ledger.other_responder +=
            u64::from(arrival.kind == Kind::EchoReply && answered.marks.has(Marks::OTHER_RESPONDER));
        self.ledger.close(answered.verdict);
        self.work.on_end(&answered, Some(arrival));
        Some(answered)
    }

    /// The position of the probe that an arrival proves to answer.
    #[inline]
    fn locate(&mut self, arrival: &Arrival<'_>) -> Option<u64> {
        let Some(evidence) = &arrival.evidence else {
            // A reply echoes our whole payload; only an error may quote less (RFC 792: eight bytes).
            return match arrival.kind {
                Kind::EchoReply => None,
                // Behind a NAT it may quote another destination, and then the rest has to do.
                Kind::Error { .. } => {
                    let (identifier, sequence) = (arrival.identifier, arrival.sequence);
                    let found = self.table.find(identifier, sequence, &arrival.destination);
                    found.or_else(|| self.table.find_rewritten(identifier, sequence))
                }
            };
        };
        let entry = self.table.get(evidence.key)?;
        let destination = entry.destination;
        self.identity
            .verify(&destination, arrival.identifier, arrival.sequence, evidence)
            .then_some(evidence.key)
    }

    /// Files what answers no probe that the table remembers: late, forged, or somebody else's.
    #[cold]
    fn file_unmatched(&mut self, arrival: &Arrival<'_>) {
        let Arrival { identifier, sequence, destination, evidence, .. } = arrival;
        let forgotten = evidence
            .as_ref()
            .is_some_and(|proof| self.identity.verify(destination, *identifier, *sequence, proof));
        if forgotten {
            self.ledger.late += 1;
        } else if self.table.find(*identifier, *sequence, destination).is_some() {
            self.ledger.invalid += 1;
        } else {
            self.ledger.foreign += 1;
        }
    }
}
