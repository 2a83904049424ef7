//! Pictures are held against files, at three sizes, with colours and without.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p megaping screen` writes the files anew.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::theme::ThemeName;
use super::view::{Action, Display, Over};
use super::*;
use crate::mtr::field::{self, Field};
use crate::mtr::model::Findings;
use crate::mtr::testing;
use crate::mtr::words::Naming;

fn view(theme: ThemeName) -> View {
    View::new(field::parse(field::USUAL).unwrap(), Naming::Name, false, theme)
}

fn titles(model: &Model) -> Vec<String> {
    (0..model.targets().len()).map(|n| format!("target-{n}.example")).collect()
}

fn picture(model: &Model, view: &View, (width, height): (u16, u16), glyphs: &Glyphs) -> Buffer {
    let status = Status {
        elapsed: Duration::from_secs(3_725),
        now: Nanos(100_000_000_000),
        backend: "raw",
        ..Status::default()
    };
    let (names, titles) = (Names::off(), titles(model));
    let theme = Theme::of(view.theme);
    let scene = Scene {
        model,
        names: &names,
        titles: &titles,
        view,
        status: &status,
        theme: &theme,
        glyphs: *glyphs,
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(&scene, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer, of_cell: impl Fn(&Cell) -> String) -> String {
    let width = usize::from(buffer.area.width);
    let row = |cells: &[Cell]| cells.iter().map(&of_cell).collect::<String>().trim_end().to_owned() + "\n";
    buffer.content.chunks(width).map(row).collect()
}

fn text(buffer: &Buffer) -> String {
    rows(buffer, |cell| cell.symbol().to_owned())
}

/// One letter a cell: its colour, or else what is done to it.
fn styles(buffer: &Buffer) -> String {
    rows(buffer, |cell| {
        let letter = match cell.fg {
            Color::Reset if cell.modifier.contains(Modifier::REVERSED) => "R",
            Color::Reset if cell.modifier.contains(Modifier::UNDERLINED) => "U",
            Color::Reset if cell.modifier.contains(Modifier::BOLD) => "B",
            Color::Reset if cell.modifier.contains(Modifier::DIM) => "d",
            Color::Reset if cell.symbol() == " " => " ",
            Color::Reset => ".",
            Color::Red => "r",
            Color::Green => "g",
            Color::Cyan => "c",
            Color::Yellow => "y",
            Color::Magenta => "m",
            _ => "?",
        };
        letter.to_owned()
    })
}

fn check(name: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/mtr-{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(picture == expected, "{name} has changed; if that is meant, set UPDATE_SNAPSHOTS=1:\n{picture}");
}

const SIZES: [(u16, u16); 3] = [(60, 16), (80, 24), (120, 40)];

#[test]
fn pictures_at_three_sizes_with_colours_and_without() {
    let model = testing::model(3, 2, 90);
    for size in SIZES {
        for (theme, name) in [(ThemeName::Terminal, "colour"), (ThemeName::Mono, "mono")] {
            let buffer = picture(&model, &view(theme), size, &Glyphs::UNICODE);
            check(&format!("{}x{}-{name}", size.0, size.1), &(text(&buffer) + &styles(&buffer)));
            if theme == ThemeName::Mono {
                assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
            }
        }
    }
}

#[test]
fn other_views() {
    let model = testing::model(1, 1, 90);
    let mut help = view(ThemeName::Mono);
    help.over = Over::Help;
    check("help", &text(&picture(&model, &help, (80, 24), &Glyphs::UNICODE)));
    let mut changes = view(ThemeName::Mono);
    changes.over = Over::Changes;
    check("changes", &text(&picture(&model, &changes, (80, 24), &Glyphs::UNICODE)));
    let mut history = view(ThemeName::Mono);
    (history.display, history.mpls, history.detail, history.selected) =
        (Display::History, true, true, Some(5));
    check("history-detail", &text(&picture(&model, &history, (80, 30), &Glyphs::UNICODE)));
    let ascii = picture(&model, &history, (80, 30), &Glyphs::ASCII);
    assert!(text(&ascii).is_ascii(), "{}", text(&ascii));
}

#[test]
fn no_size_and_no_state_is_too_small() {
    let (full, empty) = (testing::model(2, 3, 40), testing::model(1, 1, 0));
    for model in [&full, &empty] {
        for width in (1..140).step_by(7) {
            for height in 1..45 {
                let mut view = view(ThemeName::Dark);
                (view.detail, view.selected) = (width % 2 == 0, Some(height as u8));
                view.over = match height % 4 {
                    0 => Over::Help,
                    1 => Over::Changes,
                    2 => Over::Fields("LQ".into(), Some("wrong".into())),
                    _ => Over::Nothing,
                };
                picture(model, &view, (width, height), &Glyphs::UNICODE);
            }
        }
    }
}

fn press(view: &mut View, model: &Model, keys: &str) -> Option<Action> {
    let press = |letter| match letter {
        '\n' => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
        '\u{1b}' => KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
        '\t' => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
        'v' => KeyEvent::new(KeyCode::Down, KeyModifiers::NONE),
        '^' => KeyEvent::new(KeyCode::Up, KeyModifiers::NONE),
        letter => KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE),
    };
    keys.chars().map(press).fold(None, |_, key| view.key(&key, model))
}

#[test]
fn keys_are_mtrs() {
    let model = testing::model(2, 2, 30);
    let mut view = view(ThemeName::Terminal);
    assert_eq!(press(&mut view, &model, "q"), Some(Action::Quit));
    assert_eq!(press(&mut view, &model, "p"), Some(Action::Pause));
    assert_eq!(press(&mut view, &model, " "), Some(Action::Pause));
    assert_eq!(press(&mut view, &model, "r"), Some(Action::Reset));
    press(&mut view, &model, "n");
    assert_eq!(view.naming, Naming::Address);
    press(&mut view, &model, "j");
    assert!(view.fields.contains(&Field::Interarrival));
    press(&mut view, &model, "oLQ\n");
    assert!(matches!(&view.over, Over::Fields(typed, Some(_)) if typed == "LQ"));
    // In the prompt a q is a letter like others; Ctrl-C is not.
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.key(&ctrl_c, &model), Some(Action::Quit));
    press(&mut view, &model, "\u{1b}oLAS\n");
    assert_eq!(view.fields, [Field::Loss, Field::Average, Field::Sent]);
    press(&mut view, &model, "vv");
    assert_eq!(view.selected, Some(2));
    press(&mut view, &model, "^^^");
    assert_eq!(view.selected, Some(1));
    press(&mut view, &model, "fff");
    assert_eq!(view.flow, None);
    press(&mut view, &model, "\t");
    assert_eq!((view.target, view.selected), (1, None));
    press(&mut view, &model, "\t?");
    assert_eq!((view.target, &view.over), (0, &Over::Help));
}

#[test]
fn rows_sort_by_any_column_and_back() {
    let model = testing::model(1, 1, 60);
    let mut view = view(ThemeName::Terminal);
    press(&mut view, &model, ">");
    assert_eq!(view.order(&model).first(), Some(&7));
    press(&mut view, &model, "s");
    assert_eq!(view.order(&model).last(), Some(&7));
    press(&mut view, &model, "<");
    assert_eq!((view.sort, view.order(&model)), (None, (1..=9).collect()));
    press(&mut view, &model, "<");
    assert_eq!(view.sort, Some(Field::Deviation));
}

#[test]
fn the_story_of_the_path_is_told() {
    let model = testing::model(1, 1, 90);
    let findings = Findings::on(model.targets()[0].path(None));
    assert_eq!(findings.delay_begins.map(|delay| delay.ttl), Some(6));
    let shown = text(&picture(&model, &view(ThemeName::Mono), (120, 40), &Glyphs::UNICODE));
    for said in [
        "reached in 9 hops",
        "loss begins at hop 6",
        "hop 6 adds",
        "1 change",
        "limited 99",
        "NAT",
        "(no reply)",
    ] {
        assert!(shown.contains(said), "{said}:\n{shown}");
    }
}
