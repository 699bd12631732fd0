//! [`Cached`]: many calls become one.

pub(crate) mod clock;
mod flight;
mod note;
mod schedule;
mod settings;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod threads;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::{AccessToken, Error, ErrorKind, TokenFuture, TokenSource};
use clock::{Clock, Moment};
pub(crate) use flight::Cause;
#[cfg(feature = "pool")]
pub(crate) use flight::KEPT_ALIVE;
use flight::{Flight, Landed, Landing, Plan, Pulse};
pub(crate) use flight::{Runtime, landed};
#[cfg(feature = "shared")]
pub(crate) use schedule::Schedule;
pub(crate) use schedule::{doubled, share};
pub(crate) use settings::{Backoff, SHORTEST, Settings};
use slots::Slots;
use state::{Answer, State};
use threads::Lock;

/// Makes any source a dependable one: its token is fetched once, kept, renewed before it expires, shared by all.
///
/// A handle: a clone is a reference count and shares the cache. [`ClientCredentials`](crate::ClientCredentials) has
/// one inside; use this around a source of your own.
///
/// | the token is | `token()` | dropping the future |
/// |---|---|---|
/// | fresh | is ready at once, without allocation | - |
/// | stale | is ready at once with the current token; one flight renews it behind | - |
/// | expired, rejected, or not there yet | joins the one flight | abandons the wait; the flight goes on |
/// | gone, and the last flight failed | fails at once with that error, until it is time for the next flight | - |
///
/// - A *flight* is a spawned task with a deadline of its own. None is spawned at construction and none outlives its
///   work: an idle source makes no requests.
/// - All who wait for a flight get the same token or the same error. No error is terminal.
/// - If the runtime that drives a flight is gone or stands still, another caller's runtime takes over.
/// - Dropping the last clone ends a flight under way.
///
/// ```
/// use client_credentials::{AccessToken, Cached, TokenSource, source_fn};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let tokens = Cached::new(source_fn(|| async { AccessToken::bearer("abc", Some(Duration::from_secs(60))) }));
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
/// Those of the source. [`ErrorKind::Transport`] when the flight deadline passes. [`ErrorKind::Other`] when a new
/// token is needed outside a tokio runtime with timers, or when the source panics.
pub struct Cached<S: 'static>(Arc<Core<S>>);

struct Core<S> {
    slots: Slots,
    clock: Clock,
    /// Held for a few instructions, never across an await, and never while code of a user runs.
    state: Lock<State>,
    source: Arc<S>,
}

impl<S: TokenSource + 'static> Cached<S> {
    /// An empty cache around `source`. No I/O; works outside a runtime.
    pub fn new(source: S) -> Self {
        Cached::assemble(Arc::new(source), Settings::default(), Clock::System, fastrand::Rng::new())
    }
}

impl<S: TokenSource + 'static> TokenSource for Cached<S> {
    #[inline]
    fn token(&self) -> TokenFuture<'_> {
        match self.0.slots.token(&self.0.clock) {
            Some(token) => TokenFuture::ready(Ok(token)),
            None => self.look_up(),
        }
    }

    fn reject(&self, token: &AccessToken) {
        let now = self.0.clock.now();
        self.0.with_state(|state| {
            if state.reject(token, now) {
                // Under the lock: no lease on it can be given in between.
                self.0.slots.revoke();
            }
        });
    }
}

impl<S: TokenSource + 'static> Cached<S> {
    pub(crate) fn assemble(source: Arc<S>, settings: Settings, clock: Clock, random: fastrand::Rng) -> Self {
        let state = Lock::new(State::new(settings, random));
        Cached(Arc::new(Core { slots: Slots::new(), clock, state, source }))
    }

    /// This thread has no lease: what can be answered without a flight is answered at once.
    #[cold]
    fn look_up(&self) -> TokenFuture<'_> {
        let now = self.0.clock.now();
        match self.0.with_state(|state| self.0.ask(state, now, None)) {
            Answer::Use(token, _) => TokenFuture::ready(Ok(token)),
            Answer::Fail(error) => TokenFuture::ready(Err(error)),
            // The runtime is looked up when the future is polled: `block_on(source.token())` calls us outside of it.
            Answer::UseAndDepart(..) | Answer::Depart | Answer::Wait(..) => TokenFuture::new(self.obtain()),
        }
    }

    async fn obtain(&self) -> Result<AccessToken, Error> {
        let mut patient = Patience::default();
        loop {
            match self.step(&mut patient) {
                Step::Done(result) => return result,
                Step::Yield => tokio::task::yield_now().await,
                Step::Wait(landing, patience) => {
                    patient.yielded = false;
                    if let Some(result) = landed(landing, patience).await {
                        return result;
                    }
                }
            }
        }
    }

    fn step(&self, patient: &mut Patience) -> Step {
        // Of thousands that a landing wakes on this thread, the first one gets the lease.
        if let Some(token) = self.0.slots.token(&self.0.clock) {
            return Step::Done(Ok(token));
        }
        let now = self.0.clock.now();
        let runtime = match Runtime::current() {
            Runtime::Ready(runtime) => runtime,
            Runtime::Unfit(why) => return Step::Done(self.without_runtime(now, why)),
        };
        self.0.with_state(|state| match self.0.ask(state, now, Some(runtime.id())) {
            Answer::Use(token, _) => Step::Done(Ok(token)),
            Answer::Fail(error) => Step::Done(Err(error)),
            Answer::UseAndDepart(token, _) => {
                self.depart(state, &runtime, now);
                Step::Done(Ok(token))
            }
            Answer::Wait(landing, patience) => Step::Wait(landing, patience),
            Answer::Depart if !patient.yielded && state.has_silent_flight(runtime.id()) => {
                patient.yielded = true;
                Step::Yield
            }
            Answer::Depart if patient.departures == MOST_DEPARTURES => {
                Step::Done(Err(Error::new(ErrorKind::Other, "no flight lands: the tokio runtime is shutting down")))
            }
            Answer::Depart => {
                patient.departures += 1;
                let landing = self.depart(state, &runtime, now);
                Step::Wait(landing, state.settings().patience())
            }
        })
    }

    /// A usable token, and a while without looking for a runtime again: that may cost a caught panic.
    fn without_runtime(&self, now: Moment, why: &'static str) -> Result<AccessToken, Error> {
        self.0.with_state(|state| match self.0.ask(state, now, None) {
            Answer::Use(token, _) => Ok(token),
            Answer::UseAndDepart(token, unusable_at) => {
                self.0.slots.lease(&token, now.plus(RUNTIME_SOUGHT_EVERY).earlier(unusable_at));
                Ok(token)
            }
            Answer::Fail(error) => Err(error),
            Answer::Depart | Answer::Wait(..) => Err(Error::new(ErrorKind::Other, why)),
        })
    }

    /// Spawns the flight while the state is locked, so that there is one. A spawned task does not run before we let
    /// go of the lock, except on another thread, where it does not touch the state before it lands.
    fn depart(&self, state: &mut State, runtime: &Handle, now: Moment) -> Landing {
        let (land, landing) = watch::channel(None);
        let pulse = Arc::new(Pulse::new(now));
        let plan = Plan {
            clock: self.0.clock.clone(),
            pulse: Arc::clone(&pulse),
            patience: state.settings().patience(),
            deadline: state.settings().flight_deadline,
            refused: state.refused().cloned(),
        };
        let cause = state.cause(now);
        state.depart(|number| {
            let (source, core) = (Arc::clone(&self.0.source), Arc::downgrade(&self.0));
            #[cfg(feature = "pool")]
            let kept_alive = KEPT_ALIVE.try_with(Arc::clone);
            let task = runtime.spawn(flight::CAUSE.scope(cause, async move {
                #[cfg(feature = "pool")]
                let _kept_alive = kept_alive;
                let outcome = flight::fly(&*source, &plan).await;
                // Without a handle left there is nobody to serve.
                if let Some(result) = Weak::upgrade(&core).and_then(|core| core.land(number, outcome)) {
                    // An error means that nobody waits any more.
                    let _ = land.send(Some(result));
                }
            }));
            Flight { number, landing: landing.clone(), pulse, runtime: runtime.id(), task: task.abort_handle() }
        });
        landing
    }
}

/// What a caller has gone through.
#[derive(Default)]
struct Patience {
    /// A thread that stood still has missed the flight's beat along with everything else: before a silent flight of our
    /// own runtime is overtaken it gets a chance to beat.
    yielded: bool,
    departures: u32,
}

enum Step {
    Done(Result<AccessToken, Error>),
    /// Let other tasks run, and ask again.
    Yield,
    Wait(Landing, Duration),
}

/// A flight that vanishes before it lands is one whose runtime is shutting down: there the next one vanishes too. More
/// than rejections can force, fewer than a loop.
const MOST_DEPARTURES: u32 = 8;

/// 1 s: how long a token may go on unrenewed where there is no runtime.
const RUNTIME_SOUGHT_EVERY: Duration = Duration::from_secs(1);

impl<S> Core<S> {
    fn with_state<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = step(&mut state);
        let notes = state.take_notes();
        drop(state);
        for note in notes {
            note.tell();
        }
        result
    }

    /// Asks, and gives this thread a lease on what may be used for a while.
    fn ask(&self, state: &State, now: Moment, here: Option<Id>) -> Answer {
        let answer = state.ask(now, here);
        if let Answer::Use(token, until) = &answer {
            self.slots.lease(token, *until);
        }
        answer
    }

    fn land(&self, number: u64, outcome: flight::Outcome) -> Landed {
        let now = self.clock.now();
        self.with_state(|state| {
            let result = state.land(number, outcome, now);
            // Whatever the slots hold, the state machine may know better now.
            self.slots.revoke();
            result
        })
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
        let state = self.0.state.lock().name(self.0.clock.now());
        f.debug_struct("Cached").field("state", &state).field("source", &self.0.source).finish()
    }
}

/// # Settings
///
/// Each returns a new, empty cache around the same source: set them before you clone the handle. A value that makes
/// no sense is moved to the nearest one that does.
impl<S: TokenSource + 'static> Cached<S> {
    /// How long a flight may take as a whole. Default: 30 s.
    pub fn flight_deadline(self, limit: Duration) -> Self {
        self.with(|settings| settings.flight_deadline = limit.max(SHORTEST))
    }

    /// After which time without a sign of life of its runtime a flight is taken over by another. Default: 10 s.
    pub fn attempt_timeout(self, limit: Duration) -> Self {
        self.with(|settings| settings.attempt_timeout = limit.max(SHORTEST))
    }

    /// How long before its expiry a token may be renewed; at most half its lifetime.
    ///
    /// Default: 20 % of the lifetime, at least 30 s, at most 15 min. The instant is drawn from the window's first half.
    pub fn refresh_window(self, window: Duration) -> Self {
        self.with(|settings| settings.refresh_window = Some(window))
    }

    /// After which age a token is renewed in any case, however long it lasts. Default: 24 h.
    pub fn max_age(self, age: Duration) -> Self {
        self.with(|settings| settings.max_age = age.max(SHORTEST))
    }

    /// How long before its expiry a token is not handed out any more; at most 10 % of its lifetime. Default: 10 s.
    pub fn safety_margin(self, margin: Duration) -> Self {
        self.with(|settings| settings.safety_margin = margin)
    }

    /// The lifetime of tokens whose source states none. Default: 1 h.
    pub fn default_lifetime(self, lifetime: Duration) -> Self {
        self.with(|settings| settings.default_lifetime = lifetime.max(SHORTEST))
    }

    /// The wait after a failed flight while a token is usable: `first`, doubling to `most`. Default: 1 s, 30 s.
    pub fn stale_backoff(self, first: Duration, most: Duration) -> Self {
        self.with(|settings| settings.stale_backoff = Backoff::new(first, most))
    }

    /// The wait after a failed flight while there is no usable token: callers fail at once meanwhile.
    /// Default: 250 ms doubling to 10 s.
    pub fn expired_backoff(self, first: Duration, most: Duration) -> Self {
        self.with(|settings| settings.expired_backoff = Backoff::new(first, most))
    }

    /// The wait after [`ErrorKind::Denied`] and [`ErrorKind::Throttled`]. Default: 1 s doubling to 60 s.
    pub fn denied_backoff(self, first: Duration, most: Duration) -> Self {
        self.with(|settings| settings.denied_backoff = Backoff::new(first, most))
    }

    /// How long a [`retry_after`](Error::retry_after) is obeyed: while a token is usable, and while there is none.
    /// Default: 1 h, 5 min.
    pub fn retry_after_limits(self, stale: Duration, expired: Duration) -> Self {
        self.with(|settings| (settings.stale_retry_after, settings.expired_retry_after) = (stale, expired))
    }

    /// How many refreshes [`reject`](TokenSource::reject) may force at once, and after which time one more.
    /// Default: 3, 2 min.
    pub fn forced_refreshes(self, count: u32, every: Duration) -> Self {
        self.with(|settings| (settings.forced_refreshes, settings.forced_refresh_every) = (count, every.max(SHORTEST)))
    }

    /// Goes by another clock than the system's (feature `test-util`).
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn clock(self, clock: &crate::ManualClock) -> Self {
        Cached::assemble(
            Arc::clone(&self.0.source),
            self.0.state.lock().settings().clone(),
            Clock::Manual(clock.clone()),
            fastrand::Rng::new(),
        )
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.0.state.lock().settings().clone();
        change(&mut settings);
        Cached::assemble(Arc::clone(&self.0.source), settings, self.0.clock.clone(), fastrand::Rng::new())
    }
}
