//! What lies over the table: the keys, the path changes, the question for columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Widget};

use super::Scene;
use super::keys::BINDINGS;
use super::view::Over;
use crate::mtr::field::Field;
use crate::mtr::model::{Change, path_id};

/// Borders where the locale has no UTF-8.
pub(super) const ASCII_BORDER: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws what is open, if anything is.
pub fn draw(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    match &scene.view.over {
        Over::Nothing => {}
        Over::Help => show(scene, " keys ", help(scene), area, buffer),
        Over::Changes => show(scene, " path changes ", changes(scene), area, buffer),
        Over::Fields(typed, wrong) => {
            show(scene, " columns ", fields(scene, typed, wrong.as_deref()), area, buffer);
        }
    }
}

fn show(scene: &Scene<'_>, title: &'static str, lines: Vec<Line<'static>>, area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    let wanted = lines.iter().map(Line::width).max().unwrap_or(0).max(title.len()) as u16 + 4;
    let (width, height) = (wanted.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let most = (lines.len() as u16 + 2).saturating_sub(height);
    let scroll = scene.view.scroll.min(most);
    let mut block =
        Block::bordered().title(Span::styled(title, theme.head)).border_style(theme.dim).style(theme.base);
    if scene.glyphs.dot.is_ascii() {
        block = block.border_set(ASCII_BORDER);
    } else {
        block = block.border_type(BorderType::Rounded);
    }
    if most > 0 {
        block = block.title_bottom(Span::styled(" up, down: more ", theme.dim));
    }
    Clear.render(place, buffer);
    Paragraph::new(lines).block(block).scroll((scroll, 0)).render(place, buffer);
}

fn help(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let line = |(keys, what): &(&'static str, &'static str)| {
        Line::from(vec![
            Span::styled(format!(" {keys:<11} "), scene.theme.key),
            Span::styled(*what, scene.theme.base),
        ])
    };
    BINDINGS.iter().map(line).collect()
}

fn fields(scene: &Scene<'_>, typed: &str, wrong: Option<&str>) -> Vec<Line<'static>> {
    let theme = scene.theme;
    let chosen: String = scene.view.fields.iter().map(|field| field.letter()).collect();
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!(" letters (now {chosen}): "), theme.dim),
            Span::styled(format!("{typed}_"), theme.strong),
        ]),
        Line::styled(
            wrong.map_or_else(
                || " Enter takes them, Esc leaves all as it is".to_owned(),
                |wrong| format!(" {wrong}"),
            ),
            match wrong {
                Some(_) => theme.bad,
                None => theme.dim,
            },
        ),
    ];
    lines.extend(Field::ALL.iter().map(|field| {
        Line::from(vec![
            Span::styled(format!(" {}  ", field.letter()), theme.key),
            Span::styled(format!("{:<6} {}", field.title(), field.meaning()), theme.base),
        ])
    }));
    lines
}

fn changes(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let theme = scene.theme;
    let Some(target) = scene.model.targets().get(scene.view.target) else { return Vec::new() };
    let mut lines = Vec::new();
    for (flow, path) in target.flows().iter().enumerate() {
        for change in path.changes().iter().rev() {
            let ago = scene.status.now.since(change.at) / 1_000_000_000;
            let ids = format!(
                "{:08x} {} {:08x}",
                path_id(&change.before) >> 32,
                scene.glyphs.arrow,
                path_id(&change.after) >> 32
            );
            lines.push(Line::styled(
                format!(" {ago} s ago, round {}, flow {flow}: {ids}", change.round),
                theme.head,
            ));
            lines.extend(hops(scene, change));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled(" No path has changed. ", theme.base));
    }
    lines
}

/// The hops that differ.
fn hops(scene: &Scene<'_>, change: &Change) -> Vec<Line<'static>> {
    let longest = change.before.len().max(change.after.len());
    let naming = scene.view.naming;
    let name = |route: &[Option<megaping_wire::Addr>], place: usize| match route.get(place) {
        Some(Some(addr)) => naming.of(addr, scene.names),
        Some(None) => "(no reply)".to_owned(),
        None => "(end)".to_owned(),
    };
    let differs = |place: &usize| change.before.get(*place) != change.after.get(*place);
    let line = |place| {
        let (before, after) = (name(&change.before, place), name(&change.after, place));
        Line::styled(
            format!("   hop {:>2}  {before} {} {after}", place + 1, scene.glyphs.arrow),
            scene.theme.base,
        )
    };
    (0..longest).filter(differs).map(line).collect()
}
