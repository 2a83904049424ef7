//! A cap on what all uploads together put on the wire.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A body is given out in pieces of at most this: what a capped upload sends at once.
const PIECE: usize = 16 << 10;

/// A shared rate of bytes. Bytes are paid for after they were taken, so nothing has to fit a bucket.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_s: u64,
    /// When everything taken so far is paid for.
    free_at: Mutex<Instant>,
}

impl Throttle {
    /// A cap of `bytes_per_s`, at least one.
    #[must_use]
    pub fn new(bytes_per_s: u64) -> Throttle {
        Throttle { bytes_per_s: bytes_per_s.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Takes `bytes`; returns how long to wait before they may be sent.
    fn take(&self, bytes: usize, now: Instant) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*free_at).max(now);
        *free_at = begin + cost;
        begin.saturating_duration_since(now)
    }
}

/// A body that is read no faster than allowed.
pub struct Body<'a> {
    rest: &'a [u8],
    throttle: Option<&'a Throttle>,
}

impl<'a> Body<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8], throttle: Option<&'a Throttle>) -> Body<'a> {
        Body { rest: bytes, throttle }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(throttle) = self.throttle else { return self.rest.read(out) };
        let piece = out.len().min(PIECE).min(self.rest.len());
        let wait = throttle.take(piece, Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        self.rest.read(&mut out[..piece])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_together_keeps_the_rate() {
        let throttle = Throttle::new(1000);
        let now = Instant::now() + Duration::from_secs(1);
        assert_eq!(throttle.take(500, now), Duration::ZERO);
        assert_eq!(throttle.take(1000, now), Duration::from_millis(500));
        assert_eq!(throttle.take(1, now), Duration::from_millis(1500));
        assert_eq!(throttle.take(1, now + Duration::from_secs(10)), Duration::ZERO, "no debt, no credit");
    }

    #[test]
    fn a_body_is_whole() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let throttle = Throttle::new(10_000_000);
        for throttle in [None, Some(&throttle)] {
            let mut read = Vec::new();
            Body::new(&bytes, throttle).read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes);
        }
    }
}
