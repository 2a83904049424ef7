//! Parquet files, the embedded default: sealed segments become files that `DuckDB`, pandas and `ClickHouse` read.
//!
//! `DIR/parquet/date=YYYY-MM-DD/hour=HH/SEGMENT-ID.parquet`, by the UTC hour of the segment's earliest row (a
//! segment that spans two hours goes with its first). Written under a temporary name, synced, renamed; only
//! then is the segment removed. The name follows from the segment alone, so that a file is made exactly once
//! whenever the power fails: where both exist, the Parquet file counts and the segment goes.
//!
//! # Schema
//!
//! | column | type | null | holds |
//! | --- | --- | --- | --- |
//! | `ts` | timestamp\[ns, UTC\] | | departure, or when it was due |
//! | `destination` | utf8 | | where the probe went |
//! | `target` | u64 | | index in the run's target set |
//! | `seq` | u32 | | round of the target |
//! | `outcome` | dictionary utf8 | | `answered`, `error`, `lost`, `unsent` |
//! | `reason` | dictionary utf8 | answered, lost | which error, or why it was not sent |
//! | `icmp_type`, `icmp_code` | u8 | no error | as on the wire |
//! | `responder` | utf8 | the destination | who answered, where it is somebody else |
//! | `rtt_ns` | u64 | no answer | round trip |
//! | `error_ns` | u32 | | the round trip is true within this |
//! | `hop_limit` | u8 | | TTL or hop limit at departure |
//! | `reply_hop_limit` | u8 | no answer | TTL or hop limit of the answer |
//! | `size` | u16 | | payload bytes |
//! | `flow` | u16 | | ECMP path explored |
//! | `stamp_source` | dictionary utf8 | | `user`, `kernel`, `xdp`, `hardware`, `virtual` |
//! | `marks` | u8 | | bit 0: other responder; 1: loss that may be our own; quoted otherwise than sent: 2: destination, 3: source, 4: class |
//!
//! Rows are sorted by target, then time, within each row group; row groups carry statistics. The file's
//! metadata names the node (`megaping.node`).

mod columns;
#[cfg(test)]
mod tests;
mod write;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

pub use write::{Archived, archive};

use crate::segment::BlockDecoder;
use crate::{Spool, StoreError};

/// A thread that turns sealed segments into Parquet files.
#[derive(Debug)]
pub struct Archiver {
    submit: mpsc::Sender<PathBuf>,
    thread: JoinHandle<Result<(), StoreError>>,
    last_error: Arc<Mutex<Option<StoreError>>>,
}

impl Archiver {
    /// Starts the thread for the store of `spool`, whose `archived` counter it moves.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is no thread or no memory to be had.
    pub fn start(spool: &Spool) -> Result<Archiver, StoreError> {
        let dir = spool.dir().to_owned();
        let decoder = BlockDecoder::new().map_err(StoreError::io("prepare zstd for", &dir))?;
        let (submit, inbox) = mpsc::channel();
        let last_error = Arc::new(Mutex::new(None));
        let worker = Worker {
            dir: dir.clone(),
            decoder,
            waiting: VecDeque::new(),
            archived: spool.archived(),
            last_error: Arc::clone(&last_error),
        };
        let thread = std::thread::Builder::new().name("archive".into()).spawn(move || worker.run(&inbox));
        let thread = thread.map_err(StoreError::io("start a thread for", &dir))?;
        Ok(Archiver { submit, thread, last_error })
    }

    /// Hands a sealed segment over. It stays in the spool until its Parquet file is durable: one that cannot
    /// be written is tried again with every later one, and by the next process.
    pub fn submit(&self, segment: PathBuf) {
        // The thread ends only in `close`, which takes the archiver away.
        let _ = self.submit.send(segment);
    }

    /// The last failure since the last call: to be told, not to be acted upon.
    #[must_use]
    pub fn take_error(&self) -> Option<StoreError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Finishes everything that was submitted, and ends the thread.
    ///
    /// # Errors
    /// [`StoreError`] of the first segment that could not be archived: it and those behind it stay in the
    /// spool, where reports find them, too.
    pub fn close(self) -> Result<(), StoreError> {
        drop(self.submit);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Worker {
    dir: PathBuf,
    decoder: BlockDecoder,
    waiting: VecDeque<PathBuf>,
    archived: Arc<AtomicU64>,
    last_error: Arc<Mutex<Option<StoreError>>>,
}

impl Worker {
    fn run(mut self, inbox: &mpsc::Receiver<PathBuf>) -> Result<(), StoreError> {
        while let Ok(segment) = inbox.recv() {
            self.waiting.push_back(segment);
            if let Err(error) = self.drain() {
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
        self.drain()
    }

    /// Archives what waits, oldest first, up to the first failure.
    fn drain(&mut self) -> Result<(), StoreError> {
        while let Some(segment) = self.waiting.front() {
            let done = archive(&self.dir, segment, &mut self.decoder)?;
            self.archived.fetch_add(done.rows, Ordering::Relaxed);
            self.waiting.pop_front();
        }
        Ok(())
    }
}
