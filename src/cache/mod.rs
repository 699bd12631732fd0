//! [`Cached`]: many calls share one fetch.

mod call;
mod fetch;
mod kept;
mod policy;
mod report;
mod schedule;
mod slots;
mod state;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::observer::{FetchSpan, Observer, Observers};
use crate::runtime::value_of;
use crate::source::{TokenSource, forward};
use crate::step_up::{Renew, Renewal};
use crate::token::AccessToken;
pub use fetch::Fetches;
use fetch::{Completed, Completion, Fetch, Heartbeat, Outcome, Plan};
pub(crate) use kept::Kept;
pub use policy::CachePolicy;
#[cfg(feature = "shared")]
pub(crate) use schedule::Schedule;
use slots::Slots;
use state::{Answer, State};
pub use status::{Readiness, Status, TokenState};

/// A cache around a token source. Its token is fetched once, shared by all callers, and refreshed before it expires.
///
/// This is a handle: cloning it increments a reference count, and clones share the cache.
/// [`ClientCredentials`](crate::ClientCredentials) contains one; use this type to wrap a source of your own.
///
/// | the token is | `token()` | dropping the future |
/// |---|---|---|
/// | fresh | is ready at once, without allocation | - |
/// | due | is ready at once with the current token; one fetch refreshes it in the background | - |
/// | expired, rejected, or not yet fetched | waits for the one fetch | abandons the wait; the fetch continues |
/// | not usable, and the last fetch failed | fails at once with that error, until the next fetch is allowed or a file that the credential is read from has changed | - |
///
/// - A *fetch* is a spawned task with its own deadline. No task is spawned at construction or kept running: an idle source
///   makes no requests.
/// - All callers that wait for a fetch get the same token or the same error. No error is permanent.
/// - If the runtime that drives a fetch has shut down or is blocked, another caller's runtime takes over.
/// - Dropping the last clone cancels a fetch in progress.
///
/// ```
/// use client_credentials::{AccessToken, Cached, TokenSource, source_fn};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let tokens = Cached::new(source_fn(|| async {
///     AccessToken::builder("abc")
///         .lifetime(Duration::from_secs(60))
///         .build()
/// }));
/// let first = tokens.token().await?;
/// let second = tokens.token().now_or_never().expect("it is fresh")?;
/// assert_eq!(first.expose_secret(), second.expose_secret());
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The errors of the source; [`ErrorKind::Transport`] when the fetch timeout passes; [`ErrorKind::Other`] when a new token is
/// needed outside a tokio runtime with timers, or when the source panics.
pub struct Cached<S: 'static>(Arc<Core<S>>);

struct Core<S> {
    slots: Slots,
    clock: Clock,
    /// Held for a few instructions, never across an await, and never while user code runs.
    state: Lock<State>,
    source: Arc<S>,
    observers: Observers,
    /// Calls that returned an error since the last recovery.
    failed_calls: AtomicU64,
    /// Notified when a fetch has completed or the token was rejected, for the task that keeps the token fresh.
    news: Notify,
}

impl<S: TokenSource + 'static> Cached<S> {
    /// Creates an empty cache around `source` with the default [`CachePolicy`]. Does no I/O and works outside a runtime.
    pub fn new(source: S) -> Self {
        Cached::assemble(Arc::new(source), CachePolicy::new(), Clock::System, fastrand::Rng::new())
    }

    /// Creates an empty cache around `source` with this policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the policy has an invalid value. The text lists all of them.
    pub fn with_policy(source: S, policy: CachePolicy) -> Result<Self, Error> {
        let mut faults = Faults::default();
        faults.extend(policy.faults());
        let cached = Cached::assemble(Arc::new(source), policy, Clock::System, fastrand::Rng::new());
        faults.none_in("the cache policy", Some(cached))
    }

    /// Sets the name of the source in events, metrics and its [`status`](Self::status), and also sends its events to
    /// `observer`. Returns an empty cache, so call it before cloning the handle.
    #[must_use = "it returns the cache"]
    pub fn observed(self, name: impl Into<String>, observer: impl Observer + 'static) -> Self {
        let observers = Observers::new(name.into(), vec![Arc::new(observer)]);
        let policy = self.0.state.lock().policy().clone();
        let (source, clock) = (Arc::clone(&self.0.source), self.0.clock.clone());
        Cached::watched(source, policy, clock, fastrand::Rng::new(), observers)
    }

    /// Uses this clock instead of the system clock (feature `test-util`). Returns an empty cache.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use = "it returns the cache"]
    pub fn clock(self, clock: &crate::clock::ManualClock) -> Self {
        let policy = self.0.state.lock().policy().clone();
        let (source, observers) = (Arc::clone(&self.0.source), self.0.observers.clone());
        Cached::watched(source, policy, Clock::Manual(clock.clone()), fastrand::Rng::new(), observers)
    }

    /// Returns a usable token; see the table [above](Self).
    ///
    /// # Errors
    ///
    /// See [above](Self#errors).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the wait. The fetch continues and fills the cache.
    #[inline]
    pub fn token(&self) -> TokenFuture<'_> {
        match self.0.slots.token(&self.0.clock) {
            Some(token) => TokenFuture::ready(Ok(token)),
            None => self.look_up(),
        }
    }

    /// Reports that the API rejected `token`: the next call of [`token`](Self::token) waits for a new one.
    ///
    /// Has an effect only for the current token, and only as often as [`CachePolicy::forced_refreshes`] allows.
    pub fn reject(&self, token: &AccessToken) {
        let now = self.0.clock.now();
        let rejected = self.0.with_state(|state| {
            let rejected = state.reject(token, now);
            if rejected {
                // Under the lock, so that no slot gets a lease on the token in between.
                self.0.slots.revoke();
            }
            rejected
        });
        if rejected {
            self.0.news.notify_waiters();
        }
    }
}

forward!([S: TokenSource + 'static] Cached<S>: this => this);

impl<S: TokenSource + 'static> Cached<S> {
    pub(crate) fn assemble(source: Arc<S>, policy: CachePolicy, clock: Clock, random: fastrand::Rng) -> Self {
        Cached::watched(source, policy, clock, random, Observers::unnamed("source"))
    }

    pub(crate) fn watched(
        source: Arc<S>,
        policy: CachePolicy,
        clock: Clock,
        random: fastrand::Rng,
        observers: Observers,
    ) -> Self {
        let state = Lock::new(State::new(policy, random));
        let failed_calls = AtomicU64::new(0);
        let news = Notify::new();
        Cached(Arc::new(Core { slots: Slots::new(), clock, state, source, observers, failed_calls, news }))
    }

    /// Returns the state of the token and of the fetches. Does no I/O and does not wait.
    pub fn status(&self) -> Status {
        let status = self.0.state.lock().status(self.0.clock.now());
        Status { name: self.0.observers.name().to_owned(), ..status }
    }

    /// Waits at most `timeout` for a token, for use at startup before a service reports that it is ready.
    ///
    /// # Errors
    ///
    /// The same as [`token`](Self::token); [`ErrorKind::Transport`] after `timeout`.
    ///
    /// # Cancel safety
    ///
    /// The same as [`token`](Self::token).
    pub async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        if let Some(result) = self.token().now_or_never() {
            return result.map(drop);
        }
        match tokio::time::timeout(timeout, self.token()).await {
            Ok(result) => result.map(drop),
            Err(_) => {
                let text = format!("no token within {timeout:?}; {}", self.status());
                Err(Error::of(ErrorKind::Transport, text).transient())
            }
        }
    }

    /// Returns how many fetches were started, by cause.
    pub fn fetches(&self) -> Fetches {
        self.0.state.lock().counts()
    }

    /// Waits until no fetch is in progress (feature `test-util`). Call it in a test before advancing the clock.
    ///
    /// A refresh in the background takes real time, but no time of a [`ManualClock`](crate::ManualClock). If the clock is
    /// advanced meanwhile, the cache considers the fetch abandoned by its runtime and starts another one.
    ///
    /// ```
    /// use client_credentials::testing::FakeTokens;
    /// use client_credentials::{Cached, ManualClock};
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let clock = ManualClock::new();
    /// let fake = FakeTokens::lasting(Duration::from_secs(3600)).clock(&clock);
    /// let tokens = Cached::new(fake.clone()).clock(&clock);
    /// tokens.token().await?;
    /// clock.advance(Duration::from_secs(3500));
    /// tokens.token().await?; // starts a refresh
    /// tokens.settled().await; // which is over now
    /// assert_eq!(fake.calls(), 2);
    /// # Ok::<(), client_credentials::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "test-util")]
    pub async fn settled(&self) {
        while self.is_fetching() {
            let completion = self.0.state.lock().completion();
            if let Some(mut completion) = completion {
                // An error means that the fetch has ended.
                let _ = completion.changed().await;
            }
            // It has completed, or was taken over: its task ends as soon as it runs.
            tokio::task::yield_now().await;
        }
    }

    /// Whether a fetch is in progress. Dropping the last handle would cancel it.
    #[cfg(any(feature = "pool", feature = "test-util"))]
    pub(crate) fn is_fetching(&self) -> bool {
        self.0.state.lock().tasks().any(|task| !task.is_finished())
    }

    /// How demands for more scope renew the token.
    pub(crate) fn renewer(&self) -> Weak<dyn Renew> {
        let core: Weak<Core<S>> = Arc::downgrade(&self.0);
        core
    }

    /// Refreshes the token of this identity now, if it is the current one, or waits for the fetch in progress.
    async fn renew(&self, id: u64) -> Option<u64> {
        let now = self.0.clock.now();
        // Without timers the next caller starts the refresh.
        let runtime = self.runtime(now);
        let completion = self.0.with_state(|state| {
            if state.current(now)?.id() != id {
                return None;
            }
            match (state.completion(), &runtime) {
                (Some(completion), _) => Some((completion, state.policy().fetch_timeout)),
                (None, Ok(runtime)) if state.make_due(id, now) => {
                    Some((self.start(state, runtime, now), state.policy().fetch_timeout))
                }
                (None, _) => None,
            }
        });
        if let Some((completion, limit)) = completion {
            // An error of this fetch concerns no caller: the token is still usable.
            let _ = value_of(completion, limit).await;
        }
        let now = self.0.clock.now();
        self.0.state.lock().current(now).map(|token| token.id())
    }

    /// Spawns the fetch while the state is locked, so that there is only one. The task does not run before the lock is
    /// released, except on another thread, where it does not access the state until it completes.
    fn start(&self, state: &mut State, runtime: &Handle, now: Moment) -> Completion {
        let (complete, completion) = watch::channel(None);
        let heartbeat = Arc::new(Heartbeat::new(now));
        let plan = Plan {
            clock: self.0.clock.clone(),
            heartbeat: Arc::clone(&heartbeat),
            beat_every: state.beat_every(now),
            delay: state.delay(now),
            timeout: state.policy().fetch_timeout,
            refused: state.refused().cloned(),
        };
        let (beat_every, cause, span) = (plan.beat_every, state.cause(now), FetchSpan::default());
        state.start(now, |number| {
            let (source, core) = (Arc::clone(&self.0.source), Arc::downgrade(&self.0));
            let (observers, own_span) = (self.0.observers.clone(), span.clone());
            let task = runtime.spawn(async move {
                // Not under the lock: a subscriber is user code.
                let outcome =
                    observers.in_span(&own_span, cause, fetch::fetch(&*source, &plan), Outcome::failure).await;
                // Without a handle left, the result is not needed.
                if let Some(result) = Weak::upgrade(&core).and_then(|core| core.complete(number, outcome)) {
                    // An error means that no caller waits for it.
                    let _ = complete.send(Some(result));
                }
            });
            Fetch {
                number,
                completion: completion.clone(),
                span,
                heartbeat,
                runtime: runtime.id(),
                task: task.abort_handle(),
                beat_every,
                cause,
                started: now,
            }
        });
        completion
    }
}

impl<S> Core<S> {
    fn with_state<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = step(&mut state);
        let reports = state.take_reports();
        drop(state);
        for report in reports {
            report.emit(&self.observers, || self.failed_calls.swap(0, Ordering::Relaxed));
        }
        result
    }

    /// A call returns an error.
    #[cold]
    fn fails(&self) {
        self.failed_calls.fetch_add(1, Ordering::Relaxed);
        self.with_state(|state| state.note_unusable(self.clock.now()));
    }

    /// Asks the state machine, and gives this thread a lease on a token that may be used for a while.
    fn ask(&self, state: &State, now: Moment, here: Option<Id>) -> Answer {
        let answer = state.ask(now, here);
        if let Answer::Use(token, until) = &answer {
            self.slots.lease(token, *until);
        }
        answer
    }

    fn complete(&self, number: u64, outcome: Outcome) -> Completed {
        let now = self.clock.now();
        let outcome = match outcome {
            Outcome::Token(token) => Outcome::Token(token.of_source(&self.observers)),
            Outcome::Failed(error) => Outcome::Failed(self.observers.named(error)),
        };
        let completed = self.with_state(|state| {
            let result = state.complete(number, outcome, now);
            // The leases may be outdated by the completed fetch.
            self.slots.revoke();
            result
        });
        self.news.notify_waiters();
        completed
    }
}

impl<S: TokenSource + 'static> Renew for Core<S> {
    fn renew(self: Arc<Self>, id: u64) -> Renewal {
        Box::pin(async move { Cached(self).renew(id).await })
    }

    fn make_due(&self, id: u64) {
        let now = self.clock.now();
        self.with_state(|state| {
            if state.make_due(id, now) {
                // Under the lock, so that no slot gets a lease on the token in between.
                self.slots.revoke();
            }
        });
        self.news.notify_waiters();
    }
}

impl<S> Drop for Core<S> {
    fn drop(&mut self) {
        self.state.lock().tasks().for_each(AbortHandle::abort);
    }
}

impl<S> Clone for Cached<S> {
    fn clone(&self) -> Self {
        Cached(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for Cached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock().status(self.0.clock.now()).state.as_str();
        let name = self.0.observers.name();
        f.debug_struct("Cached").field("name", &name).field("state", &state).field("source", &self.0.source).finish()
    }
}
