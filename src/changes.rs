//! [`Changes`]: the present token and each newer one, for connections that outlive a token.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::cache::{Cached, Kept, Status};
use crate::client_credentials::ClientCredentials;
use crate::error::{Error, ErrorKind};
use crate::runtime::Runtime;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// The present token, and then each newer one: for connections that outlive a token (MQTT, NATS, Kafka, WebSockets, SQL pools),
/// from [`ClientCredentials::changes`] or [`Cached::changes`].
///
/// ```
/// use client_credentials::{ClientCredentials, Error};
///
/// /// `connection` is whatever has to know the token.
/// async fn push(tokens: ClientCredentials, connection: tokio::sync::watch::Sender<String>) -> Result<(), Error> {
///     let mut changes = tokens.changes();
///     loop {
///         let token = changes.next().await?;
///         connection.send_replace(token.expose_secret().to_owned());
///     }
/// }
/// ```
///
/// # Contract
///
/// - While it is held, the token is refreshed in time by a task of its own, whether [`next`](Self::next) is called or not, and
///   whether there are other callers or not. Holding it is enough to keep a token warm.
/// - A failed fetch is retried after the backoff of the [`CachePolicy`](crate::CachePolicy), for as long as it takes.
///   [`next`](Self::next) waits meanwhile; [`status`](Self::status), and an [`Observer`](crate::Observer), show the error.
/// - A token that is [rejected](ClientCredentials::reject) is replaced at once, within the bound on forced refreshes.
/// - Nothing is queued: a slow reader gets the latest token, and never one that has expired or was rejected. A token whose
///   value the server brings again is not a new one.
/// - A server whose tokens are expired on arrival (`expires_in: 0`) is asked again after 1 s, doubling to 60 s; such tokens are
///   not returned.
/// - Dropping it ends the task. A fetch that other handles may still use goes on.
///
/// It is a stream in all but name: `futures_util::stream::unfold` makes one of it.
#[must_use = "dropped at once, it keeps no token fresh"]
pub struct Changes {
    tokens: Arc<dyn Kept>,
    /// The token that was returned last.
    seen: Option<u64>,
    keeper: Option<Keeper>,
}

/// The task that keeps the token fresh.
struct Keeper {
    task: AbortHandle,
    /// Closed when the task has ended, which it does with its runtime.
    alive: watch::Receiver<()>,
}

impl ClientCredentials {
    /// The present token and then each newer one, kept fresh while the result is held: see [`Changes`].
    ///
    /// Needs no runtime; the task that refreshes starts here if there is one, otherwise with the first
    /// [`next`](Changes::next).
    pub fn changes(&self) -> Changes {
        self.cached().changes()
    }
}

impl<S: TokenSource + 'static> Cached<S> {
    /// The present token and then each newer one, kept fresh while the result is held: see [`Changes`].
    ///
    /// For a `dyn TokenSource`, put a cache around it: `Cached::new(source).changes()`.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes { tokens: Arc::new(self.clone()), seen: None, keeper: None };
        // Without a runtime, `next` says so.
        let _ = changes.hold();
        changes
    }
}

impl Changes {
    /// Waits for a token that is newer than the one returned last; the first time, for any token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] outside a tokio runtime with timers. A failed fetch is no error of this method: it waits for the
    /// next one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no token.
    pub async fn next(&mut self) -> Result<AccessToken, Error> {
        loop {
            let mut alive = self.hold()?;
            let mut news = pin!(self.tokens.news().notified());
            // Before the state is looked at: news after that are not missed.
            news.as_mut().enable();
            if let Some(token) = self.tokens.current().filter(|token| Some(token.id()) != self.seen) {
                self.seen = Some(token.id());
                return Ok(token);
            }
            let mut ended = pin!(alive.changed());
            poll_fn(|cx| match (news.as_mut().poll(cx), ended.as_mut().poll(cx)) {
                (Poll::Pending, Poll::Pending) => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
        }
    }

    /// The state of the token and of the fetches, without waiting: the last error, among other things.
    pub fn status(&self) -> Status {
        self.tokens.status()
    }

    /// Starts the keeper unless it runs; again if its runtime is gone.
    fn hold(&mut self) -> Result<watch::Receiver<()>, Error> {
        if let Some(keeper) = self.keeper.as_ref().filter(|keeper| keeper.alive.has_changed().is_ok()) {
            return Ok(keeper.alive.clone());
        }
        let runtime = match Runtime::current() {
            Runtime::Ready(runtime) => runtime,
            Runtime::Unfit(why) => return Err(Error::of(ErrorKind::Other, why)),
        };
        let (lives, alive) = watch::channel(());
        let task = runtime.spawn(keep(Arc::clone(&self.tokens), runtime.clone(), lives)).abort_handle();
        self.keeper = Some(Keeper { task, alive: alive.clone() });
        Ok(alive)
    }
}

/// Starts each fetch when it is due, for ever.
async fn keep(tokens: Arc<dyn Kept>, runtime: Handle, _lives: watch::Sender<()>) {
    loop {
        let mut news = pin!(tokens.news().notified());
        news.as_mut().enable();
        let look = tokens.keep(&runtime);
        let mut wait = pin!(tokens.clock().wait_towards(look));
        poll_fn(|cx| match (news.as_mut().poll(cx), wait.as_mut().poll(cx)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        // A runtime that was blocked has stopped the heartbeat of its fetches, too: they come first.
        tokio::task::yield_now().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
