//! What is written is read, and what nobody wrote is damage.

use proptest::prelude::*;

use super::*;
use crate::segment::{BLOCK_RECORD, BlockHeader};

fn addr() -> impl Strategy<Value = Addr> {
    any::<u128>().prop_map(Addr::from_bits)
}

fn hop() -> impl Strategy<Value = StoredHop> {
    let figures = (any::<u64>(), any::<u16>(), any::<u16>(), any::<(u8, u8)>(), any::<(u8, u8)>());
    (
        prop::option::of(addr().prop_filter("somebody", |a| a.to_bits() != 0)),
        figures,
        any::<u8>(),
        any::<bool>(),
        prop::collection::vec(any::<u32>(), 0..9),
    )
        .prop_map(
            |(
                responder,
                (rtt_ns, sent, received, icmp, (reply_hop_limit, traffic_class)),
                marks,
                shared,
                labels,
            )| {
                StoredHop {
                    ttl: 0,
                    responder,
                    rtt_ns,
                    sent,
                    received,
                    icmp,
                    reply_hop_limit,
                    traffic_class,
                    marks: HopMarks(marks & !SHARED),
                    shared,
                    labels,
                }
            },
        )
}

fn path() -> impl Strategy<Value = StoredPath> {
    let route =
        prop::collection::vec(prop::option::of(addr().prop_filter("somebody", |a| a.to_bits() != 0)), 0..65);
    let before =
        (any::<u8>(), any::<u64>(), route).prop_map(|(first_hop, id, route)| Before { first_hop, id, route });
    let head = (any::<u64>(), addr(), any::<u16>(), any::<u32>(), any::<(bool, bool)>(), any::<u8>());
    (head, any::<u64>(), any::<u32>(), prop::collection::vec(hop(), 0..65), prop::option::of(before))
        .prop_map(
            |(
                (unix_ns, destination, flow, round, (reached, complete), length),
                id,
                probes,
                mut hops,
                before,
            )| {
                hops.iter_mut().zip(1u8..).for_each(|(hop, ttl)| hop.ttl = ttl);
                StoredPath {
                    unix_ns,
                    destination,
                    flow,
                    round,
                    reached,
                    complete,
                    length,
                    id,
                    probes,
                    hops,
                    before,
                }
            },
        )
}

fn record(paths: &[StoredPath]) -> (BlockHeader, Vec<u8>) {
    let mut encoder = PathEncoder::default();
    for path in paths {
        encoder.push(path);
    }
    assert_eq!(encoder.len(), paths.len());
    let record = encoder.encode(3).unwrap().to_vec();
    (BlockHeader::read(&record).unwrap(), record[BLOCK_RECORD..].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(paths in prop::collection::vec(path(), 1..5)) {
        let (header, frame) = record(&paths);
        prop_assert_eq!((header.rows as usize, header.sequence), (paths.len(), 3));
        let mut read = Vec::new();
        prop_assert_eq!(PathDecoder::new().unwrap().decode(&header, &frame, &mut read), Ok(()));
        prop_assert_eq!(read, paths);
    }

    /// Any bytes in a block whose checksums are right: an error, or rows, and no panic.
    #[test]
    fn what_nobody_wrote_is_damage(path in path(), cuts in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut encoder = PathEncoder::default();
        encoder.push(&path);
        let mut raw = encoder.raw.clone();
        for (at, byte) in cuts {
            let at = at % raw.len();
            raw[at] = byte;
        }
        encoder.raw = raw;
        let record = encoder.encode(0).unwrap().to_vec();
        let header = BlockHeader::read(&record).unwrap();
        let mut rows = Vec::new();
        let result = PathDecoder::new().unwrap().decode(&header, &record[BLOCK_RECORD..], &mut rows);
        prop_assert_eq!(result.is_ok(), rows.len() == 1);
    }
}

#[test]
fn a_spool_of_paths_is_read_sealed_and_open_and_survives_its_process() {
    use crate::segment::Kind;
    use crate::{Spool, SpoolOptions};
    let dir = tempfile::tempdir().unwrap();
    let options = SpoolOptions { kind: Kind::Paths, ..SpoolOptions::default() };
    let row = |round| StoredPath {
        unix_ns: 7,
        destination: Addr::v4([192, 0, 2, 1]),
        flow: 0,
        round,
        reached: true,
        complete: true,
        length: 0,
        id: 1,
        probes: 2,
        hops: Vec::new(),
        before: None,
    };
    let rounds = || {
        let mut rounds = Vec::new();
        assert_eq!(read(dir.path(), |path| rounds.push(path.round)).unwrap(), 0);
        rounds
    };
    assert!(!are_in(dir.path()));
    let (mut spool, _) = Spool::open(&spool_of(dir.path()), options.clone()).unwrap();
    spool.push_path(&row(0)).unwrap();
    assert_eq!((spool.counters().buffered, rounds()), (1, vec![]));
    let begin = std::time::Instant::now();
    spool.tick(begin).unwrap();
    spool.tick(begin + std::time::Duration::from_secs(1)).unwrap();
    assert_eq!((spool.counters().spooled, rounds()), (1, vec![0]));
    drop(spool);
    let (mut spool, recovery) = Spool::open(&spool_of(dir.path()), options).unwrap();
    assert_eq!((recovery.segments, recovery.rows), (1, 1));
    spool.push_path(&row(1)).unwrap();
    spool.close().unwrap();
    assert_eq!((are_in(dir.path()), rounds()), (true, vec![0, 1]));
}
