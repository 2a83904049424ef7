//! The way back: replies in flight, each until its due time.
//!
//! A first-in first-out queue where delays are all the same, a binary heap where they vary. Both were given
//! their whole capacity at the start and never grow, because no more packets fly than there are buffers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// One reply in flight. The order of the fields is the order of delivery: by time, then by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Flight {
    /// When it is due, in nanoseconds of the ring's clock.
    pub(super) due_ns: u64,
    /// Its number among all flights: those due at the same time come in the order in which they started.
    pub(super) number: u64,
    /// The buffer that holds its bytes.
    pub(super) buffer: u32,
    /// How many bytes.
    pub(super) len: u32,
}

/// Everything in flight.
#[derive(Debug)]
pub(super) enum Way {
    /// What starts first is due first.
    Queue(VecDeque<Flight>),
    /// What starts later may be due earlier.
    Heap(BinaryHeap<Reverse<Flight>>),
}

impl Way {
    /// Room for `capacity` flights.
    pub(super) fn new(in_order: bool, capacity: usize) -> Self {
        if in_order {
            Self::Queue(VecDeque::with_capacity(capacity))
        } else {
            Self::Heap(BinaryHeap::with_capacity(capacity))
        }
    }

    /// Starts a flight; the caller holds a buffer for it, so there is room.
    #[inline]
    pub(super) fn start(&mut self, flight: Flight) {
        match self {
            Self::Queue(queue) => queue.push_back(flight),
            Self::Heap(heap) => heap.push(Reverse(flight)),
        }
    }

    /// When the next one is due.
    #[inline]
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        match self {
            Self::Queue(queue) => queue.front().map(|flight| flight.due_ns),
            Self::Heap(heap) => heap.peek().map(|Reverse(flight)| flight.due_ns),
        }
    }

    /// Takes the next one that is due at `now_ns`.
    #[inline]
    pub(super) fn land(&mut self, now_ns: u64) -> Option<Flight> {
        if self.next_due_ns()? > now_ns {
            return None;
        }
        match self {
            Self::Queue(queue) => queue.pop_front(),
            Self::Heap(heap) => heap.pop().map(|Reverse(flight)| flight),
        }
    }

    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Queue(queue) => queue.len(),
            Self::Heap(heap) => heap.len(),
        }
    }
}
