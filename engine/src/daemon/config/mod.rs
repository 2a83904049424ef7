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
use super::remote::{self, Poller, Remote};
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
    /// What of these are copies, and of what.
    pub urls: Vec<String>,
    /// What an operator should know, although nothing is wrong.
    pub notes: Vec<String>,
}

/// Reads a configuration, its lists, and resolves its names.
///
/// # Errors
/// [`ConfigError`]: all that is wrong, each with its place and what would be right.
pub fn load(path: &Path, remote: &Remote) -> Result<Loaded, ConfigError> {
    let name = path.display().to_string();
    let wrong = |why: String| ConfigError::of(Problem::new(&name, None, why));
    let copy = remote::url_of(path).map(|url| remote.copy(url)).transpose().map_err(wrong)?;
    let file = copy.as_ref().map_or(path, |copy| copy.path.as_path());
    let content = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut loaded = parse(file, &content, remote)?;
    loaded.urls.extend(remote::url_of(path).map(str::to_owned));
    loaded.notes.extend(copy.and_then(|copy| copy.note));
    Ok(loaded)
}

/// The same for a text that stands for the file at `path`.
pub(super) fn parse(path: &Path, content: &str, remote: &Remote) -> Result<Loaded, ConfigError> {
    let text = Text::new(path.display().to_string(), content);
    let file: file::File = toml::from_str(content).map_err(|error| ConfigError::of(text.of_toml(&error)))?;
    resolve::resolve(path, &text, &file, remote)
}

/// A configuration's files, watched for changes.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    remote: Remote,
    poller: Option<Poller>,
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

/// What tells one state of a file from another.
type Stamp = (SystemTime, u64, u64);

impl Source {
    /// Watches the files that `loaded` was read from.
    #[must_use]
    pub fn new(path: &Path, remote: &Remote, loaded: &Loaded) -> Source {
        let (path, remote) = (path.to_owned(), remote.clone());
        let mut source = Source { path, remote, poller: None, seen: Vec::new() };
        source.watch(&loaded.files);
        source
    }

    /// Watches other files from now on.
    pub fn watch(&mut self, files: &[PathBuf]) {
        self.seen = files.iter().map(|file| (file.clone(), stamp(file))).collect();
    }

    /// Keeps copies of what is elsewhere fresh, by a thread that there is only where there are such.
    ///
    /// # Errors
    /// That there is no thread to be had.
    pub fn follow(&mut self, loaded: &Loaded) -> std::io::Result<()> {
        if self.poller.is_none() && !loaded.urls.is_empty() {
            self.poller = Some(Poller::start(self.remote.clone(), remote::EVERY)?);
        }
        if let Some(poller) = &self.poller {
            poller.follow(loaded.urls.clone());
        }
        Ok(())
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
        load(&self.path, &self.remote)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}
