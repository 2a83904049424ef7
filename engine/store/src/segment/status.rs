//! A verdict as two small numbers: status and detail.

use megaping_probe::{Unsent, Verdict};

const ANSWERED: u8 = 0;
const ERROR: u8 = 1;
const LOST: u8 = 2;
const UNSENT: u8 = 3;

/// 0 answered, 1 error, 2 lost, 3 unsent.
#[inline]
pub fn number(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Answered => ANSWERED,
        Verdict::Error { .. } => ERROR,
        Verdict::Lost => LOST,
        Verdict::Unsent(_) => UNSENT,
    }
}

/// ICMP type times 256 plus code of an error, the reason's number of an unsent probe, zero otherwise.
#[inline]
pub fn detail(verdict: Verdict) -> u16 {
    match verdict {
        Verdict::Error { icmp_type, code } => u16::from_be_bytes([icmp_type, code]),
        Verdict::Unsent(reason) => reason as u16,
        Verdict::Answered | Verdict::Lost => 0,
    }
}

/// The verdict of a stored pair; none for a number that no version of this program writes.
pub fn verdict(status: u8, detail: u16) -> Option<Verdict> {
    let [icmp_type, code] = detail.to_be_bytes();
    match status {
        ANSWERED => Some(Verdict::Answered),
        ERROR => Some(Verdict::Error { icmp_type, code }),
        LOST => Some(Verdict::Lost),
        UNSENT => Unsent::ALL.get(usize::from(detail)).map(|&reason| Verdict::Unsent(reason)),
        _ => None,
    }
}
