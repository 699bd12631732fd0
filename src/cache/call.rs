//! One call of `token()` that finds no lease for its thread: asks the state machine, and waits for a fetch if it has
//! to.

use std::time::Duration;

use tokio::runtime::Handle;

use super::Cached;
use super::fetch::Completion;
use super::state::Answer;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Look};
use crate::future::TokenFuture;
use crate::observer::Event;
use crate::runtime::{self, value_of};
use crate::source::TokenSource;
use crate::token::AccessToken;

impl<S: TokenSource + 'static> Cached<S> {
    /// Without a lease for this thread: calls that need no fetch are answered at once.
    #[cold]
    pub(super) fn look_up(&self) -> TokenFuture<'_> {
        let now = self.0.clock.now();
        let (answer, may_look) = self.0.with_state(|state| (self.0.ask(state, now, None), state.may_look(now)));
        match answer {
            Answer::Use(token, _) => TokenFuture::ready(Ok(token)),
            Answer::Fail(_) if may_look => TokenFuture::new(self.obtain()),
            Answer::Fail(error) => {
                self.0.fails();
                TokenFuture::ready(Err(error))
            }
            // The runtime is determined when the future is polled: `block_on(source.token())` calls this outside of it.
            Answer::UseAndRefresh(_) | Answer::Drive(..) | Answer::Fetch | Answer::Wait(..) => {
                TokenFuture::new(self.obtain())
            }
        }
    }

    async fn obtain(&self) -> Result<AccessToken, Error> {
        let mut progress = Progress::default();
        let result = self.wait(&mut progress).await;
        if let Some(since) = progress.waits_since {
            let (duration, error) = (self.0.clock.now().since(since), result.as_ref().err());
            self.0.observers.emit(&Event::Waited { duration, error });
        }
        if result.is_err() {
            self.0.fails();
        }
        result
    }

    async fn wait(&self, progress: &mut Progress) -> Result<AccessToken, Error> {
        loop {
            match self.step(progress) {
                Step::Done(result) => return result,
                Step::Yield => tokio::task::yield_now().await,
                Step::Look(look, error) => {
                    if look().await {
                        self.0.with_state(|state| state.has_changed(&error));
                    }
                }
                Step::Wait(completion, limit) => {
                    progress.yielded = false;
                    if let Some(result) = value_of(completion, limit).await {
                        return result;
                    }
                }
                Step::Drive(completion, limit) => {
                    // An error of this fetch does not concern the caller: the token is still usable, or another fetch
                    // starts.
                    let _ = value_of(completion, limit).await;
                    progress.drove = true;
                }
            }
        }
    }

    fn step(&self, progress: &mut Progress) -> Step {
        // Of all callers that a completion wakes on this thread, the first one has obtained the lease.
        if let Some(token) = self.0.slots.token(&self.0.clock) {
            return Step::Done(Ok(token));
        }
        let now = self.0.clock.now();
        let runtime = match self.runtime(now) {
            Ok(runtime) => runtime,
            Err(why) => return Step::Done(self.without_runtime(now, why)),
        };
        let (step, span) = self.0.with_state(|state| {
            let step = match self.0.ask(state, now, Some(runtime.id())) {
                Answer::Use(token, _) => Step::Done(Ok(token)),
                Answer::Fail(error) if progress.looked => Step::Done(Err(error)),
                Answer::Fail(error) => match state.looks(now) {
                    Some(look) => {
                        progress.looked = true;
                        Step::Look(look, error)
                    }
                    None => Step::Done(Err(error)),
                },
                Answer::UseAndRefresh(token) => {
                    self.start(state, &runtime, now);
                    Step::Done(Ok(token))
                }
                Answer::Drive(token, _) if progress.drove => Step::Done(Ok(token)),
                Answer::Drive(_, limit) => Step::Drive(self.start(state, &runtime, now), limit),
                Answer::Wait(completion, limit) => Step::Wait(completion, limit),
                Answer::Fetch if !progress.yielded && state.has_silent_fetch(runtime.id()) => {
                    progress.yielded = true;
                    Step::Yield
                }
                Answer::Fetch if progress.starts == MOST_STARTS => {
                    let text = "no fetch completes: the tokio runtime is shutting down";
                    Step::Done(Err(Error::of(ErrorKind::Other, text)))
                }
                Answer::Fetch => {
                    progress.starts += 1;
                    let completion = self.start(state, &runtime, now);
                    Step::Wait(completion, state.policy().takeover())
                }
            };
            let waits = matches!(step, Step::Wait(..) | Step::Drive(..));
            (step, waits.then(|| state.span()).flatten())
        });
        if let Some(span) = span {
            progress.waits_since.get_or_insert(now);
            span.awaited();
        }
        step
    }

    /// The runtime to start a fetch on. One without timers is not probed again for a while, since that costs a caught
    /// panic.
    pub(super) fn runtime(&self, now: Moment) -> Result<Handle, &'static str> {
        if let Ok(handle) = Handle::try_current() {
            if let Some(why) = self.0.state.lock().unfit(handle.id(), now) {
                return Err(why);
            }
        }
        let current = runtime::current();
        if let (Err(why), Ok(handle)) = (&current, Handle::try_current()) {
            self.0.state.lock().note_unfit(handle.id(), why, now);
        }
        current
    }

    /// A usable token, without a lease: other threads of this slot may have a runtime to refresh it on.
    fn without_runtime(&self, now: Moment, why: &'static str) -> Result<AccessToken, Error> {
        self.0.with_state(|state| match state.ask(now, None) {
            Answer::Use(token, _) | Answer::UseAndRefresh(token) | Answer::Drive(token, _) => Ok(token),
            Answer::Fail(error) => Err(error),
            Answer::Fetch | Answer::Wait(..) => Err(Error::of(ErrorKind::Other, why)),
        })
    }
}

/// The progress of one call.
#[derive(Default)]
struct Progress {
    /// It has yielded once: a silent fetch of the caller's own runtime may run before it is taken over, in case this
    /// thread was blocked.
    yielded: bool,
    starts: u32,
    /// It has driven a fetch.
    drove: bool,
    /// It has checked whether the cause of the error has changed.
    looked: bool,
    /// When it began to wait.
    waits_since: Option<Moment>,
}

enum Step {
    Done(Result<AccessToken, Error>),
    /// Let other tasks run, and ask again.
    Yield,
    Wait(Completion, Duration),
    /// Check whether the cause of this error has changed, and ask again.
    Look(Look, Error),
    /// Let the runtime run the fetch, and ask again.
    Drive(Completion, Duration),
}

/// A fetch that ends without completing has lost its runtime to a shutdown, and so will the next one there. The limit
/// exceeds the number of fetches that rejections can force.
const MOST_STARTS: u32 = 8;
