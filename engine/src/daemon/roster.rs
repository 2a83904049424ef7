//! Who has which slot: what turns the number of a target back into tenant and measurement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use megaping_probe::Outcome;

use crate::summary::Counts;

/// A slot is used again so long after its measurement ended: by then none of its probes can be under way.
const QUARANTINE: Duration = Duration::from_secs(70);

/// Who a slot's probes are for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Owner {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The measurement's.
    pub measurement: Arc<str>,
}

#[derive(Debug)]
struct Seat {
    owner: Owner,
    /// Where the tenant's rows are kept, among the tenants that ever were.
    account: usize,
    counts: Counts,
    ended: Option<Instant>,
}

/// All slots, and the counts of every tenant since the start.
#[derive(Debug, Default)]
pub struct Roster {
    seats: Vec<Option<Seat>>,
    accounts: Vec<(Arc<str>, Counts)>,
}

/// The roster, for the main thread, which gives slots away, and the store thread, which counts.
#[derive(Clone, Debug, Default)]
pub struct SharedRoster(Arc<Mutex<Roster>>);

impl SharedRoster {
    /// Locks it; for a batch at a time.
    pub fn lock(&self) -> MutexGuard<'_, Roster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roster {
    /// Gives a measurement a slot of its own.
    pub fn sit(&mut self, tenant: &str, measurement: &str, now: Instant) -> u32 {
        let account = self.account(tenant);
        let tenant = Arc::clone(&self.accounts[account].0);
        let owner = Owner { tenant, measurement: measurement.into() };
        let seat = Some(Seat { owner, account, counts: Counts::default(), ended: None });
        let is_free = |seat: &Option<Seat>| {
            seat.as_ref()
                .is_none_or(|seat| seat.ended.is_some_and(|ended| now.duration_since(ended) > QUARANTINE))
        };
        let slot = self.seats.iter().position(is_free).unwrap_or(self.seats.len());
        if slot == self.seats.len() {
            self.seats.push(seat);
        } else {
            self.seats[slot] = seat;
        }
        slot as u32
    }

    /// A measurement is over: its slot is free when its last probes have ended.
    pub fn leave(&mut self, slot: u32, now: Instant) {
        if let Some(Some(seat)) = self.seats.get_mut(slot as usize) {
            seat.ended = Some(now);
        }
    }

    /// The account of a tenant, a new one for a new name.
    pub fn account(&mut self, tenant: &str) -> usize {
        self.accounts.iter().position(|(name, _)| **name == *tenant).unwrap_or_else(|| {
            self.accounts.push((tenant.into(), Counts::default()));
            self.accounts.len() - 1
        })
    }

    /// Counts an outcome; whose it is, as an account.
    #[inline]
    pub fn count(&mut self, outcome: &Outcome) -> Option<usize> {
        let seat = self.seats.get_mut((outcome.target >> 32) as usize)?.as_mut()?;
        seat.counts.add(outcome);
        self.accounts[seat.account].1.add(outcome);
        Some(seat.account)
    }

    /// Who a probe's target is probed for, by name: tenant and measurement.
    #[must_use]
    pub fn owner(&self, target: u64) -> Option<(String, String)> {
        let Owner { tenant, measurement } = &self.seats.get((target >> 32) as usize)?.as_ref()?.owner;
        Some((tenant.to_string(), measurement.to_string()))
    }

    /// Every tenant that ever was, by account, and what became of its probes.
    #[must_use]
    pub fn accounts(&self) -> &[(Arc<str>, Counts)] {
        &self.accounts
    }

    /// The measurements that run, and what became of their probes.
    #[must_use]
    pub fn measurements(&self) -> BTreeMap<Owner, Counts> {
        let running = self.seats.iter().flatten().filter(|seat| seat.ended.is_none());
        running.map(|seat| (seat.owner.clone(), seat.counts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use megaping_probe::{Unsent, Verdict};

    #[test]
    fn a_slot_is_used_again_when_its_probes_have_ended_and_tenants_keep_their_counts() {
        let mut roster = Roster::default();
        let start = Instant::now();
        let outcome = |slot: u32, verdict| Outcome { target: u64::from(slot) << 32 | 7, verdict, ..blank() };
        let first = roster.sit("acme", "web", start);
        let second = roster.sit("globex", "web", start);
        assert_eq!(roster.count(&outcome(first, Verdict::Answered)), Some(0));
        assert_eq!(roster.count(&outcome(second, Verdict::Unsent(Unsent::Shed))), Some(1));
        assert_eq!(roster.count(&outcome(9, Verdict::Lost)), None);
        roster.leave(first, start);
        assert_eq!(roster.sit("acme", "dns", start + QUARANTINE / 2), 2);
        assert_eq!(roster.count(&outcome(first, Verdict::Lost)), Some(0), "a late one is its old owner's");
        assert_eq!(roster.sit("initech", "web", start + QUARANTINE * 2), first);
        let acme = Counts { scheduled: 2, answered: 1, lost: 1, ..Counts::default() };
        assert_eq!(roster.accounts()[0].1, acme);
        let names: Vec<String> = roster.measurements().keys().map(|owner| owner.tenant.to_string()).collect();
        assert_eq!(names, ["acme", "globex", "initech"]);
    }

    fn blank() -> Outcome {
        Outcome {
            at: megaping_probe::Nanos(0),
            rtt_ns: 0,
            target: 0,
            destination: megaping_wire::Addr::UNSPECIFIED,
            responder: megaping_wire::Addr::UNSPECIFIED,
            seq: 0,
            error_ns: 0,
            size: 24,
            flow: 0,
            verdict: Verdict::Lost,
            hop_limit: 64,
            reply_hop_limit: 0,
            stamp_source: megaping_probe::StampSource::User,
            marks: megaping_probe::Marks::default(),
        }
    }
}
