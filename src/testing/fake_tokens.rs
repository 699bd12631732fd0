//! A source of tokens without any server.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::Gate;
use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::source::TokenSource;
use crate::token::{AccessToken, Terms};

/// A token source that does as a script says, for tests of code that takes any [`TokenSource`].
///
/// A test that panics prints what happened ([`story`](Self::story)) when the fake is dropped.
///
/// It caches nothing: every call is answered by the next step, and after the last one by that again. Put
/// [`Cached`](crate::Cached) around it to test with a cache. A clone is the same source.
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
    state: Arc<Lock<State>>,
}

/// What [`FakeTokens`] does when a token is asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FakeStep {
    /// Makes a new token with this lifetime, obtained at that moment by the fake's clock.
    Token(Duration),
    /// Hands out this token.
    This(AccessToken),
    /// Fails.
    Error(Error),
    /// Makes a new token with this lifetime once the gate is open.
    Held(Gate, Duration),
    /// Never answers.
    Hang,
    /// Panics.
    Panic,
}

struct State {
    script: VecDeque<FakeStep>,
    calls: usize,
    /// What happened, a word for each call and each rejection.
    story: Vec<String>,
    /// Whether the story was printed.
    told: bool,
    /// What was handed out, and how often each was rejected.
    issued: Vec<AccessToken>,
    rejected: Vec<usize>,
}

impl State {
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

/// The beginning explains what came later; more is not read.
const LONGEST_STORY: usize = 100;

impl FakeTokens {
    /// Does as these steps say, one after the other; the last one is for all calls that follow. Without a step it hands out new
    /// tokens that last an hour.
    pub fn script(steps: impl IntoIterator<Item = FakeStep>) -> Self {
        let mut script: VecDeque<_> = steps.into_iter().collect();
        if script.is_empty() {
            script.push_back(FakeStep::Token(LIFETIME));
        }
        let state =
            State { script, calls: 0, story: Vec::new(), told: false, issued: Vec::new(), rejected: Vec::new() };
        FakeTokens { clock: Clock::System, state: Arc::new(Lock::new(state)) }
    }

    /// Hands out new tokens with this lifetime.
    pub fn lasting(lifetime: Duration) -> Self {
        FakeTokens::script([FakeStep::Token(lifetime)])
    }

    /// Dates tokens by this clock. Give it to [`Cached`](crate::Cached) as well.
    #[must_use]
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }

    /// From now on these steps, instead of those that are left.
    pub fn change(&self, steps: impl IntoIterator<Item = FakeStep>) {
        let next = FakeTokens::script(steps);
        std::mem::swap(&mut self.state().script, &mut next.state().script);
    }

    /// How often a token was asked for: each future that was polled counts.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// The tokens that were handed out, in order.
    pub fn issued(&self) -> Vec<AccessToken> {
        self.state().issued.clone()
    }

    /// The rejections in order: the number of the token, counted from 1 as in [`issued`](Self::issued). A token of another
    /// source is 0.
    pub fn rejected(&self) -> Vec<usize> {
        self.state().rejected.clone()
    }

    /// What happened so far, on a line, without a secret: what a test that fails prints.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// As authorization servers have it.
const LIFETIME: Duration = Duration::from_secs(3600);

impl FakeTokens {
    /// The next step, without importing [`TokenSource`].
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

    /// Notes the rejection, without importing [`TokenSource`].
    pub fn reject(&self, token: &AccessToken) {
        let mut state = self.state();
        let number = state.issued.iter().position(|issued| issued.id() == token.id());
        let number = number.map_or(0, |index| index + 1);
        state.rejected.push(number);
        state.note(format!("token {number} rejected"));
    }
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for FakeTokens {
    fn token(&self) -> TokenFuture<'_> {
        FakeTokens::token(self)
    }

    fn reject(&self, token: &AccessToken) {
        FakeTokens::reject(self, token);
    }
}

impl Drop for FakeTokens {
    #[expect(clippy::print_stderr, reason = "where a test that fails is expected to say why")]
    fn drop(&mut self) {
        if std::thread::panicking() && !std::mem::replace(&mut self.state().told, true) {
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
