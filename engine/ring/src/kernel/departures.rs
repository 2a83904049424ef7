//! When the frames of a call left, by the few stamps that the program took.
//!
//! ```text
//!   stamps:   F . . . . . . . . . . . . . . . F . . . . . . L
//!   frames:   0 1 2 ...                    15 16 ...       23      a batch of 24
//!             `-- the driver gets these at the second F --'
//! ```
//!
//! The kernel gathers frames in bulks of 16 and hands a bulk to the driver when the first frame of the next is there,
//! or when the batch is over. So the frames of a bulk left no sooner than its own first stamp, and by the first stamp
//! of the next bulk; the last bulk of a batch by its last stamp and the time that a driver takes for 16 frames.

use super::abi::{BULK, NO_ROOM, RENDERED};
use crate::packet::{Departure, Refused, TakenBy, TimeStamp};

/// What the driver takes to put the last bulk of a batch onto its ring, at most, in nanoseconds: measured on veth
/// and `virtio_net` as well below.
const FLUSH_NS: u64 = 1_000;

/// Settles the packets of one call: `sent` holds what the program said of each, in the order of the slots, and
/// `batch` is the number of frames that the kernel runs in a row.
pub fn settle(tokens: &[u64], sent: &[u64], batch: u32, mut each: impl FnMut(Departure)) {
    let bulk = BULK as usize;
    let mut first = 0;
    while first < sent.len() {
        let in_batch = first % batch as usize;
        let last = (first + bulk).min(first - in_batch + batch as usize).min(sent.len()) - 1;
        let stamp = bulk_stamp(sent, first, last, batch as usize);
        for nth in first..=last {
            let result = match sent[nth] {
                0 => Err(Refused::Errno(libc::ENOBUFS)),
                NO_ROOM => Err(Refused::Errno(libc::EMSGSIZE)),
                _ => Ok(stamp),
            };
            each(Departure { token: tokens[nth], result });
        }
        first = last + 1;
    }
}

fn bulk_stamp(sent: &[u64], first: usize, last: usize, batch: usize) -> TimeStamp {
    let stamped = |nth: usize| sent.get(nth).copied().filter(|ns| *ns > RENDERED.max(NO_ROOM));
    let earliest = stamped(first).or_else(|| stamped(last)).unwrap_or(0);
    let ends_batch = (last + 1).is_multiple_of(batch) || last + 1 == sent.len();
    let handed_over = if ends_batch { stamped(last).map(|ns| ns + FLUSH_NS) } else { stamped(last + 1) };
    let at_ns = handed_over.unwrap_or(earliest + FLUSH_NS);
    let error_ns = u32::try_from(at_ns.saturating_sub(earliest)).unwrap_or(u32::MAX);
    if ends_batch {
        // The middle of the time that the driver may take, rather than its end.
        return TimeStamp { at_ns: at_ns - FLUSH_NS / 2, error_ns, taken_by: TakenBy::Xdp };
    }
    TimeStamp { at_ns, error_ns, taken_by: TakenBy::Xdp }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program leaves in the slots when frame `n` is rendered at `1000 + 10 n`.
    fn rendered(count: usize, batch: usize) -> Vec<u64> {
        let stamp = |nth: usize| {
            let stamped = nth.is_multiple_of(16) || (nth + 1).is_multiple_of(batch) || nth + 1 == count;
            if stamped { 1000 + 10 * nth as u64 } else { RENDERED }
        };
        (0..count).map(stamp).collect()
    }

    fn settled(sent: &[u64], batch: u32) -> Vec<Departure> {
        let tokens: Vec<u64> = (0..sent.len() as u64).collect();
        let mut departures = Vec::new();
        settle(&tokens, sent, batch, |departure| departures.push(departure));
        departures
    }

    #[test]
    fn frames_leave_when_their_bulk_is_handed_over() {
        let departures = settled(&rendered(24, 32), 32);
        assert_eq!(departures.len(), 24);
        for (nth, departure) in departures.iter().enumerate() {
            assert_eq!(departure.token, nth as u64);
            let stamp = departure.result.expect("it left");
            let rendered_ns = 1000 + 10 * nth as u64;
            let expected = if nth < 16 { 1160 } else { 1230 + FLUSH_NS / 2 };
            assert_eq!(stamp.at_ns, expected, "frame {nth}");
            assert!(stamp.at_ns - u64::from(stamp.error_ns) <= rendered_ns, "frame {nth}: {stamp:?}");
            assert!(stamp.at_ns >= rendered_ns, "frame {nth}: {stamp:?}");
        }
    }

    #[test]
    fn batches_end_their_last_bulk() {
        for (count, batch) in [(1, 64), (16, 64), (17, 16), (64, 32), (256, 64), (250, 128), (5, 4)] {
            let departures = settled(&rendered(count, batch), batch as u32);
            assert_eq!(departures.len(), count);
            for (nth, departure) in departures.iter().enumerate() {
                let stamp = departure.result.expect("it left");
                let rendered_ns = 1000 + 10 * nth as u64;
                assert!(stamp.at_ns >= rendered_ns && stamp.at_ns < rendered_ns + 160 + FLUSH_NS);
                assert!(stamp.at_ns.saturating_sub(stamp.error_ns.into()) <= rendered_ns);
            }
        }
    }

    #[test]
    fn what_was_not_rendered_did_not_leave() {
        let mut sent = rendered(20, 64);
        sent[3] = NO_ROOM;
        sent[19] = 0;
        sent[18] = 0;
        let departures = settled(&sent, 64);
        assert_eq!(departures[3].result, Err(Refused::Errno(libc::EMSGSIZE)));
        assert_eq!(departures[19].result, Err(Refused::Errno(libc::ENOBUFS)));
        assert!(departures[0].result.is_ok() && departures[17].result.is_ok());
        assert_eq!(departures.len(), 20);
    }
}
