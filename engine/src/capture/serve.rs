//! The tap's thread: takes from the shards, sorts by time, and writes to whoever is attached.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use megaping_capture::{Ask, Captured, Filter, Hello};

use super::CaptureOptions;
use super::bytes::Renderer;
use super::client::{self, Client};
use super::kept::Kept;
use super::socket::Sockets;
use super::tap::Link;
use super::trigger::Watch;

/// Nobody attached: a look for somebody so often.
const IDLE: Duration = Duration::from_millis(50);
/// Somebody is: so often to the shards' queues.
const BUSY: Duration = Duration::from_millis(2);
/// Packets wait so long for earlier ones of other shards, and for reports of the ring.
const SORTED_NS: u64 = 150_000_000;
/// So many may look at a time.
const CLIENTS: usize = 4;

/// Whose a probe is: tenant and measurement, by the target's number.
pub type Naming = Box<dyn Fn(u64) -> Option<(String, String)> + Send>;
/// Whose a token is.
pub type Tokens = Box<dyn Fn(&[u8]) -> Option<String> + Send>;

/// What the thread needs of a run.
pub struct Scene {
    /// Of each shard.
    pub links: Vec<Arc<Link>>,
    /// Puts packets together.
    pub renderer: Renderer,
    /// Whose they are.
    pub names: Naming,
    /// Who may see those of a tenant.
    pub tokens: Tokens,
    /// What clients are told.
    pub hello: Hello,
    /// How long a probe waits, in nanoseconds.
    pub timeout_ns: u64,
}

/// The thread; it ends when this is dropped, after what was captured by then is written.
pub struct Taps {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taps {
    /// Starts it.
    ///
    /// # Errors
    /// That there is no thread to be had.
    pub fn start(sockets: Sockets, options: &CaptureOptions, scene: Scene) -> io::Result<Taps> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut server = Server {
            kept: Kept::new(options.keep as usize),
            watch: Watch::new(&options.triggers, &options.dir, scene.timeout_ns),
            sockets,
            scene,
            clients: Vec::new(),
            waiting: BinaryHeap::new(),
        };
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

struct Server {
    kept: Kept,
    watch: Watch,
    sockets: Sockets,
    scene: Scene,
    clients: Vec<Client>,
    waiting: BinaryHeap<Reverse<Waiting>>,
}

impl Server {
    fn run(&mut self, stop: &AtomicBool) {
        self.tell_shards();
        loop {
            // Read before the queues: what was handed over before the flag was set is found below.
            let stopping = stop.load(Ordering::Relaxed);
            // Before anybody new is turned away.
            self.keep_clients(|client| !client.is_gone());
            while let Some((stream, is_stranger)) = self.sockets.accept() {
                self.answer(stream, is_stranger);
            }
            let is_busy = !self.clients.is_empty() || self.kept.keeps();
            if is_busy {
                self.take();
                self.pass_on(if stopping { u64::MAX } else { unix_now_ns().saturating_sub(SORTED_NS) });
                let dropped = self.dropped();
                self.keep_clients(|client| client.write(dropped, stopping));
            }
            if stopping {
                return;
            }
            thread::sleep(if is_busy { BUSY } else { IDLE });
        }
    }

    /// Does what somebody asks for, as far as that one may.
    fn answer(&mut self, stream: UnixStream, is_stranger: bool) {
        let asked = client::question(&stream, is_stranger).and_then(|ask| self.allowed(ask, is_stranger));
        let (ask, tenant) = match asked {
            Ok(asked) => asked,
            Err(why) => return client::refuse(stream, &why),
        };
        let mut out = serde_json::to_vec(&self.scene.hello).unwrap_or_default();
        out.push(b'\n');
        let filter = match ask {
            Ask::Attach(_) if self.clients.len() >= CLIENTS => {
                return client::refuse(stream, "enough are attached already");
            }
            Ask::Attach(mut filter) => {
                if let Some(tenant) = tenant {
                    filter.tenants = vec![tenant];
                }
                Some(Arc::new(filter))
            }
            Ask::Freeze if self.kept.keeps() => {
                self.kept.write(tenant.as_deref(), &mut out);
                None
            }
            Ask::Freeze => {
                let why = "this engine keeps no packets: start it with --capture-keep BYTES";
                return client::refuse(stream, why);
            }
            Ask::Hello => {
                // Whoever is gone needs no answer.
                let _told = (&stream).write_all(&out);
                return;
            }
            Ask::WithToken { .. } => return client::refuse(stream, "a token inside of a token"),
        };
        if stream.set_nonblocking(true).is_ok() {
            self.clients.push(Client::new(stream, out, filter, self.dropped()));
            self.tell_shards();
        }
    }

    /// What is asked for, and the tenant whose packets are shown, if not all are.
    fn allowed(&self, ask: Ask, is_stranger: bool) -> Result<(Ask, Option<String>), String> {
        match ask {
            Ask::WithToken { token, ask } => match (self.scene.tokens)(token.as_bytes()) {
                Some(tenant) => Ok((*ask, Some(tenant))),
                None => Err("no tenant has this token".to_owned()),
            },
            _ if is_stranger => Err("give a tenant's token: pcap-dump --token-file FILE".to_owned()),
            ask => Ok((ask, None)),
        }
    }

    /// What one wants who looks alone, the shards hand over; of what several want, or what is kept, everything.
    fn tell_shards(&self) {
        let filter = match self.clients.as_slice() {
            _ if self.kept.keeps() => Some(Arc::default()),
            [] => None,
            [client] => client.filter.clone(),
            _ => Some(Arc::<Filter>::default()),
        };
        for link in &self.scene.links {
            link.watch(filter.clone());
        }
    }

    /// Those stay for whom that is true.
    fn keep_clients(&mut self, stays: impl FnMut(&mut Client) -> bool) {
        let before = self.clients.len();
        self.clients.retain_mut(stays);
        if self.clients.len() == before {
            return;
        }
        self.tell_shards();
        if self.clients.is_empty() && !self.kept.keeps() {
            for link in &self.scene.links {
                while let Some(event) = link.take() {
                    link.give_back(event);
                }
            }
            self.waiting.clear();
        }
    }

    fn dropped(&self) -> u64 {
        self.scene.links.iter().map(|link| link.dropped()).sum()
    }

    /// Takes from the shards what they have.
    fn take(&mut self) {
        let Scene { links, renderer, names, .. } = &mut self.scene;
        for (shard, link) in links.iter().enumerate() {
            while let Some(event) = link.take() {
                let mut captured = renderer.captured(shard as u16, &event);
                if let Some((tenant, measurement)) = event.probe.and_then(|(target, _)| names(target)) {
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
            if self.kept.keeps() {
                self.kept.push(&captured);
                self.watch.look(&captured, &self.kept, &self.scene.hello);
            }
            for client in &mut self.clients {
                client.offer(&captured);
            }
        }
    }
}

fn unix_now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
