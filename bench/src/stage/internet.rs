//! What becomes of probes out there: outcomes that are as hard to compress as real ones.

use megaping_probe::{Outcome, StampSource, Verdict};

use crate::load::Random;

/// What the Internet makes of probes: round trips, losses, hop limits. Each target has its own.
pub struct Internet {
    targets: Vec<Habits>,
    random: Random,
}

#[derive(Clone, Copy)]
struct Habits {
    base_ns: f64,
    reply_hop_limit: u8,
}

impl Internet {
    pub fn new(targets: u64) -> Internet {
        let mut random = Random(11);
        let mut habits = || {
            // Lognormal around 30 ms; 5 to 24 hops, from a start of 64, 128 or 255.
            let base_ns = (17.2 + 0.9 * random.normal()).exp().min(9e8);
            let bits = random.bits();
            let start = [64, 64, 128, 255][(bits % 4) as usize];
            Habits { base_ns, reply_hop_limit: start - 5 - (bits >> 40) as u8 % 20 }
        };
        Internet { targets: (0..targets).map(|_| habits()).collect(), random }
    }

    /// Rewrites an outcome as this Internet would have it: one in a hundred lost, round trips with jitter, the
    /// kernel's stamps, whose error is that of the batch that a probe left with.
    pub fn suffer(&mut self, row: &mut Outcome) {
        let Some(habits) = self.targets.get(row.target as usize) else { return };
        let base_ns = habits.base_ns;
        let jitter_ns = (base_ns * 0.004 + 9_000.0) * self.random.exponential();
        if self.random.bits().is_multiple_of(100) {
            row.responder = row.destination;
            (row.verdict, row.stamp_source) = (Verdict::Lost, StampSource::User);
            (row.rtt_ns, row.reply_hop_limit, row.error_ns) = (0, 0, 0);
        } else {
            (row.verdict, row.stamp_source) = (Verdict::Answered, StampSource::Kernel);
            row.rtt_ns = whole(base_ns + jitter_ns);
            row.reply_hop_limit = habits.reply_hop_limit;
            row.error_ns = 2_000 + (self.random.bits() % 64) as u32 * 32;
        }
    }
}

#[expect(clippy::cast_sign_loss, reason = "times are positive")]
fn whole(ns: f64) -> u64 {
    ns as u64
}
