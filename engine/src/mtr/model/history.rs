//! The last rounds of one hop, for sparklines and for knowing what was counted already.

/// Rounds that are remembered.
pub const ROUNDS: usize = 256;

/// Whether round `a` is later than round `b`; rounds may wrap.
#[must_use]
pub const fn is_later(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// What one round brought: one probe a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sample {
    round: u32,
    /// Round trip of the newest answer in microseconds; means nothing where all were lost.
    pub rtt_us: u32,
    /// Probes that have ended.
    pub sent: u16,
    /// Those of them that nobody answered.
    pub lost: u16,
}

impl Sample {
    /// Whether nothing came back.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.sent > 0 && self.lost >= self.sent
    }
}

/// Where a round stands in relation to what is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing was heard of it so far.
    New,
    /// It has been counted.
    Counted,
    /// It is older than the memory.
    TooOld,
}

/// A ring of samples by round.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: Vec<Sample>,
    newest: Option<u32>,
}

impl History {
    /// What is known of a round.
    #[must_use]
    pub fn look(&self, round: u32) -> Known {
        let Some(newest) = self.newest else { return Known::New };
        if is_later(round, newest) {
            return Known::New;
        }
        if newest.wrapping_sub(round) as usize >= ROUNDS {
            return Known::TooOld;
        }
        match self.get(round) {
            Some(sample) if sample.sent > 0 => Known::Counted,
            _ => Known::New,
        }
    }

    /// Adds a probe of a round: its round trip, or none where it was lost. What is too old is left out.
    pub fn add(&mut self, round: u32, rtt_ns: Option<u64>) {
        if self.samples.is_empty() {
            self.samples = vec![Sample::default(); ROUNDS];
        }
        match self.newest {
            Some(newest) if !is_later(round, newest) => {
                if newest.wrapping_sub(round) as usize >= ROUNDS {
                    return;
                }
            }
            _ => self.newest = Some(round),
        }
        let sample = &mut self.samples[round as usize % ROUNDS];
        if sample.round != round {
            *sample = Sample { round, ..Sample::default() };
        }
        sample.sent = sample.sent.saturating_add(1);
        match rtt_ns {
            Some(ns) => sample.rtt_us = u32::try_from(ns / 1_000).unwrap_or(u32::MAX),
            None => sample.lost = sample.lost.saturating_add(1),
        }
    }

    /// A round's sample, where it is remembered.
    #[must_use]
    pub fn get(&self, round: u32) -> Option<&Sample> {
        let age = self.newest?.wrapping_sub(round);
        let sample = self.samples.get(round as usize % ROUNDS)?;
        (sample.round == round && sample.sent > 0 && (age as usize) < ROUNDS).then_some(sample)
    }

    /// The newest round that was heard of.
    #[must_use]
    pub const fn newest(&self) -> Option<u32> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_are_known_once_and_forgotten_in_time() {
        let mut history = History::default();
        assert_eq!(history.look(7), Known::New);
        history.add(7, Some(5_000));
        assert_eq!(
            (history.look(7), history.look(8), history.look(6)),
            (Known::Counted, Known::New, Known::New)
        );
        history.add(8 + ROUNDS as u32, None);
        assert_eq!(history.look(7), Known::TooOld);
        assert_eq!(history.get(7), None);
        assert!(history.get(8 + ROUNDS as u32).is_some_and(Sample::is_lost));
    }

    proptest! {
        /// Against a map of the last rounds, also where rounds wrap.
        #[test]
        fn remembers_the_last_rounds(start in prop::num::u32::ANY, steps in prop::collection::vec(-40i32..90, 1..120)) {
            let mut history = History::default();
            let mut model = std::collections::HashMap::new();
            let (mut round, mut newest) = (start, start);
            for (at, step) in steps.iter().enumerate() {
                round = round.wrapping_add_signed(*step);
                if at == 0 || is_later(round, newest) {
                    newest = round;
                }
                let fresh = (newest.wrapping_sub(round) as usize) < ROUNDS;
                let known = history.look(round);
                let expected = match (fresh, model.contains_key(&round)) {
                    (false, _) => Known::TooOld,
                    (true, true) => Known::Counted,
                    (true, false) => Known::New,
                };
                prop_assert_eq!(known, expected);
                if known == Known::New {
                    history.add(round, Some(u64::from(at as u32) * 1_000));
                    model.insert(round, at as u32);
                }
                for back in 0..ROUNDS as u32 {
                    let asked = newest.wrapping_sub(back);
                    prop_assert_eq!(history.get(asked).map(|sample| sample.rtt_us), model.get(&asked).copied());
                }
            }
        }
    }
}
