//! The comparison as pictures: SVG, from the file that was measured.

use std::path::Path;

use plotters::prelude::*;

use super::aims::is_main;
use super::report::{Case, Part, VersusReport};
use crate::Result;

const SIZE: (u32, u32) = (900, 480);
const FONT: &str = "sans-serif";

/// Writes every picture into a directory.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(report: &VersusReport, dir: &Path) -> Result<()> {
    let main: Vec<&Case> = report.cases(Part::Full).into_iter().filter(|case| is_main(case)).collect();
    let bars = |figure: fn(&super::report::Measured) -> Option<f64>| -> Vec<(String, f64)> {
        let of = |case: &&Case| Some((label(case), report.median(case, figure)?));
        main.iter().filter_map(of).collect()
    };
    let answered = bars(|m| Some(m.answered_pps / 1e3));
    draw_bars(&dir.join("answered.svg"), "Answered probes a second, thousands (IPv4)", &answered)?;
    let cost: Vec<_> = bars(|m| m.machine_ns).into_iter().filter(|(_, ns)| *ns < 10_000.0).collect();
    draw_bars(
        &dir.join("cost.svg"),
        "Processor time of the machine a probe, ns (those below 10,000)",
        &cost,
    )?;
    draw_rates(report, &dir.join("cpu.svg"))?;
    draw_rtt(report, &main, &dir.join("rtt.svg"))
}

fn label(case: &Case) -> String {
    match case.shards {
        1 => case.tool.clone(),
        shards => format!("{} x{shards}", case.tool),
    }
}

/// Bars that lie, with their names before them and their values behind.
fn draw_bars(path: &Path, title: &str, bars: &[(String, f64)]) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let most = bars.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let rows = bars.len().max(1) as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 20))
        .margin(12)
        .x_label_area_size(24)
        .y_label_area_size(140)
        .build_cartesian_2d(0.0..most * 1.12, 0.0..rows)?;
    // The names stand by the bars' middles, which no axis of plotters labels: they are drawn as text.
    chart.configure_mesh().disable_y_mesh().disable_y_axis().light_line_style(WHITE).draw()?;
    for (index, (_, value)) in bars.iter().enumerate() {
        let row = rows - index as f64;
        let style = Palette99::pick(index).filled();
        chart.draw_series([Rectangle::new([(0.0, row - 0.15), (*value, row - 0.85)], style)])?;
        let at = (*value + most * 0.01, row - 0.36);
        chart.draw_series([Text::new(format!("{value:.0}"), at, (FONT, 14))])?;
    }
    for (index, (name, _)) in bars.iter().enumerate() {
        let (x, y) = chart.plotting_area().map_coordinate(&(0.0, rows - index as f64 - 0.5));
        root.draw(&Text::new(name.clone(), (x - 135, y - 7), (FONT, 14)))?;
    }
    root.present()?;
    Ok(())
}

/// Processor time of the whole process against the rate, both logarithmic.
fn draw_rates(report: &VersusReport, path: &Path) -> Result<()> {
    let cases = report.cases(Part::Rate);
    let lines = by_tool(&cases, |case| {
        let cores = report.median(case, |m| Some(m.process_cores * 100.0))?;
        Some((case.rate_pps? as f64, cores.max(0.01)))
    });
    let what = Axes {
        title: "Processor time by rate, the whole process",
        x: "probes a second",
        y: "percent of one core",
    };
    draw_lines(path, &what, (1e3, 1e5), (0.1, 200.0), &lines, &|x| format!("{x:.0}"))
}

/// Round trips by quantile: the x axis is how rare they are, the y axis how long.
fn draw_rtt(report: &VersusReport, main: &[&Case], path: &Path) -> Result<()> {
    const QUANTILES: [(&str, f64); 4] = [("p50", 2.0), ("p90", 10.0), ("p99", 100.0), ("p999", 1000.0)];
    let slow = report.cases(Part::Rate).into_iter().filter(|case| case.rate_pps == Some(1_000));
    let lines: Vec<(String, Vec<(f64, f64)>)> = main
        .iter()
        .copied()
        .chain(slow)
        .filter_map(|case| {
            let of = |key: &str| report.median(case, |m| m.ours.as_ref()?.rtt_us.get(key).copied().flatten());
            let points: Vec<_> =
                QUANTILES.iter().filter_map(|(key, x)| Some((*x, of(key)?.max(0.1)))).collect();
            let rate = if case.rate_pps.is_some() { " at 1,000/s" } else { "" };
            (!points.is_empty()).then(|| (label(case) + rate, points))
        })
        .collect();
    let name = |x: &f64| match x.round() as u64 {
        10 => "p90".to_owned(),
        100 => "p99".to_owned(),
        1000 => "p99.9".to_owned(),
        _ => String::new(),
    };
    let what = Axes { title: "Round trips, at full rate and at 1,000 a second", x: "quantile", y: "us" };
    draw_lines(path, &what, (2.0, 1e3), (0.1, 1e5), &lines, &name)
}

struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
}

type Line = (String, Vec<(f64, f64)>);

fn draw_lines(
    path: &Path,
    what: &Axes,
    x: (f64, f64),
    y: (f64, f64),
    lines: &[Line],
    name: &dyn Fn(&f64) -> String,
) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(what.title, (FONT, 20))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(what.x)
        .y_desc(what.y)
        .x_label_formatter(name)
        .light_line_style(WHITE)
        .draw()?;
    for (index, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let series = LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3);
        chart
            .draw_series(series)?
            .label(name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

fn by_tool(cases: &[&Case], point: impl Fn(&Case) -> Option<(f64, f64)>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (case, at) in cases.iter().filter_map(|case| Some((case, point(case)?))) {
        match lines.iter_mut().find(|(tool, _)| *tool == case.tool) {
            Some((_, points)) => points.push(at),
            None => lines.push((case.tool.clone(), vec![at])),
        }
    }
    lines
}
