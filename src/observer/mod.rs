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
/// happened, and must not block. A panic in it is contained and ignored. The features `tracing` and `metrics` are built-in
/// observers.
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
    /// Called for each event of the source with this name.
    fn observe(&self, source: &str, event: &Event<'_>);
}

impl<F: Fn(&str, &Event<'_>) + Send + Sync> Observer for F {
    fn observe(&self, source: &str, event: &Event<'_>) {
        self(source, event);
    }
}

/// Why a fetch started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum FetchCause {
    /// There was no usable token.
    Cold,
    /// The token was due.
    Refresh,
    /// The API had rejected the token.
    Rejection,
}

impl FetchCause {
    /// Returns `cold`, `refresh` or `rejection`, the label of metrics and events.
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

/// The kind of a credential that expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// The client's certificate, for mutual TLS or in the header of assertions.
    Certificate,
    /// A JWT of a platform: a client assertion that another program issues, or the token to exchange.
    Assertion,
}

impl CredentialKind {
    /// Returns `certificate` or `assertion`, the label of metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialKind::Certificate => "certificate",
            CredentialKind::Assertion => "assertion",
        }
    }
}

/// An event of a token source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A fetch started.
    #[non_exhaustive]
    FetchStarted {
        /// The cause of the fetch.
        cause: FetchCause,
    },
    /// A fetch returned a token.
    #[non_exhaustive]
    Fetched {
        /// The cause of the fetch.
        cause: FetchCause,
        /// The duration of the fetch.
        duration: Duration,
        /// The lifetime of the token; `None` if it is not stated.
        expires_in: Option<Duration>,
        /// Whether the token came from a shared store, not from the authorization server.
        from_store: bool,
    },
    /// A fetch failed.
    #[non_exhaustive]
    FetchFailed {
        /// The cause of the fetch.
        cause: FetchCause,
        /// The duration of the fetch.
        duration: Duration,
        /// The failure.
        error: &'a Error,
        /// How many fetches have failed in a row, including this one.
        consecutive: u32,
    },
    /// Fetches fail. Emitted for the first failure, for a failure of another kind, and when there is no usable token
    /// any more, but not for each failure.
    #[non_exhaustive]
    Failing {
        /// The last failure.
        error: &'a Error,
        /// Whether callers still get a token.
        token_usable: bool,
        /// The time since the first failure in a row.
        failing_for: Duration,
    },
    /// A fetch returned a token after failures.
    #[non_exhaustive]
    Recovered {
        /// The time since the first failure in a row.
        failing_for: Duration,
        /// How many fetches failed.
        failed_fetches: u32,
        /// How many calls of `token()` returned an error meanwhile.
        failed_calls: u64,
    },
    /// An API rejected a token. If `honored` is true, it was the current one, and another one is fetched on demand.
    ///
    /// Otherwise the rejection has no effect: the token was not the current one any more (of many requests that are rejected
    /// at once, all but the first), the server had issued the same value again after a rejection, or there were more
    /// rejections than [`CachePolicy::forced_refreshes`](crate::CachePolicy::forced_refreshes) allows.
    #[non_exhaustive]
    Rejected {
        /// Whether the current token is no longer used.
        honored: bool,
    },
    /// An API rejects token after token: one that was fetched after a rejection was rejected, too, or there was none to
    /// replace it; or the API requires a scope that the token does not have. From [`BearerAuth`](crate::BearerAuth), at
    /// most once a minute for each of its origins, each source, and each of the two reasons.
    ///
    /// `error`, `description` and `scope` are texts of the API, from its challenge for the scheme of the token. The first two
    /// are sanitised: without control characters, quotes and the token, and truncated. `scope` is `None` if it is not valid
    /// (RFC 6749 section 3.3), contains the token or has more than 1024 characters.
    #[non_exhaustive]
    ApiRefuses {
        /// The origin of the API, as it was configured.
        api: &'a str,
        /// The status of its response.
        status: u16,
        /// Its `error` code, such as `invalid_token` or `insufficient_scope` (RFC 6750 section 3.1).
        error: Option<&'a str>,
        /// Its `error_description`, or the `grpc-message` of a gRPC service.
        description: Option<&'a str>,
        /// The `scope` that it requires.
        scope: Option<&'a str>,
    },
    /// A token request got a response, or failed.
    #[non_exhaustive]
    TokenRequest {
        /// The cause of its fetch.
        cause: FetchCause,
        /// The host of the token endpoint.
        server: &'a str,
        /// The status of the response, if there was one.
        status: Option<u16>,
        /// The failure; `None`: the response has a token.
        error: Option<&'a Error>,
        /// The duration of the whole attempt.
        duration: Duration,
    },
    /// A credential that states when it expires was read for a token request: a certificate, or a JWT that another
    /// program renews.
    #[non_exhaustive]
    CredentialRead {
        /// The kind of the credential.
        credential: CredentialKind,
        /// Its remaining lifetime; zero once it has expired.
        expires_in: Duration,
    },
    /// A call of `token()` that had to wait for a fetch has completed. Calls that return a cached token cause no event.
    #[non_exhaustive]
    Waited {
        /// The duration of the wait.
        duration: Duration,
        /// The error that the caller got; `None`: a token.
        error: Option<&'a Error>,
    },
    /// An operation of the shared store ended.
    #[non_exhaustive]
    StoreOperation {
        /// `get`, `put`, `delete`, `lease` or `release`; `key` if the seal key cannot be read.
        operation: &'static str,
        /// The duration of the operation.
        duration: Duration,
        /// The failure, if the store failed or did not respond in time.
        error: Option<&'a Error>,
    },
    /// A token request was repeated because the server required a DPoP nonce (RFC 9449 section 8).
    NonceRetry,
    /// The tokens have an unusual lifetime: they expire within the safety margin and cannot be cached, or the server
    /// states none and `assumed` is used. Emitted once for each source.
    #[non_exhaustive]
    UnusualLifetime {
        /// The assumed lifetime; `None`: the tokens are expired on arrival.
        assumed: Option<Duration>,
    },
}

/// The observers of one source, and its name.
#[derive(Clone)]
pub(crate) struct Observers(Arc<Inner>);

struct Inner {
    name: String,
    /// The name was given, and is not a number.
    is_named: bool,
    observers: Vec<Arc<dyn Observer>>,
    /// The cause of the fetch that started last, as a number: sources do not know of fetches.
    cause: AtomicU8,
}

impl Observers {
    pub(crate) fn new(name: String, observers: Vec<Arc<dyn Observer>>) -> Self {
        Observers::of(name, true, observers)
    }

    /// For a source without a name: a number, and `of`.
    pub(crate) fn unnamed(of: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Observers::of(format!("{of}#{number}"), false, Vec::new())
    }

    pub(crate) fn with(self, observers: Vec<Arc<dyn Observer>>) -> Self {
        Observers::of(self.0.name.clone(), self.0.is_named, observers)
    }

    fn of(name: String, is_named: bool, observers: Vec<Arc<dyn Observer>>) -> Self {
        Observers(Arc::new(Inner { name, is_named, observers, cause: AtomicU8::new(0) }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The error with the name that the source was given.
    pub(crate) fn named(&self, error: Error) -> Error {
        if self.0.is_named { error.at(&format!("source {:?}", self.name())) } else { error }
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
    fn an_observer_that_panics_does_not_keep_others_from_their_event() {
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
    fn the_cause_of_the_last_fetch_is_known_to_its_requests() {
        let observers = Observers::unnamed("auth.example.com");
        for cause in [FetchCause::Rejection, FetchCause::Refresh, FetchCause::Cold] {
            drop(observers.in_span(&FetchSpan::default(), cause, async {}, |()| None));
            assert_eq!(observers.cause(), cause);
        }
    }

    #[test]
    fn the_labels_of_metrics_and_events_are_those_of_the_documentation() {
        let causes = [FetchCause::Cold, FetchCause::Refresh, FetchCause::Rejection].map(FetchCause::as_str);
        assert_eq!(causes, ["cold", "refresh", "rejection"]);
        let credentials = [CredentialKind::Certificate, CredentialKind::Assertion].map(CredentialKind::as_str);
        assert_eq!(credentials, ["certificate", "assertion"]);
    }

    #[test]
    fn unnamed_sources_are_numbered() {
        let (one, other) = (Observers::unnamed("auth.example.com"), Observers::unnamed("auth.example.com"));
        assert_ne!(one.name(), other.name());
        assert!(one.name().starts_with("auth.example.com#"));
    }

    #[test]
    fn an_observer_and_a_cause_are_shown_by_their_names() {
        assert_eq!(format!("{:?}", Observers::new("billing".into(), Vec::new())), "Observers(\"billing\")");
        assert_eq!(FetchCause::Refresh.to_string(), "refresh");
    }
}
