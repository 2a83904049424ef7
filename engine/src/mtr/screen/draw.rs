//! The whole picture.
//!
//! ```text
//!   title: target, elapsed, round, backend
//!   tabs, where there are several targets
//!   where the path ends, its loss and delay, its id, its changes
//!   what was found: where loss and delay begin
//!   the table of hops
//!   the selected hop in detail, where asked for or where there is plenty of room
//!   keys, and what is paused, frozen or lost
//! ```

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::table::time;
use super::{Scene, detail, popup, table};
use crate::mtr::model::{Findings, Hop, Path, Target};
use crate::mtr::words;

/// From this height on there is room for the details of a hop, whether asked for or not.
const PLENTY: u16 = 34;
/// From this height on what was found has a line of its own.
const SOME: u16 = 20;
/// So many rounds without an answer are told.
const LONG: u32 = 4;

const KEYS: [(&str, &str); 13] = [
    ("q", "quit"),
    ("p", "pause"),
    ("r", "reset"),
    ("d", "display"),
    ("n", "names"),
    ("?", "help"),
    ("Enter", "detail"),
    ("j", "jitter"),
    ("o", "columns"),
    ("e", "MPLS"),
    ("f", "flow"),
    ("l", "changes"),
    ("t", "theme"),
];

/// Draws a scene.
pub fn draw(scene: &Scene<'_>, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    buffer.set_style(area, scene.theme.base);
    let Some(target) = scene.model.targets().get(scene.view.target) else { return };
    let path = target.path(scene.view.flow);
    let findings = Findings::on(path);
    let tabs = u16::from(scene.model.targets().len() > 1);
    let found = u16::from(area.height >= SOME);
    let has_detail = scene.view.detail && area.height >= detail::HEIGHT + 6 || area.height >= PLENTY;
    let heights = [1, tabs, 1, found].map(Constraint::Length);
    let [title, tab_line, summary, finding, table_area, box_area, keys] =
        Layout::vertical(heights.into_iter().chain([
            Constraint::Fill(1),
            Constraint::Length(if has_detail { detail::HEIGHT } else { 0 }),
            Constraint::Length(1),
        ]))
        .areas(area);
    draw_title(scene, target, title, buffer);
    if tabs > 0 {
        draw_tabs(scene, tab_line, buffer);
    }
    put(buffer, summary, &summary_line(scene, target, path, area.width));
    put(buffer, finding, &finding_line(scene, path, &findings, area.width));
    table::draw(scene, path, &findings, table_area, buffer);
    if has_detail {
        detail::draw(scene, path, &findings, box_area, buffer);
    }
    draw_keys(scene, keys, buffer);
    popup::draw(scene, area, buffer);
}

/// A line at the top of an area, where there is any.
fn put(buffer: &mut Buffer, area: Rect, line: &Line<'_>) {
    if !area.is_empty() {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

fn draw_title(scene: &Scene<'_>, target: &Target, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let title = scene.titles.get(scene.view.target).map_or("", String::as_str);
    let addr = target.addr.to_string();
    let left = if title == addr {
        format!(" megaping mtr  {addr}")
    } else {
        format!(" megaping mtr  {title} ({addr})")
    };
    let status = scene.status;
    let seconds = status.elapsed.as_secs();
    let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let round = target.path(None).newest().map_or(0, |newest| u64::from(newest) + 1);
    let right = format!("round {round}  {clock}  {} ", status.backend);
    buffer.set_style(area, scene.theme.title);
    let room = usize::from(area.width);
    buffer.set_stringn(area.x, area.y, &left, room, scene.theme.title);
    let free = room.saturating_sub(left.chars().count() + 1);
    if right.len() <= free {
        buffer.set_string(area.right() - right.len() as u16, area.y, right, scene.theme.title);
    }
}

/// As many tabs as fit, the chosen one among them.
fn draw_tabs(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    let tabs: Vec<(String, bool)> = scene
        .model
        .targets()
        .iter()
        .zip(scene.titles)
        .map(|(target, title)| {
            let path = target.path(None);
            let reached = path.end().is_some_and(|end| end.reached);
            let loss = path.last().filter(|_| reached).map_or(1.0, |(_, hop)| hop.loss());
            let state =
                if path.newest().is_none() { String::new() } else { format!(" {:.0}%", loss * 100.0) };
            (format!(" {title}{state} "), loss > 0.0 && path.newest().is_some())
        })
        .collect();
    let width = |tabs: &[(String, bool)]| tabs.iter().map(|(tab, _)| tab.chars().count() + 1).sum::<usize>();
    let chosen = scene.view.target.min(tabs.len().saturating_sub(1));
    let mut first = 0;
    while first < chosen && width(&tabs[first..=chosen]) > usize::from(area.width) {
        first += 1;
    }
    let mut spans = Vec::new();
    for (place, (tab, lossy)) in tabs.into_iter().enumerate().skip(first) {
        let style = match (place == chosen, lossy) {
            (true, _) => theme.selected.patch(theme.strong),
            (false, true) => theme.warn,
            (false, false) => theme.dim,
        };
        let style = if place == chosen { style.patch(theme.selected) } else { style };
        spans.extend([Span::styled(tab, style), Span::raw(" ")]);
    }
    put(buffer, area, &Line::from(spans));
}

fn summary_line(scene: &Scene<'_>, target: &Target, path: &Path, width: u16) -> Line<'static> {
    let theme = scene.theme;
    let dot = scene.glyphs.dot;
    let last = path.last();
    let (state, style) = match (path.end(), last) {
        (_, None) => (format!(" {dot} waiting for answers"), theme.dim),
        (Some(end), Some((_, hop))) if end.reached => match unanswered(path, hop) {
            0..LONG => (format!(" {dot} reached in {} hops", end.ttl), theme.good),
            rounds => (format!(" {dot} no answer for {rounds} rounds"), theme.bad),
        },
        (Some(end), Some((_, hop))) => {
            let sign = hop.last_answer().and_then(|(_, kind)| words::error_name(target.addr.is_v4(), kind));
            let sign = sign.unwrap_or("unreachable").replace('_', " ");
            (format!(" {dot} {sign} at hop {}", end.ttl), theme.bad)
        }
        (None, _) => (format!(" {dot} no answer of the destination"), theme.bad),
    };
    let mut parts = vec![(state, style)];
    let mut say = |text: String| parts.push((text, theme.base));
    if let Some((_, hop)) = last.filter(|_| path.end().is_some_and(|end| end.reached)) {
        say(format!("loss {:.1}%", hop.loss() * 100.0));
        let quantile = |quantile| time(hop.rtt.quantile_ns(quantile) as f64);
        say(format!("p50 {} p99 {} ms", quantile(0.5), quantile(0.99)));
    }
    match target.changes_total() {
        0 => {}
        1 => say("1 change".to_owned()),
        changes => say(format!("{changes} changes")),
    }
    if last.is_some() {
        match (scene.model.flows(), scene.view.flow) {
            (0 | 1, _) => say(format!("path {:08x}", path.id() >> 32)),
            (_, Some(flow)) => say(format!("flow {flow} path {:08x}", path.id() >> 32)),
            (flows, None) => say(format!("{flows} flows, {} paths", paths(target))),
        }
    }
    joined(scene, parts, width)
}

/// Parts in a row, as many as fit.
fn joined(scene: &Scene<'_>, parts: Vec<(String, Style)>, width: u16) -> Line<'static> {
    let gap = scene.glyphs.gap;
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for (text, style) in parts {
        let first = spans.is_empty();
        let wide = text.chars().count() + if first { 0 } else { gap.chars().count() };
        if !first && used + wide > usize::from(width) {
            break;
        }
        used += wide;
        if !first {
            spans.push(Span::styled(gap, scene.theme.dim));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// Rounds since the last answer of a hop.
fn unanswered(path: &Path, hop: &Hop) -> u32 {
    match (path.newest(), hop.last_answer()) {
        (Some(newest), Some((answered, _))) => newest.wrapping_sub(answered),
        _ => 0,
    }
}

/// Different paths among the flows.
fn paths(target: &Target) -> usize {
    let mut ids: Vec<u64> = target.flows().iter().map(Path::id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

fn finding_line(scene: &Scene<'_>, path: &Path, findings: &Findings, width: u16) -> Line<'static> {
    let theme = scene.theme;
    let mut parts: Vec<(String, Style)> = Vec::new();
    let mut say = |text: String, style| {
        let indent = if parts.is_empty() { "   " } else { "" };
        parts.push((format!("{indent}{text}"), style));
    };
    if let Some(loss) = findings.loss_begins {
        say(format!("loss begins at hop {} ({} sure)", loss.ttl, words::percent(loss.confidence)), theme.bad);
    }
    if let Some(delay) = findings.delay_begins {
        say(format!("hop {} adds {} ms", delay.ttl, time(delay.added_ns as f64)), theme.warn);
    }
    let limited = path
        .hops()
        .filter(|(ttl, _)| matches!(findings.verdict(*ttl), crate::mtr::model::Verdict::Limited { .. }));
    let limited: Vec<u8> = limited.map(|(ttl, _)| ttl).collect();
    match limited[..] {
        [] => {}
        [ttl] => say(format!("hop {ttl} limits its answers"), theme.dim),
        _ => say(format!("{} hops limit their answers", limited.len()), theme.dim),
    }
    joined(scene, parts, width)
}

fn draw_keys(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (theme, status) = (scene.theme, scene.status);
    let mut right: Vec<Span<'static>> = Vec::new();
    if status.dropped > 0 {
        right.push(Span::styled(format!(" {} events dropped ", status.dropped), theme.bad));
    }
    if status.paused {
        right.push(Span::styled(" PAUSED ", theme.title));
    }
    if status.over {
        right.push(Span::styled(" DONE ", theme.title));
    }
    if status.frozen {
        right.push(Span::styled(" FROZEN ", theme.title));
    }
    let right = Line::from(right);
    let room = usize::from(area.width).saturating_sub(right.width());
    let mut left: Vec<Span<'static>> = vec![Span::raw(" ")];
    let mut used = 1;
    for (key, what) in KEYS {
        let wide = key.len() + what.len() + 3;
        if used + wide > room {
            break;
        }
        used += wide;
        left.extend([Span::styled(key, theme.key), Span::styled(format!(" {what}  "), theme.dim)]);
    }
    buffer.set_line(area.x, area.y, &Line::from(left), area.width);
    let x = area.right().saturating_sub(right.width() as u16);
    buffer.set_line(x, area.y, &right, right.width() as u16);
}
