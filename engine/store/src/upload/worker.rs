//! The threads that send segments.

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::queue::{End, Queue};
use super::throttle::Body;
use super::{Load, Throttle, path_statement, statement};
use crate::clickhouse::{Client, Endpoint, Failure, Request, Server, SetupError, Timeouts};
use crate::segment::Kind;
use crate::spool::Shelf;
use crate::{StoreError, files};

/// Pauses between attempts grow from the first to the last of these, by half and half chance each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Sending is not in a hurry of milliseconds: what probes goes first (setpriority(2)).
const NICE: i32 = 10;
/// All rows of a segment become one block of the table, so that nobody sees a part of them.
const WHOLE: &str = "1000000000";

/// How segments are sent.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadOptions {
    /// Where to.
    pub server: Server,
    /// Whose results they are.
    pub tenant: String,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// Requests under way at a time; at least one.
    pub parallel: usize,
    /// Bytes a second at most, of all requests together.
    pub bytes_per_s: Option<u64>,
}

/// What became of a segment, or what goes wrong.
#[derive(Debug)]
pub enum Event {
    /// The server has it.
    Uploaded {
        /// Rows in it.
        rows: u64,
        /// Bytes of the request's body.
        bytes: u64,
    },
    /// The server never wants it: it is kept aside.
    Refused {
        /// Rows in it.
        rows: u64,
        /// Where it is now.
        path: PathBuf,
        /// Why.
        failure: Failure,
    },
    /// An attempt failed; there will be another.
    Failed(Failure),
    /// A file could not be read or renamed; it stays where it is, for the next process.
    Stuck(StoreError),
}

/// Threads that send segments until closed.
#[derive(Debug)]
pub struct Uploader {
    queue: Arc<Queue>,
    events: mpsc::Receiver<Event>,
}

impl Uploader {
    /// Starts the threads, for segments of `shelf`.
    ///
    /// # Errors
    /// [`SetupError`] when the certificates to trust cannot be read, or no thread can be started.
    pub fn start(options: UploadOptions, shelf: Arc<Shelf>) -> Result<Uploader, SetupError> {
        let queue = Arc::new(Queue::default());
        let (tell, events) = mpsc::channel();
        let parallel = options.parallel.max(1);
        let shared = Arc::new(Shared {
            client: Client::new(options.server.clone(), options.timeouts)?,
            throttle: options.bytes_per_s.map(Throttle::new),
            statement: statement(),
            path_statement: path_statement(),
            endpoint: AtomicUsize::new(0),
            queue: Arc::clone(&queue),
            shelf,
            options,
        });
        for number in 0..parallel {
            let worker = Worker {
                shared: Arc::clone(&shared),
                tell: tell.clone(),
                end: if number == 0 { End::Newest } else { End::Oldest },
            };
            let thread = std::thread::Builder::new().name(format!("upload-{number}"));
            thread.spawn(move || worker.run()).map_err(SetupError::Thread)?;
        }
        Ok(Uploader { queue, events })
    }

    /// Hands a sealed segment over.
    pub fn submit(&self, segment: PathBuf) {
        self.queue.push(segment);
    }

    /// What has happened since the last call.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.try_iter()
    }

    /// Sends what waits, for `within` at most. Afterwards [`Uploader::events`] tells the rest of it, and
    /// nothing more happens to any file.
    pub fn close(&self, within: Duration) {
        self.queue.close(within);
    }
}

struct Shared {
    client: Client,
    options: UploadOptions,
    throttle: Option<Throttle>,
    statement: String,
    path_statement: String,
    /// The endpoint that worked last, or the next to try.
    endpoint: AtomicUsize,
    queue: Arc<Queue>,
    shelf: Arc<Shelf>,
}

struct Worker {
    shared: Arc<Shared>,
    tell: mpsc::Sender<Event>,
    end: End,
}

impl Worker {
    fn run(self) {
        // Of this thread alone. Where it is refused, it competes with probing as anybody does.
        let _nice = rustix::process::setpriority_process(None, NICE);
        while let Some(path) = self.shared.queue.take(self.end) {
            self.bring(path);
        }
    }

    /// Sends one segment, as often as it takes.
    fn bring(&self, path: PathBuf) {
        let Shared { queue, shelf, .. } = &*self.shared;
        if !shelf.claim(&path) {
            // Given up for want of room.
            return queue.done();
        }
        let load = match Load::read(&path) {
            Ok(load) => load,
            Err(error) => {
                shelf.release(&path);
                self.say(Event::Stuck(error));
                return queue.done();
            }
        };
        let mut pause = PAUSES.0;
        loop {
            match self.shared.attempt(&load) {
                Ok(()) => return self.finish(&path, &load, None),
                Err(failure) if failure.is_final() => return self.finish(&path, &load, Some(failure)),
                Err(failure) => {
                    let least = failure.least_pause();
                    self.say(Event::Failed(failure));
                    queue.pause(jittered(pause).max(least));
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
            if queue.in_time(|| ()).is_none() {
                shelf.release(&path);
                return queue.put_back(path, self.end);
            }
        }
    }

    /// Gives the file its next name, or removes it, unless the time is over: then its fate was told already.
    fn finish(&self, path: &Path, load: &Load, refusal: Option<Failure>) {
        let Shared { queue, shelf, .. } = &*self.shared;
        let event = queue.in_time(|| settle(path, load, refusal, shelf));
        if !matches!(event, Some(Ok(_))) {
            shelf.release(path);
        }
        if let Some(event) = event {
            self.say(event.unwrap_or_else(Event::Stuck));
        }
        queue.done();
    }

    fn say(&self, event: Event) {
        // The listener is gone when the process ends.
        let _ = self.tell.send(event);
    }
}

impl Shared {
    /// One request to the endpoint whose turn it is; a failure passes the turn on.
    fn attempt(&self, load: &Load) -> Result<(), Failure> {
        let endpoints = self.client.endpoints();
        let turn = self.endpoint.load(Ordering::Relaxed);
        let Some(endpoint) = endpoints.get(turn % endpoints.len().max(1)) else {
            let (endpoint, reason) = ("ClickHouse".to_owned(), "no server is named".to_owned());
            return Err(Failure::Unreachable { endpoint, reason });
        };
        self.insert(endpoint, load).inspect_err(|failure| {
            if !failure.is_final() {
                // Of several workers that failed at the same endpoint one passes it on.
                let next = turn.wrapping_add(1);
                let _ = self.endpoint.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
            }
        })
    }

    fn insert(&self, endpoint: &Endpoint, load: &Load) -> Result<(), Failure> {
        let mut body = Body::new(&load.bytes, self.throttle.as_ref());
        let (tenant, node) = (parameter(&self.options.tenant), parameter(&load.node));
        let sql = match load.kind {
            Kind::Outcomes => &self.statement,
            Kind::Paths => &self.path_statement,
        };
        let settings = [
            ("insert_deduplication_token", load.token.as_str()),
            ("insert_deduplicate", "1"),
            // A view that failed in an earlier attempt is caught up, one that did not is not fed twice.
            ("deduplicate_blocks_in_dependent_materialized_views", "1"),
            ("async_insert", "0"),
            // On a cluster: every shard has its part when the answer comes, and each knows the token.
            ("insert_distributed_sync", "1"),
            // Only then the summary is complete, and an error has a status of its own.
            ("wait_end_of_query", "1"),
            ("max_insert_block_size", WHOLE),
            ("min_insert_block_size_rows", WHOLE),
            ("min_insert_block_size_bytes", "0"),
            ("param_tenant", &tenant),
            ("param_node", &node),
        ];
        let body = Some((&mut body as &mut dyn std::io::Read, load.bytes.len() as u64));
        let answer = self.client.send(endpoint, Request { sql, settings: &settings, body })?;
        // Both count what views read and write, too, so that they are lower bounds: a body that was taken for less
        // than it is falls below them unless its rows roll up to nearly as many.
        let (read, acknowledged) = (answer.read_rows.unwrap_or(0), answer.written_rows.unwrap_or(0));
        if read >= load.blocks && acknowledged >= load.rows {
            return Ok(());
        }
        Err(Failure::Mismatch { endpoint: endpoint.to_string(), sent: load.rows, acknowledged })
    }
}

/// Removes an acknowledged file, or sets a refused or damaged one aside.
fn settle(path: &Path, load: &Load, refusal: Option<Failure>, shelf: &Shelf) -> Result<Event, StoreError> {
    let rows = load.rows;
    if let Some(failure) = refusal {
        let refused = path.with_extension(files::REFUSED);
        files::rename(path, &refused)?;
        shelf.renamed(path, &refused);
        return Ok(Event::Refused { rows, path: refused, failure });
    }
    let bytes = load.bytes.len() as u64;
    if load.damaged_bytes > 0 {
        let damaged = path.with_extension(files::DAMAGED);
        files::rename(path, &damaged)?;
        shelf.renamed(path, &damaged);
    } else {
        files::remove(path)?;
        shelf.taken(path);
    }
    Ok(Event::Uploaded { rows, bytes })
}

/// Between half of it and all of it.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(0) as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// A query parameter as the server reads it: escaped as in its tab-separated format.
fn parameter(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\0', "\\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary_within_bounds() {
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| jittered(PAUSES.1)).collect();
        assert!(pauses.len() > 10 && pauses.iter().all(|&p| p >= PAUSES.1 / 2 && p <= PAUSES.1));
    }

    #[test]
    fn a_parameter_is_escaped() {
        assert_eq!(parameter("a\\b\tc\nd'"), "a\\\\b\\tc\\nd'");
    }
}
