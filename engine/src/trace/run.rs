//! `megaping trace`: from options to paths.

use std::io::{self, IsTerminal, Stdout};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use megaping_probe::trace::{PathRow, Reader, Trace};
use megaping_ring::{Clock, Monotonic};
use megaping_store::StoreError;
use megaping_store::batch::{Lane, lane};
use megaping_wire::Addr;

use super::assemble::{Assembler, Traced};
use super::changes::{Change, Routes};
use super::desk::PathDesk;
use super::keeper::PathKeeper;
use super::output::{Printer, Showing};
use crate::cli::{FEW_PATHS, OutputFormat, TraceOptions};
use crate::keeper::{Keep, KeepError};
use crate::mtr::words::Naming;
use crate::names::Names;
use crate::net::Netlink;
use crate::run::{self, Job, RunError, RunPlan, Scene, Walk};
use crate::say::say;
use crate::summary::PathSummary;
use crate::targets::{self, TargetError, TargetSet};

/// All paths of a run together wait so long for the names of their hops.
const NAMES_WAIT: Duration = Duration::from_secs(2);
/// Batches that are read before the main thread looks at signals again.
const BATCHES: usize = 64;

/// Why there are no paths.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Paths cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

impl From<TargetError> for TraceError {
    fn from(error: TargetError) -> TraceError {
        TraceError::Run(error.into())
    }
}

/// Traces paths until all are known, or until stopped.
///
/// # Errors
/// [`TraceError`], whose message is for the user.
pub fn run(options: &TraceOptions) -> Result<ExitCode, TraceError> {
    let targets = Arc::new(targets::load(&options.probe.targets)?);
    options.probe.check_targets(&targets).map_err(RunError::from)?;
    let plan = RunPlan::of_traces(options, targets.len())?;
    let printer = Printer::new(options.output, io::stdout()).map_err(TraceError::Output)?;
    let mut job = TraceJob {
        options,
        plan,
        walk: None,
        own: own(),
        lanes: Vec::new(),
        assemblers: Vec::new(),
        hearing: Hearing {
            targets: Arc::clone(&targets),
            printer,
            names: Names::off(),
            names_wait: NAMES_WAIT,
            unix_offset_ns: 0,
            routes: None,
            keeper: None,
            store_error: None,
            paths: PathSummary { total: targets.len() * u64::from(options.flows), ..PathSummary::default() },
            error: None,
        },
    };
    let finish = run::start(&options.probe, plan, &targets, |seed| {
        job.walk = Some(Walk::new(Arc::clone(&targets), seed));
        &mut job
    });
    let mut finish = finish?;
    finish.summary.paths = Some(job.hearing.paths);
    if let Some(keeper) = job.hearing.keeper.take() {
        let (store, closed) = keeper.close();
        finish.summary.store = Some(store);
        let error = job.hearing.store_error.take().or(closed.err());
        finish.error = finish.error.or(error.map(|error| KeepError::from(error).into()));
    }
    finish.print(options.probe.summary);
    // A reader that has seen enough is no error.
    if let Some(error) = job.hearing.error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        return Err(TraceError::Output(error));
    }
    Ok(match (finish.error, job.hearing.paths.reached) {
        (Some(_), _) => ExitCode::from(2),
        (None, 0) => ExitCode::from(1),
        (None, _) => ExitCode::SUCCESS,
    })
}

/// This machine's addresses, sorted. None where they cannot be asked for: then no NAT of the source is looked for.
fn own() -> Box<[Addr]> {
    let addresses = Netlink::open().and_then(|mut netlink| netlink.addresses()).unwrap_or_default();
    let mut own: Vec<Addr> = addresses.into_iter().map(|ip: IpAddr| Addr::from(ip)).collect();
    own.sort_unstable();
    own.dedup();
    own.into()
}

/// A run that traces paths.
struct TraceJob<'a> {
    options: &'a TraceOptions,
    plan: RunPlan,
    walk: Option<Walk>,
    own: Box<[Addr]>,
    lanes: Vec<Arc<Lane<PathRow>>>,
    // One a lane.
    assemblers: Vec<Assembler>,
    hearing: Hearing,
}

/// Whoever hears of paths.
struct Hearing {
    targets: Arc<TargetSet>,
    printer: Printer<Stdout>,
    names: Names,
    names_wait: Duration,
    // What makes Unix time of the shards' clock.
    unix_offset_ns: u64,
    paths: PathSummary,
    // Where there is another round.
    routes: Option<Routes>,
    keeper: Option<PathKeeper>,
    store_error: Option<StoreError>,
    error: Option<io::Error>,
}

impl Job for &mut TraceJob<'_> {
    type Work = Trace<Walk, PathDesk>;

    fn keeper(&mut self) -> Result<Option<Box<dyn Keep>>, RunError> {
        let (probe, upload) = (&self.options.probe, self.options.probe.upload.as_ref());
        let store = probe.store.as_deref().map(|store| PathKeeper::open(store, upload));
        self.hearing.keeper = store.transpose()?;
        Ok(None)
    }

    fn work(&mut self, shard: u16) -> Trace<Walk, PathDesk> {
        let seats = RunPlan::seats(&self.plan.of_shard(&self.options.probe, shard));
        let (desk, lane) = lane(shard, seats);
        self.lanes.push(lane);
        self.assemblers.push(Assembler::new(self.options.first_hop));
        let walk = self.walk.clone().expect("set when the job was made");
        let reader = Reader { own: self.own.clone(), traffic_class: self.options.probe.dscp << 2 };
        Trace::new(&self.plan.trace(self.options, shard), walk, reader, PathDesk::new(desk))
    }

    fn watch(&mut self, scene: &Scene<'_, '_>) {
        let options = self.options;
        if options.rounds != Some(1) {
            let total = self.hearing.paths.total;
            self.hearing.routes = Routes::new(total, options.flows);
            if self.hearing.routes.is_none() {
                say(format_args!(
                    "megaping: {total} paths are too many to be compared: changes are not told"
                ));
            }
        }
        let is_text = options.output == OutputFormat::Text;
        if options.dns && is_text && self.hearing.paths.total <= FEW_PATHS {
            // Only now: the threads before them have given up their privileges.
            match Names::system() {
                Ok(names) => self.hearing.names = names,
                Err(error) => say(format_args!("megaping: no names, for want of a thread: {error}")),
            }
        }
        for lane in &self.lanes {
            lane.read_here();
        }
        // Paths on the same terminal would be drawn into the line, and they are progress enough.
        let draws = options.output == OutputFormat::None || !io::stdout().is_terminal();
        let plan = self.plan;
        run::until_done(scene, &plan, options.probe.timeout_ns, draws, || {
            let has_more = self.hear();
            if self.hearing.has_failed() {
                run::stop_all(scene.boards);
            }
            has_more
        });
        self.give_up();
    }
}

impl TraceJob<'_> {
    /// Takes what waits, and no more than that the caller has its turn; whether there may be more.
    fn hear(&mut self) -> bool {
        let TraceJob { lanes, assemblers, hearing, .. } = self;
        hearing.look_at_clocks();
        let mut took = 0;
        for (lane, assembler) in lanes.iter().zip(assemblers) {
            for _ in 0..BATCHES {
                let Some(batch) = lane.take() else { break };
                took += 1;
                for row in &batch.rows {
                    assembler.take(row, |path| hearing.hear(path));
                }
                lane.give_back(batch);
            }
        }
        hearing.flush();
        took > 0
    }

    /// Paths of a shard that has died have no end.
    fn give_up(&mut self) {
        let TraceJob { assemblers, hearing, .. } = self;
        let targets = Arc::clone(&hearing.targets);
        for assembler in assemblers {
            assembler.give_up(|target| targets.get(target.into()), |path| hearing.hear(path));
        }
        hearing.flush();
    }
}

impl Hearing {
    fn look_at_clocks(&mut self) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |unix| unix.as_nanos() as u64);
        self.unix_offset_ns = unix.saturating_sub(Monotonic.now_ns());
    }

    fn hear(&mut self, path: &Traced<'_>) {
        self.paths.add(path.end);
        self.paths.shared_hops += path.hops.iter().filter(|hop| hop.shared).count() as u64;
        let change = self.routes.as_mut().and_then(|routes| routes.see(path));
        self.paths.changes += u64::from(change.is_some());
        let unix_ns = path.end.at.0.saturating_add(self.unix_offset_ns);
        self.keep(path, unix_ns, change.as_ref());
        if self.error.is_some() || self.printer.is_mute() {
            return;
        }
        self.ask_names(path);
        let name = self.targets.name(&path.end.destination);
        let showing = Showing { name, names: &self.names, naming: Naming::Both };
        let printed = self.printer.path(path, unix_ns, showing);
        let printed = printed.and_then(|()| match &change {
            Some(change) => self.printer.change(path, change, unix_ns, showing),
            None => Ok(()),
        });
        self.error = printed.err();
    }

    fn keep(&mut self, path: &Traced<'_>, unix_ns: u64, change: Option<&Change>) {
        let Some(keeper) = &mut self.keeper else { return };
        if self.store_error.is_some() {
            keeper.refuse(change);
        } else {
            self.store_error = keeper.push(path, unix_ns, change).err();
        }
    }

    /// Whether paths cannot be told, or not be kept, any more.
    fn has_failed(&self) -> bool {
        self.error.is_some() || self.store_error.is_some()
    }

    fn ask_names(&mut self, path: &Traced<'_>) {
        if self.names.are_off() {
            return;
        }
        for hop in path.hops {
            hop.responder.iter().chain(&hop.others).for_each(|addr| self.names.ask(*addr));
        }
        let asked = Instant::now();
        self.names.settle(self.names_wait);
        self.names_wait = self.names_wait.saturating_sub(asked.elapsed());
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.printer.flush().err();
        }
        if let (Some(keeper), None) = (&mut self.keeper, &self.store_error) {
            self.store_error = keeper.tick(Instant::now()).err();
        }
    }
}
