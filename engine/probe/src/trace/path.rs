//! One path on its way to be known: which hops were asked, which answered, and what to ask next.
//!
//! ```text
//!   hop limit   first ... floor ........ aim ........ end ....... max
//!               shared  | asked downwards  | upwards    | beyond: never but for the locator, which goes out
//!               hops    | from the aim     | from it    | first, with the largest hop limit
//! ```
//!
//! The *locator* is a probe with the largest hop limit: its answer tells, by the hop limits it carries, about how far
//! the target is. From that aim the path is asked downwards, until hops are met that are known from other paths, and
//! upwards where the aim was too near. So next to nothing is asked beyond the end. A hop that is silent while a farther
//! one answers is asked once more.

use super::event::{HopEnd, HopEvent};

/// The largest hop limit of a trace: hops are kept as bits of a word.
pub const MAX_HOPS: u8 = 64;

/// What holds for every path of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The first hop that is of interest; at least 1.
    pub first_hop: u8,
    /// The last hop that is asked; at most [`MAX_HOPS`].
    pub max_hops: u8,
    /// Silent hops in a row after which nothing more is expected.
    pub gap: u8,
    /// Hops of a path that may be asked at once.
    pub window: u8,
    /// Probes per hop.
    pub queries: u8,
}

/// What is known of a path's length from the last round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Remembered(u8);

const WAS_REACHED: u8 = 0x80;

impl Remembered {
    /// The path's last hop that answered, and whether that was the target.
    #[must_use]
    pub fn new(length: u8, reached: bool) -> Remembered {
        Remembered(length.min(MAX_HOPS) | if reached && length > 0 { WAS_REACHED } else { 0 })
    }

    fn length(self) -> u8 {
        self.0 & !WAS_REACHED
    }

    fn was_reached(self) -> bool {
        self.0 & WAS_REACHED != 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Locator {
    /// Not needed so far.
    #[default]
    Idle,
    Due,
    Out,
    Done,
}

/// The state of one path in one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    asked: u64,
    open: u64,
    heard: u64,
    aim: u8,
    floor: u8,
    end: u8,
    reached: bool,
    // Little is expected beyond the aim: it was silent there before, and the locator found nobody.
    quiet: bool,
    locator: Locator,
    // Hops that were asked once more after silence.
    again_asked: u64,
    remembered: Remembered,
    out: u8,
    // Further probes to a hop that was asked already.
    again: u8,
    again_left: u8,
}

const fn bit(ttl: u8) -> u64 {
    1 << (ttl.wrapping_sub(1) & 63)
}

/// Hops `low` to `high` as bits; none where `high` is below `low`.
fn span(low: u8, high: u8) -> u64 {
    if high == 0 || high < low {
        return 0;
    }
    let up_to = |ttl: u8| if ttl >= 64 { u64::MAX } else { (1 << ttl) - 1 };
    up_to(high) & !up_to(low.saturating_sub(1))
}

impl Path {
    /// A path of which nothing is known but its length in the last round, if there was one.
    #[must_use]
    pub fn new(rules: &Rules, remembered: Remembered) -> Path {
        let known = remembered.was_reached();
        Path {
            floor: rules.first_hop,
            aim: if known { remembered.length() } else { 0 },
            locator: if known { Locator::Idle } else { Locator::Due },
            remembered,
            ..Path::default()
        }
    }

    /// The hop limit of the next probe, if one can be sent now.
    #[inline]
    #[must_use]
    pub fn next(&self, rules: &Rules) -> Option<u8> {
        if self.again_left > 0 {
            return Some(self.again);
        }
        if self.out >= rules.window {
            return None;
        }
        match self.locator {
            Locator::Due => return Some(rules.max_hops),
            // With a window for whole paths somebody waits for them: the near hops are asked meanwhile.
            Locator::Out if rules.window < rules.max_hops => return None,
            _ => {}
        }
        let last = if self.end == 0 { rules.max_hops } else { self.end - 1 };
        let below = span(self.floor, self.aim.min(last)) & !self.asked;
        if below != 0 {
            return Some(64 - below.leading_zeros() as u8);
        }
        let above = span(self.floor.max(self.aim + 1), last) & !self.asked;
        let next = if above == 0 { return None } else { above.trailing_zeros() as u8 + 1 };
        let waits = self.aim > 0 && self.open & bit(self.aim) != 0;
        let answered = self.heard & span(1, next - 1);
        let nearest = (64 - answered.leading_zeros() as u8).max(self.floor - 1);
        // Where the target has answered, there is no doubt that something is there.
        let gap = if self.is_reached() {
            MAX_HOPS
        } else if self.quiet {
            1
        } else {
            rules.gap
        };
        (!waits && next - 1 - nearest < gap).then_some(next)
    }

    /// The probe that [`Path::next`] told of leaves. Returns how many more of its kind will follow.
    #[inline]
    pub fn ask(&mut self, rules: &Rules, ttl: u8) -> u8 {
        self.out += 1;
        if self.again_left > 0 {
            self.again_left -= 1;
            return self.again_left;
        }
        (self.asked, self.open) = (self.asked | bit(ttl), self.open | bit(ttl));
        if self.locator == Locator::Due {
            self.locator = Locator::Out;
            return 0;
        }
        (self.again, self.again_left) = (ttl, rules.queries - 1);
        self.again_left
    }

    /// A probe has ended, and it was the last of its hop where `is_last`.
    #[inline]
    pub fn on_end(&mut self, rules: &Rules, event: &HopEvent, is_last: bool) {
        let ttl = event.ttl;
        self.out -= 1;
        match event.end {
            HopEnd::Reached | HopEnd::Unreachable { .. } => {
                if self.end == 0 || ttl < self.end {
                    self.end = ttl;
                }
                self.reached |= event.end == HopEnd::Reached;
            }
            HopEnd::TimeExceeded | HopEnd::Other { .. } => self.heard |= bit(ttl),
            HopEnd::Lost | HopEnd::Unsent(_) => {}
        }
        if is_last {
            self.open &= !bit(ttl);
        }
        self.doubt_silence();
        if self.locator == Locator::Out && ttl == rules.max_hops {
            self.locator = Locator::Done;
            self.locate(event);
        } else if self.locator == Locator::Idle && ttl == self.aim && self.is_silent(ttl) && self.end == 0 {
            // The target was there in the last round: has it moved, or gone?
            self.locator = Locator::Due;
        }
    }

    /// Hops that are silent before one that answers are asked once more: the probe or the answer may have got lost.
    fn doubt_silence(&mut self) {
        let heard = 64 - self.heard.leading_zeros() as u8;
        let answers = if self.end > 0 { self.end } else { heard };
        let silent =
            self.asked & !(self.open | self.heard | self.again_asked) & span(1, answers.saturating_sub(1));
        self.again_asked |= silent;
        self.asked &= !silent;
    }

    /// What the locator's end says about the path's length.
    fn locate(&mut self, event: &HopEvent) {
        let known = self.remembered.length();
        if matches!(event.end, HopEnd::Lost | HopEnd::Unsent(_)) {
            self.quiet = known > 0;
            self.aim = self.aim.max(known);
        } else if self.aim == 0 {
            self.aim = distance(event).unwrap_or(0);
        }
    }

    /// Sets what is asked first where the locator has not told: a guess by other paths.
    #[inline]
    pub fn guess(&mut self, typical: u8) {
        if self.locator == Locator::Done && self.aim == 0 {
            self.aim = typical;
        }
    }

    /// Hops before this one need not be asked.
    #[inline]
    pub fn share(&mut self, ttl: u8) {
        self.floor = self.floor.max(ttl);
    }

    /// Whether this hop is the nearest of those asked downwards: what is before it was not asked.
    #[inline]
    #[must_use]
    pub fn is_front(&self, ttl: u8) -> bool {
        ttl > self.floor && self.asked & span(self.floor, ttl - 1) == 0
    }

    /// Whether further probes to a hop are still to leave.
    #[inline]
    #[must_use]
    pub fn will_repeat(&self, ttl: u8) -> bool {
        self.again_left > 0 && self.again == ttl
    }

    /// Whether a hop was asked and nobody answered.
    #[inline]
    #[must_use]
    pub fn is_silent(&self, ttl: u8) -> bool {
        self.asked & bit(ttl) != 0 && (self.open | self.heard) & bit(ttl) == 0
    }

    /// Whether no probe is under way.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.out == 0
    }

    /// The hop of the target, or of the first refusal; zero where there was neither.
    #[inline]
    #[must_use]
    pub fn length(&self) -> u8 {
        self.end
    }

    /// Whether the target was reached.
    #[inline]
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.reached
    }

    /// What the next round should know.
    #[must_use]
    pub fn remember(&self) -> Remembered {
        let farthest = 64 - self.heard.leading_zeros() as u8;
        Remembered::new(if self.reached { self.end } else { farthest }, self.reached)
    }
}

/// About how many hops it is to whoever answered. A quote tells how much of the hop limit was left there; a reply
/// started with a power of two, or 255, and lost one on each hop of the way back.
fn distance(event: &HopEvent) -> Option<u8> {
    let hops = match event.end {
        HopEnd::Reached => {
            let arrived = event.reply_hop_limit;
            let starts = [32, 64, 128, 255].into_iter().filter(|start| *start >= arrived);
            starts.map(|start| start - arrived + 1).find(|hops| *hops <= event.ttl)?
        }
        _ => event.ttl.checked_sub(event.quoted_hop_limit)? + 1,
    };
    (1..=event.ttl).contains(&hops).then_some(hops)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
