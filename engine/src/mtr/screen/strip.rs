//! The last rounds of a hop as a strip of bars. How high a bar is tells its round trip among those of the hop, how
//! hot it is tells it among those of the path; a cross is a loss.

use ratatui::text::Span;

use super::theme::Theme;
use crate::mtr::model::{Hop, Path};

/// Bars from low to high, a loss, and a loss of some flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glyphs {
    /// Eight heights.
    pub bars: [&'static str; 8],
    /// A whole place of a chart, and a part of one where there are no eighths.
    pub full: [&'static str; 2],
    /// Every probe of the round was lost.
    pub lost: &'static str,
    /// The same at a hop that never answers.
    pub silent: &'static str,
    /// Branches: of a responder in the middle, of the last one.
    pub branches: [&'static str; 2],
    /// A dot before what is well.
    pub dot: &'static str,
    /// Between parts of a line.
    pub gap: &'static str,
    /// From one to another.
    pub arrow: &'static str,
}

impl Glyphs {
    /// Of Unicode's block elements.
    pub const UNICODE: Glyphs = Glyphs {
        bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        full: ["█", ""],
        lost: "×",
        silent: "·",
        branches: ["├ ", "└ "],
        dot: "●",
        gap: " · ",
        arrow: "→",
    };
    /// Of ASCII, where the locale has no UTF-8; the bars are those of mtr in spirit.
    pub const ASCII: Glyphs = Glyphs {
        bars: [".", "1", "2", "3", "4", "5", "6", "7"],
        full: ["#", ":"],
        lost: "?",
        silent: " ",
        branches: ["|-", "`-"],
        dot: "*",
        gap: " | ",
        arrow: "->",
    };

    /// Those that the locale can show.
    #[must_use]
    pub fn of_locale() -> Glyphs {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        // Without any locale the terminal is asked nothing, and today's terminals read UTF-8.
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_uppercase();
            locale.contains("UTF-8") || locale.contains("UTF8")
        });
        if utf8 { Glyphs::UNICODE } else { Glyphs::ASCII }
    }
}

/// How round trips become heat: the same for all hops of a picture, so that they can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The round trip from which on a bar is as hot as can be, in microseconds.
    pub top_us: u32,
}

impl Scale {
    /// For the last `rounds` of a path: up to the 98th percentile, so that one slow answer does not flatten all.
    #[must_use]
    pub fn of(path: &Path, rounds: usize) -> Scale {
        let newest = path.newest().unwrap_or_default();
        let of_hop = |hop: &Hop| -> Vec<u32> {
            samples(hop, newest, rounds).flatten().filter_map(|(us, _)| us).collect()
        };
        let mut all: Vec<u32> = path.hops().flat_map(|(_, hop)| of_hop(hop)).collect();
        all.sort_unstable();
        let place = all.len().saturating_sub(1) * 98 / 100;
        Scale { top_us: all.get(place).copied().unwrap_or(1).max(1) }
    }

    /// 0 to 3.
    fn heat(self, us: u32) -> usize {
        ((f64::from(us) / f64::from(self.top_us) * 4.0) as usize).min(3)
    }
}

/// How the round trips of one hop become heights, 0 to 6 (the highest would touch the row above): from its shortest to its longest, unless these are near
/// each other.
struct Heights {
    foot_us: u32,
    span_us: u32,
}

impl Heights {
    fn of(hop: &Hop, newest: u32, rounds: usize) -> Heights {
        let answered = || samples(hop, newest, rounds).flatten().filter_map(|(us, _)| us);
        let foot_us = answered().min().unwrap_or(0);
        let span_us = answered().max().unwrap_or(0) - foot_us;
        Heights { foot_us, span_us: span_us.max(foot_us / 4).max(1) }
    }

    fn height(&self, us: u32) -> usize {
        let share = f64::from(us.saturating_sub(self.foot_us)) / f64::from(self.span_us);
        ((share * 6.0).round() as usize).min(6)
    }
}

/// The rounds up to `newest`, oldest first: round trip, where there was an answer, and whether anything was lost.
pub(super) fn samples(
    hop: &Hop,
    newest: u32,
    rounds: usize,
) -> impl Iterator<Item = Option<(Option<u32>, bool)>> {
    (0..rounds as u32).rev().map(move |back| {
        let sample = hop.history.get(newest.wrapping_sub(back))?;
        Some(((!sample.is_lost()).then_some(sample.rtt_us), sample.lost > 0))
    })
}

/// The strip of a hop, `width` rounds up to `newest`.
#[must_use]
pub fn strip(
    hop: &Hop,
    newest: u32,
    width: usize,
    scale: Scale,
    theme: &Theme,
    glyphs: &Glyphs,
) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let heights = Heights::of(hop, newest, width);
    for sample in samples(hop, newest, width) {
        let (glyph, style) = match sample {
            None => (" ", theme.base),
            Some((None, _)) if hop.received == 0 => (glyphs.silent, theme.dim),
            Some((None, _)) => (glyphs.lost, theme.lost),
            Some((Some(us), lost)) => {
                let style = if lost { theme.lost } else { theme.heat[scale.heat(us)] };
                (glyphs.bars[heights.height(us)], style)
            }
        };
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push_str(glyph),
            _ => spans.push(Span::styled(glyph.to_owned(), style)),
        }
    }
    spans
}
