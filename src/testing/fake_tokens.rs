//! A source of tokens without a server.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Gate;
use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::future::TokenFuture;
use crate::lock::{Guard, Lock};
use crate::once::Once;
use crate::source::forward;
use crate::token::{AccessToken, Terms};

/// A scripted token source, for tests of code that takes any [`TokenSource`](crate::TokenSource).
///
/// If a test panics, the fake prints what happened ([`story`](Self::story)) when it is dropped.
///
/// It does not cache: every call uses the next step, and the last step is repeated. Wrap it in [`Cached`](crate::Cached) to
/// test with a cache. Clones share the source.
///
/// ```
/// use client_credentials::testing::{FakeStep, FakeTokens};
/// use client_credentials::Error;
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let tokens = FakeTokens::script([
///     FakeStep::Token(Duration::from_secs(300)),
///     FakeStep::Error(Error::other("the server is down")),
/// ]);
/// let first = tokens.token().await?;
/// tokens.reject(&first);
/// assert!(tokens.token().await.is_err());
///
/// assert_eq!(tokens.calls(), 2);
/// assert_eq!(tokens.rejected(), [1]);
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FakeTokens {
    clock: Clock,
    state: Arc<Lock<Played>>,
}

/// What [`FakeTokens`] does when a token is requested.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FakeStep {
    /// Returns a new token with this lifetime, received at the current time of the fake's clock.
    Token(Duration),
    /// Returns this token.
    This(AccessToken),
    /// Returns this error.
    Error(Error),
    /// Returns a new token with this lifetime once the gate is open.
    Held(Gate, Duration),
    /// Never completes.
    Hang,
    /// Panics.
    Panic,
}

#[derive(Default)]
struct Played {
    script: VecDeque<FakeStep>,
    calls: usize,
    /// The story: a word for each call and each rejection.
    story: Vec<String>,
    /// Whether the story was printed.
    told: Once,
    /// The issued tokens, and how often each was rejected.
    issued: Vec<AccessToken>,
    rejected: Vec<usize>,
}

impl Played {
    fn hand_out(&mut self, token: AccessToken) -> AccessToken {
        self.issued.push(token.clone());
        self.note(format!("token {}", self.issued.len()));
        token
    }

    fn note(&mut self, event: String) {
        if self.story.len() < LONGEST_STORY {
            self.story.push(event);
        }
    }
}

/// 100: the first entries suffice to explain a failure.
const LONGEST_STORY: usize = 100;

impl FakeTokens {
    /// Creates a source with these steps; the last one is repeated. Without a step it returns new tokens that last 1 h.
    pub fn script(steps: impl IntoIterator<Item = FakeStep>) -> Self {
        let state = Played { script: steps.into_iter().collect(), ..Played::default() };
        FakeTokens { clock: Clock::System, state: Arc::new(Lock::new(state)) }
    }

    /// Creates a source of new tokens with this lifetime.
    pub fn lasting(lifetime: Duration) -> Self {
        FakeTokens::script([FakeStep::Token(lifetime)])
    }

    /// Uses this clock for the times of tokens. Pass it to [`Cached`](crate::Cached) as well.
    #[must_use]
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }

    /// Replaces the remaining steps.
    pub fn change(&self, steps: impl IntoIterator<Item = FakeStep>) {
        let next = steps.into_iter().collect();
        // Dropped after the lock: an error may have a source that is user code.
        let _before = std::mem::replace(&mut self.state().script, next);
    }

    /// Returns how often a token was requested; each polled future counts.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Returns the tokens that were returned, in order.
    pub fn issued(&self) -> Vec<AccessToken> {
        self.state().issued.clone()
    }

    /// Returns the rejections in order, each as the number of the token, counted from 1 as in [`issued`](Self::issued); 0 for
    /// a token of another source.
    pub fn rejected(&self) -> Vec<usize> {
        self.state().rejected.clone()
    }

    /// Returns what happened so far, in one line without secrets, as a failing test prints it.
    pub fn story(&self) -> String {
        let state = self.state();
        format!("The fake source was asked {} times: {}\n", state.calls, state.story.join(", "))
    }

    fn step(&self) -> FakeStep {
        let mut state = self.state();
        state.calls += 1;
        let next = match state.script.len() {
            0 | 1 => state.script.front().cloned(),
            _ => state.script.pop_front(),
        };
        next.unwrap_or(FakeStep::Token(LIFETIME))
    }

    fn issue(&self, lifetime: Duration) -> Result<AccessToken, Error> {
        let mut state = self.state();
        let secret = format!("fake-token-{}", state.issued.len() + 1).into();
        let terms = Terms { lifetime: Some(lifetime), ..Terms::default() };
        let token = AccessToken::issued(&secret, terms, self.clock.now(), &self.clock)?;
        Ok(state.hand_out(token))
    }

    fn state(&self) -> Guard<'_, Played> {
        self.state.lock()
    }
}

/// 1 h: the usual lifetime.
const LIFETIME: Duration = Duration::from_secs(3600);

impl FakeTokens {
    /// Runs the next step, without importing [`TokenSource`](crate::TokenSource).
    pub fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            match self.step() {
                FakeStep::Token(lifetime) => self.issue(lifetime),
                FakeStep::This(token) => Ok(self.state().hand_out(token)),
                FakeStep::Error(error) => {
                    self.state().note(format!("error: {error}"));
                    Err(error)
                }
                FakeStep::Held(gate, lifetime) => {
                    gate.passed().await;
                    self.issue(lifetime)
                }
                FakeStep::Hang => std::future::pending().await,
                FakeStep::Panic => panic(),
            }
        })
    }

    /// Records the rejection, without importing [`TokenSource`](crate::TokenSource).
    pub fn reject(&self, token: &AccessToken) {
        let mut state = self.state();
        let number = state.issued.iter().position(|issued| issued.id() == token.id());
        let number = number.map_or(0, |index| index + 1);
        state.rejected.push(number);
        state.note(format!("token {number} rejected"));
    }
}

forward!([] FakeTokens: this => this);

impl Drop for FakeTokens {
    #[expect(clippy::print_stderr, reason = "where a test that fails is expected to say why")]
    fn drop(&mut self) {
        if std::thread::panicking() && self.state().told.first() {
            eprint!("{}", self.story());
        }
    }
}

#[expect(clippy::panic, reason = "the test wants it so")]
fn panic() -> Result<AccessToken, Error> {
    panic!("the script of the fake says so")
}

impl fmt::Debug for FakeTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("FakeTokens")
            .field("calls", &state.calls)
            .field("issued", &state.issued.len())
            .field("rejected", &state.rejected)
            .finish_non_exhaustive()
    }
}
