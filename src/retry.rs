//! Turns a transient failure into a wait, inside one flight.

use std::time::Duration;

use tokio::time::Instant;

use crate::cache::{Backoff, doubled, share};
use crate::{AccessToken, Error, ErrorKind, TokenFuture, TokenSource};

/// How often, and at what pace, one flight tries.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// 3: the usual blip is over by then; more would only prolong the wait for a server that is down.
    pub(crate) attempts: u32,
    /// Full jitter over 200 ms doubling, at most 5 s (AWS Architecture Blog, "Exponential Backoff And Jitter").
    pub(crate) backoff: Backoff,
    /// 5 s: a `Retry-After` up to this is slept through; a longer one ends the flight, which has a deadline.
    pub(crate) longest_retry_after: Duration,
    /// 30 s, the flight's deadline: shortly before it the last error is better than none.
    pub(crate) deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attempts: 3,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            longest_retry_after: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// The wait after the attempt `number` (from 1) failed with `error`; `None`: the flight fails with it.
    fn wait(&self, number: u32, error: &Error, draw: f64) -> Option<Duration> {
        // A throttled client does not ask again inside a flight: the next one departs after the backoff.
        if !error.is_transient() || error.kind() == ErrorKind::Throttled || number >= self.attempts {
            return None;
        }
        match error.retry_after() {
            Some(asked) if asked > self.longest_retry_after => None,
            Some(asked) => Some(asked),
            None => {
                let ceiling = doubled(self.backoff.first, number.saturating_sub(1), self.backoff.most);
                Some(share(ceiling, draw))
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Retrying<S> {
    pub(crate) source: S,
    pub(crate) settings: Settings,
}

#[deny(clippy::missing_trait_methods)]
impl<S: TokenSource> TokenSource for Retrying<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let start = Instant::now();
            let mut number = 1;
            let mut last: Option<Error> = None;
            loop {
                let left = (self.settings.deadline - self.settings.deadline / 100).saturating_sub(start.elapsed());
                let error = match (tokio::time::timeout(left, self.source.token()).await, last.take()) {
                    (Ok(Ok(token)), _) => return Ok(token),
                    (Ok(Err(error)), _) => error,
                    (Err(_), Some(last)) => return Err(last),
                    // The flight ends by itself in a moment.
                    (Err(_), None) => std::future::pending().await,
                };
                match self.settings.wait(number, &error, fastrand::f64()) {
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
    use crate::source_fn;
    use proptest::prelude::*;

    fn transient(retry_after: Option<u64>) -> Error {
        Error::new(ErrorKind::Transport, "x").transient().with_retry_after(retry_after.map(Duration::from_secs))
    }

    #[test]
    fn what_is_not_worth_another_attempt_ends_the_flight() {
        let settings = Settings::default();
        let wait = |number, error: Error| settings.wait(number, &error, 1.0);
        assert_eq!(wait(1, Error::new(ErrorKind::Denied, "x")), None);
        assert_eq!(wait(1, Error::new(ErrorKind::Tls, "x")), None);
        assert_eq!(wait(1, Error::new(ErrorKind::Throttled, "x").transient()), None, "429");
        assert_eq!(wait(3, transient(None)), None, "the third attempt was the last");
        assert_eq!(wait(1, transient(Some(6))), None, "longer than a flight should sleep");
    }

    #[test]
    fn waits_double_and_obey_retry_after() {
        let settings = Settings { attempts: u32::MAX, ..Settings::default() };
        let wait = |number, retry_after| settings.wait(number, &transient(retry_after), 1.0);
        assert_eq!(wait(1, None), Some(Duration::from_millis(200)));
        assert_eq!(wait(2, None), Some(Duration::from_millis(400)));
        assert_eq!(wait(30, None), Some(Duration::from_secs(5)));
        assert_eq!(wait(1, Some(5)), Some(Duration::from_secs(5)));
        assert_eq!(settings.wait(2, &transient(None), 0.5), Some(Duration::from_millis(200)), "full jitter");
    }

    proptest! {
        #[test]
        fn no_number_overflows(number: u32, attempts: u32, first: Duration, most: Duration, draw: f64) {
            let settings = Settings { attempts, backoff: Backoff::new(first, most), longest_retry_after: most, ..Settings::default() };
            let wait = settings.wait(number, &transient(None), draw);
            prop_assert!(wait.is_none_or(|wait| wait <= settings.backoff.most));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_becomes_a_wait_and_then_a_token() {
        let calls = AtomicU32::new(0);
        let source = source_fn(|| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move { if call < 2 { Err(transient(Some(4))) } else { AccessToken::bearer("t", None) } }
        });
        let start = Instant::now();
        let retrying = Retrying { source: &source, settings: Settings::default() };
        assert!(retrying.token().await.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(8), "on tokio's paused clock");
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_rejection_reaches_the_source() {
        let tokens = crate::Cached::new(source_fn(|| async { AccessToken::bearer("t", None) }));
        let retrying = Retrying { source: &tokens, settings: Settings::default() };
        let token = retrying.token().await.unwrap();
        assert!(retrying.token().now_or_never().unwrap().is_ok());
        retrying.reject(&token);
        assert!(retrying.token().now_or_never().is_none(), "it is fetched again");
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_of_the_flight_the_last_error_is_told() {
        let calls = AtomicU32::new(0);
        let source = source_fn(|| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                if call > 0 {
                    std::future::pending::<()>().await;
                }
                Err(Error::new(ErrorKind::Transport, "the first one").transient())
            }
        });
        let start = Instant::now();
        let retrying = Retrying { source: &source, settings: Settings::default() };
        assert_eq!(retrying.token().await.unwrap_err().to_string(), "the first one");
        assert!(start.elapsed() < Duration::from_secs(30), "on tokio's paused clock");
    }
}
