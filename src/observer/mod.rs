//! Typed events for operators, and their recipients.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(all(test, any(feature = "metrics", feature = "tracing")))]
mod samples;
#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
mod spans;
#[cfg(feature = "tracing")]
mod tracing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::contained::contained;
use crate::error::Error;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::error::ErrorKind;
pub(crate) use spans::{AttemptSpan, FetchSpan};

/// Gets the events of token sources, for logs, metrics and alerts of your own.
///
/// Given to [`ClientCredentialsBuilder::observe`](crate::ClientCredentialsBuilder::observe) and
/// [`Cached::observed`](crate::Cached::observed). It is called without any lock, on the task or thread on which the event
/// happened, and must not block. A panic in it is contained and ignored. The features `tracing` and `metrics` are observers, too,
/// which are always there.
///
/// A closure is an observer.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Event};
///
/// let auth = ClientAuth::none("billing");
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
///     .name("billing")
///     .observe(|source: &str, event: &Event<'_>| {
///         if let Event::Failing { error, token_usable, .. } = event {
///             eprintln!("{source}: {error:#} (token usable: {token_usable})");
///         }
///     })
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// Something happened at the source of this name.
    fn observe(&self, source: &str, event: &Event<'_>);
}

impl<F: Fn(&str, &Event<'_>) + Send + Sync> Observer for F {
    fn observe(&self, source: &str, event: &Event<'_>) {
        self(source, event);
    }
}

/// Why a fetch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum FetchCause {
    /// There is no usable token.
    Cold,
    /// The token is due.
    Refresh,
    /// The API refused the token.
    Rejection,
}

impl FetchCause {
    /// `cold`, `refresh` or `rejection`: the label of metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            FetchCause::Cold => "cold",
            FetchCause::Refresh => "refresh",
            FetchCause::Rejection => "rejection",
        }
    }
}

impl fmt::Display for FetchCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client is proved with, if it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// The client's certificate: of mutual TLS, or in the header of the assertions that it signs.
    Certificate,
    /// A JWT of a platform: a client assertion that is made elsewhere, or the token that is exchanged.
    Assertion,
}

impl CredentialKind {
    /// `certificate` or `assertion`: the label of metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialKind::Certificate => "certificate",
            CredentialKind::Assertion => "assertion",
        }
    }
}

/// Something that happened at a token source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A fetch started.
    #[non_exhaustive]
    FetchStarted {
        /// Why.
        cause: FetchCause,
    },
    /// A fetch brought a token.
    #[non_exhaustive]
    Fetched {
        /// Why it was started.
        cause: FetchCause,
        /// From its start.
        duration: Duration,
        /// How long the token is valid; `None` if its source did not say.
        expires_in: Option<Duration>,
        /// It came from a shared store, not from the authorization server.
        from_store: bool,
    },
    /// A fetch failed.
    #[non_exhaustive]
    FetchFailed {
        /// Why it was started.
        cause: FetchCause,
        /// From its start.
        duration: Duration,
        /// What went wrong.
        error: &'a Error,
        /// How many have failed in a row, this one included.
        consecutive: u32,
    },
    /// Fetches fail: the first failure, a failure of another kind, or the moment from which on there is no usable token. Once for
    /// each of these, not for each failure.
    #[non_exhaustive]
    Failing {
        /// The last failure.
        error: &'a Error,
        /// Whether callers still get a token.
        token_usable: bool,
        /// Since the first failure in a row.
        failing_for: Duration,
    },
    /// A fetch brought a token after failures.
    #[non_exhaustive]
    Recovered {
        /// Since the first failure in a row.
        failing_for: Duration,
        /// How many fetches failed.
        failed_fetches: u32,
        /// How many calls of `token()` returned an error meanwhile.
        failed_calls: u64,
    },
    /// An API refused the token, and another one is fetched when it is needed; or, if `honored` is false, refusals came too often,
    /// and the token stays in use.
    #[non_exhaustive]
    Rejected {
        /// Whether the token was given up.
        honored: bool,
    },
    /// An API goes on refusing access tokens: one that was fetched because of a refusal was refused as well, or there was none to
    /// take its place; or it demands a scope that the token does not have. From [`BearerAuth`](crate::BearerAuth), at most once a
    /// minute for each of its origins, each source, and each of the two reasons.
    ///
    /// `error`, `description` and `scope` are texts of the API, from its challenge for the scheme of the token: without control
    /// characters, quotes and the token, and cut.
    #[non_exhaustive]
    ApiRefuses {
        /// The origin of the API, as it was configured.
        api: &'a str,
        /// The status of its answer.
        status: u16,
        /// Its `error` code, such as `invalid_token` or `insufficient_scope` (RFC 6750 section 3.1).
        error: Option<&'a str>,
        /// Its `error_description`; of a gRPC service its `grpc-message`.
        description: Option<&'a str>,
        /// The `scope` that it demands.
        scope: Option<&'a str>,
    },
    /// A token request got its response, or failed.
    #[non_exhaustive]
    TokenRequest {
        /// Why its fetch was started.
        cause: FetchCause,
        /// The host of the token endpoint.
        server: &'a str,
        /// The status of the response, if there was one.
        status: Option<u16>,
        /// What went wrong; `None`: it brought a token.
        error: Option<&'a Error>,
        /// Of the whole attempt.
        duration: Duration,
    },
    /// A credential that says when it expires was read for a token request: a certificate, or a JWT that another program renews.
    #[non_exhaustive]
    CredentialRead {
        /// What it is.
        credential: CredentialKind,
        /// How long it is still valid; zero once it has expired.
        expires_in: Duration,
    },
    /// A call of `token()` had to wait for a fetch, and has a token or an error now. What is answered from the cache is no event.
    #[non_exhaustive]
    Waited {
        /// From the call until now.
        duration: Duration,
        /// What the caller got; `None`: a token.
        error: Option<&'a Error>,
    },
    /// An operation of the shared store ended.
    #[non_exhaustive]
    StoreOperation {
        /// `get`, `put`, `delete`, `lease` or `release`.
        operation: &'static str,
        /// Of the operation alone.
        duration: Duration,
        /// What went wrong, if anything did: the store failed, or did not answer in time.
        error: Option<&'a Error>,
    },
    /// A token request was repeated because the server demanded a DPoP nonce (RFC 9449 section 8).
    NonceRetry,
    /// The tokens cannot be cached: they expire within the safety margin, or state no lifetime and `assumed` is used. Once for each
    /// source.
    #[non_exhaustive]
    UnusualLifetime {
        /// The lifetime that is assumed; `None`: the tokens are expired on arrival.
        assumed: Option<Duration>,
    },
}

/// The observers of one source, and its name.
#[derive(Clone)]
pub(crate) struct Observers(Arc<Inner>);

struct Inner {
    name: String,
    observers: Vec<Arc<dyn Observer>>,
    /// The cause of the fetch that started last, as a number: sources do not know of fetches.
    cause: AtomicU8,
}

impl Observers {
    pub(crate) fn new(name: String, observers: Vec<Arc<dyn Observer>>) -> Self {
        Observers(Arc::new(Inner { name, observers, cause: AtomicU8::new(0) }))
    }

    /// For a source without a name: a number, and `of`.
    pub(crate) fn unnamed(of: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Observers::new(format!("{of}#{number}"), Vec::new())
    }

    pub(crate) fn with(self, observers: Vec<Arc<dyn Observer>>) -> Self {
        Observers::new(self.0.name.clone(), observers)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `fetch` in a span of its own, to which waiting callers can be linked through `span`.
    pub(crate) fn in_span<F: Future>(
        &self,
        span: &FetchSpan,
        cause: FetchCause,
        fetch: F,
        failure: fn(&F::Output) -> Option<&Error>,
    ) -> impl Future<Output = F::Output> + use<F> {
        self.0.cause.store(cause as u8, Ordering::Relaxed);
        span.around(self.name(), cause, fetch, failure)
    }

    /// The span of a token request to the host `server`: within that of its fetch.
    pub(crate) fn attempt(&self, server: &str) -> AttemptSpan {
        AttemptSpan::new(self.name(), server)
    }

    /// The cause of the fetch in progress. There is one at a time; one that was taken over has the cause of its
    /// successor.
    pub(crate) fn cause(&self) -> FetchCause {
        let number = self.0.cause.load(Ordering::Relaxed);
        let all = [FetchCause::Cold, FetchCause::Refresh, FetchCause::Rejection];
        all.into_iter().find(|cause| *cause as u8 == number).unwrap_or(FetchCause::Cold)
    }

    pub(crate) fn emit(&self, event: &Event<'_>) {
        let name = self.name();
        #[cfg(feature = "tracing")]
        tracing::emit(Some(name), event);
        #[cfg(feature = "metrics")]
        metrics::emit(name, event);
        for observer in &self.0.observers {
            // User code: a panic in it has no effect elsewhere.
            let _ = contained(|| observer.observe(name, event));
        }
    }
}

/// A label with few values.
#[cfg(any(feature = "metrics", feature = "tracing"))]
fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Configuration => "configuration",
        ErrorKind::Credential => "credential",
        ErrorKind::Denied => "denied",
        ErrorKind::Throttled => "throttled",
        ErrorKind::Transport => "transport",
        ErrorKind::Tls => "tls",
        ErrorKind::Response => "response",
        ErrorKind::Other => "other",
    }
}

/// Emits an event of a source without a name, for example of a user's own token.
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "for tracing"))]
pub(crate) fn emit_unnamed(event: &Event<'_>) {
    #[cfg(feature = "tracing")]
    tracing::emit(None, event);
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    #[test]
    fn an_observer_that_panics_keeps_no_other_from_its_event() {
        let seen: Arc<Lock<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&seen);
        let observers: Vec<Arc<dyn Observer>> = vec![
            Arc::new(|_: &str, _: &Event<'_>| panic!("rude")),
            Arc::new(move |name: &str, event: &Event<'_>| heard.lock().push(format!("{name} {event:?}"))),
        ];
        Observers::new("billing".into(), observers).emit(&Event::NonceRetry);
        assert_eq!(*seen.lock(), ["billing NonceRetry"]);
    }

    #[test]
    fn unnamed_sources_are_numbered() {
        let (one, other) = (Observers::unnamed("auth.example.com"), Observers::unnamed("auth.example.com"));
        assert_ne!(one.name(), other.name());
        assert!(one.name().starts_with("auth.example.com#"));
    }
}
