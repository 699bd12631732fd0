//! Client authentication at the token endpoint (RFC 6749 section 2.3; names of the IANA registry "OAuth Token Endpoint
//! Authentication Methods").

mod assertion;
mod basic;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "mtls")]
mod mutual_tls;
mod proof;

use std::fmt;
use std::time::Duration;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::credential::{Credential, Shape, expiry};
use crate::error::Error;
use crate::observer::CredentialKind;
pub use assertion::ClientAssertion;
#[cfg(feature = "jwt")]
pub use jwt::{ClientSecretJwt, PrivateKeyJwt, SignerJwt};
pub(crate) use proof::{Evidence, Proof, Recipient};

/// The client authentication method: exactly one, as RFC 6749 section 2.3 requires.
///
/// Each method has a constructor. Settings of a single method are set on the type that its constructor returns:
/// [`ClientAssertion`], `PrivateKeyJwt`, `SignerJwt` and `ClientSecretJwt` (feature `jwt`). Each of them converts into a
/// `ClientAuth`.
///
/// ```
/// use client_credentials::{ClientAuth, Credential};
///
/// let secret = Credential::file("/run/secrets/client-secret");
/// let auth = ClientAuth::client_secret_basic("billing", secret);
/// assert!(format!("{auth:?}").contains("client_secret_basic"));
/// ```
#[derive(Clone)]
pub struct ClientAuth {
    /// `None`: only an assertion identifies the client, if anything.
    client_id: Option<String>,
    method: Method,
    /// Whether only the first credential is tried, once.
    at_one_place: bool,
}

#[derive(Clone)]
enum Method {
    Basic {
        secret: Credential,
        encoded: bool,
    },
    Post(Credential),
    Assertion {
        assertion: Credential,
        kind: String,
    },
    #[cfg(feature = "jwt")]
    Jwt(Box<jwt::Assertions>),
    #[cfg(feature = "mtls")]
    MutualTls(Box<mutual_tls::MutualTls>),
    None,
}

/// The part of a connection or request that carries what authenticates the client, besides `client_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// `Authorization`, with id and secret (RFC 7617).
    Basic,
    /// The parameters of these names.
    Params(&'static [&'static str]),
    /// The TLS handshake.
    #[cfg_attr(not(feature = "mtls"), expect(dead_code, reason = "for mutual TLS"))]
    Handshake,
    Nothing,
}

impl ClientAuth {
    /// Uses `client_secret_basic`: id and secret in the `Authorization` header. Prefer it to other methods that send a secret:
    /// every server must support it (RFC 6749 section 2.3.1).
    ///
    /// Both are form-urlencoded first (RFC 6749 section 2.3.1); letters, digits and `*-._~` are not changed. For a server that
    /// does not decode them, use [`client_secret_basic_raw`](Self::client_secret_basic_raw).
    pub fn client_secret_basic(client_id: impl Into<String>, secret: impl Into<Credential>) -> Self {
        ClientAuth::new(client_id, Method::Basic { secret: secret.into(), encoded: true })
    }

    /// Uses `client_secret_basic` without the encoding (RFC 7617 only), for servers that do not decode id and secret. Use it
    /// if the secret has characters such as `+`, `/` or `%` and the encoded form is refused with `invalid_client`.
    pub fn client_secret_basic_raw(client_id: impl Into<String>, secret: impl Into<Credential>) -> Self {
        ClientAuth::new(client_id, Method::Basic { secret: secret.into(), encoded: false })
    }

    /// Uses `client_secret_post`: id and secret in the request's form (RFC 6749 section 2.3.1).
    pub fn client_secret_post(client_id: impl Into<String>, secret: impl Into<Credential>) -> Self {
        ClientAuth::new(client_id, Method::Post(secret.into()))
    }

    /// Uses `none`: only the id (RFC 7591 section 2), for a server that identifies the client by other means, such as a
    /// service mesh.
    pub fn none(client_id: impl Into<String>) -> Self {
        ClientAuth::new(client_id, Method::None)
    }

    /// Sends no client id and no credential, for token endpoints that identify the caller by the grant itself, such as a token
    /// exchange (RFC 8693) of a platform's token.
    pub fn anonymous() -> Self {
        ClientAuth { client_id: None, method: Method::None, at_one_place: false }
    }

    fn new(client_id: impl Into<String>, method: Method) -> Self {
        ClientAuth { client_id: Some(client_id.into()), method, at_one_place: false }
    }

    /// The name for texts: that of the IANA registry, if it is known.
    pub(crate) fn name(&self) -> &'static str {
        match &self.method {
            Method::Basic { .. } => "client_secret_basic",
            Method::Post(_) => "client_secret_post",
            Method::Assertion { .. } => "client_assertion",
            #[cfg(feature = "jwt")]
            Method::Jwt(assertions) => assertions.name(),
            // `tls_client_auth` or `self_signed_tls_client_auth`: the registration decides.
            #[cfg(feature = "mtls")]
            Method::MutualTls(_) => "mutual TLS",
            Method::None if self.client_id.is_none() => "anonymous",
            Method::None => "none",
        }
    }

    /// Its possible names in `token_endpoint_auth_methods_supported` (RFC 8414 section 2); empty if unknown.
    pub(crate) fn registered_names(&self) -> Vec<&'static str> {
        match &self.method {
            Method::Assertion { .. } => Vec::new(),
            #[cfg(feature = "mtls")]
            Method::MutualTls(_) => vec!["tls_client_auth", "self_signed_tls_client_auth"],
            Method::None if self.client_id.is_none() => Vec::new(),
            _ => vec![self.name()],
        }
    }

    /// Empty if there is none.
    pub(crate) fn id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// Whether the method sends `client_id` in the form.
    pub(crate) fn posts_client_id(&self) -> bool {
        match self.method {
            Method::Basic { .. } => false,
            // RFC 7521 section 4.2: optional, since the assertion names the client.
            #[cfg(feature = "jwt")]
            Method::Jwt(_) => false,
            // RFC 8705 section 2: required.
            #[cfg(feature = "mtls")]
            Method::MutualTls(_) => true,
            Method::Post(_) | Method::Assertion { .. } | Method::None => true,
        }
    }

    /// Whether the method encodes id and secret (RFC 6749 section 2.3.1).
    pub(crate) fn is_encoded_basic(&self) -> bool {
        matches!(self.method, Method::Basic { encoded: true, .. })
    }

    /// Whether encoding changes the secret or the id (RFC 6749 section 2.3.1).
    pub(crate) fn encodes(&self, evidence: &Evidence) -> bool {
        let changes = |text: &str| basic::percent_encoded(text).as_str() != text;
        match (&self.method, evidence) {
            (Method::Basic { encoded: true, .. }, Evidence::Secret(secret)) => {
                changes(secret.expose_secret()) || changes(self.id())
            }
            _ => false,
        }
    }

    /// Where the credential is from; empty if there is none.
    pub(crate) fn credential_shown(&self) -> String {
        self.credential().map(|credential| format!("{credential:?}")).unwrap_or_default()
    }

    /// What carries the proof, for explanations and for the check that no parameter is sent twice.
    pub(crate) fn carrier(&self) -> Carrier {
        match &self.method {
            Method::Basic { .. } => Carrier::Basic,
            Method::Post(_) => Carrier::Params(&["client_secret"]),
            Method::Assertion { .. } => Carrier::Params(&["client_assertion_type", "client_assertion"]),
            #[cfg(feature = "jwt")]
            Method::Jwt(_) => Carrier::Params(&["client_assertion_type", "client_assertion"]),
            #[cfg(feature = "mtls")]
            Method::MutualTls(_) => Carrier::Handshake,
            Method::None => Carrier::Nothing,
        }
    }

    /// Whether it signs an assertion for each attempt.
    pub(crate) fn signs(&self) -> bool {
        #[cfg(feature = "jwt")]
        return matches!(self.method, Method::Jwt(_));
        #[cfg(not(feature = "jwt"))]
        false
    }

    /// `client_assertion_type`, for a method with an assertion.
    pub(crate) fn assertion_type(&self) -> &str {
        match &self.method {
            Method::Assertion { kind, .. } => kind,
            _ => JWT_BEARER,
        }
    }

    /// Whether the method sends this parameter in the form.
    pub(crate) fn posts(&self, name: &str) -> bool {
        match self.carrier() {
            _ if name == "client_id" => self.client_id.is_some() && self.posts_client_id(),
            Carrier::Params(names) => names.contains(&name),
            _ => false,
        }
    }

    /// What is probably unintended in the id, and in the secret as it was read.
    pub(crate) fn slips(&self, evidence: &Evidence) -> Vec<String> {
        let of = |what: &str, text: &str| {
            Shape::of(text).flaws.iter().map(|flaw| format!("{what} {flaw}")).collect::<Vec<_>>()
        };
        let secret = evidence.secret().map(|secret| of("the secret", secret.expose_secret()));
        of("the client ID", self.id()).into_iter().chain(secret.into_iter().flatten()).collect()
    }

    /// Whether the proof is in the TLS handshake.
    pub(crate) fn is_mutual_tls(&self) -> bool {
        matches!(self.carrier(), Carrier::Handshake)
    }

    /// The faults that can be found without I/O: (field, flaw). `names_issuer`: the issuer will be known.
    #[cfg_attr(not(feature = "jwt"), expect(unused_variables, reason = "for assertions"))]
    pub(crate) fn faults(&self, names_issuer: bool) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let control = |text: &str| {
            text.chars().any(char::is_control).then(|| "has a control character (a line break?)".to_owned())
        };
        if let Some(id) = &self.client_id {
            if id.is_empty() {
                faults.push(("client_id", "is empty".into()));
            } else if let Some(flaw) = control(id) {
                faults.push(("client_id", flaw));
            } else if matches!(self.method, Method::Basic { encoded: false, .. }) && id.contains(':') {
                // RFC 7617 section 2: the first colon ends the id.
                faults.push(("client_id", "has a colon, which the raw form of Basic cannot carry".into()));
            }
        }
        match &self.method {
            Method::Basic { secret, .. } | Method::Post(secret) => {
                faults.extend(secret.fault().map(|flaw| ("client_secret", flaw)));
            }
            Method::Assertion { assertion, kind } => {
                faults.extend(assertion.fault_or_empty().map(|flaw| ("client_assertion", flaw)));
                if kind.is_empty() {
                    faults.push(("client_assertion_type", "is empty".into()));
                }
            }
            #[cfg(feature = "jwt")]
            Method::Jwt(assertions) => faults.extend(assertions.faults(names_issuer)),
            #[cfg(feature = "mtls")]
            Method::MutualTls(pair) => faults.extend(pair.faults()),
            Method::None => {}
        }
        faults
    }

    /// The places to try in order while the server refuses the credential: the one that was accepted last, the others,
    /// the last accepted contents of files, which may be half written now, and the first one again, which may have been
    /// rotated meanwhile.
    pub(crate) fn places(&self) -> Vec<usize> {
        let Some(credential) = self.credential() else {
            return vec![0];
        };
        let mut places: Vec<_> = credential.places().collect();
        if self.at_one_place {
            places.truncate(1);
            return places;
        }
        let first = places.first().copied();
        places.extend(credential.last_good_places());
        places.extend(first);
        places
    }

    /// For a single request.
    pub(crate) fn at_one_place(self) -> Self {
        ClientAuth { at_one_place: true, ..self }
    }

    /// The server accepted what was read at `place`.
    pub(crate) fn accept(&self, place: usize, evidence: &Evidence) {
        if let Some(credential) = self.credential() {
            credential.accept(place, evidence.secret());
        }
    }

    /// The server refused what was read at `place`.
    pub(crate) fn refuse(&self, place: usize, evidence: &Evidence) {
        if let (Some(credential), Some(secret)) = (self.credential(), evidence.secret()) {
            credential.refuse(place, secret);
        }
    }

    /// Reads what the method needs.
    pub(crate) async fn read(&self, place: usize, now: Moment) -> Result<Evidence, Error> {
        match &self.method {
            Method::Basic { secret, .. } | Method::Post(secret) => secret.read(place).await.map(Evidence::Secret),
            Method::Assertion { assertion, .. } => assertion.read_unexpired(place, now).await.map(Evidence::Secret),
            #[cfg(feature = "jwt")]
            Method::Jwt(assertions) => assertions.read(place).await,
            #[cfg(feature = "mtls")]
            Method::MutualTls(pair) => pair.read(place).await.map(Evidence::Tls),
            Method::None => Ok(Evidence::Nothing),
        }
    }

    /// Authenticates the client to this server with `evidence`.
    #[cfg_attr(not(feature = "jwt"), expect(clippy::unused_async, unused_variables, reason = "for assertions"))]
    pub(crate) async fn prove(&self, evidence: &Evidence, to: Recipient<'_>, now: Moment) -> Result<Proof, Error> {
        let id = self.client_id.as_ref().map(|id| ("client_id".into(), Zeroizing::new(id.clone())));
        let mut proof = Proof::default();
        match (&self.method, evidence) {
            (Method::Basic { encoded, .. }, Evidence::Secret(secret)) => {
                let header = basic::header(self.id(), secret.expose_secret(), *encoded)?;
                let echo = header.to_str().ok().and_then(|v| v.strip_prefix("Basic "));
                proof.echoes.push(secret.clone());
                proof.echoes.extend(echo.map(Into::into));
                proof.authorization = Some(header);
            }
            (Method::Post(_), Evidence::Secret(secret)) => {
                proof.params.extend(id);
                proof.add_secret("client_secret", secret);
            }
            (Method::Assertion { kind, .. }, Evidence::Secret(assertion)) => {
                proof.params.extend(id);
                proof.assert(assertion, kind);
            }
            #[cfg(feature = "jwt")]
            (Method::Jwt(assertions), _) => {
                let assertion = assertions.make(self.id(), evidence, to, now).await?;
                proof.assert(&assertion, JWT_BEARER);
                if let Evidence::Secret(secret) = evidence {
                    // It was not sent, but the server knows it and may echo it.
                    proof.echoes.push(secret.clone());
                }
            }
            #[cfg(feature = "mtls")]
            (Method::MutualTls(_), _) => proof.params.extend(id),
            (Method::None, _) => proof.params.extend(id),
            // `read` returns a secret for these.
            (Method::Basic { .. } | Method::Post(_) | Method::Assertion { .. }, _) => {}
        }
        Ok(proof)
    }

    /// What was read and when it expires, since the epoch; `None`: it does not expire, or does not state when.
    pub(crate) fn expiry(&self, evidence: &Evidence) -> Option<(CredentialKind, Duration)> {
        match (&self.method, evidence) {
            (Method::Assertion { .. }, Evidence::Secret(assertion)) => {
                Some((CredentialKind::Assertion, expiry(assertion.expose_secret())?))
            }
            #[cfg(feature = "jwt")]
            (_, Evidence::Identity(identity)) => Some((CredentialKind::Certificate, identity.not_after()?)),
            #[cfg(feature = "mtls")]
            (_, Evidence::Tls(identity)) => Some((CredentialKind::Certificate, identity.not_after()?)),
            (_, _) => None,
        }
    }

    /// All credentials of the method.
    pub(crate) fn credentials(&self) -> Vec<&Credential> {
        match &self.method {
            Method::Basic { secret, .. } | Method::Post(secret) => vec![secret],
            Method::Assertion { assertion, .. } => vec![assertion],
            #[cfg(feature = "jwt")]
            Method::Jwt(assertions) => assertions.credentials(),
            #[cfg(feature = "mtls")]
            Method::MutualTls(pair) => pair.credentials().to_vec(),
            Method::None => Vec::new(),
        }
    }

    /// The secret, key, assertion or certificate whose places are tried: of two the one that has more.
    pub(crate) fn credential(&self) -> Option<&Credential> {
        let count = |credential: &Credential| credential.places().count();
        self.credentials().into_iter().reduce(|one, other| if count(other) > count(one) { other } else { one })
    }
}

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ClientAuth");
        out.field("method", &self.name());
        if let Some(id) = &self.client_id {
            out.field("client_id", id);
        }
        match &self.method {
            Method::Basic { secret, .. } | Method::Post(secret) => {
                out.field("client_secret", secret);
            }
            Method::Assertion { assertion, .. } => {
                out.field("client_assertion", assertion);
            }
            #[cfg(feature = "jwt")]
            Method::Jwt(assertions) => assertions.describe(&mut out),
            #[cfg(feature = "mtls")]
            Method::MutualTls(pair) => pair.describe(&mut out),
            Method::None => {}
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests;
