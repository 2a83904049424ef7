//! The daemon's run: shards with fleets, and a main thread that follows the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use megaping_ring::{Clock, Monotonic};

use super::agenda::Agenda;
use super::captain::{Captain, Changed};
use super::config::{Loaded, Source};
use super::control::{Control, Order};
use super::keeper::TenantKeepers;
use super::publish::{Events, Publisher};
use super::roster::SharedRoster;
use super::systemd;
use super::work::{FleetWork, Helm};
use crate::capture::{Naming, Tokens};
use crate::cli::PingOptions;
use crate::keeper::Keep;
use crate::run::{Job, LiveTargets, RunError, RunPlan, Scene, stop_all, until_done};
use crate::say::say;
use crate::targets::TargetSet;

/// The configuration's files are looked at so often.
const LOOK: Duration = Duration::from_millis(500);
/// The main thread's priority (setpriority(2)): low, beside those who probe and store.
const NICE: i32 = 10;
/// Of the node's limit so much is given away: the rest is for what has to be made up for.
const GIVEN: f64 = 0.99;

/// What a daemon does.
pub(super) struct DaemonJob<'a> {
    pub options: &'a PingOptions,
    pub plan: RunPlan,
    pub source: Source,
    pub loaded: Loaded,
    pub roster: SharedRoster,
    pub helms: Vec<Helm>,
    /// Set by SIGHUP.
    pub reload: Arc<AtomicBool>,
    pub duration: Option<Duration>,
    /// Where next hops are looked up for, on rings that send frames.
    pub live: Option<Arc<LiveTargets>>,
    pub control: Control,
    /// Tenants that rest by request.
    pub paused: BTreeSet<String>,
    pub events: Events,
}

impl Job for DaemonJob<'_> {
    type Work = FleetWork;

    fn keeper(&mut self) -> Result<Option<Box<dyn Keep>>, RunError> {
        for tenant in &self.loaded.agenda.tenants {
            self.roster.lock().account(&tenant.name);
        }
        let mut keepers = TenantKeepers::new(self.options, self.roster.clone());
        keepers.open()?;
        Ok(Some(Box::new(keepers)))
    }

    fn work(&mut self, _shard: u16) -> FleetWork {
        let (work, helm) = FleetWork::new(unix_offset_ns());
        self.helms.push(helm);
        work
    }

    fn names(&self) -> Option<Naming> {
        let roster = self.roster.clone();
        Some(Box::new(move |target| roster.lock().owner(target)))
    }

    fn tokens(&self) -> Tokens {
        self.control.tenants()
    }

    fn routes_follow(&mut self, live: Arc<LiveTargets>) {
        self.live = Some(live);
    }

    fn watch(&mut self, scene: &Scene<'_, '_>) {
        let mut captain = Captain::new(std::mem::take(&mut self.helms), self.roster.clone());
        let changed = captain.follow(&self.agenda(), self.node_pps());
        say(format_args!("megaping: {}", self.describe(changed)));
        // Of this thread, and of the interface's: reading a large configuration must not take a shard's core.
        let _nice = rustix::process::setpriority_process(None, NICE);
        if let Err(error) = self.control.serve() {
            say(format_args!("megaping: the control interface does not answer: {error}"));
        }
        let mut publisher = Publisher::new(scene.backend);
        self.publish(&mut publisher, scene);
        if let Err(error) = self.source.follow(&self.loaded) {
            say(format_args!("megaping: what is elsewhere is not followed: {error}"));
        }
        systemd::ready();
        let began = Instant::now();
        let mut looked = began;
        let (plan, timeout_ns) = (self.plan, self.options.timeout_ns);
        until_done(scene, &plan, timeout_ns, false, || {
            if self.duration.is_some_and(|duration| began.elapsed() >= duration) {
                self.drain(scene);
            }
            let mut told = false;
            while let Some(order) = self.control.order() {
                self.obey(order, &mut captain, scene);
                told = true;
            }
            let asked = self.reload.swap(false, Ordering::Relaxed);
            if asked || told || looked.elapsed() >= LOOK {
                looked = Instant::now();
                if self.source.has_changed() || asked {
                    // Its outcome is said.
                    let _ = self.reload(&mut captain);
                }
                captain.tidy();
                self.publish(&mut publisher, scene);
                systemd::alive();
            }
            false
        });
        systemd::stopping();
    }
}

impl DaemonJob<'_> {
    fn node_pps(&self) -> f64 {
        self.loaded.options.rate_pps.unwrap_or(0) as f64 * GIVEN
    }

    fn describe(&self, changed: Changed) -> String {
        let Changed { started, ended, untouched } = changed;
        let (tenants, targets) = (self.loaded.agenda.tenants.len(), self.loaded.addresses.len());
        let demand_pps: f64 = self.loaded.agenda.demands_pps().iter().sum();
        format!(
            "{tenants} tenants, {targets} targets, {demand_pps:.0} probes/s asked for, {:.0} at most; measurements: \
             {started} begin, {ended} end, {untouched} untouched",
            self.node_pps()
        )
    }

    /// What is to be done: the configuration's, less those who were paused by request.
    fn agenda(&self) -> Agenda {
        let mut agenda = self.loaded.agenda.clone();
        for tenant in &mut agenda.tenants {
            tenant.paused |= self.paused.contains(&tenant.name);
        }
        agenda
    }

    fn publish(&self, publisher: &mut Publisher, scene: &Scene<'_, '_>) {
        let (ledger, rx_dropped) = scene.total();
        let agenda = self.agenda();
        let counted = (&ledger, rx_dropped);
        self.control.publish(publisher.snapshot(
            &self.loaded,
            &agenda,
            self.node_pps(),
            &self.roster,
            counted,
            &self.events,
        ));
    }

    fn drain(&mut self, scene: &Scene<'_, '_>) {
        self.events.draining = true;
        stop_all(scene.boards);
    }

    /// Does what the control interface was told. Whoever asked may be gone: it is done all the same.
    fn obey(&mut self, order: Order, captain: &mut Captain, scene: &Scene<'_, '_>) {
        let _ = match order {
            Order::Reload { reply } => reply.send(self.reload(captain)),
            Order::Drain { reply } => {
                self.drain(scene);
                reply.send(Ok("draining: what is under way is waited for".to_owned()))
            }
            Order::Pause { tenant, reply } => {
                let done = format!("{tenant} rests");
                self.paused.insert(tenant);
                captain.follow(&self.agenda(), self.node_pps());
                reply.send(Ok(done))
            }
            Order::Resume { tenant, reply } => {
                let rests = |one: &super::agenda::Tenant| one.name == tenant && one.paused;
                let configured = self.loaded.agenda.tenants.iter().any(rests);
                self.paused.remove(&tenant);
                captain.follow(&self.agenda(), self.node_pps());
                reply.send(if configured {
                    Err(format!("the configuration says that {tenant} rests: change it there"))
                } else {
                    Ok(format!("{tenant} goes on"))
                })
            }
        };
    }

    /// Follows the configuration as it is now; one that is wrong, or that takes another process, changes nothing. What
    /// was done, or why it was not.
    fn reload(&mut self, captain: &mut Captain) -> Result<String, String> {
        let loaded = self.source.load().map_err(|error| error.to_string());
        let loaded = loaded.and_then(|loaded| match unlike(&self.loaded, &loaded) {
            Some(why) => Err(why),
            None => Ok(loaded),
        });
        let loaded = loaded.and_then(|loaded| self.control.learn(&loaded.control.tokens).map(|()| loaded));
        let loaded = loaded.inspect_err(|why| {
            say(format_args!("{why}\nmegaping: the configuration before it holds on"));
            self.events.refused += 1;
            self.events.last_refusal = Some(why.clone());
        })?;
        self.source.watch(&loaded.files);
        let _follows = self.source.follow(&loaded);
        if let Some(live) = &self.live {
            live.replace(Arc::new(TargetSet::of_addresses(&loaded.addresses)));
        }
        self.loaded = loaded;
        (self.events.reloads, self.events.last_refusal) = (self.events.reloads + 1, None);
        let changed = captain.follow(&self.agenda(), self.node_pps());
        for note in &self.loaded.notes {
            say(format_args!("megaping: {note}"));
        }
        let done = format!("reloaded: {}", self.describe(changed));
        say(format_args!("megaping: {done}"));
        Ok(done)
    }
}

/// What a running process cannot change: its way to the wire, its memory, and where it writes.
fn unlike(before: &Loaded, after: &Loaded) -> Option<String> {
    let (old, new) = (&before.options, &after.options);
    let (old_control, new_control) = (&before.control, &after.control);
    let has = |loaded: &Loaded, v4: bool| loaded.addresses.iter().any(|address| address.is_v4() == v4);
    let new_family = |v4| has(after, v4) && !has(before, v4);
    let what = if old.interface != new.interface {
        "node.interface"
    } else if old.backend != new.backend {
        "node.backend"
    } else if old.shards != new.shards {
        "node.shards"
    } else if old.burst != new.burst {
        "node.burst"
    } else if old.rate_pps < new.rate_pps {
        "a higher node.max_pps"
    } else if old.timeout_ns < new.timeout_ns {
        "a longer timeout than any before"
    } else if old.payload_len < new.payload_len {
        "a larger size than any before"
    } else if (&old.store, &old.archive, &old.upload, &old.spool_limit)
        != (&new.store, &new.archive, &new.upload, &new.spool_limit)
    {
        "another [store]"
    } else if old.capture != new.capture {
        "another control.capture, or what belongs to it"
    } else if (&old_control.socket, &old_control.listen) != (&new_control.socket, &new_control.listen) {
        "another control.socket or control.listen"
    } else if new_family(true) {
        "the first target of IPv4"
    } else if new_family(false) {
        "the first target of IPv6"
    } else {
        return None;
    };
    Some(format!("{}: {what} takes a restart", after.files[0].display()))
}

/// How far Unix time is ahead of the shards' clock.
fn unix_offset_ns() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |unix| unix.as_nanos() as u64);
    unix.saturating_sub(Monotonic.now_ns())
}
