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
const COLOURS: [&str; 4] = ["#9ecae1", "#fdae6b", "#08519c", "#e6550d"];

fn x(seconds: f64) -> f64 {
    LEFT + (WIDTH - LEFT - 20.0) * seconds / DAY.as_secs_f64()
}

/// On a scale of logarithms, from 1 on.
fn y(requests: f64) -> f64 {
    BOTTOM - DECADE * requests.max(1.0).log10()
}

pub(crate) fn svg(days: &[Day], faults: &Faults) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="16">token requests in five minutes; grey: no authorization server; yellow: no store</text>"#
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
    for (n, (day, colour)) in days.iter().zip(COLOURS).enumerate() {
        let mut path = String::new();
        for (n, seconds) in day.per_second.chunks(STEP).enumerate() {
            let requests: u32 = seconds.iter().sum();
            let middle = STEP as f64 * (n as f64 + 0.5);
            if middle < DAY.as_secs_f64() {
                let _ = write!(path, "{:.0},{:.0} ", x(middle), y(f64::from(requests)));
            }
        }
        let _ = write!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" points="{}"/><text x="{:.0}" y="292" fill="{colour}">{} {}</text>"#,
            path.trim_end(),
            LEFT + 160.0 * n as f64,
            day.fleet,
            if day.shared { "with Shared" } else { "alone" }
        );
    }
    svg.push_str("</svg>\n");
    svg
}
