//! Where results wait for `ClickHouse` when the user names no directory.

use std::env;
use std::path::{Path, PathBuf};

use megaping_store::upload::UploadOptions;
use megaping_store::{Recovery, Spool, SpoolOptions, StoreError};

use crate::say::say;

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

/// The directory of all runs that send results of the same tenant to the same place: what one leaves another may send.
#[must_use]
pub fn of_service(base: &Path, upload: &UploadOptions) -> PathBuf {
    let first = upload.server.endpoints.first();
    let (origin, database) = first.map_or(("", ""), |to| (to.origin.as_str(), to.database.as_str()));
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.@".contains(c) { c } else { '_' };
    let name: String =
        format!("{}@{database}.{origin}", upload.tenant).chars().map(plain).take(200).collect();
    base.join(name)
}

/// Opens the first of the numbered directories below `service` that no other run has, and takes over what runs that are
/// gone have left in the others.
///
/// # Errors
/// As [`Spool::open`]; [`StoreError::Locked`] when all are in use.
pub fn open(service: &Path, options: &SpoolOptions) -> Result<(PathBuf, Spool, Recovery), StoreError> {
    let mut last = StoreError::Locked { dir: service.to_owned() };
    for number in 0..RUNS {
        let dir = service.join(format!("run-{number}"));
        match Spool::open(&dir, options.clone()) {
            Ok((mut spool, mut recovery)) => {
                recovery.upload_rows += adopt(&mut spool, service, &dir);
                return Ok((dir, spool, recovery));
            }
            Err(error @ StoreError::Locked { .. }) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn adopt(spool: &mut Spool, service: &Path, own: &Path) -> u64 {
    let others = (0..RUNS).map(|number| service.join(format!("run-{number}")));
    let mut rows = 0;
    for other in others.filter(|other| other != own && other.is_dir()) {
        match spool.adopt(&other) {
            Ok(adopted) => rows += adopted,
            // It is at work.
            Err(StoreError::Locked { .. }) => {}
            Err(error) => say(format_args!("megaping: {error} (what is there stays there)")),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use megaping_store::clickhouse::{Password, Server, Timeouts};

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

    #[test]
    fn what_a_run_left_is_sent_to_the_same_place_for_the_same_tenant_alone() {
        let of = |tenant: &str, url: &str| {
            let endpoints = vec![url.parse().unwrap()];
            let server = Server { endpoints, user: None, password: Password::None, ca: None };
            let (tenant, timeouts) = (tenant.to_owned(), Timeouts::default());
            let options = UploadOptions { server, tenant, timeouts, parallel: 1, bytes_per_s: None };
            of_service(Path::new("/state"), &options)
        };
        assert_eq!(
            of("acme", "https://db.example.net"),
            Path::new("/state/acme@megaping.https___db.example.net_8443")
        );
        let all = [("a", "http://db"), ("b", "http://db"), ("a", "http://db/x"), ("../a", "http://db2")];
        let all: std::collections::BTreeSet<_> = all.iter().map(|(tenant, url)| of(tenant, url)).collect();
        assert!(
            all.len() == 4 && all.iter().all(|path| path.parent() == Some(Path::new("/state"))),
            "{all:?}"
        );
    }
}
