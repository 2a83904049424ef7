//! Those who look on: what each wants, and what waits to be written to it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use megaping_capture::{Ask, Captured, Counts, Filter, Refusal, protocol};

/// A client that takes nothing may have so much waiting; the rest is dropped, and counted.
const BACKLOG: usize = 8 << 20;
/// What was dropped is told so often.
const TELL: Duration = Duration::from_millis(500);
/// A client says what it wants within this time, and at the end takes the rest within it.
const PATIENCE: Duration = Duration::from_secs(2);
/// One who is no operator must be quicker: everybody waits for it.
const LITTLE_PATIENCE: Duration = Duration::from_millis(200);

/// Somebody who looks on.
pub(super) struct Client {
    stream: UnixStream,
    out: Vec<u8>,
    written: usize,
    /// None of one who wants what is kept.
    pub filter: Option<Arc<Filter>>,
    // What the shards had dropped when it came.
    before: u64,
    // Those that it wanted, and those of them that there was no room for.
    wanted: u64,
    dropped_socket: u64,
    told: Instant,
}

impl Client {
    /// That has asked for `filter`, and is told `out` first; the shards have dropped `before` so far.
    pub fn new(stream: UnixStream, out: Vec<u8>, filter: Option<Arc<Filter>>, before: u64) -> Client {
        let told = Instant::now();
        Client { stream, out, written: 0, filter, before, wanted: 0, dropped_socket: 0, told }
    }

    /// Takes a packet, if it is wanted and there is room for it.
    pub fn offer(&mut self, captured: &Captured) {
        let Some(filter) = &self.filter else { return };
        if !(filter.wants(&captured.facts()) && filter.wants_names(&captured.tenant, &captured.measurement)) {
            return;
        }
        self.wanted += 1;
        if self.out.len() - self.written > BACKLOG {
            self.dropped_socket += 1;
            return;
        }
        if filter.snaplen > 0 && captured.bytes.len() > filter.snaplen as usize {
            let mut cut = captured.clone();
            cut.bytes.truncate(filter.snaplen as usize);
            cut.write(&mut self.out);
        } else {
            captured.write(&mut self.out);
        }
    }

    /// Sends what waits; false when the client is gone. At the end it gets some time to take the rest. The shards have
    /// `dropped` so many by now, whoever wanted them.
    pub fn write(&mut self, dropped: u64, stopping: bool) -> bool {
        // What was frozen is all there is for one who asked for that.
        let is_last = stopping || self.filter.is_none();
        if is_last || self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let dropped_ring = dropped - self.before;
            let (seen, dropped_socket) = (self.wanted + dropped_ring, self.dropped_socket);
            let counts = Counts { seen, dropped_ring, dropped_socket };
            counts.write(&mut self.out);
        }
        if is_last {
            let _blocks = self.stream.set_nonblocking(false);
            let _bounded = self.stream.set_write_timeout(Some(PATIENCE));
            let all = self.stream.write_all(&self.out[self.written..]).is_ok();
            return all && self.filter.is_some();
        }
        self.flush().is_ok()
    }

    /// Whether it has left.
    pub fn is_gone(&mut self) -> bool {
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
pub(super) fn question(stream: &UnixStream, is_stranger: bool) -> Result<Ask, String> {
    let patience = if is_stranger { LITTLE_PATIENCE } else { PATIENCE };
    let set = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(patience)));
    set.map_err(|error| error.to_string())?;
    let (began, mut line, mut byte) = (Instant::now(), Vec::new(), [0]);
    let mut reader = stream;
    while line.len() < protocol::ASK_MAX && began.elapsed() < patience {
        match reader.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => {
                return serde_json::from_slice(&line).map_err(|error| format!("no such question: {error}"));
            }
            Ok(1) => line.push(byte[0]),
            Ok(_) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("the question has no end".to_owned())
}

/// Says no.
pub(super) fn refuse(mut stream: UnixStream, why: &str) {
    let refusal = Refusal { refused: why.to_owned() };
    let mut line = serde_json::to_vec(&refusal).unwrap_or_default();
    line.push(b'\n');
    // Whoever is gone needs no answer.
    let _told = stream.write_all(&line);
}
