//! The thread that turns sealed segments into Parquet files, some at a time, when there is time for it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::spare::Spare;
use super::write::carry_out;
use crate::place::{Place, PlaceUrl};
use crate::segment::{BlockDecoder, Segment};
use crate::spool::Shelf;
use crate::{Spool, StoreError};

/// While something waits, the thread looks this often whether there is time for it.
const LOOK: Duration = Duration::from_millis(250);
/// After a failure the thread waits this long before it tries again, and twice as long after the next.
const RETRY: Duration = Duration::from_secs(5);
/// It never waits longer.
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// So much of a processor must be free before a plan is begun.
const SPARE_CORES: f64 = 0.5;
/// The lowest priority that the scheduler knows (setpriority(2)).
const NICE: i32 = 19;

/// When an [`Archiver`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// While half a processor of this machine is idle: a Parquet file costs several times what spooling its
    /// rows costs, and that must not come out of the probing. Segments wait in the spool meanwhile.
    WhenIdle,
    /// As soon as there is something to do.
    AtOnce,
}

/// What becomes of a store's segments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveOptions {
    /// Where files go.
    pub place: PlaceUrl,
    /// Whose rows they are.
    pub tenant: String,
    /// When they are made.
    pub pace: Pace,
    /// Segments are merged until they are so long together,
    pub merge_bytes: u64,
    /// or until the first of them has waited so long.
    pub merge_age: Duration,
}

impl ArchiveOptions {
    /// Files of 32 MiB of segments, or of five minutes, in the store at `dir` itself, while the machine has time.
    #[must_use]
    pub fn local(dir: &Path) -> ArchiveOptions {
        ArchiveOptions {
            place: PlaceUrl::of_dir(&dir.join(crate::files::PARQUET)),
            tenant: "default".to_owned(),
            pace: Pace::WhenIdle,
            merge_bytes: 32 << 20,
            merge_age: Duration::from_mins(5),
        }
    }
}

/// A thread that turns sealed segments into Parquet files.
#[derive(Debug)]
pub struct Archiver {
    submit: mpsc::Sender<Word>,
    thread: JoinHandle<Result<(), StoreError>>,
    last_error: Arc<Mutex<Option<StoreError>>>,
}

/// What the thread is told.
enum Word {
    Segment(PathBuf),
    Close { within: Duration },
}

impl Archiver {
    /// Starts the thread for the store of `spool`, whose `archived` counter it moves. What an earlier process had
    /// begun is finished first.
    ///
    /// # Errors
    /// [`StoreError`] when the place cannot be used at all, the plans of an earlier process cannot be read, or there is
    /// no thread or memory to be had.
    pub fn start(spool: &Spool, options: ArchiveOptions) -> Result<Archiver, StoreError> {
        let dir = spool.dir().to_owned();
        let decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", &dir))?;
        let (submit, inbox) = mpsc::channel();
        let last_error = Arc::new(Mutex::new(None));
        let worker = Worker {
            place: Place::open(&options.place)?,
            plans: Plan::left(&dir)?.into(),
            dir: dir.clone(),
            options,
            decoder,
            spare: Spare::default(),
            waiting: VecDeque::new(),
            retry: RETRY,
            archived: spool.archived(),
            shelf: spool.shelf(),
            last_error: Arc::clone(&last_error),
        };
        let thread = std::thread::Builder::new().name("archive".into()).spawn(move || worker.run(&inbox));
        let thread = thread.map_err(StoreError::io("start a thread for", &dir))?;
        Ok(Archiver { submit, thread, last_error })
    }

    /// Hands a sealed segment over. It stays where it is until the files with its rows are durable: one that cannot
    /// be written is tried again, by this process and by the next.
    pub fn submit(&self, segment: PathBuf) {
        // The thread ends only in `close`, which takes the archiver away.
        let _ = self.submit.send(Word::Segment(segment));
    }

    /// The last failure since the last call: to be told, not to be acted upon.
    #[must_use]
    pub fn take_error(&self) -> Option<StoreError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Finishes what was submitted, busy machine or not, and ends the thread. No files are begun later than
    /// `within` from now (making some takes a second or two): the rest stays in the spool, where reports read it and
    /// the next process finds it.
    ///
    /// # Errors
    /// [`StoreError`] of the first segments that could not be archived: they and those behind them stay in the
    /// spool.
    pub fn close(self, within: Duration) -> Result<(), StoreError> {
        let _ = self.submit.send(Word::Close { within });
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// A segment that has no plan yet.
struct Waiting {
    path: PathBuf,
    bytes: u64,
    since: Instant,
}

struct Worker {
    dir: PathBuf,
    place: Place,
    options: ArchiveOptions,
    decoder: BlockDecoder,
    spare: Spare,
    /// Those of earlier processes, and the one that is being carried out.
    plans: VecDeque<Plan>,
    waiting: VecDeque<Waiting>,
    retry: Duration,
    archived: Arc<AtomicU64>,
    shelf: Arc<Shelf>,
    last_error: Arc<Mutex<Option<StoreError>>>,
}

impl Worker {
    fn run(mut self, inbox: &mpsc::Receiver<Word>) -> Result<(), StoreError> {
        // Of this thread alone. Where it is refused, the pace is all there is.
        let _nice = rustix::process::setpriority_process(None, NICE);
        let mut look_at = Instant::now();
        let within = loop {
            let word = if self.waiting.is_empty() && self.plans.is_empty() {
                inbox.recv().ok()
            } else {
                match inbox.recv_timeout(look_at.saturating_duration_since(Instant::now())) {
                    Ok(word) => Some(word),
                    Err(mpsc::RecvTimeoutError::Disconnected) => None,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let rest = self.look();
                        look_at = Instant::now() + rest;
                        continue;
                    }
                }
            };
            match word {
                Some(Word::Segment(path)) => self.wait_for(path),
                Some(Word::Close { within }) => break within,
                None => break Duration::ZERO,
            }
        };
        // A busy machine is no reason to wait any more, nor is the failure before.
        let begun = Instant::now();
        while !(self.waiting.is_empty() && self.plans.is_empty()) && begun.elapsed() < within {
            self.next()?;
        }
        Ok(())
    }

    fn wait_for(&mut self, path: PathBuf) {
        let is_planned = |plan: &Plan| plan.segments.iter().any(|name| self.dir.join(name) == path);
        if !self.plans.iter().any(is_planned) {
            let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            self.waiting.push_back(Waiting { path, bytes, since: Instant::now() });
        }
    }

    /// Makes files if it is time to; returns how long to wait for the next look.
    fn look(&mut self) -> Duration {
        let is_time = match self.options.pace {
            Pace::AtOnce => true,
            Pace::WhenIdle => self.spare.cores(Instant::now()) >= SPARE_CORES,
        };
        if !(is_time && self.is_ripe()) {
            return LOOK;
        }
        match self.next() {
            Ok(()) => {
                self.retry = RETRY;
                Duration::ZERO
            }
            Err(error) => {
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                let longer = (self.retry * 2).min(LONGEST_RETRY);
                std::mem::replace(&mut self.retry, longer)
            }
        }
    }

    /// Whether there is enough to make a file of.
    fn is_ripe(&self) -> bool {
        let is_old =
            self.waiting.front().is_some_and(|first| first.since.elapsed() >= self.options.merge_age);
        let bytes: u64 = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        is_old || !self.plans.is_empty() || bytes >= self.options.merge_bytes
    }

    /// Carries out the oldest plan, or one that it makes of the oldest segments.
    fn next(&mut self) -> Result<(), StoreError> {
        if self.plans.is_empty()
            && let Some(plan) = self.plan()?
        {
            self.waiting.drain(..plan.segments.len());
            self.plans.push_back(plan);
        }
        let Some(plan) = self.plans.front_mut() else { return Ok(()) };
        let segments: Vec<PathBuf> = plan.segments.iter().map(|name| self.dir.join(name)).collect();
        // One that is gone was given up for want of room.
        let held: Vec<_> = segments.iter().filter(|path| self.shelf.claim(path)).collect();
        let place = match plan.place.parse::<PlaceUrl>() {
            Ok(url) if url != self.options.place => Place::open(&url)?,
            _ => self.place.clone(),
        };
        match carry_out(&self.dir, &place, plan, &mut self.decoder) {
            Ok(done) => {
                self.archived.fetch_add(done.rows, Ordering::Relaxed);
                for path in held {
                    self.shelf.taken(path);
                }
                self.plans.pop_front();
                Ok(())
            }
            Err(error) => {
                for path in held {
                    self.shelf.release(path);
                }
                Err(error)
            }
        }
    }

    /// As many of the oldest segments as are of one node and fit together; written down, where there are any.
    fn plan(&mut self) -> Result<Option<Plan>, StoreError> {
        self.waiting.retain(|waiting| waiting.path.exists());
        let mut plan: Option<(String, Plan)> = None;
        let mut bytes = 0;
        for waiting in &self.waiting {
            bytes += waiting.bytes;
            let header = Segment::open(&waiting.path)?.header;
            let name = waiting.path.strip_prefix(&self.dir).unwrap_or(&waiting.path).to_owned();
            match &mut plan {
                None => {
                    let place = self.options.place.to_string();
                    let (id, tenant) = (header.id, self.options.tenant.clone());
                    plan =
                        Some((header.node, Plan { id, tenant, place, segments: vec![name], is_done: false }));
                }
                Some((node, plan)) if *node == header.node && bytes <= self.options.merge_bytes => {
                    plan.segments.push(name);
                }
                Some(_) => break,
            }
        }
        let plan = plan.map(|(_, plan)| plan);
        plan.as_ref().map_or(Ok(()), |plan| plan.begin(&self.dir))?;
        Ok(plan)
    }
}
