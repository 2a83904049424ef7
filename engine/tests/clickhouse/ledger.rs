//! What was spooled, against what the server has.

use std::path::Path;

use megaping_probe::{Marks, Nanos, Outcome, StampSource, Unsent, Verdict};
use megaping_store::{Spool, SpoolOptions};
use megaping_wire::Addr;

use crate::server::ClickHouse;

/// Destinations that rows are spread over.
pub const TARGETS: u64 = 50;

pub fn now_ns() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// The `n`th row: both families, all verdicts, answers from elsewhere.
pub fn row(n: u64, begin_ns: u64) -> Outcome {
    let target = n % TARGETS;
    let destination = if target.is_multiple_of(5) {
        Addr::from_bits(0x2001_0db8 << 96 | u128::from(target) << 64 | u128::from(u64::MAX - target))
    } else {
        Addr::v4((0x0a00_0000 + target as u32).to_be_bytes())
    };
    let verdict = match n % 23 {
        3 => Verdict::Error { icmp_type: 11, code: 1 },
        7 => Verdict::Lost,
        11 => Verdict::Unsent(Unsent::NoRoute),
        _ => Verdict::Answered,
    };
    let has_answer = matches!(verdict, Verdict::Answered | Verdict::Error { .. });
    let responder = if n % 23 == 3 { Addr::v4([192, 0, 2, 1]) } else { destination };
    Outcome {
        at: Nanos(begin_ns + n * 1000),
        rtt_ns: if has_answer { 1_000_000 + n.wrapping_mul(0x9e37_79b9) % 50_000_000 } else { 0 },
        target,
        destination,
        responder,
        seq: (n / TARGETS) as u32,
        error_ns: 2000,
        size: 56,
        flow: 0,
        verdict,
        hop_limit: 64,
        reply_hop_limit: if has_answer { 55 } else { 0 },
        stamp_source: StampSource::Kernel,
        marks: Marks::default(),
    }
}

/// What was spooled so far, in the server's own words.
#[derive(Default)]
pub struct Ledger {
    rows: Vec<Outcome>,
}

impl Ledger {
    /// Spools `count` new rows in about `segments` segments below `dir`, and closes.
    pub fn spool(&mut self, dir: &Path, count: u64, segments: u64) {
        let options = SpoolOptions { node: "fra\t1".into(), block_rows: 256, ..SpoolOptions::default() };
        let (mut spool, _) = Spool::open(dir, options).unwrap();
        let (from, begin_ns) = (self.rows.len() as u64, now_ns());
        let rows: Vec<_> = (from..from + count).map(|n| row(n, begin_ns)).collect();
        for part in rows.chunks((count / segments) as usize) {
            spool.push(part, 0).unwrap();
            spool.close().unwrap();
        }
        self.rows.extend(rows);
    }

    /// Spools rows in one segment, while the wall clock is stepped back and forth between them.
    pub fn spool_while_the_clock_steps(&mut self, dir: &Path) {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let options = SpoolOptions { node: "fra\t1".into(), ..SpoolOptions::default() };
        let (mut spool, _) = Spool::open(dir, options).unwrap();
        let (from, now_ns) = (self.rows.len() as u64, now_ns());
        for (step, offset_ns) in
            [now_ns, now_ns - HOUR_NS, now_ns + HOUR_NS, now_ns - 48 * HOUR_NS].into_iter().enumerate()
        {
            let first = from + step as u64 * 500;
            let rows: Vec<_> = (first..first + 500).map(|n| row(n, 0)).collect();
            spool.push(&rows, offset_ns).unwrap();
            self.rows.extend(rows.iter().map(|r| Outcome { at: Nanos(r.at.0 + offset_ns), ..*r }));
        }
        spool.close().unwrap();
    }

    /// Asserts that the table and both rollups hold exactly these rows.
    pub fn assert_equals(&self, server: &ClickHouse, when: &str) {
        let of = |target: u64| self.rows.iter().filter(move |r| r.target == target);
        for target in 0..TARGETS {
            let Some(first) = of(target).next() else { continue };
            let answered = of(target).filter(|r| r.verdict == Verdict::Answered);
            let expected = format!(
                "{}\t{}\t{}\t{}",
                of(target).count(),
                answered.clone().count(),
                answered.map(|r| r.rtt_ns).sum::<u64>(),
                of(target).map(|r| u128::from(r.at.0)).sum::<u128>(),
            );
            let dst = format!("toIPv6('{}')", first.destination);
            let raw = server.query(&format!(
                "SELECT count(), countIf(outcome = 'answered'), sumIf(rtt_ns, outcome = 'answered'), \
                 sum(toInt128(toUnixTimestamp64Nano(ts))) FROM megaping.results WHERE dst = {dst}"
            ));
            assert_eq!(raw, expected, "{when}: target {target}");
        }
        let answered = self.rows.iter().filter(|r| r.verdict == Verdict::Answered);
        let expected = format!(
            "{}\t{}\t{}\t{}",
            self.rows.len(),
            answered.clone().count(),
            answered.clone().map(|r| r.rtt_ns).sum::<u64>(),
            answered.count(),
        );
        for table in ["results_1m", "results_1h"] {
            let rollup = server.query(&format!(
                "SELECT sum(scheduled), sum(answered), sum(rtt_sum_ns), arraySum(mapValues(sumMap(hist))) \
                 FROM megaping.{table}"
            ));
            assert_eq!(rollup, expected, "{when}: {table}");
        }
    }
}
