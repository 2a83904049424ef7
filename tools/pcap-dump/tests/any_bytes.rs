//! No capture, however broken, makes the program panic or miscount.

mod common;

use common::{
    MPLS, arp, dumped, pcap, pcapng, reply_v6, request_v4, request_v6, tagged_request, time_exceeded_v4,
    time_exceeded_v6, udp_v4,
};
use pcap_dump::{LinkType, Options, Record, dissect};
use pcap_file::DataLink;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn captures() -> Vec<Vec<u8>> {
    let error = time_exceeded_v4(&request_v4(1), &MPLS);
    let raw = vec![request_v4(1), reply_v6(1), error, time_exceeded_v6(&request_v6(2), &MPLS), udp_v4()];
    let ethernet = [tagged_request(&[]), tagged_request(&[7]), tagged_request(&[100, 7]), arp()];
    let cooked: Vec<_> = raw.iter().map(|it| [&[0; 14][..], &[8, 0], it].concat()).collect();
    vec![
        pcap(DataLink::RAW, &raw),
        pcap(DataLink::ETHERNET, &ethernet),
        pcap(DataLink::LINUX_SLL, &cooked),
        pcapng(DataLink::RAW, Some(9), 1, &raw),
        pcapng(DataLink::ETHERNET, None, 1, &ethernet),
    ]
}

/// What goes wrong with a file.
#[derive(Clone, Debug)]
enum Harm {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
}

impl Harm {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Harm::Set(at, value) => *at.get_mut(bytes) = *value,
            Harm::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
            Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Harm::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Harm::Repeat(one, other) => {
                let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
                bytes.extend_from_within(one.min(other)..one.max(other));
            }
        }
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<Index>(), select(vec![0, 1, 0x7f, 0x80, 0xff])).prop_map(|(at, value)| Harm::Set(at, value)),
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        1 => any::<Index>().prop_map(Harm::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, more)| Harm::Insert(at, more)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Harm::Repeat(one, other)),
    ]
}

fn hold(bytes: &[u8]) -> Result<(), TestCaseError> {
    for json in [false, true] {
        let (text, summary, _) = dumped(bytes, Options { json, only: None });
        let classes = summary.requests + summary.replies + summary.errors + summary.other + summary.malformed;
        prop_assert_eq!(summary.packets, classes);
        prop_assert!(text.lines().count() as u64 <= summary.packets);
        for line in text.lines().filter(|_| json) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{}", line);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn harmed_captures(mut bytes in select(captures()), harms in vec(harm(), 0..12)) {
        for harm in &harms {
            harm.apply(&mut bytes);
        }
        hold(&bytes)?;
    }

    #[test]
    fn any_bytes_behind_a_magic_number(
        magic in select(vec![[0xa1, 0xb2, 0xc3, 0xd4], [0x4d, 0x3c, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a]]),
        rest in vec(any::<u8>(), 0..300),
    ) {
        hold(&[&magic[..], &rest].concat())?;
    }

    #[test]
    fn any_packet_on_any_link(
        link in select(vec![
            LinkType::Ethernet, LinkType::Raw, LinkType::Ipv4, LinkType::Ipv6, LinkType::LinuxSll,
            LinkType::LinuxSll2,
        ]),
        mut data in vec(any::<u8>(), 0..200),
        first in select(vec![0x45, 0x46, 0x4f, 0x60]),
        original_len in any::<u32>(),
    ) {
        if let Some(byte) = data.first_mut() {
            *byte = first;
        }
        let record = Record { number: 1, time_ns: Some(u64::MAX), link, data: &data, original_len };
        prop_assert!(!dissect(&record).to_string().is_empty());
    }
}
