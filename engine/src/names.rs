//! Reverse DNS in the background: names of addresses for people to read.
//!
//! Some threads ask the system's resolver, each address once. Nobody waits for them: what is not known yet is
//! shown as an address, and threads that still wait for a resolver end with the program.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use megaping_wire::Addr;

/// Look-ups under way at once.
const THREADS: usize = 4;
/// Addresses that wait for a thread; a further one is asked for later.
const QUEUE: usize = 256;
/// Addresses that are remembered; beyond, addresses stay addresses.
const KNOWN_MAX: usize = 16_384;

/// What is known of an address.
#[derive(Clone, Debug)]
enum Entry {
    Asked,
    Named(Box<str>),
    Nameless,
}

type Answer = (Addr, Option<Box<str>>);

/// Names by address, and whoever looks them up.
#[derive(Debug)]
pub struct Names {
    known: HashMap<Addr, Entry>,
    waiting: usize,
    // None where names are not wanted: then nothing is ever asked.
    threads: Option<(SyncSender<Addr>, Receiver<Answer>)>,
}

impl Names {
    /// Names are not wanted.
    #[must_use]
    pub fn off() -> Names {
        Names { known: HashMap::new(), waiting: 0, threads: None }
    }

    /// Whether names are not wanted.
    #[must_use]
    pub const fn are_off(&self) -> bool {
        self.threads.is_none()
    }

    /// Names of the system's resolver.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn system() -> io::Result<Names> {
        Names::by(look_up)
    }

    fn by(look_up: fn(&Addr) -> Option<Box<str>>) -> io::Result<Names> {
        let (requests, queue) = mpsc::sync_channel::<Addr>(QUEUE);
        let (answer, answers) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let (queue, answer) = (Arc::clone(&queue), answer.clone());
            let work = move || {
                // The lock is held while waiting for a request, and not while looking it up.
                while let Ok(Ok(addr)) = queue.lock().map(|queue| queue.recv()) {
                    if answer.send((addr, look_up(&addr))).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new().name("names".into()).spawn(work)?;
        }
        Ok(Names { known: HashMap::new(), waiting: 0, threads: Some((requests, answers)) })
    }

    /// Has an address looked up, unless it was already.
    pub fn ask(&mut self, addr: Addr) {
        let Some((requests, _)) = &self.threads else { return };
        if self.known.len() < KNOWN_MAX && !self.known.contains_key(&addr) && requests.try_send(addr).is_ok()
        {
            self.known.insert(addr, Entry::Asked);
            self.waiting += 1;
        }
    }

    /// Takes the answers that have come.
    pub fn poll(&mut self) {
        while let Some((_, answers)) = &self.threads
            && let Ok(answer) = answers.try_recv()
        {
            self.take(answer);
        }
    }

    /// Waits until everything asked is answered, and no longer than `most`.
    pub fn settle(&mut self, most: Duration) {
        let deadline = Instant::now() + most;
        while self.waiting > 0
            && let Some((_, answers)) = &self.threads
            && let Ok(answer) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.take(answer);
        }
    }

    fn take(&mut self, (addr, name): Answer) {
        self.waiting = self.waiting.saturating_sub(1);
        self.known.insert(addr, name.map_or(Entry::Nameless, Entry::Named));
    }

    /// The name of an address, where it is known.
    #[must_use]
    pub fn get(&self, addr: &Addr) -> Option<&str> {
        match self.known.get(addr)? {
            Entry::Named(name) => Some(name),
            Entry::Asked | Entry::Nameless => None,
        }
    }
}

fn look_up(addr: &Addr) -> Option<Box<str>> {
    let socket = SocketAddr::new(addr.ip(), 0);
    let (name, _) = dns_lookup::getnameinfo(&socket, libc::NI_NAMEREQD | libc::NI_NUMERICSERV).ok()?;
    printable(&name)
}

/// A name as it may be shown: whoever owns the address writes it, and a terminal obeys control characters.
fn printable(name: &str) -> Option<Box<str>> {
    let name = name.trim_end_matches('.');
    let good = !name.is_empty() && name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ASKED: AtomicU32 = AtomicU32::new(0);

    fn slow_when_odd(addr: &Addr) -> Option<Box<str>> {
        ASKED.fetch_add(1, Ordering::Relaxed);
        if addr.v4_octets()[3] % 2 == 1 {
            thread::sleep(Duration::from_secs(5));
        }
        (addr.v4_octets()[3] > 0).then(|| format!("host-{}", addr.v4_octets()[3]).into())
    }

    #[test]
    fn each_address_is_asked_once_and_nobody_waits_for_the_slow() {
        let mut names = Names::by(slow_when_odd).unwrap();
        let at = |last| Addr::v4([192, 0, 2, last]);
        for _ in 0..3 {
            for last in [0, 2, 1] {
                names.ask(at(last));
            }
        }
        let start = Instant::now();
        names.settle(Duration::from_millis(300));
        assert!(start.elapsed() < Duration::from_secs(2));
        names.poll();
        assert_eq!((names.get(&at(2)), names.get(&at(0)), names.get(&at(1))), (Some("host-2"), None, None));
        assert_eq!(ASKED.load(Ordering::Relaxed), 3);
        let mut off = Names::off();
        off.ask(at(2));
        off.settle(Duration::from_secs(9));
        assert_eq!(off.get(&at(2)), None);
    }

    #[test]
    fn names_that_would_move_the_cursor_are_none() {
        assert_eq!(printable("host.example.").as_deref(), Some("host.example"));
        for bad in ["", ".", "a\u{1b}[2Jb", "a b", "ünicode", "x\n"] {
            assert_eq!(printable(bad), None, "{bad:?}");
        }
        assert_eq!(printable(&"a".repeat(300)), None);
    }
}
