//! The thread that turns sealed segments into Parquet files, when there is time for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::archive;
use super::spare::Spare;
use crate::segment::BlockDecoder;
use crate::spool::Shelf;
use crate::{Spool, StoreError};

/// While something waits, the thread looks this often whether there is time for it.
const LOOK: Duration = Duration::from_millis(250);
/// After a failure the thread waits this long before it tries again.
const RETRY: Duration = Duration::from_secs(5);
/// So much of a processor must be free before a segment is begun.
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
    /// Starts the thread for the store of `spool`, whose `archived` counter it moves.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is no thread or no memory to be had.
    pub fn start(spool: &Spool, pace: Pace) -> Result<Archiver, StoreError> {
        let dir = spool.dir().to_owned();
        let decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", &dir))?;
        let (submit, inbox) = mpsc::channel();
        let last_error = Arc::new(Mutex::new(None));
        let worker = Worker {
            dir: dir.clone(),
            decoder,
            pace,
            spare: Spare::default(),
            waiting: VecDeque::new(),
            archived: spool.archived(),
            shelf: spool.shelf(),
            last_error: Arc::clone(&last_error),
        };
        let thread = std::thread::Builder::new().name("archive".into()).spawn(move || worker.run(&inbox));
        let thread = thread.map_err(StoreError::io("start a thread for", &dir))?;
        Ok(Archiver { submit, thread, last_error })
    }

    /// Hands a sealed segment over. It stays in the spool until its Parquet file is durable: one that cannot
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

    /// Finishes what was submitted, busy machine or not, and ends the thread. No segment is begun later than
    /// `within` from now (one takes about a second): the rest stays in the spool, where reports read it and
    /// the next process finds it.
    ///
    /// # Errors
    /// [`StoreError`] of the first segment that could not be archived: it and those behind it stay in the
    /// spool.
    pub fn close(self, within: Duration) -> Result<(), StoreError> {
        let _ = self.submit.send(Word::Close { within });
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Worker {
    dir: PathBuf,
    decoder: BlockDecoder,
    pace: Pace,
    spare: Spare,
    waiting: VecDeque<PathBuf>,
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
            let word = if self.waiting.is_empty() {
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
                Some(Word::Segment(segment)) => self.waiting.push_back(segment),
                Some(Word::Close { within }) => break within,
                None => break Duration::ZERO,
            }
        };
        // A busy machine is no reason to wait any more, nor is the failure before.
        let begun = Instant::now();
        while !self.waiting.is_empty() && begun.elapsed() < within {
            self.next()?;
        }
        Ok(())
    }

    /// Archives a segment if it is time to; returns how long to wait for the next look.
    fn look(&mut self) -> Duration {
        let is_time = match self.pace {
            Pace::AtOnce => true,
            Pace::WhenIdle => self.spare.cores(Instant::now()) >= SPARE_CORES,
        };
        if !is_time {
            return LOOK;
        }
        let Err(error) = self.next() else { return Duration::ZERO };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        RETRY
    }

    /// Archives the oldest segment that waits.
    fn next(&mut self) -> Result<(), StoreError> {
        if let Some(segment) = self.waiting.front() {
            // One that is gone was given up for want of room.
            if self.shelf.claim(segment) {
                let done = archive(&self.dir, segment, &mut self.decoder)
                    .inspect_err(|_| self.shelf.release(segment))?;
                self.archived.fetch_add(done.rows, Ordering::Relaxed);
                self.shelf.taken(segment);
            }
            self.waiting.pop_front();
        }
        Ok(())
    }
}
