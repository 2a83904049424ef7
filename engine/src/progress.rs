//! The progress line: on a terminal's standard error, redrawn in place, gone at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Stderr, Write};
use std::time::{Duration, Instant};

use crate::output::human_count;

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(250);

/// The width to assume where the terminal does not tell.
const DEFAULT_WIDTH: usize = 80;

/// A run as it stands.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Progress {
    /// Probes that left.
    pub sent: u64,
    /// Probes that an echo reply answered.
    pub answered: u64,
    /// Probes that an ICMP error answered.
    pub errors: u64,
    /// Probes that nothing answered in time.
    pub lost: u64,
    /// Probes that are under way.
    pub in_flight: u64,
    /// Probes that left in the last second, or since the last drawing, a second.
    pub rate_pps: u64,
    /// Since the beginning.
    pub elapsed: Duration,
    /// To the end, where there is one to see.
    pub remaining: Option<Duration>,
}

/// The line on the terminal; erased when dropped. It has no colours, whatever `NO_COLOR` says.
#[derive(Debug)]
pub struct ProgressLine<W: Write> {
    out: W,
    drawn: Option<Instant>,
    width: fn() -> usize,
}

impl ProgressLine<Stderr> {
    /// The line on standard error; none where that is no terminal, or one that cannot erase a line.
    #[must_use]
    pub fn on_stderr() -> Option<ProgressLine<Stderr>> {
        let out = io::stderr();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        (out.is_terminal() && !dumb).then_some(ProgressLine { out, drawn: None, width: terminal_width })
    }
}

impl<W: Write> ProgressLine<W> {
    /// Draws the line anew when a quarter of a second is over since it was drawn; `progress` is asked for only
    /// then. A terminal that takes no more text is no reason to stop a run: errors are passed over.
    pub fn draw(&mut self, now: Instant, progress: impl FnOnce() -> Progress) {
        if self.drawn.is_some_and(|drawn| now.saturating_duration_since(drawn) < REDRAW) {
            return;
        }
        self.drawn = Some(now);
        // A line that ends in the last column wraps on some terminals.
        let line = render(&progress(), (self.width)().saturating_sub(1));
        let _ = write!(self.out, "\r{line}\x1b[K").and_then(|()| self.out.flush());
    }

    /// Takes the line off the terminal; it comes back when it is drawn again.
    pub fn erase(&mut self) {
        if self.drawn.take().is_some() {
            let _ = self.out.write_all(b"\r\x1b[K").and_then(|()| self.out.flush());
        }
    }
}

impl<W: Write> Drop for ProgressLine<W> {
    fn drop(&mut self) {
        self.erase();
    }
}

fn terminal_width() -> usize {
    let asked = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    asked.filter(|width| *width > 0).or_else(told).unwrap_or(DEFAULT_WIDTH)
}

/// The line in at most `width` columns: the parts that matter least are left out whole.
fn render(progress: &Progress, width: usize) -> String {
    let settled = progress.answered + progress.errors + progress.lost;
    // As ping has it: an ICMP error is no answer.
    let loss = (settled > 0).then(|| (settled - progress.answered) as f64 * 100.0 / settled as f64);
    let time = match progress.remaining {
        Some(left) => format!("{} left", clock(left)),
        None => clock(progress.elapsed),
    };
    // In the order of the line, each with its rank: the highest goes first.
    let mut parts = vec![
        (0, time),
        (1, format!("{} sent", human_count(progress.sent))),
        (3, format!("{}/s", human_count(progress.rate_pps))),
        (2, format!("{} answered", human_count(progress.answered))),
    ];
    if let Some(loss) = loss {
        parts.push((4, format!("{loss:.2} % loss")));
    }
    if progress.errors > 0 {
        parts.push((6, format!("{} errors", human_count(progress.errors))));
    }
    parts.push((5, format!("{} in flight", human_count(progress.in_flight))));
    loop {
        let line = join(&parts);
        if line.len() <= width {
            return line;
        }
        let Some(least) = (0..parts.len()).max_by_key(|at| parts[*at].0) else {
            return String::new();
        };
        parts.remove(least);
    }
}

fn join(parts: &[(u8, String)]) -> String {
    let mut line = String::new();
    for (_, part) in parts {
        let gap = if line.is_empty() { "" } else { "  " };
        let _ = write!(line, "{gap}{part}");
    }
    line
}

/// `7 s`, `1:05`, `2:00:09`.
fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Progress {
        Progress {
            sent: 1_234_567,
            answered: 1_200_000,
            errors: 10,
            lost: 20_000,
            in_flight: 14_557,
            rate_pps: 999_123,
            elapsed: Duration::from_secs(2),
            remaining: Some(Duration::from_secs(65)),
        }
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let full = "1:05 left  1,234,567 sent  999,123/s  1,200,000 answered  1.64 % loss  10 errors  14,557 in flight";
        assert_eq!(render(&busy(), 200), full);
        assert_eq!(render(&busy(), full.len()), full);
        assert_eq!(render(&Progress::default(), 80), "0 s  0 sent  0/s  0 answered  0 in flight");
    }

    #[test]
    fn it_fits_any_width() {
        for width in 0..120 {
            let line = render(&busy(), width);
            assert!(line.len() <= width, "{width}: {line}");
            assert!(width < 9 || line.starts_with("1:05 left"), "{width}: {line}");
        }
        assert_eq!(render(&busy(), 50), "1:05 left  1,234,567 sent  1,200,000 answered");
    }

    #[test]
    fn it_is_drawn_four_times_a_second_and_erased() {
        let mut out = Vec::new();
        let mut line = ProgressLine { out: &mut out, drawn: None, width: || 10 };
        let start = Instant::now();
        let mut asked = 0;
        for ms in [0, 100, 249, 250, 400, 500] {
            line.draw(start + Duration::from_millis(ms), || {
                asked += 1;
                busy()
            });
        }
        drop(line);
        assert_eq!(asked, 3);
        let drawn = "\r1:05 left\x1b[K".repeat(3);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{drawn}\r\x1b[K"));
    }

    #[test]
    fn what_was_never_drawn_is_not_erased() {
        let mut out = Vec::new();
        drop(ProgressLine { out: &mut out, drawn: None, width: || 10 });
        assert!(out.is_empty());
    }

    #[test]
    fn times_read_as_on_a_clock() {
        let clocks = [7, 65, 7209].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(clocks, ["7 s", "1:05", "2:00:09"]);
    }
}
