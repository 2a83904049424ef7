//! The table of hops.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Scene;
use super::strip::{Scale, strip};
use super::view::Display;
use crate::mtr::field::{Field, Value};
use crate::mtr::model::history::ROUNDS;
use crate::mtr::model::{Findings, Hop, Path, Responder, Verdict};
use crate::mtr::words;

/// Hop number and a blank.
const NUMBER: usize = 4;
const HOST_MIN: usize = 16;
const HOST_MAX: usize = 44;
const HISTORY_MIN: usize = 12;

/// Who gets how many columns of the screen.
struct Columns {
    host: usize,
    fields: Vec<(Field, usize)>,
    history: usize,
}

impl Columns {
    fn new(scene: &Scene<'_>, width: usize, host_wanted: usize) -> Columns {
        let view = scene.view;
        let roomy = usize::from(width >= 110);
        let chosen = if view.display == Display::History { &[Field::Loss][..] } else { &view.fields };
        let wide = |field: &Field| (*field, 6 + roomy.max(usize::from(*field == Field::Loss)));
        let mut fields: Vec<(Field, usize)> = chosen.iter().map(wide).collect();
        let sum = |fields: &[(Field, usize)]| fields.iter().map(|(_, width)| width).sum::<usize>();
        while fields.len() > 1 && NUMBER + HOST_MIN + sum(&fields) > width {
            fields.pop();
        }
        let rest = width.saturating_sub(NUMBER + sum(&fields));
        let wanted = host_wanted.clamp(HOST_MIN, HOST_MAX);
        let has_room = rest >= wanted.min(HOST_MAX / 2) + HISTORY_MIN + 2;
        if view.display == Display::Figures || !has_room {
            return Columns { host: rest, fields, history: 0 };
        }
        let host = wanted.min(rest - HISTORY_MIN - 2);
        let history = (rest - host - 2).min(ROUNDS);
        Columns { host: rest - history - 2, fields, history }
    }
}

/// One line of the table, and the hop it belongs to.
struct Row {
    line: Line<'static>,
    ttl: u8,
}

/// Draws the table into `area`.
pub fn draw(scene: &Scene<'_>, path: &Path, findings: &Findings, area: Rect, buffer: &mut Buffer) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if height < 2 || width < 20 {
        return;
    }
    let hosts = path.hops().map(|(ttl, hop)| {
        let notes =
            notes(scene, hop, ttl, findings).iter().map(|note| note.chars().count() + 1).sum::<usize>();
        host(scene, hop).chars().count() + notes + 1
    });
    let columns = Columns::new(scene, width, hosts.max().unwrap_or(0));
    let scale = Scale::of(path, columns.history.max(HISTORY_MIN));
    buffer.set_line(area.x, area.y, &head(scene, &columns, scale), area.width);
    let mut rows = Vec::new();
    for ttl in scene.view.order(scene.model) {
        if let Some(hop) = path.hop(ttl) {
            rows_of(scene, path, (ttl, hop), findings, &columns, scale, &mut rows);
        }
    }
    let selected = scene.view.selected;
    let chosen = rows.iter().position(|row| Some(row.ttl) == selected).unwrap_or(0);
    let of_hop = rows.iter().filter(|row| Some(row.ttl) == selected).count();
    // As little scrolled as shows the whole of the selected hop.
    let first = (chosen + of_hop).saturating_sub(height - 1).min(chosen);
    for (row, y) in rows.iter().skip(first).zip(area.y + 1..area.bottom()) {
        buffer.set_line(area.x, y, &row.line, area.width);
        if Some(row.ttl) == selected {
            buffer.set_style(Rect { x: area.x, y, width: area.width, height: 1 }, scene.theme.selected);
        }
    }
    let hidden = (rows.len() - first.min(rows.len())).saturating_sub(height - 1);
    if hidden > 0 || first > 0 {
        let more = format!(" {} more ", hidden + first);
        let x = area.right().saturating_sub(more.len() as u16);
        buffer.set_string(x, area.bottom() - 1, more, scene.theme.title);
    }
}

fn head(scene: &Scene<'_>, columns: &Columns, scale: Scale) -> Line<'static> {
    let theme = scene.theme;
    let mut spans =
        vec![Span::styled(format!("{:>3} {:<width$}", "#", "Host", width = columns.host), theme.head)];
    for (field, width) in &columns.fields {
        let sorts = scene.view.sort == Some(*field);
        let style = if sorts { theme.sorted } else { theme.head };
        let title = field.title();
        spans.push(Span::raw(" ".repeat(width.saturating_sub(title.len()))));
        spans.push(Span::styled(title, style));
    }
    if columns.history > 0 {
        let title = format!("  History, hot from {} ms on", time(f64::from(scale.top_us) * 750.0));
        spans.push(Span::styled(title, theme.head));
    }
    Line::from(spans)
}

fn rows_of(
    scene: &Scene<'_>,
    path: &Path,
    (ttl, hop): (u8, &Hop),
    findings: &Findings,
    columns: &Columns,
    scale: Scale,
    rows: &mut Vec<Row>,
) {
    let theme = scene.theme;
    let verdict = findings.verdict(ttl);
    let is_end = path.end().is_some_and(|end| end.ttl == ttl);
    let mut spans = vec![Span::styled(format!("{ttl:>3} "), theme.dim)];
    let style = match verdict {
        Verdict::Silent => theme.dim,
        _ if is_end => theme.strong,
        _ => theme.base,
    };
    let notes = notes(scene, hop, ttl, findings);
    spans.extend(host_cell(scene, &host(scene, hop), style, &notes, columns.host));
    for (field, width) in &columns.fields {
        let (text, style) = cell(scene, field.of(hop), hop, verdict);
        spans.push(Span::styled(format!("{text:>width$}"), style));
    }
    if columns.history > 0 {
        spans.push(Span::raw("  "));
        let newest = path.newest().unwrap_or_default();
        spans.extend(strip(hop, newest, columns.history, scale, theme, &scene.glyphs));
    }
    rows.push(Row { line: Line::from(spans), ttl });
    let shown = hop.ranked().into_iter().take(1 + scene.view.siblings);
    let count = shown.len();
    for (rank, responder) in shown.enumerate() {
        if rank > 0 {
            let line = sibling(scene, (ttl, hop), responder, rank + 1 == count, columns);
            rows.push(Row { line, ttl });
        }
        for label in words::labels(responder).iter().filter(|_| scene.view.mpls) {
            rows.push(Row { line: Line::styled(format!("      {label}"), theme.dim), ttl });
        }
    }
}

fn host(scene: &Scene<'_>, hop: &Hop) -> String {
    if hop.responders.is_empty() {
        "(no reply)".to_owned()
    } else {
        scene.view.naming.of_hop(hop, scene.names)
    }
}

fn notes(scene: &Scene<'_>, hop: &Hop, ttl: u8, findings: &Findings) -> Vec<String> {
    let mut notes = Vec::new();
    if findings.loss_begins.is_some_and(|loss| loss.ttl == ttl) {
        notes.push("loss begins".to_owned());
    }
    if let Some(delay) = findings.delay_begins.filter(|delay| delay.ttl == ttl) {
        notes.push(format!("+{:.0} ms", delay.added_ns as f64 / 1e6));
    }
    // `(no reply)` says as much.
    notes.extend(words::notes(hop, findings.verdict(ttl)).into_iter().filter(|note| note != "silent"));
    let labels = hop.ranked().first().map_or(0, |responder| responder.labels.len());
    if labels > 0 && !scene.view.mpls {
        notes.push("MPLS".to_owned());
    }
    notes
}

/// The name from the left, and from the right as many notes as find room beside it.
fn host_cell(
    scene: &Scene<'_>,
    name: &str,
    style: Style,
    notes: &[String],
    width: usize,
) -> Vec<Span<'static>> {
    let len = name.chars().count();
    if len > width {
        let cut: String = name.chars().take(width.saturating_sub(1)).collect();
        return vec![Span::styled(format!("{cut}~"), style)];
    }
    let mut text = String::new();
    for note in notes {
        if len + 1 + text.chars().count() + 1 + note.chars().count() <= width {
            text = if text.is_empty() { note.clone() } else { format!("{text} {note}") };
        }
    }
    let room = width - len;
    let alarms = ["loss begins", "!", "NAT"];
    let warns = notes.first().is_some_and(|note| alarms.iter().any(|alarm| note.starts_with(alarm)));
    let note_style = if warns { scene.theme.warn } else { scene.theme.dim };
    vec![Span::styled(name.to_owned(), style), Span::styled(format!("{text:>room$}"), note_style)]
}

fn cell(scene: &Scene<'_>, value: Value, hop: &Hop, verdict: Verdict) -> (String, Style) {
    let theme = scene.theme;
    match value {
        Value::Share(share) => {
            let style = match verdict {
                Verdict::Limited { .. } | Verdict::Silent => theme.dim,
                _ if share > 0.05 => theme.bad,
                _ if share > 0.0 => theme.warn,
                _ => theme.good,
            };
            (if share >= 1.0 { "100%".to_owned() } else { format!("{:.1}%", share * 100.0) }, style)
        }
        Value::Count(count) => (count.to_string(), theme.base),
        Value::Time(_) if hop.received == 0 => ("-".to_owned(), theme.dim),
        Value::Time(ns) => (time(ns), theme.base),
    }
}

/// Another responder of the hop: its share, and what is known of it under the same heads.
fn sibling(
    scene: &Scene<'_>,
    (ttl, hop): (u8, &Hop),
    of: &Responder,
    is_last: bool,
    columns: &Columns,
) -> Line<'static> {
    let theme = scene.theme;
    let branch = scene.glyphs.branches[usize::from(is_last)];
    let name = format!("{branch}{}", scene.view.naming.of(&of.addr, scene.names));
    let share = of.received as f64 * 100.0 / hop.received.max(1) as f64;
    let is_past = scene.model.targets().get(scene.view.target).is_some_and(|target| target.is_past(ttl, of));
    let share = if is_past { "before the change".to_owned() } else { format!("{share:.0}% of answers") };
    let mut spans = vec![Span::raw(" ".repeat(NUMBER))];
    spans.extend(host_cell(scene, &name, theme.dim, &[share], columns.host));
    for (field, width) in &columns.fields {
        let text = match field {
            Field::Received | Field::Sent => of.received.to_string(),
            Field::Last => time(of.last_ns as f64),
            Field::Best => time(of.best_ns as f64),
            Field::Average => time(of.mean_ns()),
            _ => String::new(),
        };
        spans.push(Span::styled(format!("{text:>width$}"), theme.dim));
    }
    Line::from(spans)
}

/// Milliseconds in five letters at most.
#[must_use]
pub fn time(ns: f64) -> String {
    match ns / 1e6 {
        ms if ms < 0.9995 => format!("{ms:.3}"),
        ms if ms < 99.995 => format!("{ms:.2}"),
        ms if ms < 999.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}
