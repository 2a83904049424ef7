//! One hop in detail: all its figures, its responders, and its last rounds as a chart.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Widget};

use super::Scene;
use super::popup::ASCII_BORDER;
use super::strip::samples;
use super::table::time;
use crate::mtr::field::{Field, Value};
use crate::mtr::model::{Findings, Hop, Path, Responder, Verdict};
use crate::mtr::words::{self, Naming};

/// Rows that it takes, its border included.
pub const HEIGHT: u16 = 11;

/// Draws the box.
pub fn draw(scene: &Scene<'_>, path: &Path, findings: &Findings, area: Rect, buffer: &mut Buffer) {
    let selected = scene.view.selected.and_then(|ttl| Some((ttl, path.hop(ttl)?)));
    let Some((ttl, hop)) = selected.or_else(|| path.last()) else { return };
    let naming = Naming::Both;
    let title = format!(" hop {ttl}: {} ", naming.of_hop(hop, scene.names));
    let mut block = Block::new()
        .borders(Borders::TOP)
        .border_style(scene.theme.dim)
        .title(Span::styled(title, scene.theme.head));
    if scene.glyphs.dot.is_ascii() {
        block = block.border_set(ASCII_BORDER);
    }
    let inner = block.inner(area);
    block.render(area, buffer);
    let [text, chart] = Layout::horizontal([
        Constraint::Percentage(if inner.width < 70 { 100 } else { 52 }),
        Constraint::Fill(1),
    ])
    .spacing(1)
    .areas(inner);
    for (line, y) in
        lines(scene, ttl, hop, findings.verdict(ttl), text.width).iter().zip(text.y..text.bottom())
    {
        buffer.set_line(text.x, y, line, text.width);
    }
    draw_chart(scene, path, hop, chart, buffer);
}

fn lines(scene: &Scene<'_>, ttl: u8, hop: &Hop, verdict: Verdict, width: u16) -> Vec<Line<'static>> {
    let theme = scene.theme;
    let figures = |title: &'static str, fields: &[Field]| {
        let mut spans = vec![Span::styled(format!(" {title:<8}"), theme.dim)];
        let mut used = 9;
        for field in fields {
            let value = match field.of(hop) {
                Value::Share(share) => format!("{:.1}%", share * 100.0),
                Value::Count(count) => count.to_string(),
                Value::Time(ns) => time(ns),
            };
            let (title, value) = (format!("{} ", field.title()), format!("{value}  "));
            // A number that is cut off is a wrong one.
            used += title.len() + value.len();
            if used <= usize::from(width) + 2 {
                spans.extend([Span::styled(title, theme.dim), Span::styled(value, theme.base)]);
            }
        }
        Line::from(spans)
    };
    let mut lines = vec![
        figures("probes", &[Field::Sent, Field::Received, Field::Dropped, Field::Loss]),
        figures("ms", &[Field::Best, Field::Median, Field::Average, Field::P99, Field::Worst]),
        figures("jitter", &[Field::Jitter, Field::JitterMean, Field::JitterWorst, Field::Interarrival]),
    ];
    let says = match verdict {
        Verdict::Clean => None,
        Verdict::Silent => Some("has never answered".to_owned()),
        Verdict::Limited { confidence } => {
            Some(format!("limits its answers ({} sure): later hops lose less", words::percent(confidence)))
        }
        Verdict::Lossy => Some("loses, and nothing shows that it limits its answers".to_owned()),
    };
    lines.extend(says.map(|says| {
        Line::from(vec![
            Span::styled(format!(" {:<8}", "verdict"), theme.dim),
            Span::styled(says, theme.base),
        ])
    }));
    for responder in hop.ranked() {
        lines.push(responder_line(scene, ttl, hop, responder));
        lines.extend(
            words::labels(responder)
                .into_iter()
                .map(|label| Line::styled(format!("          {label}"), theme.dim)),
        );
    }
    if hop.others > 0 {
        lines
            .push(Line::styled(format!("          {} answers of further responders", hop.others), theme.dim));
    }
    lines
}

fn responder_line(scene: &Scene<'_>, ttl: u8, hop: &Hop, responder: &Responder) -> Line<'static> {
    let theme = scene.theme;
    let share = responder.received as f64 * 100.0 / hop.received.max(1) as f64;
    let mut spans = vec![
        Span::styled(format!(" {:<8}", format!("{share:.0}%")), theme.dim),
        Span::styled(scene.view.naming.of(&responder.addr, scene.names), theme.strong),
        Span::styled(format!("  {} ms", time(responder.mean_ns())), theme.base),
    ];
    if let Some(back) = responder.hops_back() {
        let style = if back.abs_diff(ttl) > 2 { theme.warn } else { theme.dim };
        spans.push(Span::styled(format!("  {back} hops back"), style));
    }
    let error = words::error_name(responder.addr.is_v4(), responder.end);
    spans.extend(error.map(|name| Span::styled(format!("  {}", name.replace('_', " ")), theme.bad)));
    for mark in words::marks(responder.marks) {
        spans.push(Span::styled(format!("  {}", mark.replace('_', " ")), theme.warn));
    }
    Line::from(spans)
}

/// Bars over the last rounds, their feet at the shortest round trip where that is long.
fn draw_chart(scene: &Scene<'_>, path: &Path, hop: &Hop, area: Rect, buffer: &mut Buffer) {
    const LABEL: u16 = 7;
    if area.width < 20 || area.height < 3 {
        return;
    }
    let (theme, glyphs) = (scene.theme, &scene.glyphs);
    let width = area.width - LABEL - 1;
    let newest = path.newest().unwrap_or_default();
    let shown: Vec<_> = samples(hop, newest, usize::from(width)).collect();
    let answered: Vec<u32> = shown.iter().flatten().filter_map(|(us, _)| *us).collect();
    let top = answered.iter().copied().max().unwrap_or(1).max(1);
    let least = answered.iter().copied().min().unwrap_or(0);
    let foot = if least > top / 2 { least - (top - least).min(least) / 4 } else { 0 };
    let label = |us: u32| format!("{:>6} ", time(f64::from(us) * 1e3));
    buffer.set_string(area.x, area.y, label(top), theme.dim);
    buffer.set_string(area.x, area.bottom() - 1, label(foot), theme.dim);
    let steps = u32::from(area.height) * 8;
    for (x, sample) in (area.x + LABEL..).zip(&shown) {
        let Some((us, _)) = sample else { continue };
        let Some(us) = us else {
            buffer.set_string(x, area.bottom() - 1, glyphs.lost, theme.lost);
            continue;
        };
        let share = f64::from(us.saturating_sub(foot)) / f64::from((top - foot).max(1));
        let filled = ((share * f64::from(steps)).round() as u32).clamp(1, steps);
        let style = theme.heat[((share * 3.0).round() as usize).min(3)];
        for row in 0..=(filled - 1) / 8 {
            let part = (filled - row * 8).min(8) as usize;
            let glyph = match (part, glyphs.full) {
                (8, [full, _]) => full,
                (_, [_, ""]) => glyphs.bars[part - 1],
                (_, [_, some]) => some,
            };
            buffer.set_string(x, area.bottom() - 1 - row as u16, glyph, style);
        }
    }
}
