//! The single flight: one task fetches, everybody waits for it, nobody can sink it.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::clock::{Clock, Moment};
use crate::{AccessToken, Error, ErrorKind, TokenFuture, TokenSource};

/// What a flight brings to those who wait. A channel that closes without it says "ask again": the flight's runtime is
/// gone, or what it brought is of no use.
pub(crate) type Landing = watch::Receiver<Option<Result<AccessToken, Error>>>;

/// A flight under way, as the state machine sees it.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) number: u64,
    pub(crate) landing: Landing,
    pub(crate) pulse: Arc<Pulse>,
    /// Ends the task when the last handle of the source is dropped.
    pub(crate) task: Option<AbortHandle>,
}

impl Flight {
    /// Whether its task still runs: a closed channel means that its runtime is gone, a missing beat that nobody drives
    /// it. A slow flight that beats is driven.
    pub(crate) fn is_driven(&self, now: Moment, patience: Duration) -> bool {
        self.landing.has_changed().is_ok() && now.mono() < self.overdue_at(patience)
    }

    /// On the monotonic clock, when it has missed its beat.
    pub(crate) fn overdue_at(&self, patience: Duration) -> Duration {
        self.pulse.last().saturating_add(patience)
    }
}

/// When the task of a flight last ran: nanoseconds of the monotonic clock.
#[derive(Debug)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    pub(crate) fn new(now: Moment) -> Self {
        let pulse = Pulse(AtomicU64::new(0));
        pulse.beat(now);
        pulse
    }

    fn beat(&self, now: Moment) {
        self.0.store(
            u64::try_from(now.mono().as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// How a flight ended.
pub(crate) enum Outcome {
    Token(AccessToken),
    Failed(Error),
    /// The source panicked: an error for those who wait, and no backoff.
    Panicked(Error),
}

/// Asks `source` for a token until it answers, panics or the deadline passes; beats meanwhile.
pub(crate) async fn fly<S: TokenSource>(
    source: &S,
    clock: &Clock,
    pulse: &Pulse,
    patience: Duration,
    deadline: Duration,
) -> Outcome {
    let mut timeout = pin!(tokio::time::sleep(deadline));
    // Four beats in the time after which one is missed.
    let mut ticks = tokio::time::interval((patience / 4).max(super::settings::SHORTEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut future: Option<TokenFuture<'_>> = None;

    poll_fn(|cx| {
        while ticks.poll_tick(cx).is_ready() {
            pulse.beat(clock.now());
        }
        // The source is called inside: it may panic before there is a future. After a panic it is not polled again,
        // so that no broken invariant of it is seen through the reference.
        let polled =
            catch_unwind(AssertUnwindSafe(|| Pin::new(future.get_or_insert_with(|| source.token())).poll(cx)));
        match polled {
            Ok(Poll::Ready(Ok(token))) => Poll::Ready(Outcome::Token(token)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Outcome::Failed(error)),
            Ok(Poll::Pending) if timeout.as_mut().poll(cx).is_ready() => Poll::Ready(Outcome::Failed(too_late(deadline))),
            Ok(Poll::Pending) => Poll::Pending,
            // The payload is not looked at: its text may contain anything.
            Err(_) => Poll::Ready(Outcome::Panicked(Error::new(
                ErrorKind::Other,
                "the token source panicked (its message went to the panic hook); the next call starts anew",
            ))),
        }
    })
    .await
}

fn too_late(deadline: Duration) -> Error {
    Error::new(
        ErrorKind::Transport,
        format!("no token within the flight deadline of {deadline:?}"),
    )
    .transient()
}

/// The tokio runtime that polls us.
pub(crate) enum Runtime {
    Ready(Handle),
    Unfit(&'static str),
}

impl Runtime {
    pub(crate) fn current() -> Runtime {
        let Ok(handle) = Handle::try_current() else {
            return Runtime::Unfit(
                "not called inside a tokio runtime: a new token has to be fetched, which needs one",
            );
        };
        // tokio has no question for this; without timers the constructor panics.
        match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
            Ok(()) => Runtime::Ready(handle),
            Err(_) => {
                Runtime::Unfit("the tokio runtime has no timers: build it with `enable_all()`")
            }
        }
    }
}
