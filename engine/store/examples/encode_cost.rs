//! What a stored row costs: sort, encode and compress, in nanoseconds and bytes a row.
//!
//! `cargo run --release -p megaping-store --example encode_cost [list|range] [TARGETS]`
//!
//! Rows as an engine emits them at one probe a second for each target: 1% lost, round trips lognormal over
//! targets with exponential jitter, nanosecond stamps, 5% IPv6, handed over in the order of their completion.
//! `list` is a file of scattered addresses, probed in its order; `range` is one prefix, walked in a
//! permutation.

use std::path::Path;
use std::time::Instant;

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Verdict};
use megaping_store::archive::{ArchiveOptions, Plan, carry_out};
use megaping_store::place::Place;
use megaping_store::segment::{BlockDecoder, BlockEncoder, FileHeader, Kind, Segment};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;

const SECOND: u64 = 1_000_000_000;
const PASSES: usize = 7;

struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

struct Target {
    address: Addr,
    base_ns: f64,
    jitter_ns: f64,
    reply_hop_limit: u8,
}

fn targets(n: usize, range: bool, random: &mut Random) -> Vec<Target> {
    (0..n)
        .map(|i| {
            let base_ns = (17.2 + 0.9 * random.normal()).exp();
            let v6 = !range && random.bits().is_multiple_of(20);
            let bits = random.bits();
            let address = match (range, v6) {
                (true, _) => Addr::v4((0x0a00_0000 + i as u32).to_be_bytes()),
                (_, false) => Addr::v4((bits as u32).to_be_bytes()),
                (_, true) => {
                    Addr::from_bits(0x2001 << 112 | u128::from(bits) << 48 | u128::from(bits & 0xff))
                }
            };
            let hops = 5 + (bits >> 40) as u8 % 20;
            let reply_hop_limit = if bits.is_multiple_of(4) { 255 - hops } else { 64 - hops };
            Target { address, base_ns, jitter_ns: base_ns * 0.004 + 9_000.0, reply_hop_limit }
        })
        .collect()
}

#[expect(clippy::cast_sign_loss, reason = "round trips are positive")]
/// `rounds` rounds of all targets, in the order of their completion.
fn rows(targets: &[Target], range: bool, rounds: usize, random: &mut Random) -> Vec<Outcome> {
    let n = targets.len();
    let mut walk: Vec<usize> = (0..n).collect();
    if range {
        for i in (1..n).rev() {
            walk.swap(i, random.bits() as usize % (i + 1));
        }
    }
    let mut rows = Vec::with_capacity(n * rounds);
    for round in 0..rounds {
        for (place, &i) in walk.iter().enumerate() {
            let target = &targets[i];
            let at = round as u64 * SECOND + place as u64 * SECOND / n as u64 + random.bits() % 200;
            let lost = random.bits().is_multiple_of(100);
            let spike = if random.bits().is_multiple_of(100) { 5e6 * random.exponential() } else { 0.0 };
            let rtt = (target.base_ns + target.jitter_ns * random.exponential() + spike) as u64;
            let row = Outcome {
                at: Nanos(at),
                rtt_ns: if lost { 0 } else { rtt },
                target: i as u64,
                destination: target.address,
                responder: target.address,
                seq: round as u32,
                error_ns: if lost { 0 } else { 4096 },
                size: 56,
                flow: 0,
                verdict: if lost { Verdict::Lost } else { Verdict::Answered },
                hop_limit: 64,
                reply_hop_limit: if lost { 0 } else { target.reply_hop_limit },
                stamp_source: if lost { StampSource::User } else { StampSource::Kernel },
                marks: Marks::default(),
            };
            rows.push((at + if lost { SECOND } else { rtt }, row));
        }
    }
    rows.sort_by_key(|(done, _)| *done);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let range = arguments.first().is_some_and(|a| a == "range");
    let n = arguments.get(1).map_or(Ok(1_000_000), |a| a.parse())?;
    let random = &mut Random(42);
    let targets = targets(n, range, random);
    let rows = rows(&targets, range, 1_000_000usize.div_ceil(n), random);
    println!("{} rows of {n} targets, {}", rows.len(), if range { "range" } else { "list" });
    println!("{:>10} {:>10} {:>10} {:>10}", "block rows", "encode ns", "decode ns", "bytes");
    for block_rows in [4096, 16_384, 65_536] {
        let (encode_ns, decode_ns, bytes) = measure(&rows, block_rows)?;
        println!("{block_rows:>10} {encode_ns:>10.1} {decode_ns:>10.1} {bytes:>10.2}");
    }
    let (ns, bytes) = measure_parquet(&rows)?;
    println!("{:>10} {ns:>10.1} {:>10} {bytes:>10.2}", "Parquet", "");
    Ok(())
}

/// Nanoseconds a row to encode and to decode, and bytes a row. Each block counts with the best of several
/// passes, so that other people's work does not.
fn measure(rows: &[Outcome], block_rows: usize) -> Result<(f64, f64, f64), Box<dyn std::error::Error>> {
    let mut encoder = BlockEncoder::new()?;
    let mut decoder = BlockDecoder::new()?;
    let mut best = vec![(u128::MAX, u128::MAX); rows.len().div_ceil(block_rows)];
    let mut bytes = 0;
    for _ in 0..PASSES {
        bytes = 0;
        for ((block, best), i) in rows.chunks(block_rows).zip(&mut best).zip(0..) {
            let start = Instant::now();
            let record = encoder.encode(block, i)?;
            best.0 = best.0.min(start.elapsed().as_nanos());
            bytes += record.len();
            let mut file = FileHeader {
                node: String::new(),
                created_unix_ns: 0,
                id: String::new(),
                kind: Kind::Outcomes,
            }
            .to_record();
            file.extend_from_slice(record);
            let segment = Segment::from_bytes(file)?;
            let (start, mut read) = (Instant::now(), 0);
            segment.blocks(&mut decoder, |block| {
                read += block.len();
                Ok::<_, std::convert::Infallible>(())
            })?;
            best.1 = best.1.min(start.elapsed().as_nanos());
            assert_eq!(read, block.len(), "every row is read back");
        }
    }
    let n = rows.len() as f64;
    let (encode, decode) = best.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1));
    Ok((encode as f64 / n, decode as f64 / n, bytes as f64 / n))
}

/// Nanoseconds and bytes a row to archive one segment as Parquet.
fn measure_parquet(rows: &[Outcome]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("megaping-encode-cost-{}", std::process::id()));
    let result = archive_once(&dir, rows);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn archive_once(dir: &Path, rows: &[Outcome]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (mut spool, _) =
        Spool::open(dir, SpoolOptions { segment_bytes: u64::MAX, ..SpoolOptions::default() })?;
    spool.push(rows, 1_700_000_000 * SECOND)?;
    spool.close()?;
    let segment = spool.take_sealed().remove(0);
    let options = ArchiveOptions::local(dir);
    let place = Place::open(&options.place)?;
    let segments = vec![segment.strip_prefix(dir)?.to_owned()];
    let (id, tenant) = ("cost".to_owned(), options.tenant);
    let mut plan = Plan { id, tenant, place: options.place.to_string(), segments, is_done: false };
    let start = cpu_ns()?;
    plan.begin(dir)?;
    carry_out(dir, &place, &mut plan, &mut BlockDecoder::new()?)?;
    let ns = (cpu_ns()? - start) as f64;
    let bytes: u64 = place.list("")?.iter().map(|entry| entry.bytes).sum();
    Ok((ns / rows.len() as f64, bytes as f64 / rows.len() as f64))
}

/// Nanoseconds that this thread has spent on a processor, to some milliseconds.
fn cpu_ns() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(stat.split(' ').next().unwrap_or_default().parse()?)
}
