//! One fetch: a task that calls the source. All callers wait for it, and no caller can cancel it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Id;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, Moment};
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::future::TokenFuture;
use crate::observer::{FetchCause, FetchSpan};
use crate::source::TokenSource;
use crate::token::AccessToken;

/// How many fetches a source has started, by cause.
///
/// A fetch sends one token request, several if it retries, or none if a shared store has a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetches {
    /// No token was usable: the first fetch, and each fetch after a token expired without having been refreshed.
    pub cold: u64,
    /// The token was due for refresh.
    pub refresh: u64,
    /// An API had rejected the token.
    pub after_rejection: u64,
}

/// The result for waiting callers: errors, and tokens that cannot be cached. A channel that closes without a value means "ask
/// again": the token is in the cache, the fetch's runtime is gone, or the result is not usable.
pub(crate) type Completion = watch::Receiver<Completed>;

/// `None`: not completed yet, or no result for the callers.
pub(crate) type Completed = Option<Result<AccessToken, Error>>;

/// A fetch in progress, as the state machine sees it.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) number: u64,
    pub(crate) completion: Completion,
    /// Linked to the callers that wait.
    pub(crate) span: FetchSpan,
    pub(crate) heartbeat: Arc<Heartbeat>,
    /// The runtime that drives it.
    pub(crate) runtime: Id,
    pub(crate) task: AbortHandle,
    pub(crate) beat_every: Duration,
    pub(crate) cause: FetchCause,
    pub(crate) started: Moment,
}

impl Fetch {
    /// From its start until now.
    pub(crate) fn duration(&self, now: Moment) -> Duration {
        now.since(self.started)
    }

    /// Whether its task runs: fewer than two heartbeats were missed since it started.
    pub(crate) fn is_driven(&self, now: Moment) -> bool {
        now.mono() < self.silent_at()
    }

    /// When to check again whether it is driven.
    pub(crate) fn next_beat(&self, now: Moment) -> Moment {
        now.plus(self.silent_at().saturating_sub(now.mono()).max(self.beat_every))
    }

    fn silent_at(&self) -> Duration {
        self.heartbeat.last().saturating_add(self.beat_every.saturating_mul(2))
    }

    /// Whether a caller on the runtime `here` waits for it. A closed channel means that its runtime is gone, a missing
    /// heartbeat that nothing drives it; a slow fetch has heartbeats. One that has not started is not taken over from
    /// its own runtime, where the next one would wait in the same queue.
    pub(crate) fn is_under_way(&self, now: Moment, takeover: Duration, here: Option<Id>) -> bool {
        let overdue = now.mono() >= self.overdue_at(takeover);
        let stuck_with_us = here == Some(self.runtime) && !self.heartbeat.has_started();
        !self.is_gone() && (!overdue || stuck_with_us)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.completion.has_changed().is_err()
    }

    /// When it is taken over, on the monotonic clock.
    pub(crate) fn overdue_at(&self, takeover: Duration) -> Duration {
        self.heartbeat.last().saturating_add(takeover)
    }
}

/// When the task of a fetch last ran.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// Nanoseconds of the monotonic clock.
    last: AtomicU64,
    started: AtomicBool,
}

impl Heartbeat {
    pub(crate) fn new(now: Moment) -> Self {
        let heartbeat = Heartbeat { last: AtomicU64::new(0), started: AtomicBool::new(false) };
        heartbeat.set(now);
        heartbeat
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

/// How a fetch ended.
pub(crate) enum Outcome {
    Token(AccessToken),
    Failed(Error),
}

impl Outcome {
    pub(crate) fn failure(&self) -> Option<&Error> {
        match self {
            Outcome::Token(_) => None,
            Outcome::Failed(error) => Some(error),
        }
    }
}

/// What a fetch needs to know.
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) beat_every: Duration,
    /// Before the source is called.
    pub(crate) delay: Duration,
    /// From then on.
    pub(crate) timeout: Duration,
    /// The token that the API rejected. The source may have a store of its own, which must not return it again.
    pub(crate) refused: Option<AccessToken>,
}

/// Calls `source` until it returns a result, panics or the timeout passes, and meanwhile sets the heartbeat.
pub(crate) async fn fetch<S: TokenSource>(source: &S, plan: &Plan) -> Outcome {
    plan.heartbeat.beat(plan.clock.now());
    let mut delay = pin!(tokio::time::sleep(plan.delay));
    let mut timeout = pin!(tokio::time::sleep(plan.delay.saturating_add(plan.timeout)));
    let mut ticks = tokio::time::interval(plan.beat_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut future: Option<TokenFuture<'_>> = None;

    let outcome = std::future::poll_fn(|cx| {
        // The timers first: a source that is always ready uses up tokio's budget, without which no timer fires.
        while ticks.poll_tick(cx).is_ready() {
            plan.heartbeat.beat(plan.clock.now());
        }
        if !plan.delay.is_zero() && !delay.is_elapsed() && delay.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let too_late = timeout.as_mut().poll(cx).is_ready();
        // All code of the source runs inside. After a panic it is not polled again, so that a broken invariant has no
        // effect.
        let polled = contained(|| {
            let future = future.get_or_insert_with(|| {
                plan.refused.iter().for_each(|token| source.reject(token));
                source.token()
            });
            Pin::new(future).poll(cx)
        });
        match polled {
            Ok(Poll::Ready(Ok(token))) => Poll::Ready(Outcome::Token(token)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Outcome::Failed(error)),
            Ok(Poll::Pending) if too_late => Poll::Ready(Outcome::Failed(no_token_within(plan.timeout))),
            Ok(Poll::Pending) => Poll::Pending,
            Err(Panicked) => Poll::Ready(Outcome::Failed(Panicked::error("the token source"))),
        }
    })
    .await;
    match contained(|| drop(future)) {
        Ok(()) => outcome,
        Err(Panicked) => Outcome::Failed(Panicked::error("the token source")),
    }
}

fn no_token_within(timeout: Duration) -> Error {
    Error::of(ErrorKind::Transport, format!("no token within the fetch timeout of {timeout:?}")).transient()
}
