//! Reports per target: a table, JSON lines or CSV.

mod json;

use std::cmp::Reverse;
use std::io::{self, Write};

use megaping_wire::Addr;

use super::digits::{addr, number, thousandths};
use super::human;
use crate::cli::{ReportFormat, SortKey};

/// What a run has stored of one target. Round trips are none where nothing answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportRow {
    /// The target.
    pub target: Addr,
    /// Probes in all.
    pub scheduled: u64,
    /// Those that left.
    pub sent: u64,
    /// Those that an echo reply answered.
    pub answered: u64,
    /// Those that an ICMP error answered.
    pub errors: u64,
    /// Those that nothing answered.
    pub lost: u64,
    /// Those that never left.
    pub unsent: u64,
    /// Shortest round trip in nanoseconds.
    pub rtt_min_ns: Option<u64>,
    /// Mean round trip.
    pub rtt_mean_ns: Option<u64>,
    /// Median round trip.
    pub rtt_median_ns: Option<u64>,
    /// 99th percentile of round trips.
    pub rtt_p99_ns: Option<u64>,
    /// Longest round trip.
    pub rtt_max_ns: Option<u64>,
    /// Mean difference between the round trips of successive answers.
    pub jitter_ns: Option<u64>,
}

impl ReportRow {
    /// The share of probes that left and that no echo reply answered, as ping has it, in thousandths of a
    /// percent; none where none left.
    #[must_use]
    pub fn loss_millipercent(&self) -> Option<u64> {
        let unanswered = u128::from(self.sent.saturating_sub(self.answered));
        (self.sent > 0).then(|| (unanswered * 100_000 / u128::from(self.sent)) as u64)
    }

    fn round_trips(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("rtt_min_us", self.rtt_min_ns),
            ("rtt_mean_us", self.rtt_mean_ns),
            ("rtt_median_us", self.rtt_median_ns),
            ("rtt_p99_us", self.rtt_p99_ns),
            ("rtt_max_us", self.rtt_max_ns),
            ("jitter_us", self.jitter_ns),
        ]
    }

    fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("scheduled", self.scheduled),
            ("sent", self.sent),
            ("answered", self.answered),
            ("errors", self.errors),
            ("lost", self.lost),
            ("unsent", self.unsent),
        ]
    }
}

/// Orders rows: the worst first for a figure, by address otherwise and among equals.
pub fn sort(rows: &mut [ReportRow], key: SortKey) {
    match key {
        SortKey::Target => rows.sort_unstable_by_key(|row| row.target),
        // Where nothing answered, the loss is what there is to tell: such rows come last for a round trip.
        SortKey::Loss => rows.sort_unstable_by_key(|row| (Reverse(row.loss_millipercent()), row.target)),
        SortKey::P99 => rows.sort_unstable_by_key(|row| (Reverse(row.rtt_p99_ns), row.target)),
        SortKey::Median => rows.sort_unstable_by_key(|row| (Reverse(row.rtt_median_ns), row.target)),
    }
}

/// Writes rows in their order; a table ends with a line of totals over `rows`.
///
/// # Errors
/// The writer's error; a reader that went away is [`io::ErrorKind::BrokenPipe`].
pub fn write(out: &mut impl Write, format: ReportFormat, rows: &[ReportRow]) -> io::Result<()> {
    match format {
        ReportFormat::Text => table(out, rows),
        ReportFormat::Json => lines(out, rows, json::line),
        ReportFormat::Csv => {
            out.write_all(
                b"target,scheduled,sent,answered,errors,lost,unsent,loss_percent,rtt_min_us,rtt_mean_us,\
                  rtt_median_us,rtt_p99_us,rtt_max_us,jitter_us\n",
            )?;
            lines(out, rows, csv)
        }
    }
}

fn lines(out: &mut impl Write, rows: &[ReportRow], render: fn(&mut Vec<u8>, &ReportRow)) -> io::Result<()> {
    let mut line = Vec::new();
    for row in rows {
        line.clear();
        render(&mut line, row);
        out.write_all(&line)?;
    }
    Ok(())
}

fn csv(out: &mut Vec<u8>, row: &ReportRow) {
    addr(out, &row.target);
    for (_, count) in row.counts() {
        out.push(b',');
        number(out, count);
    }
    for figure in std::iter::once(row.loss_millipercent()).chain(row.round_trips().map(|(_, ns)| ns)) {
        out.push(b',');
        if let Some(figure) = figure {
            thousandths(out, figure);
        }
    }
    out.push(b'\n');
}

fn table(out: &mut impl Write, rows: &[ReportRow]) -> io::Result<()> {
    let targets: Vec<String> = rows.iter().map(|row| row.target.to_string()).collect();
    let total = format!("{} targets", human::count(rows.len() as u64));
    let width = targets.iter().map(String::len).chain([total.len()]).max().unwrap_or(0);
    writeln!(
        out,
        "{:width$} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}  {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "target",
        "sent",
        "answered",
        "errors",
        "lost",
        "unsent",
        "loss",
        "min ms",
        "mean ms",
        "median ms",
        "p99 ms",
        "max ms",
        "jitter ms",
    )?;
    let ms = |ns: Option<u64>| match ns {
        Some(ns) => format!("{:.3}", ns as f64 / 1e6),
        None => "-".to_owned(),
    };
    for (row, target) in rows.iter().zip(&targets) {
        counts(out, target, width, row)?;
        write!(out, " ")?;
        for (_, ns) in row.round_trips() {
            write!(out, " {:>9}", ms(ns))?;
        }
        writeln!(out)?;
    }
    counts(out, &total, width, &sum(rows))?;
    writeln!(out)
}

fn counts(out: &mut impl Write, target: &str, width: usize, row: &ReportRow) -> io::Result<()> {
    let loss = match row.loss_millipercent() {
        Some(loss) => format!("{}.{:02} %", loss / 1000, loss / 10 % 100),
        None => "-".to_owned(),
    };
    let (sent, answered) = (human::count(row.sent), human::count(row.answered));
    let [errors, lost, unsent] = [row.errors, row.lost, row.unsent].map(human::count);
    write!(out, "{target:width$} {sent:>10} {answered:>10} {errors:>8} {lost:>8} {unsent:>8} {loss:>8}")
}

fn sum(rows: &[ReportRow]) -> ReportRow {
    let total = |count: fn(&ReportRow) -> u64| rows.iter().map(count).fold(0, u64::saturating_add);
    ReportRow {
        target: Addr::UNSPECIFIED,
        scheduled: total(|row| row.scheduled),
        sent: total(|row| row.sent),
        answered: total(|row| row.answered),
        errors: total(|row| row.errors),
        lost: total(|row| row.lost),
        unsent: total(|row| row.unsent),
        rtt_min_ns: None,
        rtt_mean_ns: None,
        rtt_median_ns: None,
        rtt_p99_ns: None,
        rtt_max_ns: None,
        jitter_ns: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<ReportRow> {
        let dead = ReportRow {
            target: Addr::v4([10, 0, 0, 2]),
            scheduled: 4,
            sent: 3,
            lost: 3,
            unsent: 1,
            ..sum(&[])
        };
        let good = ReportRow {
            target: Addr::v4([10, 0, 0, 1]),
            scheduled: 3,
            sent: 3,
            answered: 2,
            errors: 1,
            rtt_min_ns: Some(1_000),
            rtt_mean_ns: Some(1_500),
            rtt_median_ns: Some(1_500),
            rtt_p99_ns: Some(2_000),
            rtt_max_ns: Some(12_002_000),
            jitter_ns: Some(7),
            ..sum(&[])
        };
        vec![dead, good]
    }

    fn text(format: ReportFormat) -> String {
        let mut out = Vec::new();
        write(&mut out, format, &rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_lines_are_json() {
        let lines: Vec<serde_json::Value> =
            text(ReportFormat::Json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["target"], "10.0.0.2");
        assert_eq!(lines[0]["loss"], 1.0);
        assert!(lines[0]["rtt_us"]["p99"].is_null());
        assert_eq!(lines[1]["loss"], 0.33333);
        assert_eq!(lines[1]["rtt_us"]["max"], 12_002.0);
        assert_eq!(lines[1]["jitter_us"], 0.007);
    }

    #[test]
    fn csv_has_as_many_fields_as_its_header() {
        let csv = text(ReportFormat::Csv);
        assert!(csv.lines().all(|line| line.split(',').count() == 14), "{csv}");
        assert!(csv.contains("\n10.0.0.2,4,3,0,0,3,1,100.000,,,,,,\n"), "{csv}");
    }

    #[test]
    fn a_table_is_aligned_and_ends_with_totals() {
        let table = text(ReportFormat::Text);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[..3].iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[2].ends_with("0.001     0.002     0.002     0.002    12.002     0.000"), "{table}");
        let total: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(total, ["2", "targets", "6", "2", "1", "3", "1", "66.66", "%"]);
    }

    #[test]
    fn the_worst_come_first() {
        let mut rows = rows();
        for (key, first) in
            [(SortKey::Target, 1), (SortKey::Loss, 2), (SortKey::P99, 1), (SortKey::Median, 1)]
        {
            sort(&mut rows, key);
            assert_eq!(rows[0].target.v4_octets()[3], first, "{key:?}");
        }
        assert_eq!(sum(&[]).loss_millipercent(), None);
    }
}
