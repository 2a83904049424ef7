//! `megaping mtr`: from options to a screen or a report.
//!
//! ```text
//!   shard threads: Live ── HopEvent ──> queue (bounded, lock-free) ──> main thread: Model ──> screen or report
//!         ^                                                                |
//!         └──────────────────────── rests? <── keys ───────────────────────┘
//! ```

use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use megaping_probe::trace::{HopEvent, Live, LivePlan, Reader};
use megaping_wire::Addr;

use super::live::{self, Feed, Listener};
use super::model::Model;
use super::report::{self, Facts};
use super::screen::terminal;
use crate::cli::MtrOptions;
use crate::names::Names;
use crate::run::{self, Job, RunError, RunPlan, Scene};
use crate::say::say;
use crate::targets::{self, Place, TargetBuilder, TargetError, TargetRequest, TargetSet};

/// Most targets: each is a tab.
const TARGETS_MAX: u64 = 64;
/// A report waits so long for names.
const NAMES_WAIT: Duration = Duration::from_secs(2);
/// How often a report's run looks up.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no screen and no report.
#[derive(Debug, thiserror::Error)]
pub enum MtrError {
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Too much for one screen.
    #[error("{0} targets, and at most {TARGETS_MAX} are watched at once: name fewer")]
    TooManyTargets(u64),
    /// Nothing to draw on.
    #[error("no terminal to draw on: --report, --json or --csv give a report at the end instead")]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
    /// The report cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

impl From<TargetError> for MtrError {
    fn from(error: TargetError) -> MtrError {
        MtrError::Run(error.into())
    }
}

/// Watches paths until stopped, or reports on them.
///
/// # Errors
/// [`MtrError`], whose message is for the user.
pub fn run(options: &MtrOptions) -> Result<ExitCode, MtrError> {
    if options.form.is_none() && !terminal::is_there() {
        return Err(MtrError::NoTerminal);
    }
    let Aims { addrs, titles, set } = aims(options)?;
    options.probe.check_targets(&set).map_err(RunError::from)?;
    let plan = RunPlan::of_paths(options, addrs.len() as u64).map_err(MtrError::Run)?;
    let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |unix| unix.as_secs());
    let mut job = MtrJob {
        options,
        plan,
        model: Model::new(addrs.iter().copied(), options.flows),
        own: own(options, &addrs),
        addrs,
        titles,
        names: Names::off(),
        feed: Feed::new(),
        rests: Arc::default(),
        backend: "",
        wants_report: options.form.is_some(),
        error: None,
    };
    let finish = run::start(&options.probe, plan, &set, |_| &mut job)?;
    job.feed.drain(|event| job.model.take(event));
    if let Some(error) = job.error.take() {
        return Err(MtrError::Terminal(error));
    }
    if let Some(error) = finish.error {
        return Err(error.into());
    }
    if job.wants_report {
        job.report(started_unix_s).map_err(MtrError::Output)?;
    }
    let reached =
        job.model.targets().iter().any(|target| target.path(None).end().is_some_and(|end| end.reached));
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What to watch.
struct Aims {
    addrs: Vec<Addr>,
    titles: Vec<String>,
    set: Arc<TargetSet>,
}

/// The targets in the order in which the user named them.
fn aims(options: &MtrOptions) -> Result<Aims, MtrError> {
    let family = options.probe.targets.family;
    let (mut addrs, mut titles) = (Vec::new(), Vec::new());
    let mut all = TargetBuilder::new(family);
    for item in &options.items {
        let request = TargetRequest { items: vec![item.clone()], family, ..TargetRequest::default() };
        let set = targets::load(&request)?;
        let total = set.len().saturating_add(addrs.len() as u64);
        if total > TARGETS_MAX {
            return Err(MtrError::TooManyTargets(total));
        }
        for addr in (0..set.len())
            .map(|index| set.get(index))
            .filter(|addr| !addrs.contains(addr))
            .collect::<Vec<_>>()
        {
            titles.push(set.name(&addr).map_or_else(|| addr.to_string(), ToOwned::to_owned));
            all.add(&addr.to_string(), &Place::command_line())?;
            addrs.push(addr);
        }
    }
    Ok(Aims { addrs, titles, set: Arc::new(all.build()?) })
}

/// The addresses that probes leave with, sorted: as the kernel's routes have it, asked by sockets that send nothing.
/// None where an interface decides, which a socket without privileges cannot ask for.
fn own(options: &MtrOptions, addrs: &[Addr]) -> Box<[Addr]> {
    let probe = &options.probe;
    let source = |addr: &Addr| {
        let asked: Option<IpAddr> =
            if addr.is_v4() { probe.source_v4.map(Into::into) } else { probe.source_v6.map(Into::into) };
        asked.map(Addr::from).or_else(|| {
            let any: IpAddr =
                if addr.is_v4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).ok().filter(|_| probe.interface.is_none())?;
            socket.connect((addr.ip(), 9)).ok()?;
            Some(Addr::from(socket.local_addr().ok()?.ip()))
        })
    };
    let own: Option<Vec<Addr>> = addrs.iter().map(source).collect();
    let mut own = own.unwrap_or_default();
    own.sort_unstable();
    own.dedup();
    own.into()
}

/// A run that watches paths.
pub(super) struct MtrJob<'a> {
    pub options: &'a MtrOptions,
    pub plan: RunPlan,
    pub model: Model,
    pub addrs: Vec<Addr>,
    pub own: Box<[Addr]>,
    pub titles: Vec<String>,
    pub names: Names,
    pub feed: Feed,
    pub rests: Arc<AtomicBool>,
    pub backend: &'static str,
    pub wants_report: bool,
    /// Why the screen ended before its time.
    pub error: Option<io::Error>,
}

impl Job for &mut MtrJob<'_> {
    type Work = Live<Listener>;

    const IS_PATIENT: bool = true;

    fn work(&mut self, shard: u16) -> Live<Listener> {
        let options = self.options;
        let plan = LivePlan {
            interval_ns: options.interval_ns,
            rounds: options.rounds,
            first_hop: options.first_hop,
            max_hops: options.max_hops,
            gap: options.gap,
            flows: options.flows,
        };
        let reader = Reader { own: self.own.clone(), traffic_class: options.probe.dscp << 2 };
        let listener = self.feed.listener();
        Live::new(plan, &self.addrs, (shard, self.plan.shards), reader, Arc::clone(&self.rests), listener)
    }

    fn watch(&mut self, scene: &Scene<'_, '_>) {
        self.backend = scene.backend;
        // Only now: the threads before them have given up their privileges.
        if self.options.dns {
            match Names::system() {
                Ok(names) => self.names = names,
                Err(error) => say(format_args!("megaping: no names, for want of a thread: {error}")),
            }
        }
        if self.options.form.is_none() {
            self.error = live::watch(self, scene).err();
            self.rests.store(false, Ordering::Relaxed);
            run::leave_all(scene.boards);
        }
        scene.signals.lose_patience();
        while !scene.is_over() {
            if scene.should_stop() {
                run::stop_all(scene.boards);
            }
            self.hear();
            std::thread::sleep(LOOK);
        }
    }
}

impl MtrJob<'_> {
    /// Takes what the shards have told, and asks for the names of those who are new.
    pub fn hear(&mut self) {
        let MtrJob { feed, model, names, .. } = self;
        feed.drain(|event: &HopEvent| {
            model.take(event);
            names.ask(event.responder);
        });
        names.poll();
    }

    fn report(&mut self, started_unix_s: u64) -> io::Result<()> {
        let options = self.options;
        let responders = self.model.targets().iter().flat_map(|target| target.path(None).hops());
        let responders: Vec<Addr> =
            responders.flat_map(|(_, hop)| hop.responders.iter().map(|responder| responder.addr)).collect();
        for addr in responders {
            self.names.ask(addr);
        }
        self.names.settle(NAMES_WAIT);
        let rounds = self.model.targets().iter().filter_map(|target| target.path(None).newest());
        let facts = Facts {
            source: crate::keeper::node_name(),
            titles: self.titles.clone(),
            started_unix_s,
            rounds: options
                .rounds
                .unwrap_or_else(|| rounds.max().map_or(0, |newest| newest.saturating_add(1))),
            traffic_class: options.probe.dscp << 2,
            payload_len: options.probe.payload_len,
            backend: self.backend,
            fields: options.fields.clone(),
            naming: options.naming,
            mpls: options.mpls,
        };
        let mut out = BufWriter::new(io::stdout());
        let form = options.form.unwrap_or(report::Form::Text { wide: true });
        match report::write(&mut out, form, &facts, &self.model, &self.names).and_then(|()| out.flush()) {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
