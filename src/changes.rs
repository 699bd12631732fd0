//! [`Changes`]: the current token and each newer one, for connections that outlive a token.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cache::{Cached, Kept, Status};
use crate::error::{Error, ErrorKind};
use crate::runtime;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// Returns the current token and then each newer one, for connections that outlive a token (MQTT, NATS, Kafka, WebSockets, SQL
/// pools). Created by [`ClientCredentials::changes`](crate::ClientCredentials::changes) or [`Cached::changes`].
///
/// ```
/// use client_credentials::{ClientCredentials, Error};
///
/// /// `connection` needs the current token.
/// async fn push(
///     tokens: ClientCredentials,
///     connection: tokio::sync::watch::Sender<String>,
/// ) -> Result<(), Error> {
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
/// - While this value exists, a task of its own refreshes the token before it expires, whether or not [`next`](Self::next) is
///   called and whether or not there are other callers.
/// - A failed fetch is retried after the backoff of the [`CachePolicy`](crate::CachePolicy), without limit. If a credential
///   file was refused, it is also retried within a second after the file has changed. [`next`](Self::next) waits meanwhile;
///   [`status`](Self::status) and an [`Observer`](crate::Observer) report the error.
/// - A [rejected](crate::ClientCredentials::reject) token is replaced at once, within the limit on forced refreshes.
/// - Tokens are not queued: a slow reader gets the latest one, never one that has expired or was rejected. A token with the
///   same value as before does not count as new.
/// - If tokens are expired on arrival (`expires_in: 0`), they are not returned, and the next fetch starts after 1 s, doubling
///   to 60 s.
/// - Dropping this value ends the task. A fetch that other handles may still use continues.
///
/// For a tenant of a `TokenPool` (feature `pool`), once its source exists:
/// `tenant.inspect(ClientCredentials::changes)`. The pool may drop its own handle of the source meanwhile; this value keeps the
/// source, and a later use of the key creates another one, with a token request of its own.
///
/// To get a `Stream`, use `futures_util::stream::unfold`.
#[must_use = "dropped at once, it keeps no token fresh"]
pub struct Changes {
    tokens: Arc<dyn Kept>,
    /// The token that was returned last.
    seen: Option<u64>,
    keeper: Option<Keeper>,
}

/// The task that keeps the token fresh. It ends with its runtime.
struct Keeper(JoinHandle<()>);

impl<S: TokenSource + 'static> Cached<S> {
    /// Returns the current token and then each newer one, and keeps the token fresh meanwhile; see [`Changes`].
    ///
    /// For a `dyn TokenSource`, wrap it in a cache: `Cached::new(source).changes()`.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes { tokens: Arc::new(self.clone()), seen: None, keeper: None };
        // Without a runtime, `next` returns an error.
        let _ = Keeper::hold(&mut changes.keeper, &changes.tokens);
        changes
    }
}

impl Changes {
    /// Waits for a token that is newer than the last one returned; the first call waits for any token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] outside a tokio runtime with timers. A failed fetch is not an error of this method, which then
    /// waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no token.
    pub async fn next(&mut self) -> Result<AccessToken, Error> {
        loop {
            let keeper = Keeper::hold(&mut self.keeper, &self.tokens)?;
            let mut news = pin!(self.tokens.news().notified());
            // Before the state is read, so that later news are not missed.
            news.as_mut().enable();
            if let Some(token) = self.tokens.current().filter(|token| Some(token.id()) != self.seen) {
                self.seen = Some(token.id());
                return Ok(token);
            }
            either(news, pin!(&mut keeper.0)).await;
        }
    }

    /// Returns the state of the token and of the fetches, including the last error. Does not wait.
    pub fn status(&self) -> Status {
        self.tokens.status()
    }
}

impl Keeper {
    /// Starts the keeper unless it runs, and again if its runtime is gone.
    fn hold<'k>(keeper: &'k mut Option<Keeper>, tokens: &Arc<dyn Kept>) -> Result<&'k mut Keeper, Error> {
        let running = match keeper.take_if(|keeper| !keeper.0.is_finished()) {
            Some(running) => running,
            None => {
                let runtime = runtime::current().map_err(|why| Error::of(ErrorKind::Other, why))?;
                Keeper(runtime.spawn(keep(Arc::clone(tokens), runtime.clone())))
            }
        };
        Ok(keeper.insert(running))
    }
}

/// Waits for the first of two futures.
async fn either(mut one: Pin<&mut impl Future>, mut other: Pin<&mut impl Future>) {
    poll_fn(|cx| match (one.as_mut().poll(cx).is_ready(), other.as_mut().poll(cx).is_ready()) {
        (false, false) => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// Starts each fetch when it is due, for ever.
async fn keep(tokens: Arc<dyn Kept>, runtime: Handle) {
    loop {
        let mut news = pin!(tokens.news().notified());
        news.as_mut().enable();
        tokens.look(runtime.id()).await;
        let look = tokens.keep(&runtime);
        either(news, pin!(tokens.clock().wait_towards(look))).await;
        // A runtime that was blocked has missed the heartbeats of its fetches, too: their tasks run first.
        tokio::task::yield_now().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
