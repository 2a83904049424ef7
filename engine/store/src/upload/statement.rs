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

/// Columns of a row of paths, in the order that [`crate::path`] gives.
const PATH_COLUMNS: &str = "kind UInt8, at UInt64, hi UInt64, lo UInt64, flow UInt16, round UInt32, flags UInt8, length UInt8, \
     path_id UInt64, probes UInt32, first_hop UInt8, before_id UInt64, ttl Array(UInt8), rhi Array(UInt64), \
     rlo Array(UInt64), rtt Array(UInt64), sent Array(UInt16), received Array(UInt16), icmp Array(UInt16), \
     reply Array(UInt8), class Array(UInt8), marks Array(UInt8), label_ttl Array(UInt8), label Array(UInt32), \
     bhi Array(UInt64), blo Array(UInt64)";

/// Columns of the table `paths` and what each is made of.
const PATH_VALUES: [(&str, &str); 26] = [
    ("tenant", "{tenant:String}"),
    ("node", "{node:String}"),
    ("dst", "CAST(bitShiftLeft(toUInt128(hi), 64) + lo, 'IPv6')"),
    ("flow", "flow"),
    ("ts", "fromUnixTimestamp64Nano(toInt64(at), 'UTC')"),
    ("kind", "kind"),
    ("round", "round"),
    ("reached", "bitTest(flags, 0)"),
    ("complete", "bitTest(flags, 1)"),
    ("length", "length"),
    ("path_id", "path_id"),
    ("probes", "probes"),
    ("first_hop", "first_hop"),
    ("before_id", "before_id"),
    ("before", "arrayMap((h, l) -> CAST(bitShiftLeft(toUInt128(h), 64) + l, 'IPv6'), bhi, blo)"),
    ("`hops.ttl`", "ttl"),
    ("`hops.responder`", "arrayMap((h, l) -> CAST(bitShiftLeft(toUInt128(h), 64) + l, 'IPv6'), rhi, rlo)"),
    ("`hops.rtt_ns`", "rtt"),
    ("`hops.sent`", "sent"),
    ("`hops.received`", "received"),
    ("`hops.icmp`", "icmp"),
    ("`hops.reply_hop_limit`", "reply"),
    ("`hops.traffic_class`", "class"),
    ("`hops.marks`", "marks"),
    ("`labels.ttl`", "label_ttl"),
    ("`labels.entry`", "label"),
];

/// `INSERT INTO paths`, with parameters `tenant` and `node`, for a body of rows of paths.
#[must_use]
pub fn path_statement() -> String {
    let join = |of: fn(&(&'static str, &'static str)) -> &'static str| {
        PATH_VALUES.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let (names, values) = (join(|(name, _)| name), join(|(_, value)| value));
    format!("INSERT INTO paths ({names}) SELECT {values} FROM input('{PATH_COLUMNS}') FORMAT MsgPack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_what_proxies_take_as_a_url() {
        let escaped: usize = statement().bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum();
        assert!(escaped < 7500, "{escaped} bytes; a common limit is 8 KiB");
        let paths = path_statement();
        let escaped: usize = paths.bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum();
        assert!(escaped < 7500, "{escaped} bytes; a common limit is 8 KiB");
    }
}
