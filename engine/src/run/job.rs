//! What a run is for: the work of its shards, and what the main thread does meanwhile.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use megaping_probe::{Ping, Work};

use super::{RunError, RunPlan, Walk, watch};
use crate::capture::{Naming, Tokens};
use crate::cli::{OutputFormat, PingOptions};
use crate::keeper::{Keep, Keeper};
use crate::net::LiveTargets;

/// A kind of run.
pub(crate) trait Job {
    /// What a shard probes.
    type Work: Work + Send;

    /// Whether a second signal has to wait until the job allows it to leave at once ([`watch::Signals`]).
    const IS_PATIENT: bool = false;

    /// Opens what outcomes are kept in, if they are: after the rings, so that a run that may not send leaves no
    /// directory behind.
    fn keeper(&mut self) -> Result<Option<Box<dyn Keep>>, RunError> {
        Ok(None)
    }

    /// The part of one shard; asked once for each, in order.
    fn work(&mut self, shard: u16) -> Self::Work;

    /// Whose a target is, for those who look at packets, where it is not the run's one tenant's.
    fn names(&self) -> Option<Naming> {
        None
    }

    /// Whose a token is, for tenants who look at their packets: nobody's where the run has no tenants.
    fn tokens(&self) -> Tokens {
        Box::new(|_| None)
    }

    /// Is given what next hops are looked up for, on rings that send frames: for a job whose targets change.
    fn routes_follow(&mut self, _live: Arc<LiveTargets>) {}

    /// What the main thread does: returns when every shard has ended.
    fn watch(&mut self, scene: &watch::Scene<'_, '_>);
}

/// `megaping ping`.
pub(super) struct PingJob<'a> {
    pub options: &'a PingOptions,
    pub plan: RunPlan,
    pub walk: Walk,
}

impl Job for PingJob<'_> {
    type Work = Ping<Walk>;

    fn keeper(&mut self) -> Result<Option<Box<dyn Keep>>, RunError> {
        Ok(Keeper::open(self.options)?.map(|keeper| Box::new(keeper) as Box<dyn Keep>))
    }

    fn work(&mut self, shard: u16) -> Ping<Walk> {
        Ping::new(&self.plan.ping(self.options, shard), self.walk.clone())
    }

    fn watch(&mut self, scene: &watch::Scene<'_, '_>) {
        // Outcomes on the same terminal would be drawn into the line, and they are progress enough.
        let draws = self.options.output == OutputFormat::None || !io::stdout().is_terminal();
        watch::until_done(scene, &self.plan, self.options.timeout_ns, draws, || false);
    }
}
