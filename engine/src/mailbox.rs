//! Mail between the shards of a run.
//!
//! ```text
//!   shard 0: ring -> an arrival whose identifier names shard 1 ──── letters ───> shard 1: match, seat the outcome
//!   shard 0: schedule <──────────── the target's appointment ────────────────────  its replies land on shard 0
//! ```
//!
//! Where a ring delivers what lands on its queue, a target's replies may land on another shard's queue than the
//! probe left by. They are handed over by letter to the shard that the identifier names; and since a target's
//! replies land on one queue for good (receive-side scaling hashes the addresses), the target then moves to the
//! shard of that queue, and needs no more letters.
//!
//! All queues are bounded and lock-free. A full box is a drop of our own: it is counted, and marks the losses of
//! that time. A target that finds no room stays where it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use megaping_probe::{Appointment, Arrival, Core, Nanos, Outcome, Quoted, Verdict, Work};

/// Letters that a box holds.
pub const LETTERS: usize = 4096;
/// Moving targets that a box holds.
const MOVES: usize = 1024;
/// Bytes of an error's extensions that a letter carries; what is longer arrives cut off. (An ICMP error of 576
/// bytes that quotes the 128 which RFC 4884 asks for has room for 412, and real ones carry tens.)
const EXTENSIONS_MAX: usize = 256;

/// An arrival that belongs to another shard.
#[derive(Clone, Debug)]
struct Letter {
    arrival: Arrival<'static>,
    extensions: [u8; EXTENSIONS_MAX],
    extensions_len: usize,
    from: u16,
}

impl Letter {
    fn new(arrival: &Arrival<'_>, from: u16) -> Letter {
        let quoted = Quoted { extensions: &[], ..arrival.quoted };
        let mut extensions = [0; EXTENSIONS_MAX];
        let extensions_len = arrival.quoted.extensions.len().min(EXTENSIONS_MAX);
        extensions[..extensions_len].copy_from_slice(&arrival.quoted.extensions[..extensions_len]);
        // Whoever looks on has seen its bytes here.
        Letter { arrival: Arrival { quoted, packet: &[], ..*arrival }, extensions, extensions_len, from }
    }

    fn arrival(&self) -> Arrival<'_> {
        let extensions = &self.extensions[..self.extensions_len];
        Arrival { quoted: Quoted { extensions, ..self.arrival.quoted }, ..self.arrival }
    }
}

/// What the siblings of one shard see of it.
#[derive(Debug)]
struct Mailbox {
    letters: ArrayQueue<Letter>,
    // Letters that found no room.
    refused: AtomicU64,
    moves: ArrayQueue<Appointment>,
    // Targets that this shard may take on still.
    room: AtomicU64,
    // What arrived on its ring until then has been read, and is in our box if it is ours.
    read_until: AtomicU64,
    // It moves no target any more.
    settled: AtomicBool,
    // It has nothing due and nothing in flight, for good.
    done: AtomicBool,
}

/// One shard's end of the mail.
#[derive(Debug)]
pub struct Post {
    me: u16,
    boxes: Arc<[Mailbox]>,
    counts: PostCounts,
    // A target that was taken out of the box and could not be taken on yet.
    held: Option<Appointment>,
}

/// What one shard did with its siblings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PostCounts {
    /// Arrivals that it handed over to the shard that they belong to.
    pub handed_over: u64,
    /// Targets that it gave to the shard where their replies land.
    pub migrated: u64,
}

/// The mail of as many shards as there are `rooms`: how many more targets each may take on than it has.
#[must_use]
pub fn posts(rooms: &[u64]) -> Vec<Post> {
    let new = |room: &u64| Mailbox {
        letters: ArrayQueue::new(LETTERS),
        refused: AtomicU64::new(0),
        moves: ArrayQueue::new(MOVES),
        room: AtomicU64::new(*room),
        read_until: AtomicU64::new(0),
        settled: AtomicBool::new(false),
        done: AtomicBool::new(false),
    };
    let boxes: Arc<[Mailbox]> = rooms.iter().map(new).collect();
    let post = |me| Post { me, boxes: Arc::clone(&boxes), counts: PostCounts::default(), held: None };
    (0..rooms.len() as u16).map(post).collect()
}

impl Post {
    /// Hands an arrival over to its owner; false where that is nobody but the caller.
    #[inline]
    pub fn forward(&mut self, owner: Option<u16>, arrival: &Arrival<'_>) -> bool {
        match owner {
            Some(owner) if owner != self.me => self.send(owner, arrival),
            _ => false,
        }
    }

    #[cold]
    fn send(&mut self, owner: u16, arrival: &Arrival<'_>) -> bool {
        let Some(mailbox) = self.boxes.get(usize::from(owner)) else { return false };
        if mailbox.letters.push(Letter::new(arrival, self.me)).is_ok() {
            self.counts.handed_over += 1;
        } else {
            mailbox.refused.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Reads up to `quota` letters; each answer that ends a probe is seated, and its target moves to where the
    /// answer landed. Returns how many letters there were.
    pub fn read<W: Work>(&mut self, core: &mut Core<W>, quota: u32, mut seat: impl FnMut(Outcome)) -> u32 {
        let mut read = 0;
        while read < quota
            && let Some(letter) = self.mine().letters.pop()
        {
            read += 1;
            let Some(outcome) = core.on_arrival(&letter.arrival()) else { continue };
            seat(outcome);
            // Errors come from anywhere on the way, and say nothing about where the target's replies land.
            if outcome.verdict == Verdict::Answered && outcome.responder == outcome.destination {
                self.let_go(core, &outcome, letter.from);
            }
        }
        read
    }

    /// Moves the target of an outcome to the shard where its replies land, if that has room.
    fn let_go<W: Work>(&mut self, core: &mut Core<W>, outcome: &Outcome, to: u16) {
        let (here, there) = (self.mine(), &self.boxes[usize::from(to)]);
        let full = here.settled.load(Ordering::Relaxed) || there.moves.is_full();
        if full || !there.take_room() {
            return;
        }
        let Some(at) = core.give(outcome) else {
            there.room.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if let Err(at) = there.moves.push(at) {
            // Somebody was faster. It has just been ours, so there is a place for it.
            there.room.fetch_add(1, Ordering::Relaxed);
            let _back = core.adopt(at);
            return;
        }
        here.room.fetch_add(1, Ordering::Relaxed);
        self.counts.migrated += 1;
    }

    /// Takes on the targets that have come.
    #[inline]
    pub fn adopt<W: Work>(&mut self, core: &mut Core<W>) {
        while let Some(at) = self.held.take().or_else(|| self.mine().moves.pop()) {
            if !core.adopt(at) {
                self.held = Some(at);
                return;
            }
        }
    }

    /// Tells the siblings that all that had arrived by `now` has been read, and that their part of it is in
    /// their boxes.
    #[inline]
    pub fn has_read_until(&self, now: Nanos) {
        self.mine().read_until.store(now.0, Ordering::Release);
    }

    /// Until when every sibling has read what arrived on its ring. Asked before the letters are read, it is the
    /// time up to which nothing that arrived is unknown afterwards.
    #[inline]
    #[must_use]
    pub fn horizon(&self, now: Nanos) -> Nanos {
        let read_until = |mailbox: &Mailbox| Nanos(mailbox.read_until.load(Ordering::Acquire));
        self.siblings().map(read_until).fold(now, Nanos::min)
    }

    /// Whether the run is over for everybody: nothing is due, in flight, or on the way from one to another. The
    /// caller has nothing due and nothing in flight; until the others have come to that too, it reads their mail.
    pub fn is_over(&mut self) -> bool {
        let mine = self.mine();
        mine.settled.store(true, Ordering::Release);
        // Once nobody moves a target any more, an empty box stays empty.
        if self.siblings().all(|sibling| sibling.settled.load(Ordering::Acquire))
            && self.held.is_none()
            && mine.moves.is_empty()
        {
            mine.done.store(true, Ordering::Release);
        }
        self.boxes.iter().all(|mailbox| mailbox.done.load(Ordering::Acquire))
    }

    /// Letters to this shard that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.mine().refused.load(Ordering::Relaxed)
    }

    /// Letters that wait to be read by this shard.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.mine().letters.len()
    }

    /// What this shard did.
    #[must_use]
    pub fn counts(&self) -> PostCounts {
        self.counts
    }

    /// Nobody waits for this shard any more.
    pub fn leave(&self) {
        let mine = self.mine();
        mine.read_until.store(u64::MAX, Ordering::Release);
        mine.settled.store(true, Ordering::Release);
        mine.done.store(true, Ordering::Release);
    }

    fn mine(&self) -> &Mailbox {
        &self.boxes[usize::from(self.me)]
    }

    fn siblings(&self) -> impl Iterator<Item = &Mailbox> {
        let me = usize::from(self.me);
        self.boxes.iter().enumerate().filter(move |(index, _)| *index != me).map(|(_, mailbox)| mailbox)
    }
}

impl Mailbox {
    fn take_room(&self) -> bool {
        let less = |room: u64| room.checked_sub(1);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Drop for Post {
    /// A shard that dies, even by a panic, holds up nobody.
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use megaping_probe::{Integrity, Kind, Stamp};
    use megaping_wire::Addr;

    fn arrival(extensions: &[u8]) -> Arrival<'_> {
        Arrival {
            kind: Kind::Error { icmp_type: 11, code: 0 },
            responder: Addr::v4([10, 0, 0, 1]),
            destination: Addr::v4([10, 0, 0, 2]),
            identifier: 0x0080,
            sequence: 7,
            evidence: None,
            integrity: Integrity::Good,
            hop_limit: 60,
            traffic_class: 0,
            stamp: Stamp::default(),
            quoted: Quoted { hop_limit: 1, extensions, ..Quoted::default() },
            packet: &[],
        }
    }

    #[test]
    fn a_letter_is_the_arrival_with_as_much_of_its_extensions_as_fits() {
        let bytes: Vec<u8> = (0..=255).chain(0..40).collect();
        for len in [0, 1, 20, 256, 296] {
            let letter = Letter::new(&arrival(&bytes[..len]), 3);
            assert_eq!(letter.arrival(), arrival(&bytes[..len.min(EXTENSIONS_MAX)]));
        }
    }

    #[test]
    fn what_is_nobody_elses_stays_and_a_full_box_counts_what_it_refuses() {
        let mut posts = posts(&[0, 0]);
        assert!(!posts[0].forward(None, &arrival(&[])));
        assert!(!posts[0].forward(Some(0), &arrival(&[])));
        assert!(!posts[0].forward(Some(5), &arrival(&[])), "there is no such shard");
        for _ in 0..LETTERS + 3 {
            assert!(posts[0].forward(Some(1), &arrival(&[])));
        }
        assert_eq!((posts[1].waiting(), posts[1].refused(), posts[0].refused()), (LETTERS, 3, 0));
        assert_eq!(posts[0].counts().handed_over, LETTERS as u64);
    }

    #[test]
    fn nothing_is_lost_before_every_sibling_has_read_its_ring() {
        let posts = posts(&[0, 0, 0]);
        assert_eq!(posts[0].horizon(Nanos(100)), Nanos(0));
        posts[1].has_read_until(Nanos(70));
        posts[2].has_read_until(Nanos(90));
        assert_eq!(posts[0].horizon(Nanos(100)), Nanos(70));
        posts[1].leave();
        assert_eq!(posts[0].horizon(Nanos(100)), Nanos(90));
        assert_eq!(posts[0].horizon(Nanos(80)), Nanos(80));
    }

    #[test]
    fn a_run_is_over_when_it_is_over_for_all_and_nothing_moves() {
        let mut posts = posts(&[0, 0]);
        assert!(!posts[0].is_over(), "the other one may still move a target here");
        assert!(posts[0].boxes[0].moves.push(Appointment { round: 1, turn: 2 }).is_ok());
        assert!(!posts[1].is_over());
        assert!(!posts[0].is_over(), "a target waits in the box");
        assert!(posts[0].mine().moves.pop().is_some());
        assert!(posts[0].is_over() && posts[1].is_over());
    }
}
