//! Arbitrary outcomes for property tests.

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Unsent, Verdict};
use megaping_wire::Addr;
use proptest::prelude::*;

fn addr() -> impl Strategy<Value = Addr> {
    prop_oneof![
        3 => (0u32..300).prop_map(|n| Addr::v4((0x0a00_0000 + n).to_be_bytes())),
        1 => any::<[u8; 4]>().prop_map(Addr::v4),
        2 => any::<[u8; 16]>().prop_map(Addr),
        1 => (0u128..40).prop_map(|n| Addr::from_bits(0x2001_0db8 << 96 | n)),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        5 => Just(Verdict::Answered),
        2 => any::<(u8, u8)>().prop_map(|(icmp_type, code)| Verdict::Error { icmp_type, code }),
        2 => Just(Verdict::Lost),
        1 => (0..Unsent::ALL.len()).prop_map(|i| Verdict::Unsent(Unsent::ALL[i])),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(n, bits)| n >> bits)
}

/// Any outcome that the type allows.
pub fn outcome() -> impl Strategy<Value = Outcome> {
    let numbers = (number(), number(), number(), number(), number());
    let small = (any::<(u16, u16)>(), any::<(u8, u8, u8)>(), 0u8..5);
    (numbers, addr(), proptest::option::of(addr()), verdict(), small).prop_map(
        |((at, rtt_ns, target, seq, error_ns), destination, responder, verdict, small)| {
            let ((size, flow), (hop_limit, reply_hop_limit, marks), stamp) = small;
            Outcome {
                at: Nanos(at),
                rtt_ns,
                target,
                destination,
                responder: responder.unwrap_or(destination),
                seq: seq as u32,
                error_ns: error_ns as u32,
                size,
                flow,
                verdict,
                hop_limit,
                reply_hop_limit,
                stamp_source: StampSource::from_u8(stamp),
                marks: Marks(marks),
            }
        },
    )
}

/// A plausible row that says which it is: no two numbers give equal rows.
pub fn plain(n: u32) -> Outcome {
    let address = if n.is_multiple_of(5) {
        Addr::from_bits(0x2001_0db8 << 96 | u128::from(n))
    } else {
        Addr::v4((0x0a00_0000 + n).to_be_bytes())
    };
    let lost = n.is_multiple_of(7);
    Outcome {
        at: Nanos(1_700_000_000_000_000_000 + u64::from(n) * 1000),
        rtt_ns: if lost { 0 } else { 1_000_000 + u64::from(n.wrapping_mul(2_654_435_761) >> 8) },
        target: n.into(),
        destination: address,
        responder: address,
        seq: n,
        error_ns: 2000,
        size: 56,
        flow: 0,
        verdict: if lost { Verdict::Lost } else { Verdict::Answered },
        hop_limit: 64,
        reply_hop_limit: if lost { 0 } else { 55 },
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}
