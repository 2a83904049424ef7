//! Which segments go into which files: decided once, on disk, before the first of them is made.
//!
//! ```text
//!   ID.plan written ──> one file an hour, named ID.parquet ──> renamed ID.done ──> segments removed ──> ID.done removed
//! ```
//!
//! Whatever a crash interrupts is begun again from the plan, and makes the same files of the same segments under the
//! same names: on a store that overwrites as well as on one that refuses to.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{StoreError, files};

/// Ending of a plan that is to be carried out.
const PLAN: &str = "plan";
/// Ending of a plan whose files are all there.
const DONE: &str = "done";

/// Segments of one node that become files together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Name of its files, that of the first segment: no other plan has it.
    pub id: String,
    /// Whose rows they are.
    pub tenant: String,
    /// URL of the place where its files go.
    pub place: String,
    /// The segments, as paths below the store's directory.
    pub segments: Vec<PathBuf>,
    /// Whether all its files are there.
    #[serde(skip)]
    pub is_done: bool,
}

impl Plan {
    /// Writes the plan down.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin(&self, dir: &Path) -> Result<(), StoreError> {
        let path = self.path(dir, PLAN);
        let temporary = self.temporary(dir, "plan.tmp");
        files::create_dirs(&dir.join(files::ARCHIVE))?;
        let text = serde_json::to_vec(self).expect("a plan is names under names");
        fs::write(&temporary, text).map_err(StoreError::io("write", &temporary))?;
        let synced = fs::File::open(&temporary).and_then(|file| file.sync_all());
        synced.map_err(StoreError::io("sync", &temporary))?;
        files::rename(&temporary, &path)
    }

    /// Notes that every file of it is there: from here on segments may go.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn done(&mut self, dir: &Path) -> Result<(), StoreError> {
        if !self.is_done {
            files::rename(&self.path(dir, PLAN), &self.path(dir, DONE))?;
            self.is_done = true;
        }
        Ok(())
    }

    /// Forgets a plan whose segments are gone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn end(&self, dir: &Path) -> Result<(), StoreError> {
        files::remove(&self.path(dir, DONE))
    }

    /// A file beside the plan, for what is not whole yet.
    #[must_use]
    pub fn temporary(&self, dir: &Path, ending: &str) -> PathBuf {
        dir.join(files::ARCHIVE).join(format!("{}.{ending}", self.id))
    }

    fn path(&self, dir: &Path, ending: &str) -> PathBuf {
        self.temporary(dir, ending)
    }

    /// What an earlier process left, oldest first; temporary files are removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn left(dir: &Path) -> Result<Vec<Plan>, StoreError> {
        let dir = dir.join(files::ARCHIVE);
        for path in files::list(&dir, "tmp")? {
            files::remove(&path)?;
        }
        let mut plans = Vec::new();
        for ending in [DONE, PLAN] {
            for path in files::list(&dir, ending)? {
                let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
                let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
                    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                    StoreError::io("read the plan", &path)(source)
                })?;
                plans.push(Plan { is_done: ending == DONE, ..plan });
            }
        }
        Ok(plans)
    }
}
