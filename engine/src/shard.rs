//! The shard: one thread, one ring, one core. The whole path of a probe is on this page.
//!
//! ```text
//!   now -> reap sent -> receive -> match -> expire -> send what is due -> hand over batches -> park
//! ```
//!
//! Where what arrives may be a sibling's, it is handed over, and the siblings' mail is read before anything expires.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use megaping_probe::{Core, Down, Ledger, Nanos, Ring, RingCounters, Work};
use megaping_store::batch::{BATCH_ROWS, Desk};

use crate::capture::Tap;
use crate::mailbox::{LETTERS, Post, PostCounts};

/// Most reports, arrivals or endings that a breath takes: more than it sends, so that it comes to the end of them
/// at full speed too.
const QUOTA: u32 = 1024;
/// A wait longer than this ends early when something arrives; a shorter one just ends.
const NAP_NS: u64 = 1_000_000;
/// The shard looks up this often, even when nothing is due.
const LOOK_UP_NS: u64 = 50_000_000;
/// An outcome waits at most this long for others to fill its batch.
const HAND_OVER_NS: u64 = 50_000_000;
/// Wall clock and shard clock are read one after the other: smaller differences are not a step.
const CLOCK_NOISE_NS: u64 = 20_000;
/// After the last outcome, duplicates get as long as the slowest answer took, within these bounds.
const LINGER_NS: (u64, u64) = (10_000_000, 250_000_000);

/// What the main thread and a shard share.
#[derive(Debug, Default)]
pub struct Board {
    /// Set by the main thread: order nothing more, wait for what is in flight, and end.
    pub stop: AtomicBool,
    /// Set by the main thread before `stop`: do not even wait for what is in flight.
    pub leave: AtomicBool,
    /// Set until the shard has come to its end as planned: one that ends with this set has died.
    pub alive: AtomicBool,
    /// The shard's figures as of its last publication.
    pub figures: Mutex<Figures>,
}

/// What a shard publishes about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The ledger.
    pub ledger: Ledger,
    /// What the ring counted; letters that found no room are drops too.
    pub ring: RingCounters,
    /// What the shard did with its siblings.
    pub post: PostCounts,
    /// The ring's clock at publication.
    pub at: Nanos,
}

/// How a ring's clock relates to Unix time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// The clock is the machine's: the offset is looked up again and again, since wall clocks are stepped.
    Live,
    /// The clock is a simulation's: this many nanoseconds lie between its zero and the Unix epoch.
    Fixed(u64),
}

/// One shard; consumed by [`Shard::run`].
#[derive(Debug)]
pub struct Shard<R, W> {
    ring: R,
    core: Core<W>,
    desk: Desk,
    board: Arc<Board>,
    post: Option<Post>,
    tap: Option<Tap>,
    wall: Wall,
    handed_over: Nanos,
    published: Nanos,
    dropped: u64,
    done_since: Option<Nanos>,
    stopping: bool,
    leaving: bool,
}

/// What one breath did.
#[derive(Clone, Copy)]
struct Breath {
    /// When it began.
    now: Nanos,
    /// Whether a step stopped at its quota: there is more to do at once, without rest.
    backlog: bool,
    /// Whether it sent as many probes as may leave in a row.
    full_burst: bool,
}

impl<R: Ring, W: Work> Shard<R, W> {
    /// A shard that is ready to run.
    #[must_use]
    pub fn new(ring: R, core: Core<W>, desk: Desk, board: Arc<Board>, wall: Wall) -> Shard<R, W> {
        Shard {
            ring,
            core,
            desk,
            board,
            post: None,
            tap: None,
            wall,
            handed_over: Nanos(0),
            published: Nanos(0),
            dropped: 0,
            done_since: None,
            stopping: false,
            leaving: false,
        }
    }

    /// The same shard, with siblings on whose rings its answers may land.
    #[must_use]
    pub fn with_post(self, post: Post) -> Shard<R, W> {
        Shard { post: Some(post), ..self }
    }

    /// The same shard, with somebody who may look on.
    #[must_use]
    pub fn with_tap(self, tap: Option<Tap>) -> Shard<R, W> {
        Shard { tap, ..self }
    }

    /// Breathes until everything scheduled has ended, or until told to stop and nothing is in flight. The first
    /// probe may leave at `start`.
    ///
    /// # Errors
    /// [`Down`] when the ring died; what was in flight is then still in the last published ledger.
    pub fn run(&mut self, start: Nanos) -> Result<(), Down> {
        self.board.alive.store(true, Ordering::Relaxed);
        let end = self.breathe_to_the_end(start);
        self.board.alive.store(end.is_err(), Ordering::Relaxed);
        self.finish();
        end
    }

    /// Hands over and publishes what is left at the end.
    pub fn finish(&mut self) {
        let now = self.ring.now();
        let Shard { ring, core, desk, .. } = self;
        // Where all has ended there is nothing to give up; a ring that died still says what never left.
        ring.abandon();
        let _dead = ring.reap(u32::MAX, |sent| {
            if let Some(outcome) = core.on_sent(sent) {
                desk.seat(outcome);
            }
        });
        self.desk.close();
        if let Some(post) = &self.post {
            post.leave();
        }
        if let Ok(mut figures) = self.board.figures.lock() {
            *figures = self.figures(now);
        }
    }

    fn breathe_to_the_end(&mut self, start: Nanos) -> Result<(), Down> {
        self.begin(start);
        while self.step()? {}
        Ok(())
    }

    /// Says when the first probe may leave, and looks around for the first time.
    pub fn begin(&mut self, start: Nanos) {
        self.core.begin(start);
        let now = self.ring.now();
        self.look_up(now);
    }

    /// One breath and the rest after it; false when it was the last. Public so that a simulation can look at
    /// the laws after each.
    ///
    /// # Errors
    /// [`Down`] when the ring died.
    pub fn step(&mut self) -> Result<bool, Down> {
        let breath = self.breathe()?;
        if self.is_over(breath.now) {
            return Ok(false);
        }
        if !breath.backlog {
            self.rest(&breath)?;
        }
        Ok(true)
    }

    fn breathe(&mut self) -> Result<Breath, Down> {
        let Shard { ring, core, desk, post, tap, .. } = self;
        let now = ring.now();
        let mut tap = tap.as_mut().and_then(Tap::watched);
        let unix_offset_ns = desk.unix_offset_ns();
        let reaped = ring.reap(QUOTA, |sent| {
            if let Some(tap) = &mut tap {
                tap.sent(&sent, core, unix_offset_ns);
            }
            if let Some(outcome) = core.on_sent(sent) {
                desk.seat(outcome);
            }
        })?;
        let received = ring.recv(QUOTA, |arrival| {
            if let Some(post) = post
                && post.forward(core.owner(arrival.identifier), arrival)
            {
                if let Some(tap) = &mut tap {
                    tap.handed_over(arrival, unix_offset_ns);
                }
                return;
            }
            let ended = match &mut tap {
                Some(tap) => tap.matched(arrival, core, unix_offset_ns),
                None => core.on_arrival(arrival),
            };
            if let Some(outcome) = ended {
                desk.seat(outcome);
            }
        })?;
        desk.reclaim();
        let read_until = if received < QUOTA { self.read_mail(now) } else { None };
        let Shard { ring, core, desk, tap, .. } = self;
        core.breathe(now);
        let mut ended = 0;
        if let Some(read_until) = read_until {
            // Only now: an answer that is here already, though unread, is not lost.
            let seats = desk.seats();
            ended = core.on_tick(read_until, seats, QUOTA, |outcome| desk.seat(outcome));
        }
        let seats = desk.seats();
        let burst = core.pace().burst_max();
        let sent = match tap.as_mut().and_then(Tap::watched) {
            None => ring.send(burst, || core.next_order(now, seats))?,
            Some(tap) => {
                ring.send(burst, || core.next_order(now, seats).inspect(|order| tap.ordered(order)))?
            }
        };
        if core.is_stuck(now) {
            ring.abandon();
        }
        self.look_around(now);
        let drained = read_until.is_some();
        let backlog = reaped == QUOTA || !drained || ended == QUOTA;
        Ok(Breath { now, backlog, full_burst: sent == burst })
    }

    /// Reads what siblings have handed over. Returns until when nothing that arrived is unread; `None` when there
    /// is more to read.
    #[inline]
    fn read_mail(&mut self, now: Nanos) -> Option<Nanos> {
        let Shard { core, desk, post, .. } = self;
        let Some(post) = post else { return Some(now) };
        post.has_read_until(now);
        let horizon = post.horizon(now);
        post.adopt(core);
        let read = post.read(core, QUOTA, |outcome| desk.seat(outcome));
        (read < QUOTA).then_some(horizon)
    }

    /// What is not done in every breath: handing over, publishing, hearing the main thread.
    fn look_around(&mut self, now: Nanos) {
        if self.desk.waiting() == 0 {
            self.handed_over = now;
        } else if now.since(self.handed_over) >= HAND_OVER_NS && self.can_spare_the_rest() {
            self.desk.hand_over();
            self.handed_over = now;
        }
        if now.since(self.published) >= LOOK_UP_NS {
            self.look_up(now);
        }
    }

    /// Whether everyone in flight has a seat still when the rest of the current batch is given up.
    fn can_spare_the_rest(&self) -> bool {
        let rest = BATCH_ROWS.saturating_sub(self.desk.waiting());
        self.desk.seats().saturating_sub(rest) >= self.core.ledger().in_flight as usize
    }

    #[cold]
    fn look_up(&mut self, now: Nanos) {
        let unix_offset_ns = match self.wall {
            Wall::Fixed(offset_ns) => offset_ns,
            Wall::Live => {
                let before = self.ring.now();
                let unix =
                    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |unix| unix.as_nanos() as u64);
                let width = self.ring.now().since(before);
                let known = self.desk.unix_offset_ns();
                let measured = unix.saturating_sub(before.0 + width / 2);
                // Interrupted between the readings: what that explains is no step, and the next look will tell. (The
                // very first is better than none.)
                if known > 0 && width > CLOCK_NOISE_NS && measured.abs_diff(known) <= width {
                    known
                } else {
                    measured
                }
            }
        };
        // Two readings of two clocks never agree to the nanosecond; a batch has one offset, so that noise
        // is not worth a hand-over.
        let stepped = unix_offset_ns.abs_diff(self.desk.unix_offset_ns()) > CLOCK_NOISE_NS;
        if stepped && self.can_spare_the_rest() {
            self.desk.set_unix_offset(unix_offset_ns);
        }
        let counters = self.ring_counters();
        let dropped = counters.rx_dropped + counters.tx_dropped;
        if dropped > self.dropped {
            self.dropped = dropped;
            self.core.on_own_drops(now);
        }
        self.core.shed(self.desk.is_shedding());
        if !self.stopping && self.board.stop.load(Ordering::Relaxed) {
            self.stopping = true;
            self.leaving = self.board.leave.load(Ordering::Relaxed);
            self.core.stop();
            self.ring.abandon();
        }
        self.publish(now);
    }

    fn publish(&mut self, now: Nanos) {
        self.published = now;
        // Nobody holds this lock for longer than a copy; when somebody does, the next publication will do.
        if let Ok(mut figures) = self.board.figures.try_lock() {
            *figures = self.figures(now);
        }
    }

    fn figures(&self, now: Nanos) -> Figures {
        let post = self.post.as_ref().map_or_else(PostCounts::default, Post::counts);
        Figures { ledger: *self.core.ledger(), ring: self.ring_counters(), post, at: now }
    }

    fn ring_counters(&self) -> RingCounters {
        let counters = self.ring.counters();
        let refused = self.post.as_ref().map_or(0, Post::refused);
        RingCounters { rx_dropped: counters.rx_dropped + refused, ..counters }
    }

    fn is_over(&mut self, now: Nanos) -> bool {
        let has_more = !self.core.is_done() || self.post.as_mut().is_some_and(|post| !post.is_over());
        if self.leaving || has_more {
            return self.leaving;
        }
        let done_since = *self.done_since.get_or_insert(now);
        let linger = self.core.rtt_max_ns().clamp(LINGER_NS.0, LINGER_NS.1);
        self.stopping || now.since(done_since) >= linger
    }

    /// Sleeps until something is due: never past the next look around, and not for less than a breath, so that bursts keep
    /// apart; half a breath where one burst was not enough. An arrival ends a longer sleep; a shorter one is over soon, and
    /// the arrival has its stamp.
    fn rest(&mut self, breath: &Breath) -> Result<(), Down> {
        let began = breath.now;
        let look_up = self.published + LOOK_UP_NS;
        let wake = self.core.next_wake().unwrap_or(look_up).min(look_up);
        let hand_over = if self.desk.waiting() > 0 { self.handed_over + HAND_OVER_NS } else { look_up };
        // What siblings hand over wakes nobody: while more is in flight than a box holds, it is looked into often.
        let crowd = self.post.is_some() && self.core.ledger().in_flight > LETTERS as u64 / 2;
        let mail = if crowd { began + NAP_NS } else { look_up };
        let is_late = breath.full_burst && wake <= began;
        let breath_ns = self.core.pace().breath_ns() >> u32::from(is_late);
        let until = wake.min(hand_over).min(mail).max(began + breath_ns);
        self.ring.park(until, until.since(began) > NAP_NS.max(breath_ns))
    }

    /// Outcomes that wait for others to fill their batch.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.desk.waiting()
    }

    /// The core, for those who check the laws.
    #[must_use]
    pub fn core(&self) -> &Core<W> {
        &self.core
    }

    /// The mail, for those who check that it dies out.
    #[must_use]
    pub fn post(&self) -> Option<&Post> {
        self.post.as_ref()
    }

    /// The ring, for those who read its counters.
    #[must_use]
    pub fn ring(&self) -> &R {
        &self.ring
    }
}
