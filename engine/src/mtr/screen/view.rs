//! What the user looks at: the part of the screen's state that keys change.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::keys::{self, Command};
use super::theme::ThemeName;
use crate::mtr::field::{self, Field};
use crate::mtr::model::Model;
use crate::mtr::words::Naming;

/// Responders of a hop that are shown at first.
const SIBLINGS: usize = 3;
/// Letters that a choice of columns can have.
const PROMPT_MAX: usize = 32;
/// Hops that a page key moves by.
const PAGE: isize = 10;
/// Lines that a list can be scrolled by; the picture stops at its end.
const SCROLL_MAX: isize = 2_000;

/// What the table shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Display {
    /// Figures, and beside them the history where there is room.
    Both,
    /// Figures alone.
    Figures,
    /// The history alone, as wide as the screen.
    History,
}

/// What lies over the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The keys.
    Help,
    /// The path changes.
    Changes,
    /// The question for columns: what was typed, and what was wrong with it.
    Fields(String, Option<String>),
}

/// What the screen itself cannot do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Leave.
    Quit,
    /// Leave, and print the report.
    QuitWithReport,
    /// Stop probing for a while, or go on.
    Pause,
    /// Forget what was counted.
    Reset,
    /// Keep the picture, or follow again.
    Freeze,
    /// Draw everything anew.
    Redraw,
}

/// The state of the view.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the types say it")]
pub struct View {
    pub target: usize,
    pub flow: Option<u16>,
    pub selected: Option<u8>,
    pub fields: Vec<Field>,
    pub sort: Option<Field>,
    pub ascending: bool,
    pub display: Display,
    pub naming: Naming,
    pub mpls: bool,
    pub siblings: usize,
    pub detail: bool,
    pub over: Over,
    pub scroll: u16,
    pub theme: ThemeName,
}

impl View {
    /// The view at the beginning.
    #[must_use]
    pub fn new(fields: Vec<Field>, naming: Naming, mpls: bool, theme: ThemeName) -> View {
        View {
            target: 0,
            flow: None,
            selected: None,
            fields,
            sort: None,
            ascending: false,
            display: Display::Both,
            naming,
            mpls,
            siblings: SIBLINGS,
            detail: false,
            over: Over::Nothing,
            scroll: 0,
            theme,
        }
    }

    /// Obeys a key; what is left to do for others.
    pub fn key(&mut self, key: &KeyEvent, model: &Model) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if matches!(self.over, Over::Fields(..)) && !ctrl_c {
            self.type_fields(key);
            return None;
        }
        let command = keys::command(key)?;
        match command {
            Command::Quit => return Some(Action::Quit),
            Command::QuitWithReport => return Some(Action::QuitWithReport),
            Command::Pause => return Some(Action::Pause),
            Command::Reset => return Some(Action::Reset),
            Command::Freeze => return Some(Action::Freeze),
            Command::Redraw => return Some(Action::Redraw),
            Command::Help => self.toggle(Over::Help),
            Command::Changes => self.toggle(Over::Changes),
            Command::Fields => self.over = Over::Fields(String::new(), None),
            Command::Back => self.back(),
            _ => self.obey(command, model),
        }
        None
    }

    fn obey(&mut self, command: Command, model: &Model) {
        match command {
            Command::Display => {
                self.display = match self.display {
                    Display::Both => Display::History,
                    Display::History => Display::Figures,
                    Display::Figures => Display::Both,
                }
            }
            Command::Naming => {
                self.naming = if self.naming == Naming::Address { Naming::Name } else { Naming::Address }
            }
            Command::Both => {
                self.naming = if self.naming == Naming::Both { Naming::Name } else { Naming::Both }
            }
            Command::Jitter => {
                let of_jitter = self.fields.contains(&Field::Interarrival);
                let letters = if of_jitter { field::USUAL } else { field::OF_JITTER };
                self.choose(field::parse(letters).unwrap_or_default());
            }
            Command::Mpls => self.mpls = !self.mpls,
            Command::Flow => {
                self.flow = match self.flow {
                    None if model.flows() > 1 => Some(0),
                    Some(flow) if flow + 1 < model.flows() => Some(flow + 1),
                    _ => None,
                }
            }
            Command::NextTarget => self.look_at(self.target + 1, model),
            Command::PreviousTarget => self.look_at(self.target + model.targets().len().max(1) - 1, model),
            Command::Down => self.select(1, model),
            Command::Up => self.select(-1, model),
            Command::PageDown => self.select(PAGE, model),
            Command::PageUp => self.select(-PAGE, model),
            Command::First => self.select(isize::from(i16::MIN), model),
            Command::Last => self.select(isize::from(i16::MAX), model),
            Command::Detail => {
                self.detail = !self.detail;
                if self.selected.is_none() {
                    self.select(isize::from(i16::MAX), model);
                }
            }
            Command::More => self.siblings = (self.siblings + 1).min(crate::mtr::model::hop::RESPONDERS_MAX),
            Command::Fewer => self.siblings = self.siblings.saturating_sub(1),
            Command::SortRight => self.sort_by(1),
            Command::SortLeft => self.sort_by(-1),
            Command::SortReverse => self.ascending = !self.ascending,
            Command::Theme => self.theme = self.theme.next(),
            _ => {}
        }
    }

    fn toggle(&mut self, over: Over) {
        self.scroll = 0;
        self.over = if self.over == over { Over::Nothing } else { over };
    }

    /// Esc: closes what is open, one after the other.
    fn back(&mut self) {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
        } else if self.detail {
            self.detail = false;
        } else if self.sort.take().is_none() {
            self.selected = None;
        }
    }

    fn look_at(&mut self, target: usize, model: &Model) {
        self.target = target % model.targets().len().max(1);
        self.selected = None;
    }

    /// Hops in the order in which the table has them.
    #[must_use]
    pub fn order(&self, model: &Model) -> Vec<u8> {
        let Some(target) = model.targets().get(self.target) else { return Vec::new() };
        let mut hops: Vec<_> = target.path(self.flow).hops().collect();
        if let Some(field) = self.sort {
            // Hops of equal value stay in the order of the path.
            let number = |hop| field.of(hop).number();
            hops.sort_by(|a, b| {
                let order = number(a.1).total_cmp(&number(b.1));
                if self.ascending { order } else { order.reverse() }
            });
        }
        hops.into_iter().map(|(ttl, _)| ttl).collect()
    }

    fn select(&mut self, by: isize, model: &Model) {
        if self.over != Over::Nothing {
            let lines = isize::try_from(self.scroll).unwrap_or(0).saturating_add(by).clamp(0, SCROLL_MAX);
            self.scroll = lines as u16;
            return;
        }
        let order = self.order(model);
        let Some(last) = order.len().checked_sub(1) else { return };
        let at = self.selected.and_then(|ttl| order.iter().position(|of| *of == ttl));
        let place = match at {
            Some(at) => at.saturating_add_signed(by).min(last),
            None if by < 0 && by != isize::from(i16::MIN) => last,
            None => usize::try_from(by - 1).unwrap_or(0).min(last),
        };
        self.selected = order.get(place).copied();
    }

    fn sort_by(&mut self, step: isize) {
        // One place before the first column: by hop.
        let at =
            self.sort.and_then(|field| self.fields.iter().position(|of| *of == field)).map_or(0, |at| at + 1);
        let places = self.fields.len() + 1;
        let next = (at + places).saturating_add_signed(step) % places;
        self.sort = next.checked_sub(1).and_then(|place| self.fields.get(place)).copied();
    }

    fn choose(&mut self, fields: Vec<Field>) {
        self.sort = self.sort.filter(|field| fields.contains(field));
        self.fields = fields;
    }

    fn type_fields(&mut self, key: &KeyEvent) {
        let Over::Fields(typed, wrong) = &mut self.over else { return };
        match key.code {
            KeyCode::Esc => self.over = Over::Nothing,
            KeyCode::Backspace => {
                typed.pop();
                *wrong = None;
            }
            KeyCode::Char(letter) if typed.chars().count() < PROMPT_MAX && !letter.is_control() => {
                typed.push(letter);
                *wrong = None;
            }
            KeyCode::Enter => match field::parse(typed) {
                Ok(fields) => {
                    self.over = Over::Nothing;
                    self.choose(fields);
                }
                Err(error) => *wrong = Some(error.to_string()),
            },
            _ => {}
        }
    }
}
