//! Who owns which frame of a UMEM.
//!
//! ```text
//!              lend                 give
//!     free  ---------->   lent   ---------->  in the kernel (fill, receive, transmit, completion ring)
//!           <----------          <----------
//!             put_back              take
//!
//!     free + lent + in the kernel = total, at every moment
//! ```
//!
//! A [`Frame`] is the right to touch the bytes of one frame, and there is at most one for each: it is neither
//! `Copy` nor `Clone`, nobody but the [`Ledger`] makes one, and giving it away takes it. What the kernel hands back
//! is checked: an address that it did not have is a stray, counted and never touched.

/// The right to touch the bytes of one frame. It never leaves the ring.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a frame that is dropped stays lent for ever: give it, or put it back"]
pub struct Frame(u32);

impl Frame {
    /// The number of the frame, from zero.
    #[inline]
    pub const fn index(&self) -> usize {
        self.0 as usize
    }
}

/// How many frames are where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frames {
    /// Nobody's.
    pub free: u32,
    /// Ours to read or write.
    pub lent: u32,
    /// In one of the four rings, or on its way.
    pub in_kernel: u32,
    /// All of them.
    pub total: u32,
    /// Addresses that the kernel handed back without having had them; stays 0.
    pub strays: u64,
}

impl Frames {
    /// The law of frames.
    #[must_use]
    pub const fn balanced(&self) -> bool {
        self.free as u64 + self.lent as u64 + self.in_kernel as u64 == self.total as u64
    }

    /// Both together, for the queues of a ring.
    #[must_use]
    pub const fn and(self, other: Frames) -> Frames {
        Frames {
            free: self.free + other.free,
            lent: self.lent + other.lent,
            in_kernel: self.in_kernel + other.in_kernel,
            total: self.total + other.total,
            strays: self.strays + other.strays,
        }
    }
}

/// The owner of all frames of one UMEM.
#[derive(Debug)]
pub struct Ledger {
    /// The last in is the first out: it is the one most likely to be in the cache.
    free: Vec<u32>,
    /// By frame: whether the kernel has it.
    in_kernel: Box<[bool]>,
    lent: u32,
    kernels: u32,
    strays: u64,
    /// Frames are a power of two long, so that an address within one tells which.
    frame_shift: u32,
}

impl Ledger {
    /// All frames free. `frame_size` is a power of two.
    pub fn new(frames: u32, frame_size: u32) -> Self {
        assert!(frame_size.is_power_of_two(), "frames of {frame_size} bytes");
        Self {
            free: (0..frames).rev().collect(),
            in_kernel: vec![false; frames as usize].into_boxed_slice(),
            lent: 0,
            kernels: 0,
            strays: 0,
            frame_shift: frame_size.trailing_zeros(),
        }
    }

    /// Takes a free frame.
    #[inline]
    pub fn lend(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        self.lent += 1;
        Some(Frame(index))
    }

    /// Makes a frame free again.
    #[inline]
    pub fn put_back(&mut self, Frame(index): Frame) {
        self.lent -= 1;
        self.free.push(index);
    }

    /// The kernel owns the frame from now on; the index is all that is left of it.
    #[inline]
    pub fn give(&mut self, Frame(index): Frame) -> usize {
        let index = index as usize;
        self.lent -= 1;
        self.kernels += 1;
        self.in_kernel[index] = true;
        index
    }

    /// The kernel handed back the frame that this address lies in, counted in bytes from the beginning of the UMEM.
    #[inline]
    pub fn take(&mut self, address: usize) -> Option<Frame> {
        let index = address >> self.frame_shift;
        match self.in_kernel.get_mut(index) {
            Some(had) if *had => {
                *had = false;
                self.kernels -= 1;
                self.lent += 1;
                Some(Frame(index as u32))
            }
            _ => {
                self.strays += 1;
                None
            }
        }
    }

    /// How many are where.
    pub fn frames(&self) -> Frames {
        Frames {
            free: self.free.len() as u32,
            lent: self.lent,
            in_kernel: self.kernels,
            total: self.in_kernel.len() as u32,
            strays: self.strays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const SIZE: u32 = 2048;

    #[derive(Clone, Debug)]
    enum Step {
        Lend,
        PutBack,
        Give,
        /// Which of the kernel's frames, and how far into it the address points.
        Take(usize, usize),
        /// An address that the kernel has no business with.
        Stray(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Lend),
            1 => Just(Step::PutBack),
            3 => Just(Step::Give),
            3 => (any::<usize>(), 0..SIZE as usize).prop_map(|(which, into)| Step::Take(which, into)),
            1 => any::<usize>().prop_map(Step::Stray),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_has_one_owner_whatever_happens(
            frames in 1..20u32,
            steps in proptest::collection::vec(step(), 0..400),
        ) {
            let mut ledger = Ledger::new(frames, SIZE);
            let (mut lent, mut kernel, mut strays) = (VecDeque::new(), Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Lend => {
                        let frame = ledger.lend();
                        prop_assert_eq!(frame.is_none(), lent.len() + kernel.len() == frames as usize);
                        lent.extend(frame);
                    }
                    Step::PutBack => if let Some(frame) = lent.pop_front() { ledger.put_back(frame) },
                    Step::Give => if let Some(frame) = lent.pop_back() { kernel.push(ledger.give(frame)) },
                    Step::Take(which, into) if !kernel.is_empty() => {
                        let index = kernel.swap_remove(which % kernel.len());
                        let frame = ledger.take(index * SIZE as usize + into);
                        prop_assert_eq!(frame.as_ref().map(Frame::index), Some(index));
                        lent.extend(frame);
                    }
                    Step::Take(..) => {}
                    Step::Stray(address) => if !kernel.contains(&(address / SIZE as usize)) {
                        prop_assert_eq!(ledger.take(address), None);
                        strays += 1;
                    },
                }
                let mut owned: Vec<usize> = lent.iter().map(Frame::index).chain(kernel.iter().copied()).collect();
                owned.sort_unstable();
                owned.dedup();
                prop_assert_eq!(owned.len(), lent.len() + kernel.len(), "a frame with two owners");
                let expected = Frames {
                    free: frames - owned.len() as u32,
                    lent: lent.len() as u32,
                    in_kernel: kernel.len() as u32,
                    total: frames,
                    strays,
                };
                prop_assert_eq!(ledger.frames(), expected);
                prop_assert!(ledger.frames().balanced());
            }
        }
    }

    #[test]
    fn a_frame_that_comes_back_twice_is_a_stray() {
        let mut ledger = Ledger::new(2, SIZE);
        let frame = ledger.lend().expect("one is free");
        let address = ledger.give(frame) * SIZE as usize;
        let frame = ledger.take(address).expect("the kernel had it");
        assert_eq!(ledger.take(address), None);
        ledger.put_back(frame);
        assert_eq!(ledger.frames(), Frames { free: 2, total: 2, strays: 1, ..Frames::default() });
    }
}
