//! `upload`: what it costs to bring a result into a real `ClickHouse`, on both sides, and how long it takes.
//!
//! Rows are those of `encode`: scattered IPv4 targets, each with round trips and losses of its own. They go through the
//! spool into segments on the disk, and from there to a server on the loopback. Client figures are processor time of
//! this process, server figures that of the server's.

mod classic;
mod lag;
mod server;
pub mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use megaping_probe::{Outcome, Targets};
use megaping_ring::process_cpu_ns;
use megaping_store::clickhouse::{Endpoint, Password, Server, Timeouts};
use megaping_store::segment::{Piece, Segment};
use megaping_store::upload::{Event, UploadOptions, Uploader};
use megaping_store::{Spool, SpoolOptions};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::load::{self, Family, SECOND};
use crate::machine::Machine;
use crate::stage::{encode, tenths};
use lag::Lag;
use server::ClickHouse;

/// Rates of results at which the lag is measured.
const RATES: [u64; 2] = [100_000, 1_000_000];

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct UploadArgs {
    /// Targets, all of them in each round
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub targets: u64,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rounds: u64,
    /// Seconds that each rate is kept up for
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(6..=600))]
    pub seconds: u64,
    /// Write the report to a file
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
}

/// The file that `docs/performance.md` cites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadReport {
    /// Where.
    pub machine: Machine,
    /// How to repeat it.
    pub command: String,
    /// The server's version.
    pub server: String,
    /// Targets.
    pub targets: u64,
    /// Rows in all.
    pub rows: u64,
    /// Ours.
    pub ours: Way,
    /// `RowBinary` and LZ4.
    pub classic: Way,
    /// What a row takes on the server's disk, in bytes.
    pub stored: Stored,
    /// From verdict to where a query sees it.
    pub lags: Vec<Lag>,
}

/// A way into the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Way {
    /// Steps on our side.
    pub steps: Vec<Step>,
    /// Bytes of requests' bodies, a row.
    pub wire_bytes: f64,
    /// Processor time of the server until it had answered, a row, in nanoseconds; both rollups included.
    pub server_ns: f64,
}

/// A step, and what it takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Processor time a row, in nanoseconds.
    pub ns: f64,
    /// Rows a second, by the time of day.
    pub rows_per_s: f64,
}

/// Bytes a row, of merged parts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The table as it is.
    pub nanoseconds: f64,
    /// The same with times and round trips in microseconds.
    pub microseconds: f64,
    /// Both rollups, a row of theirs.
    pub rollup: f64,
}

/// Processor time and the time of day.
struct Watch {
    cpu_ns: u64,
    begun: Instant,
}

impl Watch {
    fn start() -> Watch {
        Watch { cpu_ns: process_cpu_ns(), begun: Instant::now() }
    }

    fn step(&self, name: &str, rows: u64) -> Step {
        Step {
            name: name.to_owned(),
            ns: tenths((process_cpu_ns() - self.cpu_ns) as f64 / rows as f64),
            rows_per_s: (rows as f64 / self.begun.elapsed().as_secs_f64()).round(),
        }
    }
}

/// Measures everything.
///
/// # Errors
/// When the server does not start, or does not have what was sent.
pub fn run(args: &UploadArgs) -> Result<UploadReport> {
    let scratch = Path::new("target").join(format!("bench-upload-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let report = measure(args, &scratch);
    fs::remove_dir_all(&scratch)?;
    report
}

fn measure(args: &UploadArgs, scratch: &Path) -> Result<UploadReport> {
    let rows = rows(args)?;
    let count = rows.len() as u64;
    let server = ClickHouse::start(&scratch.join("server"))?;
    let ours = ours(&rows, &server, scratch)?;
    let stored = stored(&server, count)?;
    let classic = classic::measure(&rows, &server)?;
    drop(rows);
    let lags = RATES.into_iter().map(|rate| lag::measure(&server, rate, args.seconds, scratch));
    let lags = lags.collect::<Result<Vec<_>>>()?;
    let UploadArgs { targets, rounds, seconds, .. } = args;
    Ok(UploadReport {
        machine: Machine::look(),
        command: format!("megaping-bench upload --targets {targets} --rounds {rounds} --seconds {seconds}"),
        server: server.query("default", "SELECT version()")?,
        targets: *targets,
        rows: count,
        ours,
        classic,
        stored,
        lags,
    })
}

/// Rounds of all targets, with Unix times of this very hour.
fn rows(args: &UploadArgs) -> Result<Vec<Outcome>> {
    let walk = load::walk(Family::V4, args.targets)?;
    let round = encode::one_round(&walk);
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let begin_ns = unix.as_nanos() as u64 - (args.rounds + 2) * SECOND;
    let mut internet = crate::stage::internet::Internet::new(walk.len());
    let mut rows = Vec::with_capacity(round.len() * args.rounds as usize);
    for number in 0..args.rounds {
        rows.extend(round.iter().map(|row| {
            let mut row = Outcome { at: row.at + begin_ns + number * SECOND, seq: number as u32, ..*row };
            internet.suffer(&mut row);
            row
        }));
    }
    Ok(rows)
}

fn ours(rows: &[Outcome], server: &ClickHouse, scratch: &Path) -> Result<Way> {
    let (dir, count) = (scratch.join("store"), rows.len() as u64);
    let mut blocks = encode::Blocks::new()?;
    blocks.push(&rows[..rows.len().min(1 << 16)]);
    blocks.encode()?;
    let watch = Watch::start();
    for block in rows.chunks(blocks.block_rows()) {
        blocks.push(block);
        blocks.encode()?;
    }
    let encoded = watch.step("encode and compress", count);

    let options = SpoolOptions { node: "bench".to_owned(), upload: true, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(&dir, options)?;
    let watch = Watch::start();
    for batch in rows.chunks(megaping_store::batch::BATCH_ROWS) {
        spool.push(batch, 0)?;
    }
    spool.close()?;
    let spooled = watch.step("all of it to the spool", count);
    let segments = spool.take_for_upload();
    let compress = compress(&segments, count)?;
    let wire: u64 = segments.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum();

    let server_before = server.cpu_ns()?;
    let watch = Watch::start();
    send(&spool, segments, server)?;
    let uploaded = watch.step("upload", count);
    let server_ns = tenths((server.cpu_ns()? - server_before) as f64 / count as f64);
    server.expect_rows("megaping", count)?;
    let less = |name: &str, all: &Step, part: &Step| Step {
        name: name.to_owned(),
        ns: tenths((all.ns - part.ns).max(0.0)),
        rows_per_s: all.rows_per_s,
    };
    let steps =
        vec![less("encode", &encoded, &compress), compress, less("spool", &spooled, &encoded), uploaded];
    Ok(Way { steps, wire_bytes: tenths(wire as f64 / count as f64), server_ns })
}

/// zstd alone: the blocks of segments, unpacked, and packed again at the same level.
fn compress(segments: &[PathBuf], count: u64) -> Result<Step> {
    let mut blocks = Vec::new();
    for path in segments {
        for piece in Segment::open(path)?.pieces() {
            if let Piece::Block { frame, .. } = piece {
                blocks.push(zstd::decode_all(frame)?);
            }
        }
    }
    let mut packer = zstd::bulk::Compressor::new(1)?;
    let watch = Watch::start();
    for block in &blocks {
        packer.compress(block)?;
    }
    Ok(watch.step("compress", count))
}

fn send(spool: &Spool, segments: Vec<PathBuf>, server: &ClickHouse) -> Result<()> {
    let endpoint: Endpoint = server.url("megaping").parse()?;
    let server = Server { endpoints: vec![endpoint], user: None, password: Password::None, ca: None };
    let (tenant, timeouts) = ("default".to_owned(), Timeouts::default());
    let options = UploadOptions { server, tenant, timeouts, parallel: 2, bytes_per_s: None };
    let uploader = Uploader::start(options, spool.shelf())?;
    let mut left = segments.len();
    for segment in segments {
        uploader.submit(segment);
    }
    while left > 0 {
        std::thread::sleep(Duration::from_millis(20));
        for event in uploader.events() {
            match event {
                Event::Uploaded { .. } => left -= 1,
                other => return Err(format!("an upload failed: {other:?}").into()),
            }
        }
    }
    uploader.close(Duration::ZERO);
    Ok(())
}

/// Merges everything, and weighs it.
fn stored(server: &ClickHouse, count: u64) -> Result<Stored> {
    let bytes = |table: &str| -> Result<f64> {
        server.query("megaping", &format!("OPTIMIZE TABLE {table} FINAL"))?;
        let sql = format!(
            "SELECT sum(data_compressed_bytes) / sum(rows) FROM system.parts \
             WHERE active AND database = 'megaping' AND table = '{table}'"
        );
        Ok(hundredths(server.query("megaping", &sql)?.parse()?))
    };
    let nanoseconds = bytes("results")?;
    server.query("megaping", "CREATE TABLE coarse AS results")?;
    // Microseconds in a column of nanoseconds are early in 1970, and long past their time.
    server.query("megaping", "ALTER TABLE coarse REMOVE TTL")?;
    let inserted = "INSERT INTO coarse SELECT * REPLACE (\
                    fromUnixTimestamp64Nano(intDiv(toUnixTimestamp64Nano(ts), 1000), 'UTC') AS ts, \
                    intDiv(rtt_ns, 1000) AS rtt_ns, intDiv(error_ns, 1000) AS error_ns) FROM results";
    server.query("megaping", inserted)?;
    let stored = Stored { nanoseconds, microseconds: bytes("coarse")?, rollup: bytes("results_1m")? };
    server.query("megaping", "DROP TABLE coarse SYNC")?;
    server.expect_rows("megaping", count)?;
    Ok(stored)
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
