//! The result of a diagnosis: the steps and the verdict.

use std::fmt;
use std::time::Duration;

/// The result of [`ClientCredentialsBuilder::diagnose`](crate::ClientCredentialsBuilder::diagnose): each step with its
/// duration, the cause, and what to change.
///
/// `Display` prints it for people; with the feature `serde` it implements `Serialize`. Neither contains a secret or a token.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The cause of the failure, or [`Cause::Works`].
    pub cause: Cause,
    /// The verdict, in one sentence.
    pub summary: String,
    /// What to change, the most likely first.
    pub advice: Vec<String>,
    /// The number of token requests sent: none or one, and one more if the server required a DPoP nonce.
    pub token_requests: u64,
}

impl Diagnosis {
    /// Returns whether a token was issued and, if an API was set, the API accepted it.
    pub fn works(&self) -> bool {
        self.cause == Cause::Works
    }
}

/// One step of a [`Diagnosis`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Step {
    /// What was examined: `name`, `connection`, `TLS`, ..
    pub name: &'static str,
    /// The outcome.
    pub outcome: Outcome,
    /// What was found.
    pub details: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// The outcome of a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The step succeeded.
    Fine,
    /// The finding may be a cause.
    Suspicious,
    /// The step failed.
    Failed,
    /// The step does not apply, or an earlier step prevents it.
    Skipped,
}

/// The reason why there is no token, or why the API refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// No failure: a token was issued.
    Works,
    /// `build()` refuses the configuration.
    Configuration,
    /// The credential cannot be read.
    CredentialUnreadable,
    /// The credential or the client ID begins or ends with a line break, a space, a byte order mark or quotes.
    CredentialEdges,
    /// The assertion or certificate used as the credential has expired.
    CredentialExpired,
    /// The server does not accept the client with this credential.
    ClientRefused,
    /// The secret is a UUID at Entra ID: the id of the secret instead of its value.
    SecretId,
    /// The secret or id has characters that Basic authentication encodes, and the server may not decode them.
    BasicEncoding,
    /// The server does not support the client authentication method.
    MethodNotSupported,
    /// The client may not use this grant.
    GrantNotAllowed,
    /// The URL is not that of a token endpoint.
    NotATokenEndpoint,
    /// The metadata cannot be used.
    Metadata,
    /// The scope is refused, or the granted scope is narrower than the requested one.
    Scope,
    /// `audience` or `resource` is missing, unknown or not granted.
    AudienceOrResource,
    /// The certificate of the server is not trusted: an unknown issuer, an intercepting proxy, a wrong name or a wrong date.
    Tls,
    /// The host name cannot be resolved.
    Dns,
    /// The connection is refused.
    ConnectionRefused,
    /// A proxy prevents the request.
    Proxy,
    /// There was no response in time.
    Timeout,
    /// The connection broke, or the server is temporarily unavailable.
    Outage,
    /// The local clock differs from the server's.
    Clock,
    /// The signed assertion is refused: audience, key id or algorithm.
    Assertion,
    /// The server requires tokens that are bound to a key (DPoP).
    DpopRequired,
    /// The server limits the request rate.
    Quota,
    /// The API refuses the new token for its audience or issuer.
    ApiAudience,
    /// The API requires a proof of possession (DPoP).
    ApiDpop,
    /// The API requires another scope.
    ApiScope,
    /// The API cannot be reached, or returns another error.
    Api,
    /// Another cause: the summary contains the error.
    Other,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        writeln!(f, "\n{}", self.summary)?;
        self.advice.iter().try_for_each(|advice| writeln!(f, "  - {advice}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Fine => "ok",
            Outcome::Suspicious => "look",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        };
        let milliseconds = self.duration.as_millis();
        write!(f, "{outcome:<8}{:<15}{milliseconds:>5} ms", self.name)?;
        match self.details.split_first() {
            None => Ok(()),
            Some((first, rest)) => {
                write!(f, "  {first}")?;
                rest.iter().try_for_each(|line| write!(f, "\n{:33}{line}", ""))
            }
        }
    }
}
