//! Rows out of Parquet files.

use arrow::array::{
    Array, AsArray, BooleanBuilder, DictionaryArray, PrimitiveArray, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{ArrowPrimitiveType, Int8Type, UInt32Type, UInt64Type};
use megaping_wire::Addr;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::{Filter, Seen};
use crate::Status;
use crate::place::Source;

const COLUMNS: [&str; 6] = ["ts", "destination", "target", "seq", "outcome", "rtt_ns"];

/// Calls `each` with the rows of a file that `filter` takes. Row groups without any are not read.
pub fn read(source: Source, filter: &Filter, each: &mut impl FnMut(Seen)) -> Result<(), ParquetError> {
    for batch in batches(source, filter, Some(&COLUMNS))? {
        read_batch(&batch?, &mut |row| {
            if filter.takes(&row) {
                each(row);
            }
        })?;
    }
    Ok(())
}

/// Those row groups of a file that may hold rows that `filter` takes: some of their columns, or all.
pub fn batches(
    source: Source,
    filter: &Filter,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(source)?;
    let mask = columns.map_or_else(ProjectionMask::all, |columns| {
        ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied())
    });
    let groups = builder.metadata().row_groups();
    let wanted = (0..groups.len()).filter(|&i| may_hold(&groups[i], filter)).collect();
    builder.with_row_groups(wanted).with_projection(mask).with_batch_size(16_384).build()
}

/// The rows of a batch that `filter` takes.
pub fn wanted(batch: &RecordBatch, filter: &Filter) -> Result<RecordBatch, ParquetError> {
    let mut is_wanted = BooleanBuilder::with_capacity(batch.num_rows());
    read_batch(batch, &mut |row| is_wanted.append_value(filter.takes(&row)))?;
    Ok(filter_record_batch(batch, &is_wanted.finish())?)
}

/// What the statistics of a row group say. Addresses are ordered as text there, which is enough for single ones.
fn may_hold(group: &RowGroupMetaData, filter: &Filter) -> bool {
    group.columns().iter().all(|column| match (column.column_path().string().as_str(), column.statistics()) {
        ("ts", Some(Statistics::Int64(times))) => match (times.min_opt(), times.max_opt()) {
            (Some(&min), Some(&max)) => filter.takes_span(min.cast_unsigned(), max.cast_unsigned()),
            _ => true,
        },
        ("destination", Some(Statistics::ByteArray(texts))) if !filter.prefixes.is_empty() => {
            match (texts.min_opt(), texts.max_opt()) {
                (Some(min), Some(max)) => filter.prefixes.iter().any(|prefix| {
                    let text = prefix.host().map(|host| host.to_string());
                    text.is_none_or(|text| (min.data()..=max.data()).contains(&text.as_bytes()))
                }),
                _ => true,
            }
        }
        _ => true,
    })
}

/// Calls `each` with every row of a batch that has these columns.
pub fn read_batch(batch: &RecordBatch, each: &mut impl FnMut(Seen)) -> Result<(), ParquetError> {
    let ts: &TimestampNanosecondArray = column(batch, "ts", |a| a.as_primitive_opt())?;
    let destination: &StringArray = column(batch, "destination", |a| a.as_string_opt())?;
    let target: &PrimitiveArray<UInt64Type> = numbers(batch, "target")?;
    let seq: &PrimitiveArray<UInt32Type> = numbers(batch, "seq")?;
    let rtt: &PrimitiveArray<UInt64Type> = numbers(batch, "rtt_ns")?;
    let outcome: &DictionaryArray<Int8Type> = column(batch, "outcome", |a| a.as_dictionary_opt())?;
    let names: &StringArray = outcome.values().as_string_opt().ok_or_else(|| unlike("outcome"))?;
    let statuses: Vec<Option<Status>> =
        names.iter().map(|name| Status::ALL.into_iter().find(|s| Some(s.name()) == name)).collect();
    let (mut text, mut address) = ("", None);
    for i in 0..batch.num_rows() {
        if address.is_none() || destination.value(i) != text {
            text = destination.value(i);
            address = text.parse::<std::net::IpAddr>().ok().map(Addr::from);
        }
        let status = outcome.key(i).and_then(|key| statuses.get(key).copied().flatten());
        each(Seen {
            unix_ns: ts.value(i).cast_unsigned(),
            destination: address.ok_or_else(|| unlike("destination"))?,
            target: target.value(i),
            seq: seq.value(i),
            status: status.ok_or_else(|| unlike("outcome"))?,
            rtt_ns: if rtt.is_null(i) { 0 } else { rtt.value(i) },
        });
    }
    Ok(())
}

fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ParquetError> {
    column(batch, name, |a| a.as_primitive_opt())
}

fn column<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    cast: impl FnOnce(&'a dyn Array) -> Option<&'a T>,
) -> Result<&'a T, ParquetError> {
    batch.column_by_name(name).and_then(|array| cast(array.as_ref())).ok_or_else(|| unlike(name))
}

fn unlike(name: &str) -> ParquetError {
    ParquetError::General(format!("column {name} is not as megaping writes it"))
}
