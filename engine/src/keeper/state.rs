//! Where results wait for `ClickHouse` when the user names no directory.

use std::env;
use std::path::{Path, PathBuf};

use megaping_store::{Recovery, Spool, SpoolOptions, StoreError};

/// Runs at a time that find a directory of their own.
const RUNS: u32 = 64;

/// The directory of this user's runs, as the environment has it: `$STATE_DIRECTORY` (systemd.exec(5)),
/// `/var/lib/megaping` for root, `$XDG_STATE_HOME/megaping`, `~/.local/state/megaping`. None without a home.
#[must_use]
pub fn base() -> Option<PathBuf> {
    let of = |name| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    if let Some(service) = of("STATE_DIRECTORY") {
        return Some(service);
    }
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/megaping".into());
    }
    let state = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("megaping"))
}

/// Opens the first of the numbered directories below `base` that no other run has: with what an earlier run left
/// in it.
///
/// # Errors
/// As [`Spool::open`]; [`StoreError::Locked`] when all are in use.
pub fn open(base: &Path, options: &SpoolOptions) -> Result<(PathBuf, Spool, Recovery), StoreError> {
    let mut last = StoreError::Locked { dir: base.to_owned() };
    for number in 0..RUNS {
        let dir = base.join(format!("run-{number}"));
        match Spool::open(&dir, options.clone()) {
            Ok((spool, recovery)) => return Ok((dir, spool, recovery)),
            Err(error @ StoreError::Locked { .. }) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_directory_of_its_own_and_takes_over_a_free_one() {
        let base = tempfile::tempdir().unwrap();
        let open = || open(base.path(), &SpoolOptions::default()).unwrap();
        let (first, second) = (open(), open());
        assert_ne!(first.0, second.0);
        let freed = first.0.clone();
        drop(first);
        assert_eq!(open().0, freed);
    }
}
