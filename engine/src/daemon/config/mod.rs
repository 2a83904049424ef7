//! The daemon's configuration: from a file to an [`Agenda`], or to everything that is wrong with it.

mod command;
mod error;
mod file;
mod node;
mod resolve;
#[cfg(test)]
mod tests;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use megaping_wire::Addr;

use super::agenda::Agenda;
use super::control::ControlOptions;
use crate::cli::PingOptions;
pub use command::run;
use error::Text;
pub use error::{ConfigError, Problem};

/// A configuration, read and checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// How the node probes and keeps results; `rate_pps` is its limit, `payload_len` and `timeout_ns` are the largest.
    pub options: PingOptions,
    /// What it measures, and for whom.
    pub agenda: Agenda,
    /// Where it is watched and steered, and by whom.
    pub control: ControlOptions,
    /// Every address, once.
    pub addresses: Arc<[Addr]>,
    /// What it was read from: the file itself, and the lists that it names.
    pub files: Vec<PathBuf>,
    /// What an operator should know, although nothing is wrong.
    pub notes: Vec<String>,
}

/// Reads a configuration, its lists, and resolves its names.
///
/// # Errors
/// [`ConfigError`]: all that is wrong, each with its place and what would be right.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let name = path.display().to_string();
    let content = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::of(Problem::new(&name, None, format!("cannot be read: {error}"))))?;
    parse(path, &content)
}

/// The same for a text that stands for the file at `path`.
pub(super) fn parse(path: &Path, content: &str) -> Result<Loaded, ConfigError> {
    let text = Text::new(path.display().to_string(), content);
    let file: file::File = toml::from_str(content).map_err(|error| ConfigError::of(text.of_toml(&error)))?;
    resolve::resolve(path, &text, &file)
}

/// A configuration's files, watched for changes.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

/// What tells one state of a file from another.
type Stamp = (SystemTime, u64, u64);

impl Source {
    /// Watches the files that `loaded` was read from.
    #[must_use]
    pub fn new(path: &Path, loaded: &Loaded) -> Source {
        let mut source = Source { path: path.to_owned(), seen: Vec::new() };
        source.watch(&loaded.files);
        source
    }

    /// Watches other files from now on.
    pub fn watch(&mut self, files: &[PathBuf]) {
        self.seen = files.iter().map(|file| (file.clone(), stamp(file))).collect();
    }

    /// Whether one of them is another than when this was asked last.
    pub fn has_changed(&mut self) -> bool {
        let mut changed = false;
        for (file, before) in &mut self.seen {
            let now = stamp(file);
            changed |= now != *before;
            *before = now;
        }
        changed
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.path)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}
