//! One captured packet, and frames on the socket.
//!
//! ```text
//!   frame:   length of the rest (u32)  kind (u8)  body                          little endian
//!   packet:  time, target, key, rtt (u64 each)  destination (16)  seq, original, error (u32 each)
//!            shard (u16)  direction, verdict, flags (u8 each)  names, each behind its length (u8)  bytes
//!   counts:  JSON
//! ```

use megaping_wire::Addr;
use serde::{Deserialize, Serialize};

use crate::{Counts, Facts, Verdict};

/// A frame is not longer: a packet is at most 65,575 bytes.
pub const FRAME_MAX: usize = 1 << 17;
const PACKET: u8 = 1;
const COUNTS: u8 = 2;
const FIXED: usize = 4 * 8 + 16 + 3 * 4 + 2 + 3;

const HAS_TARGET: u8 = 1;
const HAS_RTT: u8 = 2;
const REBUILT: u8 = 4;

/// To the wire or from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Direction {
    /// What arrived.
    In = 1,
    /// What left.
    Out = 2,
}

/// Where a packet was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum At {
    /// At a shard's ring: an IP packet, with what the engine made of it.
    #[default]
    Engine,
    /// In the program in the kernel: a frame, with what that made of it.
    Xdp,
}

/// A packet, and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// When it left or arrived, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How far off that may be, in nanoseconds.
    pub error_ns: u32,
    /// Where it was seen.
    pub at: At,
    /// Whose ring it was on; of a frame in the kernel, its receive queue.
    pub shard: u16,
    /// Which way it went.
    pub direction: Direction,
    /// What was made of it.
    pub verdict: Verdict,
    /// The target's index and the target's round, where the probe is known.
    pub probe: Option<(u64, u32)>,
    /// The probe's number in its shard, or zero.
    pub key: u64,
    /// The round trip, of a first answer in time.
    pub rtt_ns: Option<u64>,
    /// The probe's destination.
    pub destination: Addr,
    /// Whose measurement it is; empty where nobody is named.
    pub tenant: String,
    /// Which measurement it belongs to; empty where it has no name.
    pub measurement: String,
    /// More about it, for people: why it is malformed.
    pub remark: String,
    /// Whether the bytes were put together from what is known: the ring of this engine moves no bytes.
    pub rebuilt: bool,
    /// Bytes that it had, from the IP header on.
    pub original_len: u32,
    /// As many of them as were kept.
    pub bytes: Vec<u8>,
}

/// What is said on the socket behind the hello.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A packet.
    Packet(Box<Captured>),
    /// How many there were so far.
    Counts(Counts),
}

/// Why bytes are no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Its length is beyond reason.
    #[error("a frame of {0} bytes, and at most {FRAME_MAX} are possible")]
    TooLong(usize),
    /// It ends before its fields do.
    #[error("a frame ends in the middle of its fields")]
    Short,
    /// A number that stands for nothing.
    #[error("a frame says {0} where there is no such kind, direction or verdict")]
    Number(u8),
    /// Names or counts are not what they should be.
    #[error("a frame has text that cannot be read")]
    Text,
}

impl Captured {
    /// Appends it to `out` as a frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(PACKET);
        let (target, seq) = self.probe.unwrap_or_default();
        for word in [self.time_ns, target, self.key, self.rtt_ns.unwrap_or_default()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.destination.0);
        for word in [seq, self.original_len, self.error_ns] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.shard.to_le_bytes());
        let flag = |bit, is: bool| if is { bit } else { 0 };
        let flags = flag(HAS_TARGET, self.probe.is_some())
            | flag(HAS_RTT, self.rtt_ns.is_some())
            | flag(REBUILT, self.rebuilt);
        out.extend_from_slice(&[self.direction as u8, self.verdict as u8, flags]);
        for name in [&self.tenant, &self.measurement, &self.remark] {
            let name = &name.as_bytes()[..name.floor_char_boundary(255)];
            out.push(name.len() as u8);
            out.extend_from_slice(name);
        }
        out.extend_from_slice(&self.bytes);
        close(out, start);
    }

    fn read(body: &[u8]) -> Result<Captured, FrameError> {
        let fixed = body.get(..FIXED).ok_or(FrameError::Short)?;
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| fixed[at + byte]));
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| fixed[at + byte]));
        let [direction, verdict, flags] = [fixed[62], fixed[63], fixed[64]];
        let mut rest = &body[FIXED..];
        let mut name = || {
            let (len, behind) = rest.split_first().ok_or(FrameError::Short)?;
            let (name, behind) = behind.split_at_checked((*len).into()).ok_or(FrameError::Short)?;
            rest = behind;
            String::from_utf8(name.to_vec()).map_err(|_| FrameError::Text)
        };
        let (tenant, measurement, remark) = (name()?, name()?, name()?);
        Ok(Captured {
            time_ns: long(0),
            error_ns: word(56),
            at: At::Engine,
            shard: u16::from_le_bytes([fixed[60], fixed[61]]),
            direction: match direction {
                1 => Direction::In,
                2 => Direction::Out,
                other => return Err(FrameError::Number(other)),
            },
            verdict: Verdict::from_number(verdict).ok_or(FrameError::Number(verdict))?,
            probe: (flags & HAS_TARGET != 0).then(|| (long(8), word(48))),
            key: long(16),
            rtt_ns: (flags & HAS_RTT != 0).then(|| long(24)),
            destination: Addr(std::array::from_fn(|byte| fixed[32 + byte])),
            tenant,
            measurement,
            remark,
            rebuilt: flags & REBUILT != 0,
            original_len: word(52),
            bytes: rest.to_vec(),
        })
    }

    /// What a filter asks of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let Captured { direction, verdict, destination, key, .. } = *self;
        let is_v6 = self.bytes.first().is_some_and(|byte| byte >> 4 == 6);
        // Behind extension headers and options it is not looked for: our probes and their answers have none.
        let icmp_type = self.bytes.get(if is_v6 { 40 } else { 20 }).copied();
        Facts { direction, verdict, destination, icmp_type, key }
    }

    /// What is known of it, as `name=value` words for people and for `tshark -T fields -e frame.comment`.
    #[must_use]
    pub fn comment(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(96);
        for (name, value) in [("tenant", &self.tenant), ("measurement", &self.measurement)] {
            if !value.is_empty() {
                let _infallible = write!(text, "{name}={value} ");
            }
        }
        let (shard, key, verdict) = (self.shard, self.key, self.verdict);
        let _infallible = match self.at {
            At::Xdp => write!(text, "at=xdp queue={shard} verdict={verdict}"),
            At::Engine => {
                let _infallible = write!(text, "target={}", self.destination.ip());
                if let Some((target, seq)) = self.probe {
                    let _infallible = write!(text, " index={target} seq={seq}");
                }
                write!(text, " shard={shard} key={key} verdict={verdict}")
            }
        };
        if let Some(rtt_ns) = self.rtt_ns {
            let _infallible = write!(text, " rtt={}.{:06}ms", rtt_ns / 1_000_000, rtt_ns % 1_000_000);
        }
        if self.rebuilt {
            text.push_str(" bytes=rebuilt");
        }
        if !self.remark.is_empty() {
            let _infallible = write!(text, " why={}", self.remark);
        }
        text
    }
}

impl Counts {
    /// Appends them to `out` as a frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(COUNTS);
        // Writing numbers into memory cannot fail.
        let _infallible = serde_json::to_writer(&mut *out, self);
        close(out, start);
    }
}

fn close(out: &mut [u8], start: usize) {
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

impl Frame {
    /// The frame at the front of `bytes` and its length; none where more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]
    pub fn read(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > FRAME_MAX {
            return Err(FrameError::TooLong(len));
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let frame = match frame.split_first().ok_or(FrameError::Short)? {
            (&PACKET, body) => Frame::Packet(Box::new(Captured::read(body)?)),
            (&COUNTS, body) => Frame::Counts(serde_json::from_slice(body).map_err(|_| FrameError::Text)?),
            (&other, _) => return Err(FrameError::Number(other)),
        };
        Ok(Some((frame, 4 + len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captured() -> Captured {
        Captured {
            time_ns: 1_700_000_000_123_456_789,
            error_ns: 900,
            at: At::Engine,
            shard: 3,
            direction: Direction::In,
            verdict: Verdict::Matched,
            probe: Some((17, 4)),
            key: 1 << 40,
            rtt_ns: Some(1_234_567),
            destination: Addr::v4([10, 0, 0, 1]),
            tenant: "acme".into(),
            measurement: "dns".into(),
            remark: String::new(),
            rebuilt: false,
            original_len: 1500,
            bytes: vec![0x45, 0, 1, 2],
        }
    }

    #[test]
    fn a_frame_leads_back_and_waits_for_its_end() {
        let mut bytes = Vec::new();
        captured().write(&mut bytes);
        Counts { seen: 7, ..Counts::default() }.write(&mut bytes);
        let (frame, len) = Frame::read(&bytes).unwrap().unwrap();
        assert_eq!(frame, Frame::Packet(Box::new(captured())));
        assert!((0..len).all(|cut| Frame::read(&bytes[..cut]) == Ok(None)));
        let (frame, rest) = Frame::read(&bytes[len..]).unwrap().unwrap();
        assert_eq!(
            (frame, len + rest),
            (Frame::Counts(Counts { seen: 7, ..Counts::default() }), bytes.len())
        );
    }

    #[test]
    fn a_comment_says_whose_it_is_and_what_became_of_it() {
        let comment = captured().comment();
        assert_eq!(
            comment,
            "tenant=acme measurement=dns target=10.0.0.1 index=17 seq=4 shard=3 key=1099511627776 \
             verdict=matched rtt=1.234567ms"
        );
        let foreign = Captured { probe: None, rtt_ns: None, verdict: Verdict::Foreign, ..captured() };
        assert!(foreign.comment().ends_with("verdict=foreign"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
            let mut frame = (bytes.len() as u32 + 1).to_le_bytes().to_vec();
            frame.push(kind);
            frame.extend(&bytes);
            let _either = Frame::read(&frame);
            let _too = Frame::read(&bytes);
        }
    }
}
