//! The daemon's run: shards with fleets, and a main thread that follows the configuration.

use std::time::{Duration, Instant};

use megaping_ring::{Clock, Monotonic};

use super::captain::{Captain, Changed};
use super::config::{Loaded, Source};
use super::keeper::TenantKeepers;
use super::roster::SharedRoster;
use super::work::{FleetWork, Helm};
use crate::cli::PingOptions;
use crate::keeper::Keep;
use crate::run::{Job, RunError, Scene, until_done_quietly};
use crate::say::say;

/// The configuration's files are looked at so often.
const LOOK: Duration = Duration::from_millis(500);

/// What a daemon does.
pub(super) struct DaemonJob<'a> {
    pub options: &'a PingOptions,
    pub source: Source,
    pub loaded: Loaded,
    pub roster: SharedRoster,
    pub helms: Vec<Helm>,
    pub reloads: Reloads,
}

/// How often the configuration was read anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reloads {
    /// And followed.
    pub done: u64,
    /// And refused: the one before held on.
    pub refused: u64,
}
