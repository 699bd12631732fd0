//! A clock for tests, with two hands that move when they are told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

#[cfg(test)]
use super::Clock;
use super::Moment;
use crate::token::Terms;
use crate::{AccessToken, Error};

/// A clock that moves when it is told to, for tests of code that waits for tokens to grow old (feature `test-util`).
///
/// Give it to [`Cached::clock`](crate::Cached::clock) or
/// [`ClientCredentialsBuilder::clock`](crate::ClientCredentialsBuilder::clock), and tokens of
/// [`bearer`](Self::bearer) to a source of your own: others are as old as the real clock says. A clone shows the same
/// time. What sleeps inside (retries, deadlines) does so by tokio's clock, which
/// [`tokio::time::pause`](https://docs.rs/tokio/latest/tokio/time/fn.pause.html) stops; jitter is drawn from `fastrand`, which
/// `fastrand::seed` makes repeat itself on a thread.
///
/// ```
/// use client_credentials::{Cached, ManualClock, TokenSource, source_fn};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let clock = ManualClock::new();
/// let issuer = clock.clone();
/// let source = source_fn(move || {
///     let token = issuer.bearer("abc", Some(Duration::from_secs(3600)));
///     async { token }
/// });
/// let tokens = Cached::new(source).clock(&clock);
/// let first = tokens.token().await?;
/// clock.advance(Duration::from_secs(3600));
/// let second = tokens.token().await?; // the first has expired
/// assert!(second.expires_at() > first.expires_at());
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: Arc<Mutex<Moment>>,
    /// It moves along with tokio's clock, since then.
    along: Option<Instant>,
}

impl ManualClock {
    /// A clock that stands still, at a day of uptime, in 2026.
    #[expect(clippy::new_without_default, reason = "no time is the default one")]
    pub fn new() -> Self {
        let start = Moment::new(Duration::from_secs(86_400), Duration::from_secs(1_790_000_000));
        ManualClock { hands: Arc::new(Mutex::new(start)), along: None }
    }

    /// A clock that moves along with tokio's, from now on: in a runtime whose clock is paused, sleeping moves it.
    pub fn along_tokio() -> Self {
        ManualClock { along: Some(Instant::now()), ..ManualClock::new() }
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        *hands = hands.plus(by);
    }

    /// Somebody sets the wall clock, which shows a duration since the Unix epoch; the monotonic clock stays.
    ///
    /// Forward by as much as `advance` would, it is a machine that was suspended.
    pub fn set_wall(&self, set: impl FnOnce(Duration) -> Duration) {
        let mut hands = self.hands();
        *hands = Moment::new(hands.mono(), set(hands.wall()));
    }

    /// A token that was obtained just now by this clock, otherwise as [`AccessToken::bearer`].
    ///
    /// # Errors
    ///
    /// As [`AccessToken::bearer`].
    pub fn bearer(&self, secret: impl Into<SecretString>, lifetime: Option<Duration>) -> Result<AccessToken, Error> {
        let terms = Terms { lifetime, ..Terms::default() };
        AccessToken::issued(&secret.into(), terms, self.read())
    }

    #[cfg(test)]
    pub(crate) fn set_mono(&self, set: impl FnOnce(Duration) -> Duration) {
        let mut hands = self.hands();
        *hands = Moment::new(set(hands.mono()), hands.wall());
    }

    pub(crate) fn read(&self) -> Moment {
        let passed = self.along.map(|start| start.elapsed());
        self.hands().plus(passed.unwrap_or_default())
    }

    fn hands(&self) -> MutexGuard<'_, Moment> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock and its hands.
#[cfg(test)]
pub(crate) fn clock() -> (Clock, ManualClock) {
    let hands = ManualClock::new();
    (Clock::Manual(hands.clone()), hands)
}
