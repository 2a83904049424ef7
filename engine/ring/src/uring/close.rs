//! The end of a ring.

use super::UringRing;
use super::lane::Lane;

/// Attempts to end what is under way: more than it takes to fill the most buffers, a stretch an attempt.
const ATTEMPTS: u32 = 1_024;

impl Drop for UringRing {
    /// Ends the receives, and makes sure of it: the kernel closes a ring later than we do, and must not write to
    /// memory that is somebody else's by then. A receive that is in the middle of a stretch cannot be cancelled,
    /// so it is let come to the end of that first.
    fn drop(&mut self) {
        self.kernel.close();
        for _ in 0..ATTEMPTS {
            self.sort();
            if !self.lanes.iter().flatten().any(Lane::is_busy) {
                // The sockets go at once, too, not when the kernel gets round to it.
                self.kernel.release_files();
                return;
            }
            if !self.kernel.cancel() {
                break;
            }
        }
        self.sort();
        self.lanes.iter_mut().flatten().for_each(Lane::let_go);
    }
}
