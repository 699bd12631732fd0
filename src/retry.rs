//! Retries after transient failures, within one fetch.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, share};
use crate::error::{Error, ErrorKind};
use crate::future::TokenFuture;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// The number of attempts within one fetch and the waits between them.
///
/// For [`ClientCredentialsBuilder::retry`](crate::ClientCredentialsBuilder::retry).
/// [`CachePolicy::fetch_timeout`](crate::CachePolicy::fetch_timeout) limits the whole fetch.
///
/// ```
/// use client_credentials::{Backoff, RetryPolicy};
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// let policy = RetryPolicy::new().attempts(5).backoff(backoff);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy does nothing before it is given to a builder"]
pub struct RetryPolicy {
    /// 3: short failures are over by then; more attempts would only prolong the wait for a server that is down.
    pub(crate) attempts: u32,
    /// Full jitter over 200 ms doubling, at most 5 s (AWS Architecture Blog, "Exponential Backoff And Jitter").
    pub(crate) backoff: Backoff,
    /// 5 s: a `Retry-After` up to this is waited out; a longer one ends the fetch, which has a timeout.
    pub(crate) retry_after_limit: Duration,
}

impl RetryPolicy {
    /// Returns the default policy.
    pub const fn new() -> Self {
        RetryPolicy {
            attempts: 3,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            retry_after_limit: Duration::from_secs(5),
        }
    }

    /// Sets the number of attempts within a fetch, including the first. Default: 3.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the backoff between attempts; the wait is a random part of it. Default: 200 ms doubling to 5 s.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the longest `Retry-After` that is waited out within a fetch; a longer one fails the fetch. Default: 5 s.
    pub const fn retry_after_limit(mut self, limit: Duration) -> Self {
        self.retry_after_limit = limit;
        self
    }

    /// The invalid values: (setter, flaw).
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let attempts = (self.attempts == 0).then(|| ("attempts", "is zero: no request would be sent".to_owned()));
        let backoff = self.backoff.fault().map(|flaw| ("backoff", flaw));
        attempts.into_iter().chain(backoff).collect()
    }

    /// The wait after the attempt `number` (from 1) failed with `error`; `None`: the fetch fails with it.
    fn wait(&self, number: u32, error: &Error, draw: f64) -> Option<Duration> {
        // A throttled client does not retry within a fetch: the next fetch starts after the backoff.
        if !error.is_transient() || error.kind() == ErrorKind::Throttled || number >= self.attempts {
            return None;
        }
        let own = share(self.backoff.after(number), draw);
        match error.retry_after() {
            Some(asked) if asked > self.retry_after_limit => None,
            // `Retry-After: 0` must not cause a loop without waits.
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy::new()
    }
}

#[derive(Debug)]
pub(crate) struct Retrying<S> {
    pub(crate) source: S,
    pub(crate) policy: RetryPolicy,
    /// The timeout of the fetch: shortly before it, the last error is returned, which is more useful than the timeout.
    pub(crate) fetch_timeout: Duration,
}

#[deny(clippy::missing_trait_methods)]
impl<S: TokenSource> TokenSource for Retrying<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let start = Instant::now();
            let mut number = 1;
            let mut last: Option<Error> = None;
            loop {
                let left = (self.fetch_timeout - self.fetch_timeout / 100).saturating_sub(start.elapsed());
                let error = match (tokio::time::timeout(left, self.source.token()).await, last.take()) {
                    (Ok(Ok(token)), _) => return Ok(token),
                    (Ok(Err(error)), _) => error,
                    (Err(_), Some(last)) => return Err(last),
                    // The fetch is about to end.
                    (Err(_), None) => std::future::pending().await,
                };
                match self.policy.wait(number, &error, fastrand::f64()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                }
                last = Some(error);
                number = number.saturating_add(1);
            }
        })
    }

    fn reject(&self, token: &AccessToken) {
        self.source.reject(token);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::source::source_fn;
    use proptest::prelude::*;

    fn transient(retry_after: Option<u64>) -> Error {
        Error::of(ErrorKind::Transport, "x").transient().asked_to_wait(retry_after.map(Duration::from_secs))
    }

    #[test]
    fn an_error_that_is_not_transient_ends_the_fetch() {
        let settings = RetryPolicy::new();
        let wait = |number, error: Error| settings.wait(number, &error, 1.0);
        assert_eq!(wait(1, Error::of(ErrorKind::Denied, "x")), None);
        assert_eq!(wait(1, Error::of(ErrorKind::Tls, "x")), None);
        assert_eq!(wait(1, Error::of(ErrorKind::Throttled, "x").transient()), None, "429");
        assert_eq!(wait(3, transient(None)), None, "the third attempt was the last");
        assert_eq!(wait(1, transient(Some(6))), None, "longer than a fetch should sleep");
    }

    #[test]
    fn waits_double_and_obey_retry_after() {
        let settings = RetryPolicy::new().attempts(u32::MAX);
        let wait = |number, retry_after| settings.wait(number, &transient(retry_after), 1.0);
        assert_eq!(wait(1, None), Some(Duration::from_millis(200)));
        assert_eq!(wait(2, None), Some(Duration::from_millis(400)));
        assert_eq!(wait(30, None), Some(Duration::from_secs(5)));
        assert_eq!(wait(1, Some(5)), Some(Duration::from_secs(5)));
        assert_eq!(settings.wait(2, &transient(None), 0.5), Some(Duration::from_millis(200)), "full jitter");
    }

    proptest! {
        #[test]
        fn no_duration_overflows(number: u32, attempts: u32, first: Duration, most: Duration, draw: f64) {
            let settings = RetryPolicy { attempts, backoff: Backoff::new(first, most), retry_after_limit: most };
            let wait = settings.wait(number, &transient(None), draw);
            prop_assert!(wait.is_none_or(|wait| wait <= settings.backoff.max));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_becomes_a_wait_and_then_a_token() {
        let calls = AtomicU32::new(0);
        let source = source_fn(|| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move { if call < 2 { Err(transient(Some(4))) } else { AccessToken::builder("t").build() } }
        });
        let start = Instant::now();
        let retrying = Retrying { source: &source, policy: RetryPolicy::new(), fetch_timeout: Duration::from_secs(30) };
        assert!(retrying.token().await.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(8), "on tokio's paused clock");
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_rejection_reaches_the_source() {
        let tokens = crate::cache::Cached::new(source_fn(|| async { AccessToken::builder("t").build() }));
        let retrying = Retrying { source: &tokens, policy: RetryPolicy::new(), fetch_timeout: Duration::from_secs(30) };
        let token = retrying.token().await.unwrap();
        assert!(retrying.token().now_or_never().unwrap().is_ok());
        retrying.reject(&token);
        assert!(retrying.token().now_or_never().is_none(), "it is fetched again");
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_timeout_of_the_fetch_the_last_error_is_returned() {
        let calls = AtomicU32::new(0);
        let source = source_fn(|| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                if call > 0 {
                    std::future::pending::<()>().await;
                }
                Err(Error::of(ErrorKind::Transport, "the first one").transient())
            }
        });
        let start = Instant::now();
        let retrying = Retrying { source: &source, policy: RetryPolicy::new(), fetch_timeout: Duration::from_secs(30) };
        assert_eq!(retrying.token().await.unwrap_err().to_string(), "the first one");
        assert!(start.elapsed() < Duration::from_secs(30), "on tokio's paused clock");
    }
}
