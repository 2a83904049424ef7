//! Groups as a table, CSV, or an object a line.

use std::io::{self, Write};

use megaping_store::query::{Dimension, Group, Key};
use serde_json::{Map, Value, json};

use super::QueryOptions;
use crate::cli::ReportFormat;
use crate::output::human_count;

type Row = (Vec<Key>, Group);

/// Figures of round trips, in microseconds: names and shares.
const QUANTILES: [(&str, f64); 3] = [("rtt_p50_us", 0.5), ("rtt_p90_us", 0.9), ("rtt_p99_us", 0.99)];
/// Lines of growing height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn groups(out: &mut impl Write, options: &QueryOptions, rows: &[Row]) -> io::Result<()> {
    match options.output {
        ReportFormat::Text => table(out, options, rows),
        ReportFormat::Csv => csv(out, options, rows),
        ReportFormat::Json => rows.iter().try_for_each(|row| {
            serde_json::to_writer(&mut *out, &object(&options.by, row))?;
            out.write_all(b"\n")
        }),
    }
}

fn name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Tenant => "tenant",
        Dimension::Target => "target",
        Dimension::Prefix(..) => "prefix",
        Dimension::Time(_) => "time",
    }
}

fn text(key: &Key) -> String {
    match key {
        Key::Tenant(name) => name.to_string(),
        Key::Target(target) => target.to_string(),
        Key::Prefix(prefix) => prefix.to_string(),
        Key::Time(seconds) => {
            let time = jiff::Timestamp::from_second(i64::try_from(*seconds).unwrap_or(i64::MAX));
            time.map_or_else(|_| seconds.to_string(), |time| time.to_string())
        }
    }
}

fn counts(group: &Group) -> [(&'static str, u64); 6] {
    let counts = &group.counts;
    [
        ("scheduled", counts.scheduled),
        ("sent", counts.sent()),
        ("answered", counts.answered),
        ("errors", counts.errors),
        ("lost", counts.lost),
        ("unsent", counts.unsent),
    ]
}

/// Loss in percent, then round trips in microseconds; none where there is nothing to tell.
fn figures(group: &Group) -> [(&'static str, Option<f64>); 7] {
    let us = |ns: u64| ns as f64 / 1e3;
    let extremes = group.extremes_ns();
    let [p50, p90, p99] = QUANTILES.map(|(name, quantile)| (name, group.quantile_ns(quantile).map(us)));
    [
        ("loss_percent", group.counts.loss().map(|loss| loss * 100.0)),
        ("rtt_min_us", extremes.map(|(min, _, _)| us(min))),
        ("rtt_mean_us", extremes.map(|(_, mean, _)| us(mean))),
        p50,
        p90,
        p99,
        ("rtt_max_us", extremes.map(|(_, _, max)| us(max))),
    ]
}

fn object(by: &[Dimension], (keys, group): &Row) -> Value {
    let mut object = Map::new();
    for (dimension, key) in by.iter().zip(keys) {
        object.insert(name(*dimension).to_owned(), text(key).into());
    }
    for (name, count) in counts(group) {
        object.insert(name.to_owned(), count.into());
    }
    for (name, figure) in figures(group) {
        object.insert(name.to_owned(), json!(figure));
    }
    if let Some(course) = group.course_ns() {
        let us: Vec<Option<f64>> = course.iter().map(|ns| ns.map(|ns| ns as f64 / 1e3)).collect();
        object.insert("rtt_course_us".to_owned(), json!(us));
    }
    Value::Object(object)
}

fn csv(out: &mut impl Write, options: &QueryOptions, rows: &[Row]) -> io::Result<()> {
    let mut names: Vec<&str> = options.by.iter().map(|dimension| name(*dimension)).collect();
    names.extend([
        "scheduled",
        "sent",
        "answered",
        "errors",
        "lost",
        "unsent",
        "loss_percent",
        "rtt_min_us",
        "rtt_mean_us",
    ]);
    names.extend(QUANTILES.map(|(name, _)| name).iter().chain(&["rtt_max_us"]));
    writeln!(out, "{}", names.join(","))?;
    for (keys, group) in rows {
        let quoted = |text: String| if text.contains([',', '"', '\n']) { format!("{text:?}") } else { text };
        let mut fields: Vec<String> = keys.iter().map(|key| quoted(text(key))).collect();
        fields.extend(counts(group).map(|(_, count)| count.to_string()));
        fields.extend(
            figures(group)
                .map(|(_, figure)| figure.map_or_else(String::new, |figure| format!("{figure:.3}"))),
        );
        writeln!(out, "{}", fields.join(","))?;
    }
    Ok(())
}

fn table(out: &mut impl Write, options: &QueryOptions, rows: &[Row]) -> io::Result<()> {
    let keys: Vec<Vec<String>> = rows.iter().map(|(keys, _)| keys.iter().map(text).collect()).collect();
    let widths: Vec<usize> = options
        .by
        .iter()
        .enumerate()
        .map(|(at, dimension)| {
            keys.iter()
                .map(|keys| keys[at].chars().count())
                .chain([name(*dimension).len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    for (dimension, width) in options.by.iter().zip(&widths) {
        write!(out, "{:width$}  ", name(*dimension))?;
    }
    write!(
        out,
        "{:>11} {:>11} {:>9} {:>9} {:>9}  {:>9} {:>9} {:>9} {:>9} {:>9}",
        "sent", "answered", "errors", "lost", "loss", "min ms", "p50 ms", "p90 ms", "p99 ms", "max ms"
    )?;
    writeln!(out, "{}", if options.sparkline { "  round trips over time" } else { "" })?;
    for ((_, group), keys) in rows.iter().zip(&keys) {
        for (key, width) in keys.iter().zip(&widths) {
            write!(out, "{key:width$}  ")?;
        }
        let c = &group.counts;
        let [sent, answered, errors, lost] = [c.sent(), c.answered, c.errors, c.lost].map(human_count);
        let loss = c.loss().map_or_else(|| "-".to_owned(), |loss| format!("{:.2} %", loss * 100.0));
        write!(out, "{sent:>11} {answered:>11} {errors:>9} {lost:>9} {loss:>9} ")?;
        let ms = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| format!("{:.3}", us / 1e3));
        for (name, figure) in figures(group) {
            if !matches!(name, "loss_percent" | "rtt_mean_us") {
                write!(out, " {:>9}", ms(figure))?;
            }
        }
        if let Some(course) = group.course_ns() {
            write!(out, "  {}", sparkline(&course))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Heights between the lowest and the highest; a gap where nothing answered.
fn sparkline(course: &[Option<u64>]) -> String {
    let known = || course.iter().flatten();
    let (low, high) = (known().min().copied().unwrap_or(0), known().max().copied().unwrap_or(0));
    let bar = |ns: &Option<u64>| match ns {
        None => ' ',
        Some(ns) => BARS[((ns - low) as f64 * 7.0 / (high - low).max(1) as f64).round() as usize],
    };
    course.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_rises_with_round_trips_and_has_gaps() {
        assert_eq!(sparkline(&[Some(10), Some(80), None, Some(45)]), "▁█ ▅");
        assert_eq!(sparkline(&[None, Some(7), Some(7)]), " ▁▁");
    }
}
