//! The tap's thread: takes from the shards, sorts by time, and writes to whoever is attached.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use megaping_capture::{Ask, Captured, Counts, Filter, Hello, Refusal, protocol};

use super::CaptureOptions;
use super::bytes::Renderer;
use super::tap::Link;

/// Nobody attached: a look for somebody so often.
const IDLE: Duration = Duration::from_millis(50);
/// Somebody is: so often to the shards' queues.
const BUSY: Duration = Duration::from_millis(2);
/// Packets wait so long for earlier ones of other shards, and for reports of the ring.
const SORTED_NS: u64 = 150_000_000;
/// A client that takes nothing may have so much waiting; the rest is dropped, and counted.
const BACKLOG: usize = 8 << 20;
/// What was dropped is told so often.
const TELL: Duration = Duration::from_millis(500);
/// A client says what it wants within this time, and at the end takes the rest within it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The socket.
    #[error("{}: cannot be listened on: {source}; name another --capture, or remove what is there", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: another megaping listens there: name another --capture", .0.display())]
    InUse(PathBuf),
}

/// The newest packets, as frames: what there is to be frozen.
#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Bytes that are kept; nothing where it is zero.
    most: usize,
}

impl Kept {
    fn push(&mut self, captured: &Captured) {
        let mut frame = Vec::with_capacity(captured.bytes.len() + 160);
        captured.write(&mut frame);
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.bytes > self.most {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }
}

/// A socket that is listened on, and taken away when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Listens, for this user alone, or for a group, too.
///
/// # Errors
/// [`CaptureError`].
pub fn listen(options: &CaptureOptions) -> Result<Socket, CaptureError> {
    let path = options.socket.as_path();
    let failed = |source| CaptureError::Socket { path: path.to_owned(), source };
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Ok(_) => return Err(CaptureError::InUse(path.to_owned())),
            Err(_) => std::fs::remove_file(path).map_err(failed)?,
        }
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The group first: nobody who is not meant can open it at any time.
    let narrow = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    let set = narrow.and_then(|()| match options.group {
        None => Ok(()),
        Some(_) => chown(path, None, options.group)
            .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o660))),
    });
    set.and_then(|()| listener.set_nonblocking(true)).map_err(failed)?;
    Ok(Socket { listener, path: path.to_owned() })
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Whose a probe is: tenant and measurement, by the target's number.
pub type Naming = Box<dyn Fn(u64) -> Option<(String, String)> + Send>;

/// The thread; it ends when this is dropped, after what was captured by then is written.
pub struct Taps {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taps {
    /// Starts it, for the shards of `links`; `keep` bytes of the newest packets are kept, whoever looks.
    ///
    /// # Errors
    /// That there is no thread to be had.
    pub fn start(
        socket: Socket,
        keep: usize,
        links: Vec<Arc<Link>>,
        renderer: Renderer,
        names: Naming,
        hello: Hello,
    ) -> io::Result<Taps> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let kept = Kept { most: keep, ..Kept::default() };
        let mut server =
            Server { kept, socket, links, renderer, names, hello, client: None, waiting: BinaryHeap::new() };
        let body = move || server.run(&stopped);
        let thread = thread::Builder::new().name("tap".into()).spawn(body)?;
        Ok(Taps { stop, thread: Some(thread) })
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has printed its message.
            let _ended = thread.join();
        }
    }
}

/// A packet that waits for those before it.
struct Waiting(Captured);

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    /// A request goes before the answer that came at the same time.
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        let place = |it: &Waiting| (it.0.time_ns, Reverse(it.0.direction as u8), it.0.shard, it.0.key);
        place(self).cmp(&place(other))
    }
}

struct Client {
    stream: UnixStream,
    out: Vec<u8>,
    written: usize,
    // None of one who wants what is kept.
    filter: Option<Arc<Filter>>,
    // What the shards had counted when it came.
    before: (u64, u64),
    dropped_socket: u64,
    told: Instant,
}

struct Server {
    kept: Kept,
    socket: Socket,
    links: Vec<Arc<Link>>,
    renderer: Renderer,
    names: Naming,
    hello: Hello,
    client: Option<Client>,
    waiting: BinaryHeap<Reverse<Waiting>>,
}

impl Server {
    fn run(&mut self, stop: &AtomicBool) {
        if self.kept.most > 0 {
            self.watch(Some(&Arc::default()));
        }
        loop {
            // Read before the queues: what was handed over before the flag was set is found below.
            let stopping = stop.load(Ordering::Relaxed);
            // Before anybody new is turned away.
            if self.client.as_mut().is_some_and(Client::is_gone) {
                self.detach();
            }
            self.accept();
            let is_busy = self.client.is_some() || self.kept.most > 0;
            if is_busy {
                self.take();
                self.pass_on(if stopping { u64::MAX } else { unix_now_ns().saturating_sub(SORTED_NS) });
            }
            if self.client.is_some() && !self.write(stopping) {
                self.detach();
            }
            if stopping {
                return;
            }
            thread::sleep(if is_busy { BUSY } else { IDLE });
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.socket.listener.accept() else { return };
        let ask = match question(&stream) {
            Ok(ask) => ask,
            Err(why) => return refuse(stream, &why),
        };
        let filter = match ask {
            // One looks at a time.
            Ask::Attach(_) | Ask::Freeze if self.client.is_some() => {
                return refuse(stream, "somebody is attached already");
            }
            Ask::Attach(filter) => Some(Arc::new(filter)),
            Ask::Freeze if self.kept.most > 0 => None,
            Ask::Freeze => {
                return refuse(stream, "this engine keeps no packets: start it with --capture-keep BYTES");
            }
            Ask::Hello => {
                let mut hello = serde_json::to_vec(&self.hello).unwrap_or_default();
                hello.push(b'\n');
                // Whoever is gone needs no answer.
                let _told = (&stream).write_all(&hello);
                return;
            }
            Ask::Secret => return refuse(stream, "this engine gives no secrets"),
        };
        let mut out = serde_json::to_vec(&self.hello).unwrap_or_default();
        out.push(b'\n');
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let before = self.counts();
        match &filter {
            // What is kept is everything, whoever looks.
            Some(filter) if self.kept.most == 0 => self.watch(Some(filter)),
            Some(_) => {}
            None => self.kept.frames.iter().for_each(|frame| out.extend_from_slice(frame)),
        }
        let told = Instant::now();
        self.client = Some(Client { stream, out, written: 0, filter, before, dropped_socket: 0, told });
    }

    fn watch(&self, filter: Option<&Arc<Filter>>) {
        for link in &self.links {
            link.watch(filter.cloned());
        }
    }

    fn counts(&self) -> (u64, u64) {
        self.links.iter().map(|link| link.counts()).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Takes from the shards what they have.
    fn take(&mut self) {
        for (shard, link) in self.links.iter().enumerate() {
            while let Some(event) = link.take() {
                let mut captured = self.renderer.captured(shard as u16, &event);
                if let Some((tenant, measurement)) = event.probe.and_then(|(target, _)| (self.names)(target))
                {
                    (captured.tenant, captured.measurement) = (tenant, measurement);
                }
                link.give_back(event);
                self.waiting.push(Reverse(Waiting(captured)));
            }
        }
    }

    /// Writes, in order of time, what is older than that.
    fn pass_on(&mut self, until_ns: u64) {
        while self.waiting.peek().is_some_and(|Reverse(Waiting(first))| first.time_ns <= until_ns) {
            let Some(Reverse(Waiting(captured))) = self.waiting.pop() else { break };
            if self.kept.most > 0 {
                self.kept.push(&captured);
            }
            if let Some(client) = &mut self.client {
                client.offer(captured);
            }
        }
    }

    /// Sends what waits; false when the client is gone. At the end it gets some time to take the rest.
    fn write(&mut self, stopping: bool) -> bool {
        let (seen, dropped) = self.counts();
        let Some(client) = &mut self.client else { return false };
        // What was frozen is all there is for one who asked for that.
        let is_last = stopping || client.filter.is_none();
        if is_last || client.told.elapsed() >= TELL {
            client.told = Instant::now();
            let counts = Counts {
                seen: seen - client.before.0,
                dropped_ring: dropped - client.before.1,
                dropped_socket: client.dropped_socket,
            };
            counts.write(&mut client.out);
        }
        if is_last {
            let _blocks = client.stream.set_nonblocking(false);
            let _bounded = client.stream.set_write_timeout(Some(PATIENCE));
            let all = client.stream.write_all(&client.out[client.written..]).is_ok();
            return all && client.filter.is_some();
        }
        client.flush().is_ok()
    }

    fn detach(&mut self) {
        self.client = None;
        if self.kept.most > 0 {
            return;
        }
        self.watch(None);
        for link in &self.links {
            while let Some(event) = link.take() {
                link.give_back(event);
            }
        }
        self.waiting.clear();
    }
}

impl Client {
    /// Takes a packet, if it is wanted and there is room for it.
    fn offer(&mut self, mut captured: Captured) {
        let Some(filter) = &self.filter else { return };
        if !(filter.wants(&captured.facts()) && filter.wants_names(&captured.tenant, &captured.measurement)) {
            return;
        }
        if self.out.len() - self.written > BACKLOG {
            self.dropped_socket += 1;
            return;
        }
        if filter.snaplen > 0 {
            captured.bytes.truncate(filter.snaplen as usize);
        }
        captured.write(&mut self.out);
    }

    fn is_gone(&mut self) -> bool {
        // It says nothing more: what can be read is its end.
        matches!(self.stream.read(&mut [0; 64]), Ok(0))
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.written == self.out.len() || self.written > BACKLOG {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}

/// What a client wants: one line.
fn question(stream: &UnixStream) -> Result<Ask, String> {
    let set = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
    set.map_err(|error| error.to_string())?;
    let mut line = Vec::new();
    let mut byte = [0];
    let mut reader = stream;
    while line.len() < protocol::ASK_MAX {
        match reader.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => break,
            Ok(1) => line.push(byte[0]),
            Ok(_) => return Err("the question has no end".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    serde_json::from_slice(&line).map_err(|error| format!("no such question: {error}"))
}

fn refuse(mut stream: UnixStream, why: &str) {
    let refusal = Refusal { refused: why.to_owned() };
    let mut line = serde_json::to_vec(&refusal).unwrap_or_default();
    line.push(b'\n');
    // Whoever is gone needs no answer.
    let _told = stream.write_all(&line);
}

fn unix_now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
