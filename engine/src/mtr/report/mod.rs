//! Reports at the end of a run: mtr's text, JSON and CSV.

mod csv;
mod json;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};

use super::field::Field;
use super::model::Model;
use super::words::Naming;
use crate::names::Names;

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// mtr's table; `wide` lets names be as long as they are.
    Text {
        /// Whether host names keep their length.
        wide: bool,
    },
    /// mtr's JSON, an object a target.
    Json,
    /// mtr's comma-separated values.
    Csv,
}

/// What a report tells beside the paths.
#[derive(Clone, Debug)]
pub struct Facts {
    /// This machine's name.
    pub source: String,
    /// The targets as they were given, in the model's order.
    pub titles: Vec<String>,
    /// When the run began, in seconds since the Unix epoch.
    pub started_unix_s: u64,
    /// Rounds that were asked for; those that there were, where none was.
    pub rounds: u32,
    /// TOS or traffic class octet.
    pub traffic_class: u8,
    /// Payload bytes.
    pub payload_len: u16,
    /// The way to the wire.
    pub backend: &'static str,
    /// The columns.
    pub fields: Vec<Field>,
    /// How hosts are named.
    pub naming: Naming,
    /// Whether label stacks are printed in text.
    pub mpls: bool,
}

impl Facts {
    /// The length of a probe from its IP header on, which is what mtr calls the packet size.
    #[must_use]
    pub const fn packet_len(&self, v4: bool) -> u16 {
        self.payload_len.saturating_add(if v4 { 28 } else { 48 })
    }
}

/// Writes the report on all targets.
///
/// # Errors
/// Those of `out`.
pub fn write(
    out: &mut impl Write,
    form: Form,
    facts: &Facts,
    model: &Model,
    names: &Names,
) -> io::Result<()> {
    match form {
        Form::Text { wide } => text::write(out, wide, facts, model, names),
        Form::Json => json::write(out, facts, model, names),
        Form::Csv => csv::write(out, facts, model, names),
    }
}
