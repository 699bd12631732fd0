//! Tokens for synchronous code: callbacks, batch exporters, `reqwest::blocking`, ureq (feature `blocking`).
//!
//! ```
//! use client_credentials::blocking::Tokens;
//! use client_credentials::{ClientAuth, ClientCredentials, Credential};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = ClientAuth::client_secret_basic("billing", Credential::env("CLIENT_SECRET"));
//! let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth).build()?;
//! let tokens = Tokens::new(tokens);
//!
//! let header = tokens.token()?.authorization(); // in any thread, with or without tokio
//! # Ok(()) }
//! ```
//!
//! With `reqwest::blocking`, a request whose token was refused is sent once more with another one:
//!
//! ```ignore
//! fn get(http: &reqwest::blocking::Client, tokens: &Tokens, url: &str) -> Result<Response, Box<dyn Error>> {
//!     let send = |token: &AccessToken| http.get(url).header("authorization", token.authorization()).send();
//!     let token = tokens.token()?;
//!     let response = send(&token)?;
//!     if response.status() != 401 {
//!         return Ok(response);
//!     }
//!     tokens.reject(&token);
//!     Ok(send(&tokens.token()?)?)
//! }
//! ```
//!
//! With ureq 3, as a middleware of the agent:
//!
//! ```ignore
//! struct Bearer(Tokens);
//!
//! impl ureq::middleware::Middleware for Bearer {
//!     fn handle(
//!         &self,
//!         mut request: Request<SendBody>,
//!         next: MiddlewareNext,
//!     ) -> Result<Response<Body>, ureq::Error> {
//!         let token = self.0.token().map_err(|e| ureq::Error::Other(Box::new(e)))?;
//!         request.headers_mut().insert("authorization", token.authorization());
//!         let response = next.handle(request)?;
//!         if response.status() == 401 {
//!             self.0.reject(&token); // the next request gets another one
//!         }
//!         Ok(response)
//!     }
//! }
//! ```
//!
//! Both send the token to whatever URL they are given: use a client, or an agent, for that API only, and without redirects to
//! other hosts.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::contained::{Panicked, contained, contained_future};
use crate::error::{Error, ErrorKind};
use crate::event::event;
use crate::lock::Lock;
use crate::once::Once;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// The tokens of a source, for code that is not async.
///
/// A handle: a clone is a reference count.
///
/// - A token that is cached is returned without a context switch. Otherwise a thread of this crate fetches one, and the caller
///   waits. A token that is due is returned at once, and refreshed by that thread.
/// - There is one such thread, `client-credentials`, for all sources of the process, with a tokio runtime of its own. It starts
///   when the first token has to be fetched, so that a process may become a daemon before, and ends with the last [`Tokens`].
///   Host names are looked up on threads of that runtime, which end after 10 s.
/// - It works in any thread: without tokio, in `Drop`, in a callback of a C library, on a thread of a tokio runtime. There it
///   blocks that thread, which an event reports once: in async code, await [`TokenSource::token`] of the source itself.
/// - The source may have async users at the same time. A fetch that a stalled runtime of theirs has started is taken over, as
///   [`Cached`](crate::Cached) says.
///
/// The [module](self) shows it with `reqwest::blocking` and ureq.
#[derive(Clone)]
pub struct Tokens {
    source: Arc<dyn TokenSource>,
    worker: Arc<Worker>,
}

impl Tokens {
    /// The tokens of `source`, which caches: a [`ClientCredentials`](crate::ClientCredentials) or a [`Cached`](crate::Cached). No
    /// I/O; no thread is started.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Tokens { source: Arc::new(source), worker: Worker::of_this_process() }
    }

    /// A token that may be used now. Waits for as long as the source takes: a fetch takes at most
    /// [`CachePolicy::fetch_timeout`](crate::CachePolicy::fetch_timeout).
    ///
    /// # Errors
    ///
    /// Those of the source. [`ErrorKind::Other`] if the thread cannot be started, if the source panics, or if a source calls this
    /// while it fetches a token itself, where waiting would never end.
    pub fn token(&self) -> Result<AccessToken, Error> {
        self.token_within(Duration::MAX)
    }

    /// As [`token`](Self::token), waiting at most this long. A fetch goes on when the time is over, and serves a later call.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token); [`ErrorKind::Transport`] when the time is over.
    pub fn token_within(&self, limit: Duration) -> Result<AccessToken, Error> {
        // What is ready without polling takes neither a runtime nor the other thread.
        match contained(|| self.source.token().if_ready()) {
            Ok(Some(result)) => result,
            Ok(None) => self.wait(limit),
            Err(Panicked) => Err(panicked()),
        }
    }

    /// The API refused `token`: see [`TokenSource::reject`].
    pub fn reject(&self, token: &AccessToken) {
        let _ = contained(|| self.source.reject(token));
    }

    fn wait(&self, limit: Duration) -> Result<AccessToken, Error> {
        let runtime = self.worker.runtime()?;
        if Handle::try_current().is_ok() && BLOCKED.first() {
            event!(
                info,
                "blocking::Tokens blocks a thread of a tokio runtime until a token is there: await token() of the source \
                 instead, unless this is a thread of spawn_blocking"
            );
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let source = Arc::clone(&self.source);
        runtime.spawn(async move {
            let result = contained_future(async { source.token().await }).await;
            // Whoever asked may have given up.
            let _ = answer.send(result.unwrap_or_else(|Panicked| Err(panicked())));
        });
        match answered.recv_timeout(limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("no token within {limit:?}; the fetch goes on");
                Err(Error::of(ErrorKind::Transport, text).transient())
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::of(ErrorKind::Other, "the thread that fetches tokens has ended"))
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.source).finish()
    }
}

fn panicked() -> Error {
    Error::of(ErrorKind::Other, Panicked::text("the token source"))
}

/// Whether it was reported that a thread of a tokio runtime is blocked.
static BLOCKED: Once = Once::new();

/// The thread that fetches, once it runs.
#[derive(Default)]
struct Worker(Lock<Option<Running>>);

struct Running {
    runtime: Handle,
    thread: ThreadId,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Worker {
    /// The one that other `Tokens` have, or a new one.
    fn of_this_process() -> Arc<Worker> {
        static SHARED: Mutex<Weak<Worker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let worker = Arc::new(Worker::default());
            *shared = Arc::downgrade(&worker);
            worker
        })
    }

    fn runtime(&self) -> Result<Handle, Error> {
        let mut running = self.0.lock();
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running::start()?),
        };
        if running.thread == thread::current().id() {
            let text = "blocking::Tokens was asked for a token by code that runs while a token is fetched (a credential, a \
                        signer, a store): waiting for it would never end; use the async source there";
            return Err(Error::of(ErrorKind::Other, text));
        }
        Ok(running.runtime.clone())
    }
}

impl Running {
    fn start() -> Result<Running, Error> {
        let failed = |error: std::io::Error| {
            Error::of(ErrorKind::Other, "the thread that fetches tokens cannot be started").because_of(error)
        };
        let (end, ended) = oneshot::channel::<()>();
        let (starting, started) = mpsc::sync_channel(1);
        // The runtime is built, and dropped, on its own thread: dropped on a thread of another runtime it would panic.
        let run = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = starting.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(ended);
                // A host name that is being looked up is not waited for.
                runtime.shutdown_background();
            }
            Err(error) => drop(starting.send(Err(error))),
        };
        let thread = thread::Builder::new().name("client-credentials".to_owned()).spawn(run).map_err(failed)?;
        let runtime = started.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone))).map_err(failed)?;
        Ok(Running { runtime, thread: thread.thread().id(), _end: end })
    }
}
