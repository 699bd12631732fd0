//! Token requests in each five minutes of the day, as an SVG.

use std::fmt::Write;

use super::{DAY, Day, Faults};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 260.0;
/// Seconds.
const STEP: usize = 300;
/// Pixels for a factor of ten.
const DECADE: f64 = 55.0;
/// The strokes of the lines, which differ without colours, too. With `Shared` both are at the bottom, so the first one
/// is broad.
const STROKES: [&str; 4] = [
    r##"stroke="#6baed6" stroke-width="1.5" stroke-dasharray="4 2""##,
    r##"stroke="#fdae6b" stroke-width="5""##,
    r##"stroke="#08519c" stroke-width="1.2""##,
    r##"stroke="#a63603" stroke-width="1.5" stroke-dasharray="6 3""##,
];

fn x(seconds: f64) -> f64 {
    LEFT + (WIDTH - LEFT - 20.0) * seconds / DAY.as_secs_f64()
}

/// On a logarithmic scale, from 1.
fn y(requests: f64) -> f64 {
    BOTTOM - DECADE * requests.max(1.0).log10()
}

pub(crate) fn svg(days: &[Day], faults: &Faults) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="min-width:40rem" font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="16">token requests per five minutes (none is drawn as 1); grey: no authorization server; yellow: no store</text>"#
    );
    for (outage, colour) in [(&faults.server, "#ccc"), (&faults.store, "#fec")] {
        let [begin, end] = [outage.start, outage.end].map(|at| x(at.as_secs_f64()));
        let _ = write!(
            svg,
            r#"<rect x="{begin:.1}" y="25" width="{:.1}" height="{:.0}" fill="{colour}"/>"#,
            end - begin,
            BOTTOM - 25.0
        );
    }
    for power in 0..=4 {
        let at = y(10_f64.powi(power));
        let _ = write!(
            svg,
            r##"<line x1="{LEFT}" x2="{:.0}" y1="{at:.1}" y2="{at:.1}" stroke="#ddd"/><text x="{:.0}" y="{:.1}" text-anchor="end">{}</text>"##,
            WIDTH - 20.0,
            LEFT - 6.0,
            at + 4.0,
            10_u32.pow(power as u32)
        );
    }
    for hour in (0..=24).step_by(4) {
        let _ = write!(
            svg,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">{hour} h</text>"#,
            x(f64::from(hour) * 3600.0),
            BOTTOM + 16.0
        );
    }
    for (n, (day, stroke)) in days.iter().zip(STROKES).enumerate() {
        let mut path = String::new();
        for (n, seconds) in day.per_second.chunks(STEP).enumerate() {
            let requests: u32 = seconds.iter().sum();
            let middle = STEP as f64 * (n as f64 + 0.5);
            if middle < DAY.as_secs_f64() {
                let _ = write!(path, "{:.0},{:.0} ", x(middle), y(f64::from(requests)));
            }
        }
        let legend = LEFT + 160.0 * n as f64;
        let _ = write!(
            svg,
            r#"<polyline fill="none" {stroke} points="{}"/><line x1="{legend:.0}" x2="{:.0}" y1="288" y2="288" {stroke}/><text x="{:.0}" y="292">{} {}</text>"#,
            path.trim_end(),
            legend + 24.0,
            legend + 30.0,
            day.fleet,
            if day.shared { "with Shared" } else { "alone" }
        );
    }
    svg.push_str("</svg>\n");
    svg
}
