//! Rows out of an archive, with all their columns, for other programs.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampNanosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::columns;
use super::write::properties;
use crate::StoreError;

/// One of the forms that rows can have.
pub enum Exporter<W: Write + Send> {
    /// Comma-separated, with a header line; empty for null.
    Csv(W),
    /// An object a line; no null.
    Json(W),
    /// One Parquet file.
    Parquet(Box<ArrowWriter<W>>),
}

/// Times as RFC 3339 has them, to the nanosecond.
const FORMAT: FormatOptions<'static> =
    FormatOptions::new().with_display_error(false).with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.9fZ"));

impl<W: Write + Send> Exporter<W> {
    /// Rows in lines of comma-separated values.
    ///
    /// # Errors
    /// The writer's.
    pub fn csv(mut out: W) -> io::Result<Exporter<W>> {
        let schema = with_tenant(&columns::schema());
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        writeln!(out, "{}", names.join(","))?;
        Ok(Exporter::Csv(out))
    }

    /// Rows in a Parquet file.
    ///
    /// # Errors
    /// The library's.
    pub fn parquet(out: W) -> Result<Exporter<W>, ParquetError> {
        let schema = with_tenant(&columns::schema());
        let writer = ArrowWriter::try_new(out, schema, Some(properties()?.build()))?;
        Ok(Exporter::Parquet(Box::new(writer)))
    }

    /// Writes the rows of one tenant.
    ///
    /// # Errors
    /// [`StoreError::Export`].
    pub fn write(&mut self, tenant: &str, batch: &RecordBatch) -> Result<(), StoreError> {
        let failed = |error: ParquetError| StoreError::Export { source: error };
        let batch = of_tenant(tenant, batch).map_err(|error| failed(error.into()))?;
        match self {
            Exporter::Csv(out) => lines(out, &batch, csv_line),
            Exporter::Json(out) => lines(out, &batch, json_line),
            Exporter::Parquet(writer) => writer.write(&batch),
        }
        .map_err(failed)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// [`StoreError::Export`].
    pub fn finish(self) -> Result<(), StoreError> {
        let finished = match self {
            Exporter::Csv(mut out) | Exporter::Json(mut out) => out.flush().map_err(ParquetError::from),
            Exporter::Parquet(writer) => writer.close().map(drop),
        };
        finished.map_err(|source| StoreError::Export { source })
    }
}

/// Makes the file at `path`, which must not be there.
///
/// # Errors
/// [`StoreError::Io`].
pub fn create(path: &Path) -> Result<File, StoreError> {
    File::options().write(true).create_new(true).open(path).map_err(StoreError::io("create", path))
}

fn with_tenant(schema: &SchemaRef) -> SchemaRef {
    let tenant = Arc::new(Field::new("tenant", DataType::Utf8, false));
    let fields = std::iter::once(tenant).chain(schema.fields().iter().cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The same rows in today's columns, with their tenant; those of earlier versions have no node.
fn of_tenant(tenant: &str, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let constant = |text: &str| -> ArrayRef {
        Arc::new(std::iter::repeat_n(Some(text), batch.num_rows()).collect::<StringArray>())
    };
    let schema = columns::schema();
    let column =
        |field: &Arc<Field>| batch.column_by_name(field.name()).cloned().unwrap_or_else(|| constant(""));
    let columns = std::iter::once(constant(tenant)).chain(schema.fields().iter().map(column)).collect();
    RecordBatch::try_new(with_tenant(&schema), columns)
}

/// Puts one row into a line: the texts of its columns, none for null.
type Line = fn(&mut Vec<u8>, &Schema, &[Option<String>]);

fn lines(out: &mut impl Write, batch: &RecordBatch, line: Line) -> Result<(), ParquetError> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(|column| without_zone(column)).collect();
    let formatters: Vec<_> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &FORMAT))
        .collect::<Result<_, _>>()?;
    let (mut text, schema) = (Vec::new(), batch.schema());
    for row in 0..batch.num_rows() {
        let mut texts = Vec::with_capacity(formatters.len());
        for (formatter, column) in formatters.iter().zip(batch.columns()) {
            texts.push(if column.is_null(row) { None } else { Some(formatter.value(row).try_to_string()?) });
        }
        text.clear();
        line(&mut text, &schema, &texts);
        out.write_all(&text)?;
    }
    Ok(())
}

/// Times are UTC; the formatter knows no zone by its name.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampNanosecondType>() {
        Some(times) => Arc::new(times.clone().with_timezone_opt(None::<Arc<str>>)),
        None => Arc::clone(column),
    }
}

fn csv_line(out: &mut Vec<u8>, _: &Schema, texts: &[Option<String>]) {
    for (i, text) in texts.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let text = text.as_deref().unwrap_or_default();
        // RFC 4180 section 2: quotes around what holds a separator, and twice inside.
        if text.contains([',', '"', '\n', '\r']) {
            out.extend(format!("\"{}\"", text.replace('"', "\"\"")).bytes());
        } else {
            out.extend(text.bytes());
        }
    }
    out.push(b'\n');
}

fn json_line(out: &mut Vec<u8>, schema: &Schema, texts: &[Option<String>]) {
    out.push(b'{');
    for (field, text) in schema.fields().iter().zip(texts) {
        let Some(text) = text else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        let value = if field.data_type().is_numeric() {
            text.clone()
        } else {
            serde_json::Value::from(text.as_str()).to_string()
        };
        out.extend(format!("\"{}\":{value}", field.name()).bytes());
    }
    out.extend(b"}\n");
}
