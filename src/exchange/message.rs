//! A request and its response, as they cross the wire.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use crate::clock::Moment;

/// What goes over the wire: a form, wiped after use.
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What came back, complete.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// None was asked for, and a small body can expand to a large one.
pub(crate) fn foreign_encoding(headers: &HeaderMap) -> Option<&str> {
    let encoding = headers.get(CONTENT_ENCODING)?.to_str().unwrap_or("unreadable");
    (!encoding.trim().eq_ignore_ascii_case("identity")).then_some(encoding)
}

/// RFC 9110 section 10.2.3: seconds or a date. A date counts from the server's own `Date`, so that its clock and ours
/// need not agree.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let date = |text: &str| httpdate::parse_http_date(text).ok()?.duration_since(epoch).ok();
    let servers_now = text(&DATE).and_then(date).unwrap_or(now.wall());
    if let Some(asked) = text(&RETRY_AFTER) {
        if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
            // More than a number can hold is still a wish to wait.
            return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
        }
        return date(asked).map(|end| end.saturating_sub(servers_now));
    }
    // Auth0 and Okta name the end of the window instead: seconds since the epoch.
    if status == StatusCode::TOO_MANY_REQUESTS {
        let reset = text(&HeaderName::from_static("x-ratelimit-reset"))
            .or_else(|| text(&HeaderName::from_static("x-rate-limit-reset")))?;
        let reset = Duration::from_secs(reset.parse().ok()?);
        return Some(reset.saturating_sub(servers_now));
    }
    None
}
