//! A request and its response on the wire.

use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE,
    EXPECT, HOST, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::date::date;
use crate::clock::Moment;

/// The request: a form, wiped after use.
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// The response.
#[derive(Default)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// The remaining content coding: none was requested, and supported ones were decoded.
pub(crate) fn foreign_encoding(headers: &HeaderMap) -> Option<&str> {
    let encoding = headers.get(CONTENT_ENCODING)?.to_str().unwrap_or("unreadable");
    let plain = |one: &str| one.trim().is_empty() || one.trim().eq_ignore_ascii_case("identity");
    (!encoding.split(',').all(plain)).then_some(encoding)
}

/// Whether a header frames the message or is set by other code, so that no user may set it.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    let framing = [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let content = [ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, COOKIE];
    framing.contains(name) || content.contains(name) || name == "dpop"
}

/// Whether a content type is this one, whatever its parameters.
pub(crate) fn is_labelled(label: &HeaderValue, essence: &str) -> bool {
    let own = label.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    own.trim_ascii().eq_ignore_ascii_case(essence.as_bytes())
}

/// Whether a body that is not JSON is an HTML page: of a firewall, a proxy, a login or another address.
pub(crate) fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let label = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let start = body.get(..1024).unwrap_or(body);
    let tags: [&[u8]; 3] = [b"<!doctype html", b"<html", b"<body"];
    !body.starts_with(b"{") && tags.iter().any(|tag| has(start, tag)) || has(label, b"html") && body.starts_with(b"<")
}

/// How long the server asks to wait, at most a day.
///
/// `Retry-After` (RFC 9110 section 10.2.3) is a number of seconds or a [`date`]. Servers also send instants there, and
/// spans where an instant is defined; the two are distinguished by their size. An instant counts from the server's own
/// `Date`, so that its clock and ours may differ.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let servers_now = server_time(headers).unwrap_or(now.wall());
    let wait = |text: &str| match number(text) {
        Some(number) => Some(span(number, servers_now)),
        None => date(text).map(|end| end.saturating_sub(servers_now)),
    };
    let millis = |text: &str| number(text).map(|number| span(number / 1000.0, servers_now));
    let asked = text(RETRY_AFTER.as_str())
        .and_then(wait)
        .or_else(|| ["retry-after-ms", "x-ms-retry-after-ms"].iter().find_map(|name| text(name).and_then(millis)));
    let asked = match asked {
        None if status == StatusCode::TOO_MANY_REQUESTS => {
            // A limit that leaves requests is not the reason.
            let leaves_some = |name: &str| {
                let remaining = name.trim_end_matches("-after").replace("reset", "remaining");
                text(&remaining).and_then(number).is_some_and(|left| left >= 1.0)
            };
            let mut resets = RESETS.iter().filter(|name| !leaves_some(name));
            resets.find_map(|name| text(name).and_then(wait)).or_else(|| exhausted(headers, servers_now))
        }
        asked => asked,
    };
    asked.map(|wait| wait.min(LONGEST_WAIT))
}

/// With 429, the end of the quota's window: an instant at Auth0 and Okta, a span in
/// draft-ietf-httpapi-ratelimit-headers-07.
const RESETS: [&str; 5] = [
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-rate-limit-reset-after",
];

/// With 429, the time until the last window of an exhausted limit ends.
fn exhausted(headers: &HeaderMap, servers_now: Duration) -> Option<Duration> {
    let values = LIMITS.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    let limits = values.flat_map(|value| match value.to_ascii_lowercase() {
        // One limit, whose parameters are separated by commas.
        one if one.contains("reset=") => vec![one],
        several => several.split(',').map(Into::into).collect(),
    });
    let ends = limits.filter_map(|limit: String| {
        let param = |names: [&str; 2]| {
            let mut pairs = limit.split([',', ';']).filter_map(|part| part.split_once('='));
            pairs.find_map(|(name, value)| names.contains(&name.trim()).then(|| number(value.trim()))?)
        };
        let is_exhausted = param(["r", "remaining"]).is_none_or(|left| left < 1.0);
        param(["t", "reset"]).filter(|_| is_exhausted)
    });
    ends.map(|end| span(end, servers_now)).max()
}

/// `"default";r=0;t=9` in draft-ietf-httpapi-ratelimit-headers-08, `limit=1, remaining=0, reset=9` before that;
/// `b=per_hour;q=10;r=0;t=3540,b=per_day;..` at Auth0.
const LIMITS: [&str; 5] =
    ["ratelimit", "x-ratelimit", "x-rate-limit", "auth0-client-quota-limit", "auth0-organization-quota-limit"];

/// A day: quotas are per minute, hour or day. A longer wait is a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Seconds and their fraction, without a sign (RFC 9110 section 10.2.3).
fn number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && digits(whole) && digits(fraction)).then(|| text.parse().ok()).flatten()
}

/// A span in seconds, or the time until an instant: as seconds, milliseconds, microseconds or nanoseconds since the epoch.
pub(crate) fn span(number: f64, servers_now: Duration) -> Duration {
    // No server asks for three years (1e8 s). In seconds, 1e9 is in 2001, and the year 9999, which some servers mean as
    // "never", ends before 2.6e11; in milliseconds, 2.6e11 is in 1978, and so on, so the ranges of the units do not overlap.
    // The server's own clock may be in the last century.
    let first_instant = (servers_now.as_secs_f64() * 0.9).clamp(1e8, 1e9);
    let unit = match number {
        n if n < first_instant => return Duration::try_from_secs_f64(n).unwrap_or(LONGEST_WAIT),
        n if n < 2.6e11 => 1.0,
        n if n < 2.6e14 => 1e3,
        n if n < 2.6e17 => 1e6,
        _ => 1e9,
    };
    Duration::try_from_secs_f64(number / unit).map_or(LONGEST_WAIT, |end| end.saturating_sub(servers_now))
}

/// A year: no response is cached for longer (RFC 2616 section 14.21). A larger age is a mistake.
const OLDEST: f64 = 31_536_000.0;

/// The server's own time, since the epoch: `Date` (RFC 9110 section 6.6.1), and how long the response was in a cache
/// since then (`Age`, RFC 9111 section 5.1).
pub(crate) fn server_time(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let age = text(AGE).and_then(number).filter(|age| *age <= OLDEST).map_or(Duration::ZERO, Duration::from_secs_f64);
    Some(date(text(DATE)?)?.saturating_add(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn a_coding_is_foreign_unless_it_is_none() {
        for (coding, foreign) in [
            (&b"identity"[..], None),
            (b" Identity , , identity", None),
            (b"", None),
            (b"gzip", Some("gzip")),
            (b"identity, gzip", Some("identity, gzip")),
            (b"\xff", Some("unreadable")),
        ] {
            let headers = headers(&[("content-encoding", coding)]);
            assert_eq!(foreign_encoding(&headers), foreign, "{coding:?}");
        }
        assert_eq!(foreign_encoding(&HeaderMap::new()), None);
    }

    #[test]
    fn headers_that_frame_a_message_are_reserved() {
        let reserved = "connection content-length expect host te trailer transfer-encoding upgrade \
             accept-encoding content-encoding content-range cookie dpop";
        for name in reserved.split(' ') {
            assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["accept", "authorization", "content-type", "x-api-key"] {
            assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn a_page_has_a_tag_at_its_beginning_or_a_label() {
        let at = |place: usize| "x".repeat(place) + "<html";
        for (label, body, expected) in [
            ("", "<!DOCTYPE html>", true),
            ("", "\n <Html>", true),
            ("", "text <BODY>", true),
            ("", &at(1019), true),
            ("", &at(1020), false),
            ("", "<p>", false),
            ("", r#" {"a":"<html>"}"#, false),
            ("text/html", "\n<p>", true),
            ("Application/XHTML+xml", "<p>", true),
            ("text/html", "p<", false),
            ("text/html", r#"{"a":"<html>"}"#, false),
            ("text/plain", "<p>", false),
        ] {
            let headers = headers(&[("content-type", label.as_bytes())]);
            assert_eq!(is_page(&headers, body.as_bytes()), expected, "{label} {body}");
        }
    }

    #[test]
    fn a_number_is_a_span_or_an_instant_in_the_unit_of_its_size() {
        let second = Duration::from_secs(1);
        for (number, servers_now, wait) in [
            // The clock of a server that begins in 1970 tells spans and instants apart from three years on.
            (99_999_999.0, second, second * 99_999_999),
            (100_000_000.0, second, second * 99_999_999),
            (50_000_000.0, second, second * 50_000_000),
            (99_999_999_999.0, second, Duration::from_secs(99_999_999_998)),
            (99_999_999_999_000.0, second, Duration::from_secs(99_999_999_998)),
            (90_000_000_000_000_000.0, second, Duration::from_secs(89_999_999_999)),
            (259_999_999_999.0, second, Duration::from_secs(259_999_999_998)),
            (2.6e11, second, second * 259_999_999),
            (2.6e14, second, second * 259_999_999),
            (250_000_000_000_000_000.0, second, Duration::from_secs(249_999_999_999)),
            (2.6e17, second, second * 259_999_999),
        ] {
            assert_eq!(span(number, servers_now), wait, "{number}");
        }
    }

    #[test]
    fn the_time_of_a_server_counts_the_age_of_the_response_up_to_a_year() {
        let at = |age: &'static str| {
            server_time(&headers(&[("date", b" Thu, 01 Jan 1970 00:00:10 GMT "), ("age", age.as_bytes())]))
                .unwrap()
                .as_secs()
        };
        assert_eq!((at(" 5 "), at("31536000"), at("31536001"), at("soon")), (15, 31_536_010, 10, 10));
        assert_eq!(server_time(&headers(&[("age", b"5")])), None);
    }
}
