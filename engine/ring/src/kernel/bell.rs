//! The doorbell: how a sleeping shard hears of an arrival.
//!
//! It is a ring buffer of the kernel whose records nobody reads; what counts is that writing one wakes who polls.
//! Several shards hear the same bell, so none empties it but when it is about to be full. It is polled edge-triggered:
//! records that were there before wake nobody.
//!
//! System calls: `mmap`, `epoll_create1`, `epoll_ctl`, `epoll_pwait2`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::timespec_of;

/// Bytes of a page, which are those of the bell's data too.
const PAGE: usize = 4096;
/// So much may lie in it: half.
const MOST: u64 = 2048;

pub struct Bell {
    epoll: OwnedFd,
    /// The consumer's page: one position at its beginning.
    consumer: *mut libc::c_void,
    /// The producer's page, read-only.
    producer: *mut libc::c_void,
}

// SAFETY: the two mappings are not tied to a thread, and their words are only used as atomics.
unsafe impl Send for Bell {}

impl Bell {
    pub fn new(ring_buffer: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        check(epoll)?;
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: `event` is live, and both descriptors are open.
        check(unsafe {
            libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, ring_buffer.as_raw_fd(), &raw mut event)
        })?;
        // Linux, Documentation/bpf/ringbuf.rst: first the consumer's page, then the producer's and the data.
        let consumer = map(ring_buffer, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = match map(ring_buffer, libc::PROT_READ, PAGE.cast_signed() as libc::off_t) {
            Ok(producer) => producer,
            Err(error) => {
                // SAFETY: what was mapped just above.
                unsafe { libc::munmap(consumer, PAGE) };
                return Err(error);
            }
        };
        Ok(Self { epoll, consumer, producer })
    }

    /// Sleeps until the bell rings, or for so long.
    pub fn wait(&self, sleep_ns: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let timeout = timespec_of(sleep_ns);
        // SAFETY: room for one event, a live timespec, and no signal mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                &raw mut event,
                1,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                0,
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        self.make_room();
        Ok(())
    }

    fn make_room(&self) {
        // SAFETY: both words lie at the beginning of a mapped page, and the kernel uses them as we do.
        let (consumer, producer) =
            unsafe { (AtomicU64::from_ptr(self.consumer.cast()), AtomicU64::from_ptr(self.producer.cast())) };
        let written = producer.load(Ordering::Acquire);
        if written - consumer.load(Ordering::Relaxed) > MOST {
            consumer.store(written, Ordering::Release);
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // SAFETY: the two pages that `new` mapped, and that nobody uses any more.
        unsafe {
            libc::munmap(self.consumer, PAGE);
            libc::munmap(self.producer, PAGE);
        }
    }
}

fn map(fd: BorrowedFd<'_>, access: libc::c_int, offset: libc::off_t) -> io::Result<*mut libc::c_void> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
