//! The numbers of the cache, each with its reason.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// 30 s: three attempts of 10 s; nobody waits longer for a token.
    pub(crate) flight_deadline: Duration,
    /// 10 s: one attempt. A flight whose task has not run for this long has lost its runtime.
    pub(crate) attempt_timeout: Duration,
    /// `None`: in proportion to the lifetime, see `Schedule::of`.
    pub(crate) refresh_window: Option<Duration>,
    /// 24 h: a token of ten years is still renewed daily, so that a change of rights gets through.
    pub(crate) max_age: Duration,
    /// 10 s (at most 10 % of the lifetime): the way to the API, and clocks that differ a little.
    pub(crate) safety_margin: Duration,
    /// 1 h: what most servers mean when they say nothing; a 401 covers the rest.
    pub(crate) default_lifetime: Duration,
    /// 1 s doubling to 30 s: between failed flights while a token is usable; nobody waits for them.
    pub(crate) stale_backoff: Backoff,
    /// 250 ms doubling to 10 s: the negative cache, short since somebody waits.
    pub(crate) expired_backoff: Backoff,
    /// 1 s doubling to 60 s: a server locks accounts that fail too often, and throttles those that ask too often.
    pub(crate) denied_backoff: Backoff,
    /// 1 h: how long a `Retry-After` is obeyed while a token is usable.
    pub(crate) stale_retry_after: Duration,
    /// 5 min: the same while there is none.
    pub(crate) expired_retry_after: Duration,
    /// 3, one back every 2 min: an API that refuses every token costs a handful of token requests.
    pub(crate) forced_refreshes: u32,
    pub(crate) forced_refresh_every: Duration,
}

impl Settings {
    /// How long a flight may go without a beat. The floor: beats are read from a clock that ticks every 1 to 10 ms.
    pub(crate) fn patience(&self) -> Duration {
        self.attempt_timeout.max(Duration::from_millis(100))
    }
}

/// Waits that double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Backoff {
    /// `first` is at least a millisecond, so that a fault never becomes a hot loop; `most` at least `first`.
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        let first = first.max(SHORTEST);
        Backoff { first, most: most.max(first) }
    }
}

/// What a zero means where a wait or a timeout is asked for.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Settings {
    fn default() -> Self {
        Settings {
            flight_deadline: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            refresh_window: None,
            max_age: Duration::from_secs(24 * 3600),
            safety_margin: Duration::from_secs(10),
            default_lifetime: Duration::from_secs(3600),
            stale_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            expired_backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(10)),
            denied_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            stale_retry_after: Duration::from_secs(3600),
            expired_retry_after: Duration::from_secs(300),
            forced_refreshes: 3,
            forced_refresh_every: Duration::from_secs(120),
        }
    }
}
