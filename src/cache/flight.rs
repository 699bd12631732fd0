//! The single flight: one task fetches, everybody waits for it, nobody can sink it.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::clock::{Clock, Moment};
use crate::{AccessToken, Error, ErrorKind, TokenFuture, TokenSource};

#[cfg(feature = "pool")]
tokio::task_local! {
    /// What lives as long as the flights that depart while it is set, whoever else drops it: for a pool, which drops
    /// sources whether their flights are under way or not.
    pub(crate) static KEPT_ALIVE: Arc<dyn std::any::Any + Send + Sync>;
}

/// Why a flight departs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no usable token.
    Cold,
    /// It is time for another one.
    Renewal,
    /// The API refused the one there was.
    Rejection,
}

tokio::task_local! {
    /// Read far below, where requests are sent: between here and there may be decorators of others.
    pub(super) static CAUSE: Cause;
}

impl Cause {
    /// A source that is asked by itself, or on a task of its own, has no better reason.
    pub(crate) fn of_this_flight() -> Cause {
        CAUSE.try_with(|cause| *cause).unwrap_or(Cause::Cold)
    }
}

/// What a flight brings to those who wait: errors, and tokens that cannot be kept. A channel that closes without it says
/// "ask again": the token is in the cache, the flight's runtime is gone, or what it brought is of no use.
pub(crate) type Landing = watch::Receiver<Landed>;

/// `None`: not landed yet, or nothing to hand out.
pub(crate) type Landed = Option<Result<AccessToken, Error>>;

/// A flight under way, as the state machine sees it.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) number: u64,
    pub(crate) landing: Landing,
    pub(crate) pulse: Arc<Pulse>,
    /// The runtime that drives it.
    pub(crate) runtime: Id,
    pub(crate) task: AbortHandle,
}

impl Flight {
    /// Whether there is reason to wait for it, for a caller on the runtime `here`. A closed channel means that its
    /// runtime is gone, a missing beat that nobody drives it; a slow flight that beats is driven. One that did not even
    /// start cannot be overtaken from its own runtime, where the next one would stand in line behind it.
    pub(crate) fn is_under_way(&self, now: Moment, patience: Duration, here: Option<Id>) -> bool {
        let overdue = now.mono() >= self.overdue_at(patience);
        let stuck_with_us = here == Some(self.runtime) && !self.pulse.has_started();
        !self.is_gone() && (!overdue || stuck_with_us)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.landing.has_changed().is_err()
    }

    /// On the monotonic clock, when it has missed its beat.
    pub(crate) fn overdue_at(&self, patience: Duration) -> Duration {
        self.pulse.last().saturating_add(patience)
    }
}

/// When the task of a flight last ran.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Nanoseconds of the monotonic clock.
    last: AtomicU64,
    started: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(now: Moment) -> Self {
        let pulse = Pulse { last: AtomicU64::new(0), started: AtomicBool::new(false) };
        pulse.set(now);
        pulse
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    pub(super) fn beat(&self, now: Moment) {
        self.started.store(true, Ordering::Relaxed);
        self.set(now);
    }

    fn set(&self, now: Moment) {
        self.last.store(u64::try_from(now.mono().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

/// How a flight ended.
pub(crate) enum Outcome {
    Token(AccessToken),
    Failed(Error),
    /// The source panicked: an error for those who wait, and no backoff.
    Panicked(Error),
}

/// What a flight needs to know.
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) patience: Duration,
    pub(crate) deadline: Duration,
    /// The token that the API refused: the source may have a store of its own, from which it must not come again.
    pub(crate) refused: Option<AccessToken>,
}

/// Asks `source` for a token until it answers, panics or the deadline passes; beats meanwhile.
pub(crate) async fn fly<S: TokenSource>(source: &S, plan: &Plan) -> Outcome {
    plan.pulse.beat(plan.clock.now());
    let mut deadline = pin!(tokio::time::sleep(plan.deadline));
    // Four beats in the time after which one is missed.
    let mut ticks = tokio::time::interval(plan.patience / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut future: Option<TokenFuture<'_>> = None;

    let outcome = poll_fn(|cx| {
        // Both timers first: a source that is always busy uses up tokio's budget, without which no timer fires.
        while ticks.poll_tick(cx).is_ready() {
            plan.pulse.beat(plan.clock.now());
        }
        let too_late = deadline.as_mut().poll(cx).is_ready();
        // All code of the source runs inside. After a panic it is not polled again, so that no broken invariant of it
        // is seen through the reference.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let future = future.get_or_insert_with(|| {
                plan.refused.iter().for_each(|token| source.reject(token));
                source.token()
            });
            Pin::new(future).poll(cx)
        }));
        match polled {
            Ok(Poll::Ready(Ok(token))) => Poll::Ready(Outcome::Token(token)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Outcome::Failed(error)),
            Ok(Poll::Pending) if too_late => Poll::Ready(Outcome::Failed(no_token_within(plan.deadline))),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Outcome::Panicked(panicked())),
        }
    })
    .await;
    match catch_unwind(AssertUnwindSafe(|| drop(future))) {
        Ok(()) => outcome,
        Err(_) => Outcome::Panicked(panicked()),
    }
}

/// The payload is not looked at: its text may contain anything.
fn panicked() -> Error {
    Error::new(
        ErrorKind::Other,
        "the token source panicked (its message went to the panic hook); the next call starts anew",
    )
}

/// Waits until a flight lands, at most for `patience`. `None`: ask again.
pub(crate) async fn landed<T: Clone>(mut landing: watch::Receiver<Option<T>>, patience: Duration) -> Option<T> {
    let mut wait = pin!(tokio::time::timeout(patience, landing.wait_for(Option::is_some)));
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| wait.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(Ok(landed)))) => Poll::Ready(landed.clone()),
        // It may be overdue; it is gone, or brought nothing to hand out; or the timer panicked, since the runtime in
        // which we were polled first is gone.
        Ok(Poll::Ready(_)) | Err(_) => Poll::Ready(None),
    })
    .await
}

fn no_token_within(deadline: Duration) -> Error {
    Error::new(ErrorKind::Transport, format!("no token within the flight deadline of {deadline:?}")).transient()
}

/// The tokio runtime that polls us.
pub(crate) enum Runtime {
    Ready(Handle),
    Unfit(&'static str),
}

impl Runtime {
    pub(crate) fn current() -> Runtime {
        let Ok(handle) = Handle::try_current() else {
            return Runtime::Unfit("not called inside a tokio runtime: a new token has to be fetched, which needs one");
        };
        // tokio has no question for this; without timers the constructor panics.
        match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
            Ok(()) => Runtime::Ready(handle),
            Err(_) => Runtime::Unfit("the tokio runtime has no timers: build it with `enable_all()`"),
        }
    }
}
