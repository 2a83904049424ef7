//! The summary for people, in the manner of ping's last lines.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{LatenessUs, RingSummary, RttUs, Summary};
use crate::output::human_count;

/// Some lines for people, the last one ended.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let stopped = if self.interrupted { ", interrupted" } else { "" };
        writeln!(
            f,
            "--- megaping: {} target{}, {}, {} shard{}, {:.2} s{stopped} ---",
            human_count(self.targets),
            plural(self.targets),
            self.backend,
            self.shards,
            plural(self.shards.into()),
            self.elapsed_s,
        )?;
        let width = human_count(self.scheduled.max(self.sent)).len();
        writeln!(f, "scheduled  {:>width$}", human_count(self.scheduled))?;
        self.place(f, width, "answered", self.answered, "")?;
        self.place(f, width, "errors", self.errors, &listed(&self.error_kinds))?;
        self.place(f, width, "lost", self.lost, "")?;
        self.place(f, width, "unsent", self.unsent_total(), &listed(&self.unsent))?;
        if self.in_flight > 0 {
            self.place(f, width, "in flight", self.in_flight, "")?;
        }
        writeln!(
            f,
            "sent       {:>width$}  {}/s, answered {}/s",
            human_count(self.sent),
            rounded(self.sent_pps),
            rounded(self.answered_pps),
        )?;
        self.beside(f)?;
        self.paths(f)?;
        self.times(f)?;
        self.machine(f)
    }
}

impl Summary {
    fn place(
        &self,
        f: &mut fmt::Formatter<'_>,
        width: usize,
        name: &str,
        count: u64,
        more: &str,
    ) -> fmt::Result {
        let percent = count as f64 * 100.0 / self.scheduled.max(1) as f64;
        // What is there is never shown as nothing, nor what is missing as all.
        let percent = match count {
            0 => 0.0,
            _ if count == self.scheduled => 100.0,
            _ => percent.clamp(0.001, 99.999),
        };
        let gap = if more.is_empty() { "" } else { "  " };
        writeln!(f, "  {name:<9}{:>width$}  {percent:>7.3} %{gap}{more}", human_count(count))
    }

    fn beside(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "beside     duplicates {}, late {}, invalid {}, foreign {}",
            human_count(self.duplicates),
            human_count(self.late),
            human_count(self.invalid),
            human_count(self.foreign),
        )
    }

    fn paths(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(paths) = self.paths else { return Ok(()) };
        let [reached, refused, unreached, incomplete, changes, shared] = [
            paths.reached,
            paths.refused,
            paths.unreached,
            paths.incomplete,
            paths.changes,
            paths.shared_hops,
        ]
        .map(human_count);
        writeln!(
            f,
            "paths      reached {reached}, refused {refused}, unreached {unreached}, given up {incomplete}, changed \
             {changes}; {shared} hops as on other paths"
        )
    }

    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RttUs { min, mean, p50, p90, p99, p999, max } = self.rtt_us;
        if let (Some(min), Some(mean), Some(p50), Some(p90), Some(p99), Some(p999), Some(max)) =
            (min, mean, p50, p90, p99, p999, max)
        {
            let [min, mean, p50, p90, p99, p999, max] =
                [min, mean, p50, p90, p99, p999, max].map(|us| us / 1e3);
            writeln!(
                f,
                "rtt        min {min:.3} / mean {mean:.3} / p50 {p50:.3} / p90 {p90:.3} / p99 {p99:.3} / p99.9 \
                 {p999:.3} / max {max:.3} ms"
            )?;
        }
        let LatenessUs { p50, p99, max } = self.lateness_us;
        if let (Some(p50), Some(p99), Some(max)) = (p50, p99, max) {
            let [p50, p99, max] = [p50, p99, max].map(|us| us / 1e3);
            writeln!(f, "lateness   p50 {p50:.3} / p99 {p99:.3} / max {max:.3} ms")?;
        }
        Ok(())
    }

    fn machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu        {:.2} s", self.cpu_s)?;
        if self.elapsed_s > 0.0 {
            write!(f, ", {:.0} % of a core", self.cpu_s / self.elapsed_s * 100.0)?;
        }
        if self.sent > 0 {
            write!(f, ", {} ns a probe", rounded(self.cpu_s * 1e9 / self.sent as f64))?;
        }
        writeln!(f)?;
        let RingSummary { rx_dropped, rx_malformed, tx_full, tx_dropped, handed_over, migrated } = self.ring;
        if self.ring != RingSummary::default() {
            let [dropped, malformed] = [rx_dropped, rx_malformed].map(human_count);
            let [full, lost] = [tx_full, tx_dropped].map(human_count);
            writeln!(
                f,
                "ring       arrivals dropped {dropped}, malformed {malformed}; way out full {full} times, dropped {lost}"
            )?;
        }
        if handed_over > 0 {
            let [handed_over, migrated] = [handed_over, migrated].map(human_count);
            writeln!(
                f,
                "shards     {handed_over} arrivals handed over, {migrated} targets moved to where theirs land"
            )?;
        }
        if let Some(store) = self.store {
            let [produced, queued, spooled, archived, rejected] =
                [store.produced, store.queued, store.spooled, store.archived, store.rejected]
                    .map(human_count);
            write!(
                f,
                "store      {produced} outcomes: archived {archived}, spooled {spooled}, queued {queued}, \
                 rejected {rejected}"
            )?;
            match store.dropped {
                0 => writeln!(f)?,
                dropped => writeln!(f, ", dropped {}", human_count(dropped))?,
            }
        }
        if let Some(upload) = self.upload {
            let [rows, uploaded, refused, dropped, waiting, bytes, failures] = [
                upload.rows,
                upload.uploaded,
                upload.refused,
                upload.dropped,
                upload.waiting,
                upload.bytes,
                upload.failures,
            ]
            .map(human_count);
            writeln!(
                f,
                "upload     {rows} outcomes: uploaded {uploaded}, refused {refused}, dropped {dropped}, waiting \
                 {waiting}; {bytes} bytes, {failures} failures"
            )?;
        }
        Ok(())
    }
}

/// `name count, name count`, the most frequent first.
fn listed(counts: &BTreeMap<&'static str, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut text = String::new();
    for (at, (name, count)) in counts.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{name} {}", human_count(*count));
    }
    text
}

#[expect(clippy::cast_sign_loss, reason = "rates and costs are not negative")]
fn rounded(figure: f64) -> String {
    human_count(figure.round() as u64)
}
