//! The report for people.

use std::fmt::Write;

use super::{Diagnosis, Mark};
use crate::backend::{Obstacle, Verdict};
use crate::output::human_count;

/// Where the sentence of a line begins.
const INDENT: usize = 21;
/// Wider lines are hard to read.
const WIDEST: usize = 100;

/// Columns to write to: those of the terminal within bounds, 80 where there is none.
pub(super) fn width() -> usize {
    let asked = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    asked.unwrap_or(80).clamp(60, WIDEST)
}

/// The whole report.
pub(super) fn render(diagnosis: &Diagnosis, width: usize) -> String {
    let mut out = String::new();
    let findings = diagnosis.findings();
    for finding in &findings {
        let head = format!("{:<8} {:<10} ", finding.mark.word(), finding.area.word());
        paragraph(&mut out, &head, &finding.text, width);
        if let Some(fix) = &finding.fix {
            fix_line(&mut out, fix, width);
        }
    }
    out.push('\n');
    backends(&mut out, diagnosis, width);
    if !diagnosis.measured.is_empty() {
        out.push('\n');
        measured(&mut out, diagnosis);
    }
    let problems = findings.iter().filter(|finding| finding.mark == Mark::Problem).count();
    let tail = match (diagnosis.auto(), problems) {
        (None, _) => "No backend works here. Fix the first problem above.".to_owned(),
        (Some(kind), 0) => format!("No problem found. 'megaping ping' tries backend {kind} first."),
        (Some(kind), 1) => format!("1 problem. 'megaping ping' tries backend {kind} first."),
        (Some(kind), many) => format!("{many} problems. 'megaping ping' tries backend {kind} first."),
    };
    let _ = writeln!(out, "\n{tail}");
    out
}

fn backends(out: &mut String, diagnosis: &Diagnosis, width: usize) {
    out.push_str("Backends, fastest first:\n");
    let auto = diagnosis.auto();
    for candidate in &diagnosis.ranking {
        let name = candidate.kind.name();
        match &candidate.verdict {
            Verdict::Usable => {
                let says = if auto == Some(candidate.kind) {
                    "nothing in its way: --backend auto tries it first"
                } else {
                    "nothing in its way"
                };
                paragraph(out, &format!("{:<8} {name:<10} ", "yes"), says, width);
            }
            Verdict::Pointless(why) => paragraph(out, &format!("{:<8} {name:<10} ", "-"), why, width),
            Verdict::Blocked(obstacles) => {
                for (at, Obstacle { why, fix }) in obstacles.iter().enumerate() {
                    let (mark, name) = if at == 0 { ("no", name) } else { ("", "") };
                    paragraph(out, &format!("{mark:<8} {name:<10} "), why, width);
                    if let Some(fix) = fix {
                        fix_line(out, fix, width);
                    }
                }
            }
        }
    }
}

fn measured(out: &mut String, diagnosis: &Diagnosis) {
    let Some(first) = diagnosis.measured.first() else { return };
    let _ = writeln!(out, "Measured, to {}, one shard, each for {:.0} s:", first.target, first.seconds);
    for measured in &diagnosis.measured {
        let name = measured.backend.name();
        let _ = writeln!(
            out,
            "{:<8} {name:<10} {:>10} sent/s {:>10} answered/s {:>6.0} ns CPU/probe",
            "",
            human_count(measured.sent_pps as u64),
            human_count(measured.answered_pps as u64),
            measured.cpu_ns_per_probe
        );
    }
}

/// A sentence behind its head, wrapped, every further line below the first.
fn paragraph(out: &mut String, head: &str, text: &str, width: usize) {
    let mut line = format!("{head:<INDENT$}");
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(INDENT);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

/// A command stays on its line where it fits, so that it can be copied.
fn fix_line(out: &mut String, fix: &str, width: usize) {
    if INDENT + fix.chars().count() <= width {
        let _ = writeln!(out, "{:>1$} {fix}", "->", INDENT - 1);
    } else {
        paragraph(out, &format!("{:>1$} ", "->", INDENT - 1), fix, width);
    }
}
