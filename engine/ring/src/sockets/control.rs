//! Control messages (`cmsg(3)`): what travels beside a packet.

use std::ffi::c_int;

use libc::{IPPROTO_IPV6, IPV6_HOPLIMIT, IPV6_TCLASS, SCM_TIMESTAMPNS, SO_RXQ_OVFL, SOL_SOCKET};

use crate::clock::nanoseconds_of;

const HEADER: usize = size_of::<libc::cmsghdr>();
// The layout that is read and written here: 64-bit Linux, length, level, type, then data in eights.
const _: () = assert!(HEADER == 16 && size_of::<libc::timespec>() == 16 && size_of::<usize>() == 8);

/// Room for the control messages of one arrival: stamp 32, overflow 24, hop limit 24, traffic class 24.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct ArrivalControl(pub(crate) [u8; 128]);

impl ArrivalControl {
    pub(crate) const EMPTY: Self = Self([0; 128]);
}

/// The control messages of one IPv6 departure: hop limit and traffic class, 24 bytes each.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct DepartureControl([u8; 48]);

impl DepartureControl {
    pub(crate) const LEN: usize = 48;

    /// RFC 3542 sections 6.3 and 6.5: both are ints.
    pub(crate) fn new(hop_limit: u8, traffic_class: u8) -> Self {
        let mut bytes = [0; Self::LEN];
        let messages = [(IPV6_HOPLIMIT, hop_limit), (IPV6_TCLASS, traffic_class)];
        for (message, (kind, value)) in bytes.chunks_exact_mut(24).zip(messages) {
            message[..8].copy_from_slice(&(HEADER + size_of::<c_int>()).to_ne_bytes());
            message[8..12].copy_from_slice(&IPPROTO_IPV6.to_ne_bytes());
            message[12..16].copy_from_slice(&kind.to_ne_bytes());
            message[16..20].copy_from_slice(&c_int::from(value).to_ne_bytes());
        }
        Self(bytes)
    }
}

/// What the kernel told of one arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ArrivalNotes {
    /// `CLOCK_REALTIME` of its arrival, in nanoseconds.
    pub(crate) wall_ns: Option<u64>,
    /// Messages that the socket had dropped by then, modulo 2^32.
    pub(crate) drops: Option<u32>,
    /// IPv6 hop limit.
    pub(crate) hop_limit: u8,
    /// IPv6 traffic class.
    pub(crate) traffic_class: u8,
}

/// Reads the control messages of an arrival; what is malformed or unknown is passed over.
#[inline]
pub(crate) fn read_notes(mut control: &[u8]) -> ArrivalNotes {
    let mut notes = ArrivalNotes::default();
    while let Some((len, header)) = control.split_first_chunk() {
        let len = usize::from_ne_bytes(*len);
        let Some(data) = control.get(HEADER..len) else { break };
        match (int(header), int(&header[4..])) {
            (Some(SOL_SOCKET), Some(SCM_TIMESTAMPNS)) => notes.wall_ns = timespec(data),
            (Some(SOL_SOCKET), Some(SO_RXQ_OVFL)) => notes.drops = int(data).map(c_int::cast_unsigned),
            (Some(IPPROTO_IPV6), Some(IPV6_HOPLIMIT)) => notes.hop_limit = octet(data),
            (Some(IPPROTO_IPV6), Some(IPV6_TCLASS)) => notes.traffic_class = octet(data),
            _ => {}
        }
        control = control.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    notes
}

/// An int that holds an octet of the header.
#[inline]
fn octet(data: &[u8]) -> u8 {
    int(data).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

#[inline]
fn int(data: &[u8]) -> Option<c_int> {
    data.first_chunk().map(|bytes| c_int::from_ne_bytes(*bytes))
}

/// The stamp, unless it is zero, which the kernel writes where it has none.
#[inline]
fn timespec(data: &[u8]) -> Option<u64> {
    let (seconds, rest) = data.split_first_chunk::<8>()?;
    let nanoseconds = rest.first_chunk::<8>()?;
    let ns = nanoseconds_of(i64::from_ne_bytes(*seconds), i64::from_ne_bytes(*nanoseconds));
    (ns != 0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(level: c_int, kind: c_int, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn every_note_is_read_whatever_stands_beside_it() {
        let stamp = [5i64.to_ne_bytes(), 7i64.to_ne_bytes()].concat();
        let control = [
            message(SOL_SOCKET, SCM_TIMESTAMPNS, &stamp),
            message(99, 99, &[1, 2, 3]),
            message(SOL_SOCKET, SO_RXQ_OVFL, &u32::MAX.to_ne_bytes()),
            message(IPPROTO_IPV6, IPV6_HOPLIMIT, &61i32.to_ne_bytes()),
            message(IPPROTO_IPV6, IPV6_TCLASS, &184i32.to_ne_bytes()),
        ]
        .concat();
        assert!(control.len() <= ArrivalControl::EMPTY.0.len());
        let wall_ns = Some(5_000_000_007);
        let expected = ArrivalNotes { wall_ns, drops: Some(u32::MAX), hop_limit: 61, traffic_class: 184 };
        assert_eq!(read_notes(&control), expected);
        assert_eq!(read_notes(&[]), ArrivalNotes::default());
        let none = message(SOL_SOCKET, SCM_TIMESTAMPNS, &[0; 16]);
        assert_eq!(read_notes(&none).wall_ns, None, "a stamp of zero is none");
    }

    #[test]
    fn departures_say_what_arrivals_read() {
        let notes = read_notes(&DepartureControl::new(255, 46 << 2).0);
        assert_eq!((notes.hop_limit, notes.traffic_class), (255, 184));
        // SAFETY: a pure computation in libc.
        let space = unsafe { libc::CMSG_SPACE(4) };
        assert_eq!(2 * space as usize, DepartureControl::LEN);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128), len in 0usize..64) {
            let _ = read_notes(&bytes);
            let mut bytes = bytes;
            if bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&len.to_ne_bytes());
            }
            let _ = read_notes(&bytes);
        }
    }
}
