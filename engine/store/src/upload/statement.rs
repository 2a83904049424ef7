//! The statement that unpacks a segment's columns on the server.

use std::fmt::Write;

/// How a column of a block becomes rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its values.
    Plain,
    /// The running sum of its values.
    Delta,
    /// It is not kept.
    Unused,
}

use Kind::{Delta, Plain, Unused};

/// Short name, type and kind of a block's array columns, in the order that [`crate::segment`] gives.
const COLUMNS: [(&str, &str, Kind); 19] = [
    ("t", "Int64", Delta),
    ("family", "UInt8", Plain),
    ("v4", "Int64", Delta),
    ("hi", "Int64", Delta),
    ("lo", "Int64", Delta),
    ("rhi", "Int64", Plain),
    ("rlo", "Int64", Plain),
    ("target", "Int64", Unused),
    ("seq", "Int64", Delta),
    ("rtt", "UInt64", Plain),
    ("error", "UInt32", Plain),
    ("status", "UInt8", Plain),
    ("detail", "UInt16", Plain),
    ("hop", "UInt8", Plain),
    ("reply", "UInt8", Plain),
    ("size", "UInt16", Plain),
    ("flow", "UInt16", Plain),
    ("stamp", "UInt8", Plain),
    ("marks", "UInt8", Plain),
];

/// Columns of the table `results` and what each is made of. An IPv4 address is `::ffff:a.b.c.d` (RFC 4291 section
/// 2.5.5.2); the halves of an address are put together from `dhi` and `dlo`, and wrap each on its own.
const VALUES: [(&str, &str); 16] = [
    ("tenant", "{tenant:String}"),
    ("node", "{node:String}"),
    (
        "dst",
        "CAST(bitShiftLeft(toUInt128(if(family = 4, 0::UInt64, toUInt64(hi)) AS dhi), 64) \
         + (if(family = 4, 281470681743360 + toUInt32(v4), toUInt64(lo)) AS dlo), 'IPv6')",
    ),
    ("ts", "fromUnixTimestamp64Nano(toInt64(base) + t, 'UTC')"),
    ("outcome", "status"),
    ("rtt_ns", "rtt"),
    ("error_ns", "error"),
    ("seq", "toUInt32(seq)"),
    ("responder", "CAST(bitShiftLeft(toUInt128(dhi + toUInt64(rhi)), 64) + (dlo + toUInt64(rlo)), 'IPv6')"),
    ("detail", "detail"),
    ("hop_limit", "hop"),
    ("reply_hop_limit", "reply"),
    ("size", "size"),
    ("flow", "flow"),
    ("stamp_source", "stamp"),
    ("marks", "marks"),
];

/// `INSERT INTO results`, with parameters `tenant` and `node`, for a body of segment blocks. A column whose
/// constant tail was cut is extended with its last element, then summed where it holds differences.
#[must_use]
pub fn statement() -> String {
    let used = || COLUMNS.iter().filter(|(_, _, kind)| *kind != Unused);
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let names = list(&mut VALUES.iter().map(|(name, _)| (*name).to_owned()));
    let values = list(&mut VALUES.iter().map(|(_, value)| (*value).to_owned()));
    let rows = list(&mut used().map(|(name, _, kind)| {
        let whole = format!("arrayResize(a_{name}, n, a_{name}[-1])");
        if *kind == Delta {
            format!("arrayCumSum({whole}) AS c_{name}")
        } else {
            format!("{whole} AS c_{name}")
        }
    }));
    let joined = list(&mut used().map(|(name, _, _)| format!("c_{name} AS {name}")));
    let mut input = "n UInt32, base UInt64".to_owned();
    for (name, kind, _) in COLUMNS {
        // Writing to a string cannot fail.
        let _ = write!(input, ", a_{name} Array({kind})");
    }
    format!(
        "INSERT INTO results ({names}) SELECT {values} FROM (SELECT base, {rows} FROM input('{input}')) \
         ARRAY JOIN {joined} FORMAT MsgPack"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_what_proxies_take_as_a_url() {
        let escaped: usize = statement().bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum();
        assert!(escaped < 7500, "{escaped} bytes; a common limit is 8 KiB");
    }
}
