//! One socket's provided buffers: memory that the kernel fills, one buffer an arrival.
//!
//! ```text
//!   entries   | bid 3 | bid 0 |  .  |  .  | bid 1 | bid 2 |     a power of two, shared with the kernel
//!                             tail        head
//!                (ours: where we give)    (the kernel's: where it takes)
//! ```
//!
//! A buffer is the kernel's from the moment its entry is published until a completion names it; then it is lent
//! to us ([`Lent`]), and nobody but us looks at it until it is given back. There are as many entries as buffers,
//! so there is always room to give one back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// A buffer that is ours for now. Not `Copy`: giving it back consumes it.
#[derive(Debug)]
pub(super) struct Lent(u16);

/// Entries and buffers.
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    count: u16,
    /// Of a buffer, as the kernel knows it: what is longer is cut.
    len: usize,
    /// From one buffer to the next: whole cache lines, so that the kernel's writes and our reads of neighbours
    /// do not meet.
    stride: usize,
    /// Where the next entry goes, modulo 2^16.
    tail: u16,
    /// How many are ours.
    lent: u16,
    /// The kernel may still write into them: never free them.
    left: bool,
}

// SAFETY: both pointers lead to memory that this value alone owns, beside the kernel.
unsafe impl Send for Buffers {}

impl Buffers {
    /// `count`, a power of two, buffers of `len` bytes, all of them the kernel's.
    pub(super) fn new(count: u16, len: usize) -> Self {
        debug_assert!(count.is_power_of_two());
        let stride = len.next_multiple_of(64);
        let (of_entries, of_bytes) = layouts(count, stride);
        let mut buffers = Self {
            entries: allocate(of_entries).cast(),
            bytes: allocate(of_bytes),
            count,
            len,
            stride,
            tail: 0,
            lent: count,
            left: false,
        };
        (0..count).for_each(|number| buffers.give_back(Lent(number)));
        buffers.publish();
        buffers
    }

    /// Makes them the buffers of group `group` of a ring. They outlive its requests: who arms a receive with
    /// them sees to it that it has ended before they are dropped, or calls [`Buffers::leave_to_the_kernel`].
    pub(super) fn register(&self, submitter: &Submitter<'_>, group: u16) -> io::Result<()> {
        // SAFETY: the entries are `count` initialised ones at a page's beginning. The kernel pins their pages;
        // the buffers they name are freed by `drop` alone, which is the promise above.
        unsafe { submitter.register_buf_ring_with_flags(self.entries.as_ptr() as u64, self.count, group, 0) }
    }

    /// A completion named a buffer: it is ours now. `None` for a number that is none of ours.
    #[inline]
    pub(super) fn taken(&mut self, number: u16) -> Option<Lent> {
        (number < self.count).then(|| {
            self.lent += 1;
            Lent(number)
        })
    }

    /// The first `len` bytes of a buffer that is ours.
    #[inline]
    pub(super) fn bytes(&self, lent: &Lent, len: usize) -> &[u8] {
        // SAFETY: within the allocation, as a `Lent`'s number is below `count`, and initialised, as it was zeroed.
        // The kernel writes to it no more until it is given back, which consumes the `Lent` borrowed here.
        unsafe {
            let start = self.bytes.as_ptr().add(usize::from(lent.0) * self.stride);
            std::slice::from_raw_parts(start, len.min(self.len))
        }
    }

    /// Puts a buffer back; the kernel sees it with the next [`Buffers::publish`].
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "it is no longer lent")]
    pub(super) fn give_back(&mut self, lent: Lent) {
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`. The entry is not published: the kernel has taken what was there, or
        // else more than `count` buffers would be with it. The setters leave the field alone in which entry
        // zero keeps the tail.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(place);
            entry.set_addr(self.bytes.as_ptr().add(usize::from(lent.0) * self.stride) as u64);
            entry.set_len(self.len as u32);
            entry.set_bid(lent.0);
        }
        self.tail = self.tail.wrapping_add(1);
        self.lent = self.lent.saturating_sub(1);
    }

    /// Shows the kernel what was given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        // SAFETY: the tail is a field of entry zero, aligned and alive, and both the kernel and this function
        // reach it only atomically. Release: the entries before it are written when the kernel sees it.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Whether the kernel has one to fill.
    #[inline]
    pub(super) fn any_left(&self) -> bool {
        self.lent < self.count
    }

    /// The kernel may write into them for as long as the process lives: better lost than freed.
    pub(super) fn leave_to_the_kernel(&mut self) {
        self.left = true;
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.left {
            let (of_entries, of_bytes) = layouts(self.count, self.stride);
            // SAFETY: allocated in `new` with the same layouts, and no receive is armed any more.
            unsafe {
                dealloc(self.entries.as_ptr().cast(), of_entries);
                dealloc(self.bytes.as_ptr(), of_bytes);
            }
        }
    }
}

/// Of the entries, at a page's beginning, and of the buffers.
fn layouts(count: u16, stride: usize) -> (Layout, Layout) {
    // SAFETY: no pointers.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let entries = Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), page);
    let bytes = Layout::from_size_align(usize::from(count) * stride, 64);
    match (entries, bytes) {
        (Ok(entries), Ok(bytes)) => (entries.pad_to_align(), bytes),
        // 8192 buffers of 66 KiB are far from the end of the address space.
        _ => unreachable!("the sizes are bounded by the configuration"),
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here is of size zero.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do: take the entry at its head, if the tail says that there is one.
    fn take(buffers: &mut Buffers, head: &mut u16) -> Option<(Lent, u64)> {
        // SAFETY: as in `publish` and `give_back`; there is no kernel here.
        let (tail, number, address) = unsafe {
            let tail = *BufRingEntry::tail(buffers.entries.as_ptr());
            let entry = &*buffers.entries.as_ptr().add(usize::from(*head & (buffers.count - 1)));
            (tail, entry.bid(), entry.addr())
        };
        if *head == tail {
            return None;
        }
        *head = head.wrapping_add(1);
        Some((buffers.taken(number)?, address))
    }

    #[test]
    fn buffers_go_round_and_are_never_in_two_hands() {
        let mut buffers = Buffers::new(4, 100);
        let (mut head, mut ours) = (0, Vec::new());
        // More rounds than a 16-bit tail has numbers.
        for round in 0..if cfg!(miri) { 300 } else { 50_000usize } {
            while let Some((lent, address)) = take(&mut buffers, &mut head) {
                assert_eq!(address, buffers.bytes(&lent, 1).as_ptr() as u64);
                ours.push(lent);
            }
            assert_eq!((ours.len(), buffers.any_left()), (4, false));
            ours.sort_by_key(|lent| lent.0);
            assert!(ours.iter().map(|lent| lent.0).eq(0..4));
            for _ in 0..=round % 4 {
                buffers.give_back(ours.swap_remove(round % ours.len()));
            }
            assert!(take(&mut buffers, &mut head).is_none(), "not published yet");
            buffers.publish();
        }
    }

    #[test]
    fn a_number_that_is_none_of_ours_lends_nothing() {
        let mut buffers = Buffers::new(2, 1);
        assert!(buffers.taken(2).is_none());
        let lent = buffers.taken(1).expect("it is ours");
        assert_eq!(buffers.bytes(&lent, 1_000_000).len(), 1);
    }
}
