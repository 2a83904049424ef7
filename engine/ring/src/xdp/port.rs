//! One receive queue's socket with its UMEM and four rings, through `xsk-rs`, which only this file and `port/bind.rs` know.
//!
//! ```text
//!               stage, submit                                       put back
//!     ledger ------------------> transmit ring -> kernel -> completion ring -------> ledger
//!            ------------------> fill ring     -> kernel -> receive ring    --,
//!                    ^-------------------------- each(bytes, stamp) <---------'
//! ```
//!
//! xsk-rs asks of its callers that a descriptor they hand over is of this UMEM, and that nobody touches a frame
//! while the kernel has it. The [`Ledger`] keeps both: descriptors are those of the UMEM, by the index of a frame,
//! and there is one [`Frame`](super::frame::Frame) for each, which `give` takes away.

mod bind;
mod busy;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::config::{Binding, FRAME_SIZE};
use super::frame::{Frames, Ledger};

/// Frames that are handed to the kernel, or taken from it, at a time.
const BATCH: usize = 64;
/// Bytes of `struct mp_steer_stamp`, which the steering program puts before a frame.
pub(super) const STAMP_SIZE: usize = 16;
/// `MP_STEER_SEAL`: what its two words differ by.
pub(super) const STAMP_SEAL: u64 = 0x6d65_6761_7069_6e67;

/// What came of asking the kernel to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kick {
    /// The driver takes packets from the transmit ring by itself.
    NotNeeded,
    /// The kernel took what it could; the rest (EAGAIN, ENOBUFS, ENETDOWN) stays on the ring.
    Done,
    /// The device dropped the last packet that was taken, as one without carrier or with a full queue does. In copy
    /// mode that is what EBUSY means (`xsk_generic_xmit`), and nothing else tells of it.
    LastDropped,
}

pub(super) struct Port {
    transmit: TxQueue,
    receive: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    umem: Umem,
    ledger: Ledger,
    /// By frame, as the UMEM made them.
    descriptors: Box<[FrameDesc]>,
    staged: Vec<FrameDesc>,
    scratch: Box<[FrameDesc; BATCH]>,
    returned: Vec<FrameDesc>,
    ring_size: u32,
    pub(super) binding: Binding,
}

impl Port {
    /// Gives the kernel as many frames to receive into as the fill ring holds.
    fn fill_up(&mut self) {
        for _ in 0..self.ring_size {
            let Some(frame) = self.ledger.lend() else { break };
            self.returned.push(self.descriptors[self.ledger.give(frame)]);
            if self.returned.len() == BATCH {
                self.give_back();
            }
        }
        self.give_back();
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as a queue of the socket lives, and `self` holds all four.
        unsafe { BorrowedFd::borrow_raw(self.transmit.fd().as_raw_fd()) }
    }

    /// Frames that can be staged now.
    #[inline]
    pub(super) fn room(&mut self) -> u32 {
        let room = self.transmit.nb_free_exact().saturating_sub(self.staged.len() as u32);
        room.min(self.ledger.frames().free).min((BATCH - self.staged.len()) as u32)
    }

    /// Lends a frame's bytes, all of them, to `write`, and stages as many as it says it wrote; none for zero.
    #[inline]
    pub(super) fn stage(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let Some(frame) = self.ledger.lend() else { return };
        let descriptor = &mut self.descriptors[frame.index()];
        // SAFETY: the descriptor is of this UMEM, and the frame is lent to us: nobody else has it.
        let mut data = unsafe { self.umem.data_mut(descriptor) };
        data.cursor().set_pos(FRAME_SIZE as usize);
        let length = write(data.contents_mut());
        data.cursor().set_pos(length);
        if length == 0 {
            self.ledger.put_back(frame);
        } else {
            let index = self.ledger.give(frame);
            self.staged.push(self.descriptors[index]);
        }
    }

    /// Puts what is staged onto the transmit ring.
    #[inline]
    pub(super) fn submit(&mut self) {
        // SAFETY: the descriptors are of this UMEM, and their frames were given away when they were staged.
        let taken = unsafe { self.transmit.produce(&self.staged) };
        debug_assert_eq!(taken, self.staged.len(), "no more was staged than there was room for");
        self.staged.clear();
    }

    /// Packets on the transmit ring that the kernel has not taken yet.
    #[inline]
    pub(super) fn on_ring(&mut self) -> u32 {
        self.ring_size.saturating_sub(self.transmit.nb_free_exact())
    }

    /// Has the kernel send, unless the driver does so by itself.
    #[inline]
    pub(super) fn kick(&mut self) -> io::Result<Kick> {
        if !self.transmit.needs_wakeup() {
            return Ok(Kick::NotNeeded);
        }
        // SAFETY: no buffer and no address, both of length zero; the socket is open as long as `self` lives.
        let sent = unsafe {
            libc::sendto(self.fd().as_raw_fd(), ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0)
        };
        if sent >= 0 {
            return Ok(Kick::Done);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EBUSY) if !self.binding.zero_copy => Ok(Kick::LastDropped),
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENETDOWN | libc::EINTR) => Ok(Kick::Done),
            _ => Err(error),
        }
    }

    /// Takes back the frames that were sent.
    #[inline]
    pub(super) fn reclaim(&mut self) {
        loop {
            // SAFETY: the scratch descriptors name no frame; they are overwritten with what the kernel hands back.
            let count = unsafe { self.completion.consume(&mut self.scratch[..]) };
            for descriptor in &self.scratch[..count] {
                if let Some(frame) = self.ledger.take(descriptor.addr()) {
                    self.ledger.put_back(frame);
                }
            }
            if count < BATCH {
                return;
            }
        }
    }

    /// Hands out up to `limit` frames with the time of their arrival, where the steering program stamped it, and
    /// gives them to the kernel again; how many there were.
    #[inline]
    pub(super) fn receive(&mut self, limit: usize, mut each: impl FnMut(&[u8], Option<u64>)) -> usize {
        // SAFETY: as in `reclaim`.
        let count = unsafe { self.receive.consume(&mut self.scratch[..limit.min(BATCH)]) };
        for descriptor in &self.scratch[..count] {
            let Some(frame) = self.ledger.take(descriptor.addr()) else { continue };
            // SAFETY: the kernel says that the packet lies there, in a frame of this UMEM that it has just handed
            // back; until it is given away again below, nobody writes to it.
            let bytes = unsafe { self.umem.data(descriptor) }.contents();
            let room = descriptor.addr() % FRAME_SIZE as usize;
            each(bytes, take_stamp(bytes, room));
            self.returned.push(self.descriptors[self.ledger.give(frame)]);
        }
        self.give_back();
        count
    }

    /// Puts the frames to receive into, already given, onto the fill ring. It holds as many as there are.
    #[inline]
    fn give_back(&mut self) {
        // SAFETY: the descriptors are of this UMEM, and their frames were given away by the ledger.
        let taken = unsafe { self.fill.produce(&self.returned) };
        debug_assert_eq!(taken, self.returned.len(), "the fill ring holds all frames to receive into");
        self.returned.clear();
    }

    /// Arrivals that the kernel dropped for want of a frame, or of room on the receive ring.
    pub(super) fn dropped(&self) -> u64 {
        self.receive.fd().xdp_statistics().map_or(0, |s| s.rx_dropped() + s.rx_ring_full())
    }

    pub(super) fn frames(&self) -> Frames {
        self.ledger.frames()
    }
}

/// Reads the stamp before a packet that lies `room` bytes into its frame, and breaks its seal, so that the next
/// packet in this frame does not inherit it.
#[inline]
fn take_stamp(bytes: &[u8], room: usize) -> Option<u64> {
    if room < STAMP_SIZE {
        return None;
    }
    // The stamp is outside of `bytes`: the pointer must come from the mapping, which the kernel was given.
    let stamp = ptr::with_exposed_provenance_mut::<u64>(bytes.as_ptr().addr() - STAMP_SIZE);
    // SAFETY: `room` says that the sixteen bytes before the packet are of the same frame, which is lent to us while
    // `Port::receive` runs: nobody else reads or writes it. No alignment is assumed.
    unsafe {
        let (arrived_ns, seal) = (stamp.read_unaligned(), stamp.add(1).read_unaligned());
        stamp.add(1).write_unaligned(0);
        (arrived_ns ^ seal == STAMP_SEAL).then_some(arrived_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_once_and_only_where_it_is_sealed() {
        let arrived_ns = 0x0123_4567_89ab_cdef_u64;
        let mut frame = [0u8; 64];
        // The pointer of the stamp is made from an address, as that of the UMEM.
        let base = frame.as_mut_ptr();
        base.expose_provenance();
        let write = |seal: u64| {
            let stamp = [arrived_ns.to_ne_bytes(), (arrived_ns ^ seal).to_ne_bytes()].concat();
            // SAFETY: sixteen bytes, 24 bytes into an array of 64.
            unsafe { base.add(24).copy_from(stamp.as_ptr(), STAMP_SIZE) };
        };
        // SAFETY: the last 24 bytes of the array, which nobody writes to meanwhile.
        let packet = unsafe { std::slice::from_raw_parts(base.add(24 + STAMP_SIZE), 24) };
        write(STAMP_SEAL);
        assert_eq!(take_stamp(packet, STAMP_SIZE - 1), None, "it would begin before the frame does");
        assert_eq!(take_stamp(packet, 24 + STAMP_SIZE), Some(arrived_ns));
        assert_eq!(take_stamp(packet, 24 + STAMP_SIZE), None, "the next packet does not inherit it");
        write(STAMP_SEAL ^ 1);
        assert_eq!(take_stamp(packet, 24 + STAMP_SIZE), None);
    }
}
