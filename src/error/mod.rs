//! The error type: kind, message, and whether another attempt may succeed.

mod cause;
mod oauth;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

pub(crate) use cause::Cause;
pub use oauth::OAuthError;

/// The reason why no token is available.
///
/// One pointer in size and cheap to clone: all callers that waited for a fetch get the same error. `Display` prints what
/// happened, with the innermost cause if it is useful (`connection refused`). [`source`](StdError::source) returns the chain
/// of causes, and `{error:#}` prints all of it in one line, for a log. No error of this crate contains a secret, a token, the
/// body of a successful response or the query of a URL.
///
/// No error of `token()` is permanent: later calls start new attempts, at intervals that the source controls.
///
/// ```
/// # fn log(error: &client_credentials::Error) {
/// use client_credentials::ErrorKind;
/// match error.kind() {
///     ErrorKind::Denied => eprintln!("ask the administrator: {error:#}"),
///     _ if error.is_transient() => eprintln!("it is retried: {error:#}"),
///     _ => eprintln!("{error:#}"),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    /// Server, client and credential; the name of the source. `Display` adds them in parentheses.
    place: String,
    transient: bool,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    oauth: Option<OAuthError>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// `Display` ends in the innermost cause.
    shows_cause: bool,
    look: Option<Look>,
    /// Set if it is returned again without another attempt: the error of the last attempt, and the time until the next.
    memory: Option<(Error, Duration)>,
}

/// Checks whether the cause of an error, such as a file, has changed since. Sends no request.
pub(crate) type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The kinds of [`Error`]. "Retried" says whether the crate retries on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `build()` refused the configuration, or a request was addressed to an origin that is not configured.
    ///
    /// Retried: no. What to do: correct the fields that the text lists.
    Configuration,
    /// The credential could not be read: a variable or file is missing, a closure or signer failed, or a key is malformed.
    ///
    /// Retried: yes, the credential is read again for each attempt. What to do: provide the credential in the place that the
    /// text names.
    Credential,
    /// The authorization server refused the client or its request (`invalid_client`, `invalid_scope`, ..).
    ///
    /// A 401 from the token endpoint is a failed client authentication (RFC 6749 section 5.2), whatever its error code and
    /// body; so is a 403 without an OAuth error. With any other status the OAuth error code decides, wherever the response has
    /// it. An HTML page is of kind [`Response`](Self::Response) and transient, since firewalls and proxies send such pages,
    /// unless it comes with 401 and a challenge (`WWW-Authenticate`).
    ///
    /// `invalid_grant` means that the assertion or the token to exchange was refused ([`TokenExchange`](crate::TokenExchange),
    /// [`JwtBearer`](crate::JwtBearer)), for instance because it has expired by the server's clock. It is read again within the
    /// same fetch, and sent once more if it has changed. One that has expired by the local clock is not sent; that is an error of
    /// kind [`Credential`](Self::Credential).
    ///
    /// Retried: at once only if the credential has changed meanwhile; otherwise after 1 s, doubling to 60 s, so that the
    /// server does not lock the account. What to do: follow the text, and compare [`Error::oauth`] with the client's
    /// registration at the server.
    Denied,
    /// The authorization server limits the request rate (429).
    ///
    /// Retried: after [`Error::retry_after`] or 1 s, doubling to 60 s; never within a fetch. What to do: share one source
    /// between all tasks, or request a larger quota.
    Throttled,
    /// No response, or no complete one with a token, was received: connecting, sending or reading failed, or a timeout passed.
    ///
    /// Retried: yes. What to do: check that the authorization server is up and reachable from this machine.
    Transport,
    /// The authorization server's certificate was not accepted, or the server refused the client's.
    ///
    /// Retried: not within a fetch. What to do: add the server's CA with
    /// [`http_client`](crate::ClientCredentialsBuilder::http_client); check validity dates and host names.
    Tls,
    /// The response has no usable token or metadata (a server error, an HTML page instead of JSON, a malformed token, metadata
    /// of another issuer).
    ///
    /// Retried: if [`Error::is_transient`] returns `true`. What to do: the message contains the status and what is wrong;
    /// check the endpoint URL first.
    Response,
    /// Anything else: an error of a custom source, an unknown OAuth error code, a missing runtime.
    ///
    /// Retried: if [`Error::is_transient`] returns `true`. What to do: see the text and the [`source`](StdError::source).
    Other,
}

impl Error {
    /// Returns the kind, for a `match`.
    pub fn kind(&self) -> ErrorKind {
        self.facts().kind
    }

    /// Returns whether another attempt may succeed without any change.
    pub fn is_transient(&self) -> bool {
        self.facts().transient
    }

    /// Finds an error of this crate inside another error, for example that of reqwest-middleware or tower.
    ///
    /// Walks `e` and its sources.
    ///
    /// ```
    /// use client_credentials::{Error, ErrorKind};
    /// let ours = Error::other("the vault is sealed");
    /// let theirs = std::io::Error::other(ours);
    /// assert_eq!(Error::find(&theirs).map(Error::kind), Some(ErrorKind::Other));
    /// ```
    pub fn find<'e>(e: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
        if let Some(ours) = e.downcast_ref() {
            return Some(ours);
        }
        // These two error types do not return the wrapped error from `source()`.
        if let Some(inner) = e.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
            if let Some(ours) = Error::find(inner) {
                return Some(ours);
            }
        }
        #[cfg(feature = "reqwest-middleware")]
        if let Some(reqwest_middleware::Error::Middleware(inner)) = e.downcast_ref() {
            return inner.chain().find_map(Error::find);
        }
        e.source().and_then(Error::find)
    }

    /// Returns how long the authorization server asked to wait (`Retry-After`, RFC 9110 section 10.2.3; with 429 also the
    /// headers that state when a rate limit resets). At most one day.
    pub fn retry_after(&self) -> Option<Duration> {
        self.facts().retry_after
    }

    /// Returns the time until the next attempt, if this error was returned without a new attempt: after a failure, a source
    /// returns its last error again until the next attempt is allowed. `None` if this is the error of an attempt itself or of
    /// the call.
    ///
    /// The text contains this time, too.
    pub fn next_attempt_in(&self) -> Option<Duration> {
        self.0.memory.as_ref().map(|(_, wait)| *wait)
    }

    /// Returns the OAuth error of the response (RFC 6749 section 5.2), sanitised.
    pub fn oauth(&self) -> Option<&OAuthError> {
        self.facts().oauth.as_ref()
    }

    /// Returns the HTTP status of the response, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.facts().status
    }

    /// Creates an error for a custom source. [`Cached`](crate::Cached) chooses the backoff by its kind and by
    /// [`with_retry_after`](Self::with_retry_after).
    ///
    /// `cause` becomes the [`source`](StdError::source). Keep secrets out of its text.
    ///
    /// ```
    /// use client_credentials::{Error, ErrorKind};
    /// use std::time::Duration;
    ///
    /// let cause = "the vault allows 10 requests a minute";
    /// let error = Error::new(ErrorKind::Throttled, cause)
    ///     .transient()
    ///     .with_retry_after(Duration::from_secs(6));
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(6)));
    /// assert!(error.to_string().ends_with(cause));
    /// ```
    pub fn new(kind: ErrorKind, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error::of(kind, "the token source failed").because_of(cause)
    }

    /// Creates an error of kind [`ErrorKind::Other`] for a custom source, not transient; for `map_err`. An [`Error`] of this
    /// crate is returned unchanged.
    pub fn other(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match cause.into().downcast::<Error>() {
            Ok(ours) => *ours,
            Err(cause) => Error::new(ErrorKind::Other, cause),
        }
    }

    /// Marks the error as transient: another attempt may succeed without any change.
    #[must_use = "it returns the error"]
    pub fn transient(self) -> Self {
        self.edit(|inner| inner.transient = true)
    }

    /// Sets how long to wait before the next fetch, within the limits of [`CachePolicy`](crate::CachePolicy).
    #[must_use = "it returns the error"]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.edit(|inner| inner.retry_after = Some(wait))
    }

    /// Of a credential that cannot be read or used. Transient: it may have been half written or half rotated.
    pub(crate) fn of_credential(message: impl Into<Cow<'static, str>>) -> Self {
        Error::of(ErrorKind::Credential, message).transient()
    }

    pub(crate) fn of(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            place: String::new(),
            transient: false,
            status: None,
            retry_after: None,
            oauth: None,
            source: None,
            shows_cause: false,
            look: None,
            memory: None,
        }))
    }

    /// The same error, returned again `wait` before the next attempt.
    pub(crate) fn remembered(&self, wait: Duration) -> Self {
        // It has no text of its own: `facts` are those of the original.
        Error::of(self.kind(), "").edit(|inner| inner.memory = Some((self.original().clone(), wait)))
    }

    pub(crate) fn with_status(self, status: impl Into<Option<StatusCode>>) -> Self {
        self.edit(|inner| inner.status = status.into())
    }

    pub(crate) fn asked_to_wait(self, wait: Option<Duration>) -> Self {
        self.edit(|inner| inner.retry_after = wait)
    }

    pub(crate) fn with_oauth(self, oauth: impl Into<Option<OAuthError>>) -> Self {
        self.edit(|inner| inner.oauth = oauth.into())
    }

    /// The next attempt need not wait once `look` returns that the cause has changed.
    pub(crate) fn until(self, look: Option<Look>) -> Self {
        self.edit(|inner| inner.look = look)
    }

    pub(crate) fn look(&self) -> Option<&Look> {
        self.0.look.as_ref()
    }

    /// Appends what to do.
    pub(crate) fn advised(self, advice: &str) -> Self {
        match advice.is_empty() {
            true => self,
            false => self.edit(|inner| inner.message = format!("{}; {advice}", inner.message).into()),
        }
    }

    /// Adds where it happened.
    pub(crate) fn at(self, place: &str) -> Self {
        self.edit(|inner| {
            if !inner.place.is_empty() && !place.is_empty() {
                inner.place.push_str(", ");
            }
            inner.place.push_str(place);
        })
    }

    fn text(&self) -> String {
        let Inner { message, place, .. } = self.facts();
        if place.is_empty() { message.to_string() } else { format!("{message} ({place})") }
    }

    pub(crate) fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        self.edit(|inner| inner.source = Some(source))
    }

    /// Like [`because`](Self::because), and `Display` shows the innermost cause, since most handlers print one level.
    pub(crate) fn because_of(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.because(source).edit(|inner| inner.shows_cause = true)
    }

    pub(crate) fn is_same_as(&self, other: &Error) -> bool {
        Arc::ptr_eq(&self.original().0, &other.original().0)
    }

    fn original(&self) -> &Error {
        self.0.memory.as_ref().map_or(self, |(original, _)| original)
    }

    fn facts(&self) -> &Inner {
        &self.original().0
    }

    /// An error has one owner while it is being made, so that the edit always takes effect.
    fn edit(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            edit(inner);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.facts();
        f.write_str(&self.text())?;
        let mut next = self.source();
        while let Some(source) = next {
            next = source.source();
            if f.alternate() || next.is_none() && facts.shows_cause {
                write!(f, ": {source}")?;
            }
        }
        match self.next_attempt_in() {
            Some(wait) => {
                write!(f, " (the error of the last attempt; the next one is made in {:.1} s)", wait.as_secs_f64())
            }
            None => Ok(()),
        }
    }
}

/// The causes are printed as texts, from the outermost to the innermost: nested structs would be unreadable.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.facts();
        let mut out = f.debug_struct("Error");
        out.field("kind", &facts.kind).field("message", &self.text()).field("transient", &facts.transient);
        if let Some(status) = facts.status {
            out.field("status", &status.as_u16());
        }
        if let Some(wait) = facts.retry_after {
            out.field("retry_after", &wait);
        }
        if let Some(oauth) = &facts.oauth {
            out.field("oauth", oauth);
        }
        let causes: Vec<_> = std::iter::successors(self.source(), |e| (*e).source()).map(ToString::to_string).collect();
        if !causes.is_empty() {
            out.field("causes", &causes);
        }
        if let Some(wait) = self.next_attempt_in() {
            out.field("next_attempt_in", &wait);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.facts().source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_in_size() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Error>>(), size_of::<usize>());
    }

    #[test]
    fn our_error_is_found_inside_errors_of_other_crates() {
        let ours = Error::of(ErrorKind::Denied, "no");
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(std::io::Error::other(ours.clone()));
        assert_eq!(Error::find(&*boxed).map(Error::kind), Some(ErrorKind::Denied));
        assert_eq!(Error::find(&ours).map(Error::kind), Some(ErrorKind::Denied));
        assert!(Error::find(&std::io::Error::other("not ours")).is_none());
    }

    #[test]
    fn our_error_inside_a_custom_error_keeps_its_kind() {
        assert_eq!(Error::other(Error::of(ErrorKind::Tls, "bad")).kind(), ErrorKind::Tls);
        let foreign = Error::other("mine");
        assert_eq!(foreign.kind(), ErrorKind::Other);
        assert_eq!(foreign.source().map(|s| s.to_string()).as_deref(), Some("mine"));
    }

    #[test]
    fn display_prints_one_level() {
        let error = Error::of(ErrorKind::Transport, "outer").because("inner");
        assert_eq!(error.to_string(), "outer");
        assert_eq!(format!("{error:#}"), "outer: inner");
    }

    #[test]
    fn places_are_joined_and_an_empty_one_adds_nothing() {
        for (places, shown) in
            [(&["", ""][..], "no"), (&["a", ""], "no (a)"), (&["", "b"], "no (b)"), (&["a", "b"], "no (a, b)")]
        {
            let error = places.iter().fold(Error::of(ErrorKind::Other, "no"), |error, place| error.at(place));
            assert_eq!(error.to_string(), shown);
        }
    }

    #[test]
    fn a_remembered_error_says_so_and_is_the_same_error() {
        // FB10
        let fresh = Error::of(ErrorKind::Denied, "no").because_of("why").with_retry_after(Duration::from_secs(7));
        let again = fresh.remembered(Duration::from_millis(2_340));
        assert_eq!(again.to_string(), "no: why (the error of the last attempt; the next one is made in 2.3 s)");
        assert_eq!((again.kind(), again.retry_after()), (fresh.kind(), fresh.retry_after()));
        assert_eq!((again.next_attempt_in(), fresh.next_attempt_in()), (Some(Duration::from_millis(2_340)), None));
        assert!(again.is_same_as(&fresh) && !again.is_same_as(&Error::of(ErrorKind::Denied, "no")));
        assert_eq!(again.source().unwrap().to_string(), "why");
        let twice = again.remembered(Duration::from_secs(1));
        assert!(twice.to_string().ends_with("no: why (the error of the last attempt; the next one is made in 1.0 s)"));
    }

    #[test]
    fn the_debug_form_of_a_chain_is_a_list_of_texts() {
        let cause = Error::of(ErrorKind::Other, "b").because(std::io::Error::other("c"));
        let text = format!("{:?}", Error::of(ErrorKind::Tls, "a").because(cause));
        assert_eq!(text, r#"Error { kind: Tls, message: "a", transient: false, causes: ["b", "c"] }"#);
    }
}
