//! What a diagnosis tells: the steps, and the verdict.

use std::fmt;
use std::time::Duration;

/// What [`ClientCredentialsBuilder::diagnose`](crate::ClientCredentialsBuilder::diagnose) found: each step with its time, the
/// cause, and what to change.
///
/// `Display` is for people; with the feature `serde` it is `Serialize`. Neither contains a secret or a token.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// In the order in which they were taken.
    pub steps: Vec<Step>,
    /// What is wrong, or [`Cause::Works`].
    pub cause: Cause,
    /// The verdict, in a sentence.
    pub summary: String,
    /// What to change, the likeliest first.
    pub advice: Vec<String>,
    /// How many token requests were sent: none or one, and one more if the server demanded a DPoP nonce.
    pub token_requests: u64,
}

impl Diagnosis {
    /// Whether a token was issued and, if one was asked, the API accepted it.
    pub fn works(&self) -> bool {
        self.cause == Cause::Works
    }
}

/// One step of a [`Diagnosis`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Step {
    /// What was looked at: `name`, `connection`, `TLS`, ..
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was seen.
    pub details: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// How a [`Step`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Fine,
    /// It may be a reason.
    Suspicious,
    /// It failed.
    Failed,
    /// It does not apply, or an earlier step prevents it.
    Skipped,
}

/// What prevents a token, or its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// Nothing: a token was issued.
    Works,
    /// `build()` refuses the configuration.
    Configuration,
    /// The credential cannot be read.
    CredentialUnreadable,
    /// The credential begins or ends with a line break, a blank, a byte order mark or quotes.
    CredentialEdges,
    /// The assertion or certificate that is the credential has expired.
    CredentialExpired,
    /// The server does not accept the client with this credential.
    ClientRefused,
    /// The secret is a UUID at Entra ID: the id of the secret instead of its value.
    SecretId,
    /// The secret or id has characters that are encoded under Basic, and the server may not decode them.
    BasicEncoding,
    /// The server does not support the client authentication method.
    MethodNotSupported,
    /// The client may not use this grant.
    GrantNotAllowed,
    /// The URL is not that of a token endpoint.
    NotATokenEndpoint,
    /// The metadata cannot be used.
    Metadata,
    /// The scope is refused, or narrower than the one asked for.
    Scope,
    /// `audience` or `resource` is missing, unknown or not granted.
    AudienceOrResource,
    /// The certificate of the server is not trusted: an unknown issuer, an intercepting proxy, a name or date that does not fit.
    Tls,
    /// The name of the host cannot be resolved.
    Dns,
    /// Nothing accepts connections there.
    ConnectionRefused,
    /// A proxy is in the way.
    Proxy,
    /// There was no answer in time.
    Timeout,
    /// The connection broke, or the server cannot answer now.
    Outage,
    /// Our clock differs from the server's.
    Clock,
    /// The signed assertion is refused: audience, key id or algorithm.
    Assertion,
    /// The server demands tokens that are bound to a key (DPoP).
    DpopRequired,
    /// Too many requests.
    Quota,
    /// The API refuses the new token for its audience or issuer.
    ApiAudience,
    /// The API demands a proof of possession (DPoP).
    ApiDpop,
    /// The API demands another scope.
    ApiScope,
    /// The API cannot be reached, or answers with another error.
    Api,
    /// Something else: the summary has the error.
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
