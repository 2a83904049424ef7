//! Wiring: from options to threads, and from threads to a summary.
//!
//! ```text
//!   main thread: load targets, open rings, start threads, watch (progress, Ctrl-C, failures), sum up
//!   shard threads (pinned): the loop of [`crate::shard`]
//!   store thread: print and spool
//! ```

mod auto;
mod cores;
mod finish;
mod ground;
mod job;
mod kernel;
mod plan;
mod rings;
mod walk;
mod watch;
mod xdp;

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use megaping_loader::LoadError;
use megaping_probe::{Core, Craft, Down, Identity, Nanos, Ring};
use megaping_ring::{
    Clock, KernelOpenError, Monotonic, OpenError, UringOpenError, XdpOpenError, wake_on_time,
};
use megaping_store::StoreError;
use megaping_store::batch::{Lane, lane};

use crate::capture::{self, CaptureError, Link, Renderer, Sockets, Tap, Taps};
use crate::cli::{PingOptions, UsageError};
use crate::instance::Instance;
use crate::keeper::{self, Keep, KeepError};
use crate::mailbox::posts;
pub(crate) use crate::net::LiveTargets;
use crate::net::NetError;
use crate::output::Printer;
use crate::privileges::{self, Capabilities};
use crate::say::say;
use crate::shard::{Board, Shard, Wall};
use crate::sink::{Sink, SinkBoard, SinkEnd};
use crate::summary::LawBroken;
use crate::targets::{self, TargetError, TargetSet};

use auto::Open;
pub use finish::Finish;
pub(crate) use job::Job;
use job::PingJob;
pub use plan::RunPlan;
pub use walk::Walk;
pub(crate) use watch::{Scene, Signals, leave_all, stop_all, until_done};

/// Threads get this long to be ready before the first probe is due.
const LEAD_NS: u64 = 5_000_000;

/// Why a run could not start, or did not come to its planned end.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error(transparent)]
    Targets(#[from] TargetError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Uring(#[from] UringOpenError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Steer(#[from] LoadError),
    #[error(transparent)]
    Xdp(#[from] XdpOpenError),
    #[error("the receive queues of {name:?} cannot be counted: {source}")]
    CountQueues { name: String, source: io::Error },
    #[error(
        "{shards} shards need a receive queue each, and {name:?} has {queues}: `ethtool -L` may give it more; else \
         lower --shards"
    )]
    Queues { name: String, queues: u32, shards: u32 },
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Kernel(#[from] KernelOpenError),
    #[error(
        "this kernel does not run XDP programs on live frames ({source}): it takes Linux 5.18; use --backend xdp or raw"
    )]
    LiveFrames { source: io::Error },
    #[error("{shards} shards of --backend kernel need a core each, and {cores} may be used: lower --shards")]
    Cores { shards: u32, cores: u32 },
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(
        "rate and timeout together put {in_flight} probes in flight, and at most {most} fit: lower --rate or --timeout"
    )]
    TooManyInFlight { in_flight: u64, most: u64 },
    #[error("{paths} paths, and at most {most} are traced at once: name fewer targets or --flows")]
    TooManyPaths { paths: u64, most: u64 },
    #[error(
        "64 instances of megaping run on this network stack already: stop one, or use a network namespace"
    )]
    NoInstance(#[source] io::Error),
    #[error("/dev/urandom cannot be read, so no secret can be made: mount /dev")]
    NoSecret(#[source] io::Error),
    #[error("{operation} failed, and nothing can be sent any more: {source}")]
    Ring { operation: &'static str, source: io::Error },
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
    #[error("capabilities cannot be given up: {0}")]
    Privileges(#[source] io::Error),
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] io::Error),
    #[error("signals cannot be caught: {0}")]
    Signals(#[source] io::Error),
    #[error("a thread of the engine panicked; its message is above")]
    Panicked,
    #[error(transparent)]
    Law(#[from] LawBroken),
}

/// Runs `megaping ping`: returns how it ended, or why it could not start.
///
/// # Errors
/// [`RunError`], whose message is for the user.
pub fn ping(options: &PingOptions) -> Result<Finish, RunError> {
    let targets = Arc::new(targets::load(&options.targets)?);
    options.check_targets(&targets)?;
    let plan = RunPlan::new(options, targets.len())?;
    start(options, plan, &targets, |order_seed| PingJob {
        options,
        plan,
        walk: Walk::new(Arc::clone(&targets), order_seed),
    })
}

/// Opens the rings of a run and does its job; `job` is given the seed of the order of targets.
///
/// # Errors
/// [`RunError`], whose message is for the user.
pub(crate) fn start<J: Job>(
    options: &PingOptions,
    plan: RunPlan,
    targets: &Arc<TargetSet>,
    job: impl FnOnce(u64) -> J,
) -> Result<Finish, RunError> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut secret))
        .map_err(RunError::NoSecret)?;
    let (key, seed) = split_secret(secret);
    let instance = Instance::acquire(seed as u16).map_err(RunError::NoInstance)?;
    let identities: Vec<Identity> =
        (0..plan.shards).map(|shard| Identity::new(instance.number(), shard, key)).collect();
    let mut random = splitmix(options.seed.unwrap_or(seed));
    let job = job(random());
    let craft = Craft::new(&rings::fill(options, &mut random));
    let targets = Arc::clone(targets);
    let capture = options.capture.as_ref().map(capture::listen).transpose()?;
    let mut run =
        Run { options, plan, targets, identities, job, notes: Vec::new(), capture, craft: craft.clone() };
    let (open, remark) = auto::open(&run, &craft)?;
    run.note(&mut remark.into_iter().collect());
    match open {
        Open::Raw(rings) => {
            run.give_up_privileges(Capabilities::empty())?;
            run.go("raw", rings)
        }
        Open::Uring(rings) => {
            run.give_up_privileges(Capabilities::empty())?;
            run.go("uring", rings)
        }
        Open::Xdp(xdp) => {
            let xdp::Xdp { rings, mut ground } = *xdp;
            run.note(&mut ground.notes);
            run.plan.sources = ground.sources();
            run.job.routes_follow(ground.way.targets());
            run.give_up_privileges(Capabilities::empty())?;
            ground.keep()?;
            run.go("xdp", rings)
        }
        Open::Kernel(rings) => {
            let kernel::KernelRings { rings, mut ground } = *rings;
            run.note(&mut ground.notes);
            run.plan.sources = ground.sources();
            run.job.routes_follow(ground.way.targets());
            run.give_up_privileges(kernel::capabilities())?;
            ground.keep()?;
            run.go("kernel", rings)
        }
        Open::Memory(rings) => {
            run.give_up_privileges(Capabilities::empty())?;
            run.go("memory", rings)
        }
    }
}

/// One run, ready to go.
struct Run<'a, J> {
    options: &'a PingOptions,
    plan: RunPlan,
    targets: Arc<TargetSet>,
    identities: Vec<Identity>,
    job: J,
    /// What the user should know of the way to the wire.
    notes: Vec<String>,
    /// For whoever wants to see packets, and what renders them.
    capture: Option<Sockets>,
    craft: Craft,
}

/// A shard of a job.
type JobShard<R, J> = Shard<R, <J as Job>::Work>;

impl<J: Job> Run<'_, J> {
    /// Gives up every capability that the rest of the run does not need: while there is one thread.
    fn give_up_privileges(&self, kept: Capabilities) -> Result<(), RunError> {
        let kept = kept.union(privileges::for_store(keeper::place(self.options).as_deref()));
        privileges::drop_all_but(kept).map_err(RunError::Privileges)
    }

    /// Says what there is to say, and keeps it for the summary.
    fn note(&mut self, notes: &mut Vec<String>) {
        for note in notes.iter() {
            say(format_args!("megaping: {note}"));
        }
        self.notes.append(notes);
    }

    fn go<R: Ring + Send>(mut self, backend: &'static str, rings: Vec<R>) -> Result<Finish, RunError> {
        if !R::SORTED {
            self.plan = self.plan.on_shared_rings();
        }
        let keeper = self.job.keeper()?;
        let stop = Signals::catch(J::IS_PATIENT).map_err(RunError::Signals)?;
        let boards: Vec<Arc<Board>> = rings.iter().map(|_| Arc::default()).collect();
        let links = self.links(rings.len());
        let (shards, lanes) = self.shards(rings, &boards, &links);
        // Ends before the rings do: what was captured by then is written.
        let taps = self.tap(backend, links)?;
        let sink_board = Arc::new(SinkBoard::default());
        let sink = self.sink(lanes, &sink_board, keeper)?;

        // Only now: all memory is there, and the first probe will not be late for it.
        let start = Nanos(Monotonic.now_ns()) + LEAD_NS;
        let (downs, end) = thread::scope(|scope| {
            let store = thread::Builder::new()
                .name("store".into())
                .spawn_scoped(scope, move || sink.run())
                .map_err(RunError::Thread)?;
            let mut threads = Vec::new();
            for (index, mut shard) in shards.into_iter().enumerate() {
                let body = move || {
                    cores::pin(index);
                    wake_on_time();
                    shard.run(start)
                };
                let name = format!("shard-{index}");
                match thread::Builder::new().name(name).spawn_scoped(scope, body) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        watch::stop_all(&boards);
                        sink_board.finish(&store);
                        return Err(RunError::Thread(error));
                    }
                }
            }
            self.job.watch(&Scene {
                backend,
                boards: &boards,
                sink: &sink_board,
                signals: &stop,
                threads: &threads,
                store: &store,
                start,
            });
            let downs = join(threads);
            sink_board.finish(&store);
            let end = store.join().map_err(|_| RunError::Panicked)?;
            Ok((downs?, end))
        })?;
        drop(taps);
        self.finish(backend, &boards, start, downs, end, stop.interrupted())
    }

    /// One for each shard, where somebody may look on.
    fn links(&self, shards: usize) -> Vec<Arc<Link>> {
        (0..if self.capture.is_some() { shards } else { 0 }).map(|_| Link::new()).collect()
    }

    fn tap(&mut self, backend: &'static str, links: Vec<Arc<Link>>) -> Result<Option<Taps>, RunError> {
        let (Some(sockets), Some(options)) = (self.capture.take(), &self.options.capture) else {
            return Ok(None);
        };
        // A ring without a program of ours has no tap there.
        let pins = options.pins.as_deref().filter(|pins| pins.exists());
        let tenant = self.options.tenant.clone();
        let scene = capture::Scene {
            links,
            renderer: Renderer::new(self.craft.clone(), self.options.payload_len, self.plan.sources),
            names: self
                .job
                .names()
                .unwrap_or_else(|| Box::new(move |_| Some((tenant.clone(), String::new())))),
            tokens: self.job.tokens(),
            hello: capture::hello(backend, self.plan.shards, self.options.interface.as_deref(), pins),
            timeout_ns: self.options.timeout_ns,
        };
        Taps::start(sockets, options, scene).map(Some).map_err(RunError::Thread)
    }

    fn shards<R: Ring>(
        &mut self,
        rings: Vec<R>,
        boards: &[Arc<Board>],
        links: &[Arc<Link>],
    ) -> (Vec<JobShard<R, J>>, Vec<Arc<Lane>>) {
        let rooms = vec![self.plan.room(); rings.len()];
        let mut posts = if R::SORTED || rings.len() < 2 { Vec::new() } else { posts(&rooms) }.into_iter();
        let parts = rings.into_iter().zip(boards).zip(&self.identities).enumerate();
        parts
            .map(|(index, ((ring, board), identity))| {
                let shard = index as u16;
                let plan = self.plan.of_shard(self.options, shard);
                let (desk, lane) = lane(shard, RunPlan::seats(&plan));
                let core = Core::new(plan, self.job.work(shard), *identity);
                let tap = links.get(index).map(|link| Tap::new(Arc::clone(link)));
                let shard = Shard::new(ring, core, desk, Arc::clone(board), Wall::Live).with_tap(tap);
                match posts.next() {
                    Some(post) => (shard.with_post(post), lane),
                    None => (shard, lane),
                }
            })
            .unzip()
    }

    fn sink(
        &self,
        lanes: Vec<Arc<Lane>>,
        board: &Arc<SinkBoard>,
        keeper: Option<Box<dyn Keep>>,
    ) -> Result<Sink<BufWriter<io::Stdout>>, RunError> {
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        let printer = Printer::new(self.options.output, out).map_err(RunError::Output)?;
        Ok(Sink { lanes, board: Arc::clone(board), printer, keeper, targets: Arc::clone(&self.targets) })
    }

    fn finish(
        &self,
        backend: &'static str,
        boards: &[Arc<Board>],
        start: Nanos,
        downs: Vec<Down>,
        end: SinkEnd,
        interrupted: bool,
    ) -> Result<Finish, RunError> {
        let mut summary = finish::summary(&self.plan, backend, boards, start, &end, interrupted);
        summary.notes.clone_from(&self.notes);
        summary.check_law()?;
        let ring = downs
            .into_iter()
            .next()
            .map(|down| RunError::Ring { operation: down.operation, source: down.source });
        let store = end.store_error.map(RunError::Store);
        // Whoever reads our lines may have seen enough: the end of the run, and no failure of it.
        let output = end.output_error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        Ok(Finish { summary, error: ring.or(store).or(output.map(RunError::Output)) })
    }
}

fn join(threads: Vec<ScopedJoinHandle<'_, Result<(), Down>>>) -> Result<Vec<Down>, RunError> {
    let mut downs = Vec::new();
    let mut panicked = false;
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(down)) => downs.push(down),
            Err(_) => panicked = true,
        }
    }
    if panicked { Err(RunError::Panicked) } else { Ok(downs) }
}

/// The MAC's key, and a seed.
fn split_secret(secret: [u8; 32]) -> ([u8; 16], u64) {
    let mut key = [0; 16];
    key.copy_from_slice(&secret[..16]);
    let seed = secret[16..24].iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    (key, seed)
}

/// splitmix64 (Steele, Lea and Flood 2014): for orders and fills, which are no secrets.
fn splitmix(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
