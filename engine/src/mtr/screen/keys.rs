//! Which key does what: mtr's keys where mtr has one, trippy's for much of the rest.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "`BINDINGS` says it")]
pub enum Command {
    Quit,
    QuitWithReport,
    Pause,
    Reset,
    Freeze,
    Display,
    Naming,
    Both,
    Jitter,
    Fields,
    Mpls,
    Flow,
    NextTarget,
    PreviousTarget,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    Detail,
    Back,
    More,
    Fewer,
    SortRight,
    SortLeft,
    SortReverse,
    Changes,
    Theme,
    Redraw,
    Help,
}

/// Keys and what they do, for the help.
pub const BINDINGS: [(&str, &str); 22] = [
    ("q", "quit (Ctrl-C as well)"),
    ("Q", "quit and print the report"),
    ("p, space", "pause probing, and go on"),
    ("r", "reset: forget what was counted"),
    ("F, Ctrl-F", "freeze the screen, probing goes on"),
    ("d", "display: figures, figures and history, history"),
    ("n", "names or addresses"),
    ("b", "both"),
    ("j", "figures of jitter, and back"),
    ("o", "choose columns by letters, as mtr's -o"),
    ("e", "MPLS label stacks"),
    ("f", "next flow, or all of them"),
    ("Tab, right", "next target (left: previous)"),
    ("up, down", "select a hop (PgUp PgDn Home End)"),
    ("Enter, c", "the selected hop in detail"),
    ("[ ]", "fewer or more responders of a hop"),
    ("< >", "the column that sorts"),
    ("s", "sort the other way round"),
    ("l", "the list of path changes"),
    ("t", "theme: terminal, dark, light, mono"),
    ("Ctrl-L", "draw everything anew"),
    ("?, h", "this help (Esc closes it)"),
];

/// What a key press asks for, if anything.
#[must_use]
pub fn command(key: &KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Command::Quit),
            KeyCode::Char('r') => Some(Command::Reset),
            KeyCode::Char('f') => Some(Command::Freeze),
            KeyCode::Char('l') => Some(Command::Redraw),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Char('q') => Command::Quit,
        KeyCode::Char('Q') => Command::QuitWithReport,
        KeyCode::Char('p' | ' ') => Command::Pause,
        KeyCode::Char('r') => Command::Reset,
        KeyCode::Char('F') => Command::Freeze,
        KeyCode::Char('d') => Command::Display,
        KeyCode::Char('n') => Command::Naming,
        KeyCode::Char('b') => Command::Both,
        KeyCode::Char('j') => Command::Jitter,
        KeyCode::Char('o') => Command::Fields,
        KeyCode::Char('e') => Command::Mpls,
        KeyCode::Char('f') => Command::Flow,
        KeyCode::Tab | KeyCode::Right => Command::NextTarget,
        KeyCode::BackTab | KeyCode::Left => Command::PreviousTarget,
        KeyCode::Down => Command::Down,
        KeyCode::Up => Command::Up,
        KeyCode::PageDown => Command::PageDown,
        KeyCode::PageUp => Command::PageUp,
        KeyCode::Home => Command::First,
        KeyCode::End => Command::Last,
        KeyCode::Enter | KeyCode::Char('c') => Command::Detail,
        KeyCode::Esc => Command::Back,
        KeyCode::Char(']') => Command::More,
        KeyCode::Char('[') => Command::Fewer,
        KeyCode::Char('>' | '.') => Command::SortRight,
        KeyCode::Char('<' | ',') => Command::SortLeft,
        KeyCode::Char('s') => Command::SortReverse,
        KeyCode::Char('l') => Command::Changes,
        KeyCode::Char('t') => Command::Theme,
        KeyCode::Char('?' | 'h') => Command::Help,
        _ => return None,
    })
}
