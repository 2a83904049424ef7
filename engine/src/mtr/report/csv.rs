//! mtr's comma-separated values, without the empty column that mtr prints for a gap between its fields.

use std::io::{self, Write};

use super::Facts;
use crate::mtr::field::Value;
use crate::mtr::model::Model;
use crate::names::Names;

pub(super) fn write(out: &mut impl Write, facts: &Facts, model: &Model, names: &Names) -> io::Result<()> {
    let heads: Vec<&str> = facts.fields.iter().map(|field| field.title()).collect();
    writeln!(out, "Mtr_Version,Start_Time,Status,Host,Hop,Ip,{}", heads.join(","))?;
    for (target, title) in model.targets().iter().zip(&facts.titles) {
        for (ttl, hop) in target.path(None).hops() {
            let ip = facts.naming.of_hop(hop, names);
            let started = facts.started_unix_s;
            write!(out, "MEGAPING.{},{started},OK,{title},{ttl},{ip}", env!("CARGO_PKG_VERSION"))?;
            for field in &facts.fields {
                match field.of(hop) {
                    Value::Share(share) => write!(out, ",{:.2}", share * 100.0)?,
                    Value::Count(count) => write!(out, ",{count}")?,
                    Value::Time(ns) => write!(out, ",{:.3}", ns / 1e6)?,
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}
