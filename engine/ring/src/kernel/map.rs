//! A map of the kernel in our memory: entries that the program in the kernel and we both read and write.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// The entries of an array map (`BPF_F_MMAPABLE`) whose values are a `T` each. The memory lives as long as this does.
///
/// Both sides write to it, so no reference to an entry is ever made but where the caller knows that the other side
/// leaves it alone; everything else goes through volatile reads and writes of single fields.
pub struct Map<T> {
    base: NonNull<T>,
    entries: usize,
    bytes: usize,
    values: PhantomData<T>,
}

// SAFETY: the mapping is not tied to the thread that made it, and `T` is plain data.
unsafe impl<T: Send> Send for Map<T> {}

impl<T> Map<T> {
    /// Maps `entries` entries of the map behind `fd`.
    pub fn new(fd: BorrowedFd<'_>, entries: usize) -> io::Result<Self> {
        let bytes = entries * size_of::<T>();
        // SAFETY: a new mapping at an address of the kernel's choice; it fails where the map has fewer entries than
        // that, since the kernel does not map beyond an array's end.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, entries, bytes, values: PhantomData })
    }

    /// Entries that are mapped.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// The address of an entry.
    ///
    /// # Panics
    /// When there is no such entry: callers count within what they mapped.
    #[inline]
    pub fn entry(&self, index: usize) -> *mut T {
        assert!(index < self.entries);
        // SAFETY: within the mapping, as just checked.
        unsafe { self.base.as_ptr().add(index) }
    }
}

impl<T> Drop for Map<T> {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nobody keeps an address longer than the map.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
