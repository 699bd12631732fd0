//! The status of a source, available without I/O and without waiting.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::grant::Quota;
use crate::observer::FetchCause;

/// The state of a token source at one moment, from [`ClientCredentials::status`](crate::ClientCredentials::status) or
/// [`Cached::status`](crate::Cached::status).
///
/// `Display` prints one line for a log or a health endpoint. With the feature `serde`, the type implements `Serialize`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Status {
    /// The name of the source.
    pub name: String,
    /// The state of its token.
    pub state: TokenState,
    /// Why the current token was fetched.
    pub cause: Option<FetchCause>,
    /// Whether the current token came from a shared store.
    pub from_store: bool,
    /// When the current token expires.
    #[cfg_attr(feature = "serde", serde(with = "epoch"))]
    pub expires_at: Option<SystemTime>,
    /// When the current token becomes due.
    #[cfg_attr(feature = "serde", serde(with = "epoch"))]
    pub refresh_at: Option<SystemTime>,
    /// When fetches began to fail.
    #[cfg_attr(feature = "serde", serde(with = "epoch"))]
    pub failing_since: Option<SystemTime>,
    /// How many fetches have failed in a row.
    pub consecutive_failures: u32,
    /// The last failure, if fetches fail.
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub last_error: Option<Error>,
    /// The earliest time of the next fetch, if fetches fail.
    #[cfg_attr(feature = "serde", serde(with = "epoch"))]
    pub next_attempt: Option<SystemTime>,
    /// How many tokens were replaced because an API rejected them.
    pub rejections: u64,
    /// The limits that the token endpoint reported last; `None` if it reported none, and for custom sources.
    #[cfg_attr(feature = "serde", serde(serialize_with = "limits"))]
    pub quota: Option<Quota>,
    /// Computed with the clocks of the source, not from the times above: the wall clock may be set meanwhile.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) expires_in: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) failing_for: Duration,
}

/// The state of a source's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum TokenState {
    /// No token was requested yet, or the API rejected the last one.
    Empty,
    /// A token that need not be refreshed yet.
    Fresh,
    /// A usable token that is to be refreshed.
    Due,
    /// A usable token that is being refreshed.
    Refreshing,
    /// A usable token that could not be refreshed.
    Failing,
    /// No usable token.
    Expired,
}

impl TokenState {
    /// Returns the name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenState::Empty => "empty",
            TokenState::Fresh => "fresh",
            TokenState::Due => "due",
            TokenState::Refreshing => "refreshing",
            TokenState::Failing => "failing",
            TokenState::Expired => "expired",
        }
    }
}

/// The result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Readiness {
    /// A token is usable, or none was requested yet.
    Ready,
    /// A token is usable, but could not be refreshed.
    Degraded,
    /// No token is usable, and none could be fetched.
    Down,
}

impl Status {
    /// Returns the readiness, for a health check.
    pub fn readiness(&self) -> Readiness {
        match (self.state, &self.last_error) {
            (TokenState::Empty | TokenState::Expired, Some(_)) => Readiness::Down,
            (_, Some(_)) => Readiness::Degraded,
            (_, None) => Readiness::Ready,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.state.as_str())?;
        match self.expires_in {
            Some(Duration::ZERO) | None => {}
            Some(left) => write!(f, ", expires in {}s", left.as_secs())?,
        }
        if let Some(left) = self.quota.as_ref().and_then(Quota::remaining) {
            write!(f, ", quota: {left} left")?;
        }
        if let Some(error) = &self.last_error {
            let (since, count) = (self.failing_for.as_secs(), self.consecutive_failures);
            write!(f, ", failing for {since}s ({count} in a row): {error}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod epoch {
    use std::time::SystemTime;

    use serde::{Serialize, Serializer};

    /// Seconds since the Unix epoch.
    pub(super) fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map(|since| since.as_secs()).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
fn text<S: serde::Serializer>(error: &Option<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(&format_args!("{error:#}")),
        None => serializer.serialize_none(),
    }
}

/// The headers of the quota, and the number of remaining requests.
#[cfg(feature = "serde")]
fn limits<S: serde::Serializer>(quota: &Option<Quota>, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeStruct;

    struct Headers<'q>(&'q Quota);

    impl serde::Serialize for Headers<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.headers())
        }
    }

    let Some(quota) = quota else { return serializer.serialize_none() };
    let mut shown = serializer.serialize_struct("Quota", 2)?;
    shown.serialize_field("remaining", &quota.remaining())?;
    shown.serialize_field("headers", &Headers(quota))?;
    shown.end()
}
