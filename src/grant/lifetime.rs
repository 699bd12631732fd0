//! How long a token lasts, as the response says it (pure).

use std::time::Duration;

use serde_json::Value;

use super::response::unusable;
use crate::clock::Moment;
use crate::error::Error;
use crate::exchange::{date, span};
use crate::json::Members;

/// `expires_in`, or else one of the absolute times; `None`: not stated. An invalid value counts as missing.
pub(super) fn lifetime(
    members: &mut Members<'_>,
    strict: bool,
    sent: Moment,
    servers_now: Option<Duration>,
) -> Result<Option<Duration>, Error> {
    let stated = members.take("expires_in")?.filter(|value| !value.is_null());
    if strict && stated.as_ref().is_some_and(|value| !value.is_u64()) {
        return Err(unusable("expires_in is not a whole number (strict)"));
    }
    // Entra v1 `expires_on`, others `expires_at`. They stay readable as extra members.
    let until = |name: &&str| until(&members.get(name)?, sent, servers_now);
    Ok(stated.as_ref().and_then(seconds).or_else(|| ["expires_on", "expires_at"].iter().find_map(until)))
}

/// The time until an instant, which the server states by its own clock. Ours may be wrong; its `Date` may be of a proxy, or
/// old. So the token is used for the shorter of the two times, unless that is too short for a new token.
fn until(end: &Value, sent: Moment, servers_now: Option<Duration>) -> Option<Duration> {
    /// Nearly all tokens last five minutes or more.
    const SHORTEST: Duration = Duration::from_secs(60);
    /// A day: no clock is that wrong, so the `Date` is.
    const LONGEST: Duration = Duration::from_secs(86_400);
    let left = |now: Duration| match seconds(end) {
        Some(end) => Some(span(end.as_secs_f64(), now)),
        None => date(end.as_str()?).map(|end| end.saturating_sub(now)),
    };
    let by_ours = left(sent.wall())?;
    let by_servers = left(servers_now.unwrap_or(sent.wall()))?;
    Some(match (by_ours.min(by_servers) < SHORTEST, by_ours < SHORTEST && by_servers > LONGEST) {
        (_, true) => by_ours,
        (true, false) => by_ours.max(by_servers),
        (false, false) => by_ours.min(by_servers),
    })
}

/// Whole seconds from a number or a number in a string (Entra v1, PayPal, Apigee); floats (Blue Button, Reddit) are rounded
/// down; negative numbers count as zero, and numbers out of range (`1e400`) as unlimited.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Duration::from_secs(whole));
    }
    // `inf` and `NaN` are floats to Rust, but not to JSON.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let float = is_number.then(|| text.parse::<f64>().ok()).flatten()?.max(0.0).floor();
    Some(Duration::try_from_secs_f64(float).unwrap_or(Duration::MAX))
}
