//! Dates of the Gregorian calendar.

use std::time::Duration;

/// The time since the Unix epoch of a date in UTC: year, month, day, hour, minute, second. A day may exceed its month.
pub(crate) fn since_epoch([year, month, day, hour, minute, second]: [u64; 6]) -> Option<Duration> {
    let is_date = year <= 9999 && (1..=12).contains(&month) && (1..=31).contains(&day);
    (is_date && hour < 24 && minute < 60 && second < 60).then_some(())?;
    // Counted in years that begin in March.
    let shifted = if month <= 2 { year.checked_sub(1)? } else { year };
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = (days + day_of_year).checked_sub(719_468)?;
    Some(Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}
