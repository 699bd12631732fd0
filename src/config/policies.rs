//! From the members to limits and policies.

use super::reader::Reader;
use crate::backoff::Backoff;
use crate::cache::CachePolicy;
use crate::exchange::Limits;
use crate::retry::RetryPolicy;

pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    let mut limits = Limits::new();
    limits.connect_timeout = reader.duration("limits.connect_timeout").unwrap_or(limits.connect_timeout);
    limits.attempt_timeout = reader.duration("limits.attempt_timeout").unwrap_or(limits.attempt_timeout);
    limits.max_response_bytes = reader.number("limits.max_response_bytes").unwrap_or(limits.max_response_bytes);
    limits.max_token_bytes = reader.number("limits.max_token_bytes").unwrap_or(limits.max_token_bytes);
    limits.max_error_text = reader.number("limits.max_error_text").unwrap_or(limits.max_error_text);
    limits
}

fn backoff(reader: &Reader<'_>, path: &str, default: Backoff) -> Backoff {
    let first = reader.duration(&format!("{path}_first"));
    let max = reader.duration(&format!("{path}_max"));
    Backoff::new(first.unwrap_or(default.first), max.unwrap_or(default.max))
}

pub(super) fn retry(reader: &mut Reader<'_>) -> RetryPolicy {
    let mut retry = RetryPolicy::new();
    retry.attempts = reader.number("retry.attempts").unwrap_or(retry.attempts);
    retry.backoff = backoff(reader, "retry.backoff", retry.backoff);
    retry.retry_after_limit = reader.duration("retry.retry_after_limit").unwrap_or(retry.retry_after_limit);
    retry
}

pub(super) fn cache(reader: &mut Reader<'_>) -> CachePolicy {
    let mut cache = CachePolicy::new();
    let or = |path: &str, default| reader.duration(&format!("cache.{path}")).unwrap_or(default);
    cache.fetch_timeout = or("fetch_timeout", cache.fetch_timeout);
    cache.takeover_after = reader.duration("cache.takeover_after");
    cache.refresh_window = reader.duration("cache.refresh_window");
    cache.max_age = or("max_age", cache.max_age);
    cache.safety_margin = or("safety_margin", cache.safety_margin);
    cache.default_lifetime = or("default_lifetime", cache.default_lifetime);
    cache.due_backoff = backoff(reader, "cache.due_backoff", cache.due_backoff);
    cache.expired_backoff = backoff(reader, "cache.expired_backoff", cache.expired_backoff);
    cache.denied_backoff = backoff(reader, "cache.denied_backoff", cache.denied_backoff);
    cache.due_retry_after_limit = or("due_retry_after_limit", cache.due_retry_after_limit);
    cache.expired_retry_after_limit = or("expired_retry_after_limit", cache.expired_retry_after_limit);
    cache.forced_refresh_interval = or("forced_refresh_interval", cache.forced_refresh_interval);
    cache.forced_refreshes = reader.number("cache.forced_refreshes").unwrap_or(cache.forced_refreshes);
    cache
}
