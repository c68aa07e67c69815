//! Line charts as SVG, small enough to be committed.

use std::fmt::Write as _;

/// Lines over one axis.
pub struct Chart<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    /// Powers of ten across.
    pub by_tens: bool,
    pub lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;
/// Okabe and Ito's colours, told apart by everybody.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#777777"];

/// Charts side by side.
pub fn svg(charts: &[Chart<'_>]) -> String {
    let width = WIDTH * charts.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (n, chart) in charts.iter().enumerate() {
        let _ = writeln!(out, "<g transform=\"translate({},0)\">", WIDTH * n as f64);
        draw(chart, &mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(chart: &Chart<'_>, out: &mut String) {
    let points = || chart.lines.iter().flat_map(|(_, points)| points);
    let scale = |x: f64| if chart.by_tens { x.log10() } else { x };
    let first =
        if chart.by_tens { points().map(|point| scale(point.0)).fold(f64::MAX, f64::min) } else { 0.0 };
    let last = points().map(|point| scale(point.0)).fold(f64::MIN, f64::max);
    // Room above the lines for their names.
    let highest = points().map(|point| point.1).fold(0.0, f64::max) * 1.2;
    let step = step(highest);
    let most = (highest / step).ceil().max(1.0) * step;
    let x = |value: f64| LEFT + (scale(value) - first) / (last - first).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM);
    let mut text = |at_x: f64, at_y: f64, anchor: &str, said: &str| {
        let _ = writeln!(
            out,
            "<text x=\"{at_x:.1}\" y=\"{at_y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{said}</text>"
        );
    };
    text(LEFT, 18.0, "start", &format!("{} ({})", chart.title, chart.up));
    text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, "middle", chart.across);
    let mut ticks: Vec<f64> = points().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup_by(|one, other| {
        (*one - *other).abs() < (last - first) * 0.06 && !chart.by_tens || one == other
    });
    for tick in ticks {
        text(x(tick), HEIGHT - BOTTOM + 16.0, "middle", &super::common::grouped(tick.round() as u64));
    }
    let rules = (most / step).round() as u32;
    for rule in 0..=rules {
        let value = step * f64::from(rule);
        let said = if step < 1.0 { format!("{value:.1}") } else { super::common::grouped(value as u64) };
        text(LEFT - 6.0, y(value) + 4.0, "end", &said);
    }
    for rule in 0..=rules {
        let at = y(step * f64::from(rule));
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>",
            WIDTH - RIGHT
        );
    }
    for (n, (name, points)) in chart.lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let path: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for point in points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(point.0),
                y(point.1)
            );
        }
        let at = TOP + 8.0 + 16.0 * n as f64;
        let _ = writeln!(out, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{name}</text>", LEFT + 10.0);
    }
}

/// A round distance that goes four to ten times into the most.
fn step(most: f64) -> f64 {
    let rough = (most / 5.0).max(1e-9);
    let ten = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * ten).find(|step| *step >= rough).unwrap_or(rough)
}
