//! Keeping a token fresh without callers: the part of the cache that [`Changes`](crate::Changes) drives.

use std::fmt;
use std::pin::Pin;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

use super::{Cached, Status};
use crate::clock::{Clock, Moment};
use crate::source::TokenSource;
use crate::token::AccessToken;

/// A cache around any source.
pub(crate) trait Kept: fmt::Debug + Send + Sync {
    /// Starts a fetch on `runtime` if one is due. Returns when to call again, unless there is [`news`](Self::news) before.
    fn keep(&self, runtime: &Handle) -> Moment;

    /// Checks, at most once a second, whether the cause of a failure, such as a file, has changed: the next fetch then
    /// need not wait.
    fn look(&self, here: Id) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The token that may be used now, without waiting.
    fn current(&self) -> Option<AccessToken>;

    /// Notified after a fetch has completed, and after the current token was rejected.
    fn news(&self) -> &Notify;

    fn clock(&self) -> &Clock;

    fn status(&self) -> Status;
}

impl<S: TokenSource + 'static> Kept for Cached<S> {
    fn keep(&self, runtime: &Handle) -> Moment {
        let now = self.0.clock.now();
        self.0.with_state(|state| {
            state.next_look(now, runtime.id()).unwrap_or_else(|| {
                self.start(state, runtime, now);
                now.plus(state.policy().takeover())
            })
        })
    }

    fn look(&self, here: Id) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let found = self.0.with_state(|state| state.looks_for(self.0.clock.now(), here));
            if let Some((look, error)) = found {
                if look().await {
                    self.0.with_state(|state| state.has_changed(&error));
                }
            }
        })
    }

    fn current(&self) -> Option<AccessToken> {
        self.0.state.lock().current(self.0.clock.now())
    }

    fn news(&self) -> &Notify {
        &self.0.news
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn status(&self) -> Status {
        self.status()
    }
}
