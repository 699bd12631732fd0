//! An access token: the value of the `Authorization` header, and its lifetime.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::observer::Observers;
use crate::possession::Possession;
use crate::server_text::Masks;
use crate::step_up::Demands;
use crate::tls_identity::TlsIdentity;

/// A bearer token (RFC 6750) or, if requested, a DPoP token (RFC 9449), with its metadata from the token response.
///
/// Cloning increments a reference count. `Debug` shows no secret; the type implements neither `Display` nor `Serialize`. The
/// bytes of the token are wiped when its last clone and the last header made from it are dropped.
///
/// ```
/// use client_credentials::AccessToken;
/// use std::time::Duration;
///
/// let token = AccessToken::builder("mF_9.B5f-4.1JqM")
///     .lifetime(Duration::from_secs(3600))
///     .build()?;
/// assert!(token.authorization().is_sensitive());
/// assert_eq!(token.expose_secret(), "mF_9.B5f-4.1JqM");
/// assert!(!format!("{token:?}").contains("mF_9"));
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[derive(Clone)]
pub struct AccessToken(Arc<Copy>);

/// One copy of a token. Copies are independent in memory, so that threads that use different ones do not share a cache
/// line. `reject` treats them as one token.
struct Copy {
    authorization: HeaderValue,
    grant: Arc<Granted>,
    _apart: Apart,
}

/// 64: a cache line between the reference count in front of this and the data behind it in memory.
struct Apart {
    _line: [u8; 64],
}

const APART: Apart = Apart { _line: [0; 64] };

/// The part that all copies share.
struct Granted {
    id: u64,
    received: Moment,
    clock: Clock,
    terms: Terms,
    /// The observers of its source, for later events about the token.
    observers: Option<Observers>,
}

/// The metadata of a token from the token response.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// Counted from just before the request was sent.
    pub(crate) lifetime: Option<Duration>,
    /// The server's hint (Entra's `refresh_in`): refresh at the latest after this.
    pub(crate) refresh_in: Option<Duration>,
    pub(crate) scope: Option<Box<str>>,
    pub(crate) extra: Map<String, Value>,
    pub(crate) holder: Holder,
    /// Whether it came from a shared store.
    pub(crate) from_store: bool,
    /// Collects the scopes that an API requires; `None` without step-up.
    pub(crate) demands: Option<Box<OnDemand>>,
}

/// The requested scope, which the server may have granted in part, and the means to request more.
#[derive(Clone)]
pub(crate) struct OnDemand {
    pub(crate) scope: Box<str>,
    pub(crate) demands: Arc<Demands>,
}

/// What a token is bound to.
#[derive(Clone, Default)]
pub(crate) struct Holder {
    /// The key (RFC 9449); `None`: it is a bearer token.
    pub(crate) key: Option<Arc<dyn Possession>>,
    /// The certificate that was presented (RFC 8705 section 3); the response does not state whether the token is bound to it.
    #[cfg_attr(not(feature = "mtls"), expect(dead_code, reason = "never there"))]
    pub(crate) certificate: Option<Arc<TlsIdentity>>,
}

impl Terms {
    /// The scheme in front of the token in the header (RFC 6750 section 2.1, RFC 9449 section 7.1).
    fn scheme(&self) -> &'static str {
        if self.holder.key.is_some() { "DPoP" } else { "Bearer" }
    }
}

impl AccessToken {
    /// Returns a builder for a bearer token that a custom source has just obtained, or for a test.
    pub fn builder(secret: impl Into<SecretString>) -> AccessTokenBuilder {
        AccessTokenBuilder { secret: secret.into(), terms: Terms::default(), clock: Clock::System }
    }

    /// `received` is the moment just before the request was sent, by the clock of the source.
    pub(crate) fn issued(secret: &SecretString, terms: Terms, received: Moment, clock: &Clock) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let secret = secret.expose_secret().as_bytes();
        if secret.is_empty() {
            return Err(Error::of(ErrorKind::Response, "the access token is empty"));
        }
        if !secret.iter().all(u8::is_ascii_graphic) {
            return Err(Error::of(ErrorKind::Response, "the access token has a character outside 0x21 to 0x7E"));
        }
        let bytes = credentials(terms.scheme(), secret);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let grant = Granted { id, received, clock: clock.clone(), terms, observers: None };
        AccessToken::assemble(bytes, Arc::new(grant))
    }

    /// Returns the value of the `Authorization` header: `Bearer ..` (RFC 6750 section 2.1), marked sensitive.
    ///
    /// Cheap: the value was built once and is cloned by reference count. For a DPoP token it is `DPoP ..`, and the API also
    /// requires a proof: use `BearerAuth` or `request_headers`.
    // Never inlined, so that the value is written directly to its destination. Inlined before a drop of the token, it
    // was written in pieces of 8 bytes and copied in pieces of 16, which stalls the processor: 4 of the 23 ns of a
    // cached token.
    #[inline(never)]
    pub fn authorization(&self) -> HeaderValue {
        self.0.authorization.clone()
    }

    /// The value of a header with another scheme than `Bearer`, or none (`""`); marked sensitive. A DPoP token keeps its
    /// scheme, which tells the API its type (RFC 9449 section 7.1).
    #[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
    pub(crate) fn presented_as(&self, scheme: &str) -> HeaderValue {
        if self.possession().is_some() || scheme == self.scheme() {
            return self.authorization();
        }
        // Cannot fail: the scheme was checked, and the rest is visible ASCII.
        header(credentials(scheme, self.expose_secret().as_bytes())).unwrap_or_else(|| self.authorization())
    }

    /// Returns the token itself. Keep it out of logs, URLs and errors.
    pub fn expose_secret(&self) -> &str {
        // Cannot fail: the header is the prefix and visible ASCII.
        self.0
            .authorization
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix(self.scheme())?.strip_prefix(' '))
            .unwrap_or_default()
    }

    /// Returns when the token expires; `None` if the server gave no lifetime or the token never expires.
    ///
    /// Sources stop returning it a [little earlier](crate::CachePolicy::safety_margin).
    pub fn expires_at(&self) -> Option<SystemTime> {
        let end = self.received().wall().checked_add(self.lifetime()?)?;
        SystemTime::UNIX_EPOCH.checked_add(end)
    }

    /// Returns the remaining lifetime: zero once the token has expired, `None` if the server gave no lifetime.
    ///
    /// Both the wall clock and the monotonic clock are read; the shorter result is returned.
    pub fn expires_in(&self) -> Option<Duration> {
        let end = self.received().plus(self.lifetime()?);
        Some(end.left(self.0.grant.clock.now()))
    }

    /// Returns the granted scope, or the requested one if the response has none (RFC 6749 section 5.1).
    pub fn scope(&self) -> Option<&str> {
        self.0.grant.terms.scope.as_deref()
    }

    /// Returns another member of the token response, for example Salesforce's `instance_url`.
    pub fn extra(&self, member: &str) -> Option<&Value> {
        self.0.grant.terms.extra.get(member)
    }

    /// The identity that [`TokenSource::reject`](crate::TokenSource::reject) compares.
    pub(crate) fn id(&self) -> u64 {
        self.0.grant.id
    }

    pub(crate) fn received(&self) -> Moment {
        self.0.grant.received
    }

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.0.grant.terms.lifetime
    }

    pub(crate) fn on_demand(&self) -> Option<&OnDemand> {
        self.0.grant.terms.demands.as_deref()
    }

    pub(crate) fn is_from_store(&self) -> bool {
        self.0.grant.terms.from_store
    }

    /// `Bearer` or `DPoP`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.0.grant.terms.scheme()
    }

    /// The key that the token is bound to; `None`: it is a bearer token.
    #[cfg(any(feature = "dpop", feature = "reqwest-middleware", feature = "tower"))]
    pub(crate) fn possession(&self) -> Option<&Arc<dyn Possession>> {
        self.0.grant.terms.holder.key.as_ref()
    }

    /// Returns the certificate that the client presented in the token request (feature `mtls`); `None` for methods other than
    /// [`mutual_tls`](crate::ClientAuth::mutual_tls).
    #[cfg(feature = "mtls")]
    pub fn client_certificate(&self) -> Option<crate::tls_identity::ClientCertificate> {
        self.0.grant.terms.holder.certificate.clone().map(crate::tls_identity::ClientCertificate)
    }

    pub(crate) fn refresh_in(&self) -> Option<Duration> {
        self.0.grant.terms.refresh_in
    }

    #[cfg(feature = "shared")]
    pub(crate) fn terms(&self) -> &Terms {
        &self.0.grant.terms
    }

    /// Whether the two have the same value, whatever their identities.
    pub(crate) fn same_value(&self, other: &AccessToken) -> bool {
        self.0.authorization == other.0.authorization
    }

    /// The same value under the identity of `other`, with the terms of `self`.
    pub(crate) fn identified_as(&self, other: &AccessToken) -> AccessToken {
        self.again(other.id(), self.0.grant.observers.clone())
    }

    /// The same token, as that of the source with these observers.
    pub(crate) fn of_source(mut self, observers: &Observers) -> AccessToken {
        // The usual case: a source has just made it, and there is no clone.
        if let Some(grant) = Arc::get_mut(&mut self.0).and_then(|copy| Arc::get_mut(&mut copy.grant)) {
            grant.observers = Some(observers.clone());
            return self;
        }
        self.again(self.id(), Some(observers.clone()))
    }

    fn again(&self, id: u64, observers: Option<Observers>) -> AccessToken {
        let (received, clock, terms) = (self.received(), self.0.grant.clock.clone(), self.0.grant.terms.clone());
        let grant = Arc::new(Granted { id, received, clock, terms, observers });
        AccessToken(Arc::new(Copy { authorization: self.authorization(), grant, _apart: APART }))
    }

    /// The observers of its source; `None`: the source has none.
    #[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
    pub(crate) fn observers(&self) -> Option<&Observers> {
        self.0.grant.observers.as_ref()
    }

    /// The current time, by the clock of its source.
    #[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
    pub(crate) fn now(&self) -> Moment {
        self.0.grant.clock.now()
    }

    /// Whether the two share memory.
    pub(crate) fn is_same_copy(&self, other: &AccessToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same token in its own memory.
    pub(crate) fn copy(&self) -> AccessToken {
        let bytes = Zeroizing::new(self.0.authorization.as_bytes().to_vec());
        AccessToken::assemble(bytes, Arc::clone(&self.0.grant)).unwrap_or_else(|_| self.clone())
    }

    fn assemble(bytes: Zeroizing<Vec<u8>>, grant: Arc<Granted>) -> Result<Self, Error> {
        let authorization = header(bytes)
            .ok_or_else(|| Error::of(ErrorKind::Response, "the access token does not fit into a header"))?;
        Ok(AccessToken(Arc::new(Copy { authorization, grant, _apart: APART })))
    }
}

/// Builds an [`AccessToken`].
///
/// ```
/// use client_credentials::AccessToken;
/// use std::time::Duration;
///
/// let token = AccessToken::builder("abc")
///     .lifetime(Duration::from_secs(300))
///     .scope("invoices:read")
///     .extra("instance_url", "https://eu1.example.com")
///     .build()?;
/// assert_eq!(token.scope(), Some("invoices:read"));
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[must_use = "a builder does nothing before `build()`"]
pub struct AccessTokenBuilder {
    secret: SecretString,
    terms: Terms,
    clock: Clock,
}

impl AccessTokenBuilder {
    /// Sets the lifetime, counted from now. Without it [`Cached`](crate::Cached) assumes
    /// [`CachePolicy::default_lifetime`](crate::CachePolicy::default_lifetime).
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.terms.lifetime = Some(lifetime);
        self
    }

    /// Sets the granted scope; several are separated by spaces.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.terms.scope = Some(scope.into().into());
        self
    }

    /// Adds another member of the token response, for [`AccessToken::extra`].
    pub fn extra(mut self, member: impl Into<String>, value: impl Into<Value>) -> Self {
        self.terms.extra.insert(member.into(), value.into());
        self
    }

    /// Uses this clock instead of the system clock (feature `test-util`).
    #[cfg(any(test, feature = "test-util"))]
    pub fn clock(mut self, clock: &crate::clock::ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }

    /// Builds the token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Response`] if the secret is empty or has a byte outside 0x21 to 0x7E, which is not allowed in the header.
    pub fn build(self) -> Result<AccessToken, Error> {
        AccessToken::issued(&self.secret, self.terms, self.clock.now(), &self.clock)
    }
}

impl fmt::Debug for AccessTokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenBuilder").field("lifetime", &self.terms.lifetime).finish_non_exhaustive()
    }
}

/// The secret behind its scheme, if there is one.
fn credentials(scheme: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(scheme.len() + 1 + secret.len()));
    bytes.extend_from_slice(scheme.as_bytes());
    bytes.extend_from_slice(if scheme.is_empty() { b"" } else { b" " });
    bytes.extend_from_slice(secret);
    bytes
}

/// A sensitive value, wiped when its last clone is dropped.
fn header(bytes: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(bytes, APART))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Owns the header's bytes and wipes them. `Bytes` puts its reference count before it.
struct Wiped(Zeroizing<Vec<u8>>, #[allow(dead_code, reason = "takes its place")] Apart);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the names of the extra members, whose values may be secrets of the application. Names and scope come
        // from the server, so they are sanitised.
        let masks = Masks::new(vec![self.expose_secret().into()]);
        let clean = |text: &str| masks.clean(text, LONGEST_SHOWN);
        let names = self.0.grant.terms.extra.keys();
        let extra: Vec<_> = names.take(MOST_SHOWN).map(|name| clean(name)).collect();
        f.debug_struct("AccessToken")
            .field("secret", &"[redacted]")
            .field("expires_at", &self.expires_at())
            .field("scope", &self.scope().map(clean))
            .field("extra", &extra)
            .finish()
    }
}

/// For a scope or the name of a member. Real scopes have up to a few hundred characters.
const LONGEST_SHOWN: usize = 256;
/// For the extra members. Real responses have up to a dozen.
const MOST_SHOWN: usize = 32;

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
