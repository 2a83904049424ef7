//! Rows to Arrow arrays.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, RecordBatch, StringArray, StringBuilder, StringDictionaryBuilder, TimestampNanosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int8Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use megaping_probe::Verdict;
use megaping_wire::Addr;
use megaping_wire::names::message_name;

use crate::{Status, StoredRow};

/// The schema that [`super`] documents.
pub fn schema() -> SchemaRef {
    let category = || DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let must = |name: &str, kind| Field::new(name, kind, false);
    let may = |name: &str, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        must("ts", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        must("destination", DataType::Utf8),
        must("target", DataType::UInt64),
        must("seq", DataType::UInt32),
        must("outcome", category()),
        may("reason", category()),
        may("icmp_type", DataType::UInt8),
        may("icmp_code", DataType::UInt8),
        may("responder", DataType::Utf8),
        may("rtt_ns", DataType::UInt64),
        must("error_ns", DataType::UInt32),
        must("hop_limit", DataType::UInt8),
        may("reply_hop_limit", DataType::UInt8),
        must("size", DataType::UInt16),
        must("flow", DataType::UInt16),
        must("stamp_source", category()),
        must("marks", DataType::UInt8),
        must("node", DataType::Utf8),
    ]))
}

/// One batch of rows of one node, in the order they are in.
pub fn batch(schema: &SchemaRef, node: &str, rows: &[StoredRow]) -> Result<RecordBatch, ArrowError> {
    let icmp = |r: &StoredRow| match r.verdict {
        Verdict::Error { icmp_type, code } => Some((icmp_type, code)),
        _ => None,
    };
    let rtt = |r: &StoredRow| is_answer(r).then_some(r.rtt_ns);
    let reply = |r: &StoredRow| is_answer(r).then_some(r.reply_hop_limit);
    let times = TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.unix_ns.cast_signed()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        addresses(rows, |r| Some(r.destination)),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.target))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.seq))),
        category(rows, |r| Some(Status::from(r.verdict).name()))?,
        category(rows, reason)?,
        Arc::new(rows.iter().map(|r| icmp(r).map(|i| i.0)).collect::<UInt8Array>()),
        Arc::new(rows.iter().map(|r| icmp(r).map(|i| i.1)).collect::<UInt8Array>()),
        addresses(rows, |r| (r.responder != r.destination).then_some(r.responder)),
        Arc::new(rows.iter().map(rtt).collect::<UInt64Array>()),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.error_ns))),
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.hop_limit))),
        Arc::new(rows.iter().map(reply).collect::<UInt8Array>()),
        Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.size))),
        Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.flow))),
        category(rows, |r| Some(r.stamp_source.name()))?,
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.marks.0))),
        Arc::new(std::iter::repeat_n(Some(node), rows.len()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn is_answer(row: &StoredRow) -> bool {
    matches!(row.verdict, Verdict::Answered | Verdict::Error { .. })
}

fn reason(row: &StoredRow) -> Option<&'static str> {
    match row.verdict {
        Verdict::Error { icmp_type, code } => Some(message_name(row.destination.is_v4(), icmp_type, code)),
        Verdict::Unsent(reason) => Some(reason.name()),
        Verdict::Answered | Verdict::Lost => None,
    }
}

fn category(
    rows: &[StoredRow],
    name: impl Fn(&StoredRow) -> Option<&'static str>,
) -> Result<ArrayRef, ArrowError> {
    let mut builder = StringDictionaryBuilder::<Int8Type>::new();
    for row in rows {
        match name(row) {
            Some(name) => {
                builder.append(name)?;
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Addresses as text; neighbours are often the same, and are formatted once.
fn addresses(rows: &[StoredRow], address: impl Fn(&StoredRow) -> Option<Addr>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
    let (mut text, mut shown) = (String::new(), None);
    for row in rows {
        let Some(address) = address(row) else {
            builder.append_null();
            continue;
        };
        if shown != Some(address) {
            text.clear();
            // Writing to a string cannot fail.
            let _ = write!(text, "{address}");
            shown = Some(address);
        }
        builder.append_value(&text);
    }
    Arc::new(builder.finish())
}
