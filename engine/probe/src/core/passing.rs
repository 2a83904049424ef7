//! The passing of time: what nobody answered, what is overdue, and what is left out.

use super::ending::outcome;
use super::{Core, LEFT_OUT_MAX};
use crate::inflight::{Entry, State};
use crate::outcome::{Marks, Outcome, Unsent, Verdict};
use crate::time::Nanos;
use crate::work::{Task, Work};

impl<W: Work> Core<W> {
    /// Lets time pass: ends what nobody answered, and skips what is overdue. Makes at most `quota` outcomes,
    /// and skips no more than the `seats` allow (rows that are free, as in [`Core::next_order`]). Returns how
    /// many outcomes it made. `now` is a time up to which everything that arrived has been shown to the core.
    #[inline]
    pub fn on_tick(&mut self, now: Nanos, seats: usize, quota: u32, mut emit: impl FnMut(Outcome)) -> u32 {
        let mut left = quota;
        if W::SHEDS {
            let many = self.left_out.len().min(left as usize);
            self.left_out.drain(..many).for_each(&mut emit);
            left -= many as u32;
        }
        while left > 0 {
            let Some(entry) = self.table.oldest() else { break };
            if entry.state == State::Ordered {
                break;
            }
            if entry.state == State::Flying {
                if now.since(entry.at) <= self.plan.timeout_ns {
                    break;
                }
                entry.state = State::Lost;
                let mut lost = outcome(entry, Verdict::Lost);
                if self.dropped_at >= lost.at && self.dropped_at > Nanos(0) {
                    lost.marks = lost.marks.with(Marks::SELF_INFLICTED);
                }
                self.ledger.close(Verdict::Lost);
                self.work.on_end(&lost, None);
                emit(lost);
                left -= 1;
            }
            self.table.pass_oldest();
        }
        // Each loss has taken its seat, and is in flight no more.
        let seats = seats.saturating_sub((quota - left) as usize);
        quota - left + self.skip_overdue(now, seats, left, emit)
    }

    fn skip_overdue(&mut self, now: Nanos, seats: usize, quota: u32, mut emit: impl FnMut(Outcome)) -> u32 {
        let free = (seats as u64).saturating_sub(self.ledger.in_flight + self.left_out.len() as u64);
        let most = free.min(u64::from(quota)) as u32;
        for skipped in 0..most {
            let sheds = self.shedding || self.work.is_shed();
            match self.work.due() {
                Some(due) if due <= now && (sheds || self.work.is_overdue(due)) => {}
                _ => return skipped,
            }
            let Some(task) = self.work.take() else { return skipped };
            let reason = match (sheds, self.starved) {
                (true, _) => Unsent::Shed,
                (false, true) => Unsent::Backpressure,
                (false, false) => Unsent::Overdue,
            };
            let skipped = self.skip(&task, reason);
            emit(skipped);
        }
        most
    }

    /// Leaves the next probe out; `None` when there is no room to remember it.
    pub(super) fn leave_out(&mut self) -> Option<()> {
        if self.left_out.len() == LEFT_OUT_MAX {
            return None;
        }
        let task = self.work.take()?;
        let outcome = self.skip(&task, Unsent::Shed);
        self.left_out.push(outcome);
        Some(())
    }

    /// Files a probe that will not leave.
    fn skip(&mut self, task: &Task, reason: Unsent) -> Outcome {
        let entry = Entry {
            destination: task.destination,
            at: task.due,
            target: task.target,
            seq: task.seq,
            flow: task.flow,
            size: self.work.class(task.target, self.plan.class()).payload_len,
            hop_limit: task.hop_limit,
            ..Entry::default()
        };
        self.ledger.scheduled += 1;
        self.ledger.unsent[reason as usize] += 1;
        let skipped = outcome(&entry, Verdict::Unsent(reason));
        self.work.on_end(&skipped, None);
        skipped
    }
}
