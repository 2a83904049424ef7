//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

use crate::targets::Place;

/// Everything that is wrong with a configuration: one line each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    file: String,
    /// Line and column, from one.
    place: Option<(usize, usize)>,
    message: String,
}

impl ConfigError {
    pub(super) fn of(problem: Problem) -> ConfigError {
        ConfigError { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Problem {
    pub(super) fn new(file: &str, place: Option<(usize, usize)>, message: String) -> Problem {
        Problem { file: file.to_owned(), place, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, place, message } = self;
        match place {
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {message}"),
            // The messages of lists bring their own place.
            None if file.is_empty() => f.write_str(message),
            None => write!(f, "{file}: {message}"),
        }
    }
}

/// The text of a configuration, to find places in.
pub(super) struct Text<'a> {
    name: String,
    content: &'a str,
}

impl Text<'_> {
    pub(super) fn new(name: String, content: &str) -> Text<'_> {
        Text { name, content }
    }

    /// Line and column of a byte, from one.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.content.as_bytes()[..at.min(self.content.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
    }

    /// A problem with what stands there.
    pub(super) fn problem(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(&self.name, Some(self.place(span.start)), message.into())
    }

    /// Where an item of a list of targets stands.
    pub(super) fn item_place(&self, span: &Range<usize>) -> Place {
        Place::in_file(&self.name, self.place(span.start).0 as u64)
    }

    /// What the parser says, with the nearest right name for one that is not known.
    pub(super) fn of_toml(&self, error: &toml::de::Error) -> Problem {
        let mut message = error.message().replace('\n', ", ");
        if let Some(nearest) = nearest(&message) {
            message = format!("{message}; did you mean `{nearest}`?");
        }
        Problem::new(&self.name, error.span().map(|span| self.place(span.start)), message)
    }
}

/// Of the names that a message offers instead of an unknown one, the nearest, if it is near.
fn nearest(message: &str) -> Option<&str> {
    let mut names = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let distance = |name: &&str| strsim::damerau_levenshtein(unknown, name);
    names.min_by_key(distance).filter(|name| distance(name) <= name.len().div_ceil(2))
}
