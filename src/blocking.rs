//! Tokens for synchronous code: callbacks, batch exporters, `reqwest::blocking`, ureq (feature `blocking`).
//!
//! ```
//! use client_credentials::blocking::Tokens;
//! use client_credentials::{ClientAuth, ClientCredentials, Credential};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = ClientAuth::client_secret_basic(
//!     "billing",
//!     Credential::env("CLIENT_SECRET"),
//! );
//! let tokens =
//!     ClientCredentials::builder("https://auth.example.com/oauth2/token", auth)
//!         .build()?;
//! let tokens = Tokens::new(tokens);
//!
//! // In any thread, with or without tokio.
//! let header = tokens.token()?.authorization();
//! # Ok(()) }
//! ```
//!
//! With `reqwest::blocking`, repeating a request once with a new token if its token was rejected:
//!
//! ```ignore
//! fn get(
//!     http: &reqwest::blocking::Client,
//!     tokens: &Tokens,
//!     url: &str,
//! ) -> Result<Response, Box<dyn Error>> {
//!     let send = |token: &AccessToken| {
//!         http.get(url)
//!             .header("authorization", token.authorization())
//!             .send()
//!     };
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
//! With ureq 3, as middleware of the agent:
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
//!         let token = self
//!             .0
//!             .token()
//!             .map_err(|e| ureq::Error::Other(Box::new(e)))?;
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
//! Both send the token to any URL: use the client or agent for that API only, and disable redirects to other hosts.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
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

/// The tokens of a source, for synchronous code.
///
/// This is a handle: cloning it increments a reference count.
///
/// - A cached token is returned without a context switch. Otherwise a thread of this crate fetches one, and the caller waits.
///   A token that is due is returned at once and refreshed by that thread.
/// - All sources of the process share this thread, `client-credentials`, which has its own tokio runtime. It starts with the
///   first fetch, so that a process can daemonize before, and ends with the last [`Tokens`]. Host names are resolved on
///   threads of that runtime, which end after 10 s.
/// - It works in any thread: without tokio, in `Drop`, in a callback of a C library, or on a thread of a tokio runtime. In the
///   latter case it blocks that thread, which is reported once by an event: in async code, await [`TokenSource::token`] of the
///   source itself.
/// - The source may have async users at the same time. If their runtime is blocked, its fetch is taken over, as described for
///   [`Cached`](crate::Cached).
///
/// For use with `reqwest::blocking` and ureq, see the [module](self).
#[derive(Clone)]
pub struct Tokens {
    source: Arc<dyn TokenSource>,
    worker: Arc<Worker>,
}

impl Tokens {
    /// Creates a handle to the tokens of `source`, which must cache them: a [`ClientCredentials`](crate::ClientCredentials) or
    /// a [`Cached`](crate::Cached). Does no I/O and starts no thread.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Tokens { source: Arc::new(source), worker: Worker::of_this_process() }
    }

    /// Returns a usable token. Waits as long as the source needs; a fetch takes at most
    /// [`CachePolicy::fetch_timeout`](crate::CachePolicy::fetch_timeout).
    ///
    /// # Errors
    ///
    /// The errors of the source; [`ErrorKind::Other`] if the thread cannot be started, if the source panics, or if a source
    /// calls this method during its own fetch, which would be a deadlock.
    pub fn token(&self) -> Result<AccessToken, Error> {
        self.token_within(Duration::MAX)
    }

    /// The same as [`token`](Self::token), but waits at most `limit`. A fetch continues after that, and serves a later call.
    ///
    /// # Errors
    ///
    /// The same as [`token`](Self::token); [`ErrorKind::Transport`] after `limit`.
    pub fn token_within(&self, limit: Duration) -> Result<AccessToken, Error> {
        // A result that is ready without polling needs neither a runtime nor the other thread.
        match contained(|| self.source.token().if_ready()) {
            Ok(Some(result)) => result,
            Ok(None) => self.wait(limit),
            Err(Panicked) => Err(Panicked::error("the token source")),
        }
    }

    /// Reports that the API rejected `token`; see [`TokenSource::reject`].
    pub fn reject(&self, token: &AccessToken) {
        let _ = contained(|| self.source.reject(token));
    }

    fn wait(&self, limit: Duration) -> Result<AccessToken, Error> {
        let runtime = self.worker.runtime()?;
        if Handle::try_current().is_ok() && BLOCKED.first() {
            event!(
                info,
                "blocking::Tokens blocks a thread of a tokio runtime until a token is available: await token() of the source \
                 instead, unless this is a thread of spawn_blocking"
            );
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let source = Arc::clone(&self.source);
        runtime.spawn(async move {
            let result = contained_future(async { source.token().await }).await;
            // The caller may no longer wait.
            let _ = answer.send(result.unwrap_or_else(|Panicked| Err(Panicked::error("the token source"))));
        });
        match answered.recv_timeout(limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("no token within {limit:?}; the fetch continues");
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

/// Whether it was reported that a thread of a tokio runtime is blocked.
static BLOCKED: Once = Once::new();

/// The thread that fetches, once it runs.
#[derive(Default)]
struct Worker(Lock<Option<Running>>);

struct Running {
    runtime: Handle,
    thread: ThreadId,
    /// Dropping it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Worker {
    /// The thread shared with other `Tokens`, or a new one.
    fn of_this_process() -> Arc<Worker> {
        static SHARED: Lock<Weak<Worker>> = Lock::new(Weak::new());
        let mut shared = SHARED.lock();
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
            let text = "blocking::Tokens was called by code that runs while a token is fetched (a credential, a \
                        signer, a store): waiting would be a deadlock; use the async source there";
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
        // The runtime is built and dropped on its own thread: dropping it on a thread of another runtime would panic.
        let run = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = starting.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(ended);
                // Does not wait for a name resolution in progress.
                runtime.shutdown_background();
            }
            Err(error) => drop(starting.send(Err(error))),
        };
        let thread = thread::Builder::new().name("client-credentials".to_owned()).spawn(run).map_err(failed)?;
        let runtime = started.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone))).map_err(failed)?;
        Ok(Running { runtime, thread: thread.thread().id(), _end: end })
    }
}
