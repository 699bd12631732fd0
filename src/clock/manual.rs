//! A clock for tests: a monotonic and a wall clock that the test advances.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

#[cfg(test)]
use super::Clock;
use super::Moment;
use crate::lock::Lock;

/// A stopped clock that a test advances (feature `test-util`).
///
/// Pass it to [`Cached::clock`](crate::Cached::clock) or
/// [`ClientCredentialsBuilder::clock`](crate::ClientCredentialsBuilder::clock), and for the tokens of a custom source to
/// [`AccessTokenBuilder::clock`](crate::AccessTokenBuilder::clock); otherwise their age is measured with the system clock.
/// Clones share the time. Waits inside the crate (retries, timeouts) use tokio's clock, which
/// [`tokio::time::pause`](https://docs.rs/tokio/latest/tokio/time/fn.pause.html) stops. Jitter comes from `fastrand`;
/// `fastrand::seed` makes it repeatable on a thread.
///
/// ```
/// use client_credentials::{AccessToken, Cached, ManualClock, source_fn};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let clock = ManualClock::new();
/// let issuer = clock.clone();
/// let source = source_fn(move || {
///     let token = AccessToken::builder("abc").lifetime(Duration::from_secs(3600));
///     let token = token.clock(&issuer).build();
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
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: Arc<Lock<Moment>>,
    /// Since when it advances with tokio's clock.
    along: Option<Instant>,
    moved: Arc<Notify>,
}

impl ManualClock {
    /// Creates a stopped clock at one day of uptime, in September 2026.
    #[expect(clippy::new_without_default, reason = "no time is the default one")]
    pub fn new() -> Self {
        let start = Moment::new(Duration::from_secs(86_400), Duration::from_secs(1_790_000_000));
        ManualClock { hands: Arc::new(Lock::new(start)), along: None, moved: Arc::default() }
    }

    /// Returns a clock that also advances with tokio's clock from now on: in a runtime with a paused clock, sleeping advances
    /// it.
    pub fn along_tokio() -> Self {
        ManualClock { along: Some(Instant::now()), ..ManualClock::new() }
    }

    /// Advances both clocks.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands.lock();
        *hands = hands.plus(by);
        drop(hands);
        self.moved.notify_waiters();
    }

    /// Sets the wall clock only. `set` receives and returns the duration since the Unix epoch.
    ///
    /// A wall clock that jumps forward simulates a suspended machine.
    pub fn set_wall(&self, set: impl FnOnce(Duration) -> Duration) {
        let mut hands = self.hands.lock();
        *hands = Moment::new(hands.mono(), set(hands.wall()));
        drop(hands);
        self.moved.notify_waiters();
    }

    #[cfg(test)]
    pub(crate) fn set_mono(&self, set: impl FnOnce(Duration) -> Duration) {
        let mut hands = self.hands.lock();
        *hands = Moment::new(set(hands.mono()), hands.wall());
    }

    /// Waits until the clock is moved, or for the time from now until `moment`.
    pub(crate) async fn wait_towards(&self, moment: Moment, at_most: Duration) {
        let mut moved = pin!(self.moved.notified());
        // Before the clock is read, so that a later move is not missed.
        moved.as_mut().enable();
        let left = moment.left(self.read()).min(at_most);
        let _ = tokio::time::timeout(left, moved).await;
    }

    pub(crate) fn read(&self) -> Moment {
        let passed = self.along.map(|start| start.elapsed());
        self.hands.lock().plus(passed.unwrap_or_default())
    }
}

/// The monotonic and the wall time.
#[cfg(test)]
pub(crate) fn clock() -> (Clock, ManualClock) {
    let hands = ManualClock::new();
    (Clock::Manual(hands.clone()), hands)
}
