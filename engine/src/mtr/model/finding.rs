//! What the hops of a path tell together: which loss is a router's own limit, and where loss and delay begin.
//!
//! A probe that is answered from a later hop has passed all hops before it. So no hop loses more of the traffic
//! than a later hop loses of its probes; what it loses beyond that is its own unwillingness to answer. Likewise no
//! hop delays the traffic by more than the least that a later hop's answers took.

use super::fisher::{Losses, p_of_more};
use super::hop::Hop;
use super::path::Path;

/// A hop is called limited from this confidence on.
pub const LIMITED_CONFIDENCE: f64 = 0.99;
/// A loss is said to begin somewhere from this confidence on.
const ONSET_CONFIDENCE: f64 = 0.95;
/// A delay begins at a hop that adds this share of the whole, and no less than [`DELAY_NS_MIN`].
const DELAY_SHARE: f64 = 0.4;
const DELAY_NS_MIN: u64 = 1_000_000;

/// What a hop's losses are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// There are none.
    Clean,
    /// It never answered.
    Silent,
    /// It answers less than it passes on: a later hop loses less. The confidence is one minus the p-value of
    /// Fisher's exact test against the later hop that loses least, times the number of later hops that there
    /// were to choose from (Bonferroni).
    Limited {
        /// 0.99 to 1.
        confidence: f64,
    },
    /// It loses, and later hops may lose as much.
    Lossy,
}

/// Where something begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LossOnset {
    /// The first hop that loses as much as the path does.
    pub ttl: u8,
    /// One minus the p-value of Fisher's exact test against the last hop before it that loses less.
    pub confidence: f64,
}

/// Where a delay begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DelayOnset {
    /// The hop.
    pub ttl: u8,
    /// What it adds to the median round trip, in nanoseconds.
    pub added_ns: u64,
}

/// The findings on one path.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Findings {
    verdicts: Vec<(u8, Verdict)>,
    /// The hop at which the path's loss begins, where it loses and that can be told.
    pub loss_begins: Option<LossOnset>,
    /// The hop that adds most of the delay, where one does.
    pub delay_begins: Option<DelayOnset>,
}

/// What findings are made of: the figures of one hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Its hop limit.
    pub ttl: u8,
    /// Probes that left and have ended.
    pub sent: u64,
    /// Those that were answered.
    pub received: u64,
    /// Their median round trip in nanoseconds.
    pub rtt_ns: u64,
}

impl Figures {
    fn losses(&self) -> Losses {
        Losses { lost: self.sent.saturating_sub(self.received), sent: self.sent }
    }

    fn loss(&self) -> f64 {
        self.losses().lost as f64 / self.sent.max(1) as f64
    }
}

impl Findings {
    /// Looks at a path.
    #[must_use]
    pub fn on(path: &Path) -> Findings {
        let figures = |(ttl, hop): (u8, &Hop)| Figures {
            ttl,
            sent: hop.sent,
            received: hop.received,
            rtt_ns: if hop.received > 0 { hop.rtt.quantile_ns(0.5) } else { 0 },
        };
        let hops: Vec<Figures> = path.hops().map(figures).collect();
        Findings::of(&hops, path.end().is_some_and(|end| end.reached))
    }

    /// Looks at the hops of a path, in their order; `reached`: whether the last one is the destination.
    #[must_use]
    pub fn of(hops: &[Figures], reached: bool) -> Findings {
        let verdicts: Vec<(u8, Verdict)> = hops
            .iter()
            .enumerate()
            .map(|(place, hop)| (hop.ttl, verdict(hop, hops.get(place + 1..).unwrap_or_default())))
            .collect();
        let telling: Vec<Figures> = hops
            .iter()
            .zip(&verdicts)
            .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Clean | Verdict::Lossy))
            .map(|(hop, _)| *hop)
            .collect();
        let loss_begins = if reached { loss_onset(&telling) } else { None };
        Findings { loss_begins, delay_begins: delay_onset(hops), verdicts }
    }

    /// The verdict on a hop.
    #[must_use]
    pub fn verdict(&self, ttl: u8) -> Verdict {
        self.verdicts.iter().find(|(of, _)| *of == ttl).map_or(Verdict::Clean, |(_, verdict)| *verdict)
    }
}

fn verdict(hop: &Figures, later: &[Figures]) -> Verdict {
    if hop.sent > 0 && hop.received == 0 {
        return Verdict::Silent;
    }
    if hop.losses().lost == 0 {
        return Verdict::Clean;
    }
    let answering = || later.iter().filter(|hop| hop.received > 0);
    let Some(best) = answering().min_by(|a, b| a.loss().total_cmp(&b.loss())) else { return Verdict::Lossy };
    let confidence = 1.0 - p_of_more(hop.losses(), best.losses()) * answering().count() as f64;
    if confidence >= LIMITED_CONFIDENCE { Verdict::Limited { confidence } } else { Verdict::Lossy }
}

/// Behind the last hop that loses significantly less than the destination. Before the first hop stands this
/// machine, which lost nothing of as many probes.
fn loss_onset(telling: &[Figures]) -> Option<LossOnset> {
    let whole = telling.last()?.losses();
    let this_machine = Losses { lost: 0, sent: whole.sent };
    let before = std::iter::once(this_machine).chain(telling.iter().map(Figures::losses));
    let steps = before.zip(telling).filter_map(|(before, hop)| {
        let confidence = 1.0 - p_of_more(whole, before);
        (confidence >= ONSET_CONFIDENCE).then_some(LossOnset { ttl: hop.ttl, confidence })
    });
    steps.last()
}

fn delay_onset(hops: &[Figures]) -> Option<DelayOnset> {
    let answering = hops.iter().filter(|hop| hop.received > 0);
    let medians: Vec<(u8, u64)> = answering.map(|hop| (hop.ttl, hop.rtt_ns)).collect();
    let whole = medians.last()?.1;
    let mut least = u64::MAX;
    let mut floors: Vec<(u8, u64)> = medians
        .iter()
        .rev()
        .map(|(ttl, median)| {
            least = least.min(*median);
            (*ttl, least)
        })
        .collect();
    floors.reverse();
    let before = std::iter::once(0).chain(floors.iter().map(|(_, floor)| *floor));
    let steps =
        before.zip(&floors).map(|(before, (ttl, floor))| DelayOnset { ttl: *ttl, added_ns: floor - before });
    let largest = steps.max_by_key(|step| step.added_ns)?;
    let tells = largest.added_ns >= DELAY_NS_MIN && largest.added_ns as f64 >= whole as f64 * DELAY_SHARE;
    (tells && hops.len() > 1).then_some(largest)
}
