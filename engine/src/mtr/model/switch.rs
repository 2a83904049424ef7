//! Tells a path change from a hop that several routers share.
//!
//! A flow keeps one path, so another responder at a hop means that the path has changed, unless routers balance
//! packet by packet. A change is believed when the new responder was alone for some answers: three at a hop that
//! was steady, four more for each time that its responder has flipped among the last 32 answers.

use megaping_probe::Nanos;
use megaping_wire::Addr;

const STEADY: u32 = 3;
const PER_FLIP: u32 = 4;

/// A responder that took over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    /// Who answered before.
    pub from: Addr,
    /// Who answers now.
    pub to: Addr,
    /// The round that it answered first.
    pub round: u32,
    /// When that probe left.
    pub at: Nanos,
}

/// Who answers at one hop of one flow.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    current: Option<Addr>,
    previous: Option<Addr>,
    rival: Option<Rival>,
    // One bit an answer, the newest lowest: whether it came from another responder than the one before.
    flips: u32,
}

#[derive(Clone, Copy, Debug)]
struct Rival {
    addr: Addr,
    answers: u32,
    round: u32,
    at: Nanos,
}

impl Watch {
    /// The responder that this hop is believed to have.
    #[must_use]
    pub const fn current(&self) -> Option<Addr> {
        self.current
    }

    /// Takes an answer; a switch where it is the one that proves it.
    pub fn hear(&mut self, addr: Addr, round: u32, at: Nanos) -> Option<Switch> {
        let flipped = self.previous.replace(addr).is_some_and(|previous| previous != addr);
        self.flips = self.flips << 1 | u32::from(flipped);
        let Some(current) = self.current else {
            self.current = Some(addr);
            return None;
        };
        if addr == current {
            self.rival = None;
            return None;
        }
        let rival = match self.rival {
            Some(rival) if rival.addr == addr => Rival { answers: rival.answers + 1, ..rival },
            _ => Rival { addr, answers: 1, round, at },
        };
        // The flip to this very rival is no sign of balancing.
        let flips = self.flips.count_ones().saturating_sub(1);
        if rival.answers < STEADY + PER_FLIP * flips {
            self.rival = Some(rival);
            return None;
        }
        self.rival = None;
        self.current = Some(addr);
        Some(Switch { from: current, to: addr, round: rival.round, at: rival.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Addr = Addr::v4([192, 0, 2, 1]);
    const B: Addr = Addr::v4([192, 0, 2, 2]);

    fn switches(answers: impl IntoIterator<Item = Addr>) -> Vec<u32> {
        let mut watch = Watch::default();
        let heard = answers.into_iter().enumerate();
        heard.filter_map(|(i, addr)| watch.hear(addr, i as u32, Nanos(i as u64))).map(|s| s.round).collect()
    }

    #[test]
    fn a_change_is_seen_once_and_dated_back() {
        let answers = [A; 20].into_iter().chain([B; 20]);
        assert_eq!(switches(answers), [20]);
        let there_and_back = [A; 40].into_iter().chain([B; 40]).chain([A; 40]);
        assert_eq!(switches(there_and_back), [40, 80]);
    }

    #[test]
    fn stray_answers_and_balancing_are_no_change() {
        assert!(switches([A; 20].into_iter().chain([B; 2]).chain([A; 20])).is_empty());
        // Two routers by turns of random length, from a generator whose bits are good enough for this.
        let mut state = 1u64;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if state >> 63 == 0 { A } else { B }
        });
        assert!(switches(random.take(5_000)).len() <= 1);
    }
}
