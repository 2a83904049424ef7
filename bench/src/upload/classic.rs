//! What others send: one row after the other in `RowBinary`, compressed by LZ4.

use std::io::Write;

use lz4_flex::frame::FrameEncoder;
use megaping_probe::Outcome;
use megaping_store::Status;

use super::server::ClickHouse;
use super::{Watch, Way};
use crate::Result;
use crate::stage::tenths;

/// Rows of a request: about as many as in a segment.
const REQUEST_ROWS: usize = 1 << 20;
const COLUMNS: &str = "tenant,node,dst,ts,outcome,rtt_ns,error_ns,seq,responder,detail,hop_limit,reply_hop_limit,size,flow,\
                       stamp_source,marks";

/// Sends the same rows into tables of their own.
pub fn measure(rows: &[Outcome], server: &ClickHouse) -> Result<Way> {
    const DATABASE: &str = "classic";
    let count = rows.len() as u64;
    server.make_tables(DATABASE)?;
    let watch = Watch::start();
    let mut bodies = Vec::new();
    for part in rows.chunks(REQUEST_ROWS) {
        let mut plain = Vec::with_capacity(part.len() * 96);
        for row in part {
            encode(row, &mut plain);
        }
        let mut packer = FrameEncoder::new(Vec::with_capacity(plain.len() / 2));
        packer.write_all(&plain)?;
        bodies.push(packer.finish()?);
    }
    let encoded = watch.step("encode and compress", count);
    let wire: usize = bodies.iter().map(Vec::len).sum();
    let server_before = server.cpu_ns()?;
    let watch = Watch::start();
    for body in &bodies {
        let statement = format!("INSERT%20INTO%20results%20({COLUMNS})%20FORMAT%20RowBinary");
        let target = format!(
            "/?database={DATABASE}&async_insert=0&wait_end_of_query=1&max_insert_block_size=1000000000&\
             min_insert_block_size_rows=1000000000&min_insert_block_size_bytes=0&query={statement}"
        );
        server.post(&target, "lz4", body)?;
    }
    let uploaded = watch.step("upload", count);
    let server_ns = tenths((server.cpu_ns()? - server_before) as f64 / count as f64);
    server.expect_rows(DATABASE, count)?;
    Ok(Way { steps: vec![encoded, uploaded], wire_bytes: tenths(wire as f64 / count as f64), server_ns })
}

fn encode(row: &Outcome, out: &mut Vec<u8>) {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    };
    text(out, "default");
    text(out, "bench");
    out.extend_from_slice(&row.destination.to_bits().to_be_bytes());
    out.extend_from_slice(&row.at.0.to_le_bytes());
    out.push(Status::from(row.verdict) as u8);
    out.extend_from_slice(&row.rtt_ns.to_le_bytes());
    out.extend_from_slice(&row.error_ns.to_le_bytes());
    out.extend_from_slice(&row.seq.to_le_bytes());
    out.extend_from_slice(&row.responder.to_bits().to_be_bytes());
    out.extend_from_slice(&[0, 0, row.hop_limit, row.reply_hop_limit]);
    out.extend_from_slice(&row.size.to_le_bytes());
    out.extend_from_slice(&row.flow.to_le_bytes());
    out.extend_from_slice(&[row.stamp_source as u8, row.marks.0]);
}
