//! Dates as servers write them (pure).

use std::time::{Duration, SystemTime};

use crate::clock::calendar::since_epoch;

/// The time since the epoch of a date: HTTP's (RFC 9110 section 5.6.7), the same with an offset as in mail (RFC 5322
/// section 3.3), or RFC 3339.
pub(crate) fn date(text: &str) -> Option<Duration> {
    let text = text.trim();
    http_date(text).or_else(|| {
        let (local, offset) = zoned(text)?;
        let local = rfc_3339(local).or_else(|| http_date(&format!("{local} GMT")))?;
        match offset {
            Offset::Ahead(by) => local.checked_sub(by),
            Offset::Behind(by) => local.checked_add(by),
        }
    })
}

fn http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// The distance of a local time from UTC.
enum Offset {
    Ahead(Duration),
    Behind(Duration),
}

/// The local time and its zone, without which it could be any.
fn zoned(text: &str) -> Option<(&str, Offset)> {
    for zone in ["Z", "z", "UTC", "GMT", "UT"] {
        if let Some(local) = text.strip_suffix(zone) {
            return Some((local.trim_end(), Offset::Ahead(Duration::ZERO)));
        }
    }
    let (local, zone) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let (sign, digits) = zone.split_at_checked(1)?;
    let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
    let [hours, minutes] = [two_digits(hours)?, two_digits(minutes)?];
    let by = (hours < 24 && minutes < 60).then(|| Duration::from_secs(hours * 3600 + minutes * 60))?;
    Some((local.trim_end(), if sign == "-" { Offset::Behind(by) } else { Offset::Ahead(by) }))
}

/// `2027-01-15T08:00:00.5`, also with a space.
fn rfc_3339(local: &str) -> Option<Duration> {
    let (day, time) = local.split_once(['T', 't', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut day = day.split('-');
    let year = day.next().filter(|year| year.len() == 4 && is_number(year))?.parse().ok()?;
    let mut rest = day.chain(time.split(':')).map(two_digits);
    let mut part = || rest.next().flatten();
    let whole = since_epoch([year, part()?, part()?, part()?, part()?, part()?])?;
    let fraction = is_number(fraction).then(|| format!("0.{fraction}").parse().ok()).flatten()?;
    rest.next().is_none().then(|| whole.saturating_add(Duration::from_secs_f64(fraction)))
}

fn two_digits(text: &str) -> Option<u64> {
    (text.len() == 2 && is_number(text)).then(|| text.parse().ok()).flatten()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_read_in_each_format_that_states_its_zone() {
        // FC2
        let second = |second: u64| Some(Duration::from_secs(1_800_000_000 + second));
        for (text, time) in [
            ("Fri, 15 Jan 2027 08:00:04 GMT", second(4)),
            ("Friday, 15-Jan-27 08:00:04 GMT", second(4)),
            ("Fri Jan 15 08:00:04 2027", second(4)),
            ("Fri, 15 Jan 2027 08:00:04 +0000", second(4)),
            ("Fri, 15 Jan 2027 08:00:04 -0000", second(4)),
            ("Fri, 15 Jan 2027 08:00:04 UTC", second(4)),
            ("Fri, 15 Jan 2027 09:30:04 +0130", second(4)),
            ("Thu, 14 Jan 2027 23:00:04 -0900", second(4)),
            ("2027-01-15T08:00:04Z", second(4)),
            ("2027-01-15t08:00:04z", second(4)),
            (" 2027-01-15 08:00:04 UTC ", second(4)),
            ("2027-01-15 08:00:04 GMT", second(4)),
            ("2027-01-15 08:00:04 UT", second(4)),
            ("2027-01-15T08:00:04+00:00", second(4)),
            ("2027-01-15T08:00:04+0000", second(4)),
            ("2027-01-15T10:00:04+02:00", second(4)),
            ("2027-01-15T00:30:04-07:30", second(4)),
            ("2027-01-16T07:59:04+23:59", second(4)),
            ("9999-12-31T23:59:59Z", Some(Duration::from_secs(253_402_300_799))),
            ("2027-01-15T08:00:04.000Z", second(4)),
            ("2027-01-15T08:00:04.5Z", Some(Duration::from_millis(1_800_000_004_500))),
            ("1970-01-01T00:00:00Z", Some(Duration::ZERO)),
            ("1970-01-01T00:00:00+00:01", None),
            ("1969-12-31T23:59:59Z", None),
            ("2027-01-15T08:00:04", None),
            ("2027-01-15", None),
            ("2027-01-15T08:00Z", None),
            ("2027-01-15T08:00:04:00Z", None),
            ("2027-01-15T08:00:04.Z", None),
            ("2027-13-15T08:00:04Z", None),
            ("2027-01-15T24:00:04Z", None),
            ("2027-01-15T08:00:04+24:00", None),
            ("2027-01-15T08:00:04+00:60", None),
            ("2027-01-15T08:00:04.5e3Z", None),
            ("2027-001-15T08:00:04Z", None),
            ("02027-01-15T08:00:04Z", None),
            ("27-01-15T08:00:04Z", None),
            ("Mon, 15 Jan 2027 08:00:04 GMT", None),
            ("Z", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(date(text), time, "{text}");
        }
        assert_eq!(since_epoch([10_000, 1, 1, 0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}", like in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{0,12}[Z+-][0-9:]{0,5}") {
            let _ = (date(&text), date(&like));
        }

        #[test]
        fn an_http_date_is_the_same_in_rfc_3339(seconds in 0..253_402_300_800_u64) {
            let written = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let [_, day, month, year, time, _] = written.split(' ').collect::<Vec<_>>()[..] else { panic!("{written}") };
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|one| *one == month).unwrap() + 1;
            prop_assert_eq!(date(&format!("{year}-{month:02}-{day}T{time}Z")), Some(Duration::from_secs(seconds)));
        }
    }
}
