//! The settings of the cache, each default with its reason.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::backoff::{Backoff, early};
use crate::error::{Error, ErrorKind};

/// The settings of a [`Cached`](crate::Cached) source: when its token is refreshed, how long a fetch may take, and how long to
/// wait after a failure.
///
/// For [`Cached::with_policy`](crate::Cached::with_policy) and
/// [`ClientCredentialsBuilder::cache`](crate::ClientCredentialsBuilder::cache). Invalid values are refused with the reason;
/// two setters have a lower limit that shorter durations are raised to.
///
/// ```
/// use client_credentials::{Backoff, CachePolicy};
/// use std::time::Duration;
///
/// let policy = CachePolicy::new()
///     .max_age(Duration::from_secs(8 * 3600))
///     .expired_backoff(Backoff::new(
///         Duration::from_millis(100),
///         Duration::from_secs(5),
///     ));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a policy does nothing before it is given to a source"]
pub struct CachePolicy {
    /// 30 s: three attempts of 10 s; no caller waits longer for a token.
    pub(crate) fetch_timeout: Duration,
    /// `None`: one attempt timeout.
    pub(crate) takeover_after: Option<Duration>,
    /// `None`: in proportion to the lifetime, see `Schedule::of`.
    pub(crate) refresh_window: Option<Duration>,
    /// 24 h: a token of ten years is still refreshed daily, so that a change of rights takes effect.
    pub(crate) max_age: Duration,
    /// 10 s (at most 10 % of the lifetime): the request to the API, and small clock differences.
    pub(crate) safety_margin: Duration,
    /// 1 h: the lifetime of most tokens of servers that do not state it; a 401 covers the rest.
    pub(crate) default_lifetime: Duration,
    /// 1 s doubling to 30 s: between failed refreshes while a token is usable; no caller waits for them.
    pub(crate) due_backoff: Backoff,
    /// 250 ms doubling to 10 s: the negative cache, short because callers wait.
    pub(crate) expired_backoff: Backoff,
    /// 1 s doubling to 60 s: a server locks accounts that fail too often, and throttles clients that ask too often.
    pub(crate) denied_backoff: Backoff,
    /// 1 h: how long a `Retry-After` is obeyed while a token is usable.
    pub(crate) due_retry_after_limit: Duration,
    /// 5 min: the same while no token is usable.
    pub(crate) expired_retry_after_limit: Duration,
    /// 3, plus one every 2 min: an API that rejects every token causes only a few token requests.
    pub(crate) forced_refreshes: u32,
    pub(crate) forced_refresh_interval: Duration,
}

impl CachePolicy {
    /// Returns the default policy.
    pub const fn new() -> Self {
        CachePolicy {
            fetch_timeout: Duration::from_secs(30),
            takeover_after: None,
            refresh_window: None,
            max_age: Duration::from_secs(24 * 3600),
            safety_margin: Duration::from_secs(10),
            default_lifetime: Duration::from_secs(3600),
            due_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            expired_backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(10)),
            denied_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            due_retry_after_limit: Duration::from_secs(3600),
            expired_retry_after_limit: Duration::from_secs(300),
            forced_refreshes: 3,
            forced_refresh_interval: Duration::from_secs(120),
        }
    }

    /// Sets how long a fetch may take, including all attempts, the waits between them and reading the credential. Default: 30
    /// s.
    pub const fn fetch_timeout(mut self, limit: Duration) -> Self {
        self.fetch_timeout = limit;
        self
    }

    /// Sets how long a fetch may show no progress before another caller's runtime takes over. Values below 100 ms count as 100
    /// ms, because the coarse clock ticks every 1 to 10 ms. Default: the attempt timeout, 10 s.
    pub const fn takeover_after(mut self, limit: Duration) -> Self {
        self.takeover_after = Some(limit);
        self
    }

    /// Sets how long before its expiry a token may be refreshed; at most half its lifetime.
    ///
    /// Default: 20 % of the lifetime, at least 30 s, at most 15 min. The refresh time is chosen at random in the first half of
    /// the window.
    pub const fn refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = Some(window);
        self
    }

    /// Sets the age at which a token is refreshed even if it has not expired. Values below 1 s count as 1 s, because each token
    /// would be refreshed as soon as it arrives. Default: 24 h.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how long before its expiry a token is no longer returned; at most 10 % of its lifetime. Default: 10 s.
    pub const fn safety_margin(mut self, margin: Duration) -> Self {
        self.safety_margin = margin;
        self
    }

    /// Sets the lifetime assumed for tokens whose source states none. Default: 1 h.
    pub const fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = lifetime;
        self
    }

    /// Sets the wait after a failed refresh while the current token is still usable. Default: 1 s doubling to 30 s.
    pub const fn due_backoff(mut self, backoff: Backoff) -> Self {
        self.due_backoff = backoff;
        self
    }

    /// Sets the wait after a failed fetch while no token is usable. Meanwhile callers get the last error at once. Default: 250
    /// ms doubling to 10 s.
    pub const fn expired_backoff(mut self, backoff: Backoff) -> Self {
        self.expired_backoff = backoff;
        self
    }

    /// Sets the wait after [`Denied`](crate::ErrorKind::Denied) and [`Throttled`](crate::ErrorKind::Throttled), whether a
    /// token is usable or not. Default: 1 s doubling to 60 s.
    pub const fn denied_backoff(mut self, backoff: Backoff) -> Self {
        self.denied_backoff = backoff;
        self
    }

    /// Sets the longest [`retry_after`](crate::Error::retry_after) that is obeyed while a token is usable. Default: 1 h.
    pub const fn due_retry_after_limit(mut self, limit: Duration) -> Self {
        self.due_retry_after_limit = limit;
        self
    }

    /// Sets the longest [`retry_after`](crate::Error::retry_after) that is obeyed while no token is usable. Default: 5 min.
    pub const fn expired_retry_after_limit(mut self, limit: Duration) -> Self {
        self.expired_retry_after_limit = limit;
        self
    }

    /// Sets how many refreshes [`reject`](crate::TokenSource::reject) may force in a row. With 0, rejections have no effect.
    /// Default: 3.
    pub const fn forced_refreshes(mut self, count: u32) -> Self {
        self.forced_refreshes = count;
        self
    }

    /// Sets the time after which one more forced refresh is allowed. Default: 2 min.
    pub const fn forced_refresh_interval(mut self, interval: Duration) -> Self {
        self.forced_refresh_interval = interval;
        self
    }

    /// The policy in shared memory: most sources have the default, of which there is one.
    pub(crate) fn shared(mut self) -> Arc<Self> {
        self.takeover_after = self.takeover_after.filter(|limit| *limit != ATTEMPT);
        static DEFAULT: LazyLock<Arc<CachePolicy>> = LazyLock::new(Arc::default);
        if self == **DEFAULT { Arc::clone(&DEFAULT) } else { Arc::new(self) }
    }

    /// How long to wait after the `count`th failure in a row, or the `count`th answer that brought nothing new.
    pub(crate) fn wait_after(&self, error: Option<&Error>, count: u32, usable: bool, draw: f64) -> Duration {
        let is_denied = error.is_some_and(|error| matches!(error.kind(), ErrorKind::Denied | ErrorKind::Throttled));
        let backoff = match usable {
            _ if is_denied => self.denied_backoff,
            true => self.due_backoff,
            false => self.expired_backoff,
        };
        let obeyed = if usable { self.due_retry_after_limit } else { self.expired_retry_after_limit };
        let asked = error.and_then(Error::retry_after).unwrap_or_default().min(obeyed);
        early(backoff.after(count), draw).max(asked)
    }

    /// How long a fetch may go without a heartbeat.
    pub(crate) fn takeover(&self) -> Duration {
        self.takeover_after.unwrap_or(ATTEMPT).max(SHORTEST_TAKEOVER)
    }

    /// The invalid values: (setter, flaw).
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let zero = [
            ("fetch_timeout", Some(self.fetch_timeout)),
            ("takeover_after", self.takeover_after),
            ("refresh_window", self.refresh_window),
            ("max_age", Some(self.max_age)),
            ("default_lifetime", Some(self.default_lifetime)),
            ("forced_refresh_interval", Some(self.forced_refresh_interval)),
        ];
        let zero = zero.into_iter().filter(|(_, value)| value.is_some_and(|value| value.is_zero()));
        let zero = zero.map(|(setter, _)| (setter, "is zero: give a duration above it".to_owned()));
        let backoffs = [
            ("due_backoff", self.due_backoff),
            ("expired_backoff", self.expired_backoff),
            ("denied_backoff", self.denied_backoff),
        ];
        let backoffs = backoffs.into_iter().filter_map(|(setter, backoff)| Some((setter, backoff.fault()?)));
        zero.chain(backoffs).collect()
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        CachePolicy::new()
    }
}

/// 10 s: one attempt. A fetch whose task has not run for this long has lost its runtime.
const ATTEMPT: Duration = Duration::from_secs(10);

/// 100 ms: heartbeats are read from a clock that ticks every 1 to 10 ms.
const SHORTEST_TAKEOVER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_obeyed_longer_while_a_token_is_usable() {
        let policy = CachePolicy::new();
        let asks = |seconds| Error::of(ErrorKind::Throttled, "429").asked_to_wait(Some(Duration::from_secs(seconds)));
        let wait = |seconds, usable| policy.wait_after(Some(&asks(seconds)), 1, usable, 0.5).as_secs();
        assert_eq!((wait(200, true), wait(200, false)), (200, 200));
        assert_eq!((wait(7200, true), wait(7200, false)), (3600, 300));
    }

    #[test]
    fn sources_with_the_default_policy_share_one_in_memory() {
        let default = CachePolicy::new().shared();
        // The attempt timeout's default, as `ClientCredentials` sets it.
        let stated = CachePolicy::new().takeover_after(Duration::from_secs(10)).shared();
        assert!(Arc::ptr_eq(&default, &stated));
        let other = CachePolicy::new().takeover_after(Duration::from_secs(9)).shared();
        assert_eq!((default.takeover().as_secs(), other.takeover().as_secs()), (10, 9));
    }

    #[test]
    fn all_invalid_values_are_reported_at_once() {
        assert_eq!(CachePolicy::new().faults(), []);
        let swapped = Backoff::new(Duration::from_secs(30), Duration::from_secs(1));
        let policy = CachePolicy::new().max_age(Duration::ZERO).due_backoff(swapped);
        let setters: Vec<_> = policy.faults().into_iter().map(|(setter, _)| setter).collect();
        assert_eq!(setters, ["max_age", "due_backoff"]);
    }
}
