//! The setters for how tokens are kept.

use std::time::Duration;

use super::ClientCredentialsBuilder;
#[cfg(feature = "test-util")]
use crate::cache::clock::Clock;
use crate::cache::{self, Backoff};
#[expect(unused_imports, reason = "for the docs")]
use crate::{Error, ErrorKind, TokenSource};

/// # How tokens are kept
impl ClientCredentialsBuilder {
    /// How long before its expiry a token may be renewed; at most half its lifetime. Default: 20 % of the lifetime, at
    /// least 30 s, at most 15 min. The instant is drawn from the window's first half.
    pub fn refresh_window(mut self, window: Duration) -> Self {
        self.cache.refresh_window = Some(self.nonzero("refresh_window", window));
        self
    }

    /// After which age a token is renewed in any case, however long it lasts. Default: 24 h.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.cache.max_age = self.nonzero("max_age", age);
        self
    }

    /// How long before its expiry a token is not handed out any more; at most 10 % of its lifetime. Default: 10 s.
    pub fn safety_margin(mut self, margin: Duration) -> Self {
        self.cache.safety_margin = margin;
        self
    }

    /// The lifetime of tokens when the server states none. Default: 1 h.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.cache.default_lifetime = self.nonzero("default_lifetime", lifetime);
        self
    }

    /// The wait after a failed flight while a token is usable: `first`, doubling to `most`. Default: 1 s, 30 s.
    pub fn stale_backoff(mut self, first: Duration, most: Duration) -> Self {
        self.cache.stale_backoff = Backoff::new(self.nonzero("stale_backoff", first), most);
        self
    }

    /// The wait after a failed flight while there is no usable token: callers fail at once meanwhile.
    /// Default: 250 ms doubling to 10 s.
    pub fn expired_backoff(mut self, first: Duration, most: Duration) -> Self {
        self.cache.expired_backoff = Backoff::new(self.nonzero("expired_backoff", first), most);
        self
    }

    /// The wait after [`ErrorKind::Denied`] and [`ErrorKind::Throttled`]. Default: 1 s doubling to 60 s.
    pub fn denied_backoff(mut self, first: Duration, most: Duration) -> Self {
        self.cache.denied_backoff = Backoff::new(self.nonzero("denied_backoff", first), most);
        self
    }

    /// How long a [`retry_after`](Error::retry_after) is obeyed: while a token is usable, and while there is none.
    /// Default: 1 h, 5 min.
    pub fn retry_after_limits(mut self, stale: Duration, expired: Duration) -> Self {
        (self.cache.stale_retry_after, self.cache.expired_retry_after) = (stale, expired);
        self
    }

    /// How many refreshes [`reject`](TokenSource::reject) may force at once, and after which time one more.
    /// Default: 3, 2 min.
    pub fn forced_refreshes(mut self, count: u32, every: Duration) -> Self {
        self.cache.forced_refreshes = count;
        self.cache.forced_refresh_every = self.nonzero("forced_refreshes", every);
        self
    }

    /// Goes by another clock than the system's (feature `test-util`).
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn clock(mut self, clock: &crate::ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }

    pub(super) fn nonzero(&mut self, setter: &'static str, value: Duration) -> Duration {
        if value.is_zero() {
            self.zero_durations.insert(setter);
        }
        value.max(cache::SHORTEST)
    }
}
