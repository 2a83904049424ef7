//! Colours. Each theme says what a thing means, and no drawing code names a colour.

use ratatui::style::{Color, Modifier, Style};

/// A set of colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ThemeName {
    /// The terminal's own sixteen colours on its own background.
    Terminal,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
    /// No colour at all, as `NO_COLOR` asks for.
    Mono,
}

impl ThemeName {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> ThemeName {
        match self {
            ThemeName::Terminal => ThemeName::Dark,
            ThemeName::Dark => ThemeName::Light,
            ThemeName::Light => ThemeName::Mono,
            ThemeName::Mono => ThemeName::Terminal,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ThemeName::Terminal => "terminal",
            ThemeName::Dark => "dark",
            ThemeName::Light => "light",
            ThemeName::Mono => "mono",
        }
    }
}

/// What things look like.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Everything else.
    pub base: Style,
    /// The first line.
    pub title: Style,
    /// Heads of columns, and of boxes.
    pub head: Style,
    /// The head of the column that sorts.
    pub sorted: Style,
    /// The selected row.
    pub selected: Style,
    /// What is less important.
    pub dim: Style,
    /// What stands out.
    pub strong: Style,
    /// What is as it should be.
    pub good: Style,
    /// What may be wrong.
    pub warn: Style,
    /// What is wrong.
    pub bad: Style,
    /// Keys in the last line.
    pub key: Style,
    /// Round trips from short to long.
    pub heat: [Style; 4],
    /// A lost probe in a history.
    pub lost: Style,
}

impl Theme {
    /// The theme of a name.
    #[must_use]
    pub fn of(name: ThemeName) -> Theme {
        match name {
            ThemeName::Terminal => Theme::terminal(),
            ThemeName::Dark => Theme::palette(&DARK),
            ThemeName::Light => Theme::palette(&LIGHT),
            ThemeName::Mono => Theme::mono(),
        }
    }

    fn terminal() -> Theme {
        let fg = |color| Style::new().fg(color);
        Theme {
            good: fg(Color::Green),
            warn: fg(Color::Magenta),
            bad: fg(Color::Red).add_modifier(Modifier::BOLD),
            heat: [fg(Color::Green), fg(Color::Cyan), fg(Color::Yellow), fg(Color::Magenta)],
            lost: fg(Color::Red).add_modifier(Modifier::BOLD),
            ..Theme::mono()
        }
    }

    fn mono() -> Theme {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Theme {
            base: plain,
            title: reversed.add_modifier(Modifier::BOLD),
            head: bold,
            sorted: bold.add_modifier(Modifier::UNDERLINED),
            selected: reversed,
            dim: plain.add_modifier(Modifier::DIM),
            strong: bold,
            good: plain,
            warn: bold,
            bad: bold,
            key: bold,
            heat: [plain; 4],
            lost: bold,
        }
    }

    fn palette(palette: &Palette) -> Theme {
        let fg = |index| Style::new().fg(Color::Indexed(index)).bg(Color::Indexed(palette.ground));
        let bold = |index| fg(index).add_modifier(Modifier::BOLD);
        Theme {
            base: fg(palette.text),
            title: Style::new()
                .fg(Color::Indexed(palette.title_text))
                .bg(Color::Indexed(palette.title))
                .add_modifier(Modifier::BOLD),
            head: bold(palette.accent),
            sorted: bold(palette.accent).add_modifier(Modifier::UNDERLINED),
            selected: Style::new().bg(Color::Indexed(palette.selected)),
            dim: fg(palette.dim),
            strong: bold(palette.text),
            good: fg(palette.good),
            warn: fg(palette.warn),
            bad: bold(palette.bad),
            key: bold(palette.accent),
            heat: palette.heat.map(fg),
            lost: bold(palette.bad),
        }
    }
}

/// Colours by their number among 256.
struct Palette {
    ground: u8,
    text: u8,
    dim: u8,
    title: u8,
    title_text: u8,
    accent: u8,
    selected: u8,
    good: u8,
    warn: u8,
    bad: u8,
    heat: [u8; 4],
}

const DARK: Palette = Palette {
    ground: 234,
    text: 252,
    dim: 245,
    title: 24,
    title_text: 255,
    accent: 117,
    selected: 238,
    good: 114,
    warn: 215,
    bad: 203,
    heat: [72, 79, 221, 209],
};

const LIGHT: Palette = Palette {
    ground: 231,
    text: 235,
    dim: 243,
    title: 25,
    title_text: 231,
    accent: 25,
    selected: 253,
    good: 28,
    warn: 130,
    bad: 160,
    heat: [29, 31, 136, 166],
};
