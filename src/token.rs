//! An access token: what goes into the `Authorization` header, and how long it lasts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::cache::clock::{Clock, Moment};
use crate::client_auth::TlsIdentity;
#[cfg(feature = "dpop")]
pub(crate) use crate::dpop::Binding;
use crate::{Error, ErrorKind};

/// A bearer token (RFC 6750) or, where that was asked for, a DPoP token (RFC 9449), with what the authorization server said about it.
///
/// A clone is a reference count. `Debug` shows no secret; there is no `Display` and no `Serialize`. The bytes of the
/// token are wiped when the last clone, and the last header made from it, is dropped.
///
/// ```
/// use client_credentials::AccessToken;
/// use std::time::Duration;
///
/// let token = AccessToken::bearer("mF_9.B5f-4.1JqM", Some(Duration::from_secs(3600)))?;
/// assert!(token.authorization().is_sensitive());
/// assert_eq!(token.expose_secret(), "mF_9.B5f-4.1JqM");
/// assert!(!format!("{token:?}").contains("mF_9"));
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[derive(Clone)]
pub struct AccessToken(Arc<Copy>);

/// One copy of a token. Copies are independent in memory, so that threads which use different ones do not share a
/// cache line; they are one token to `reject`. 128: two cache lines, which x86-64 prefetches in pairs.
#[repr(align(128))]
struct Copy {
    authorization: HeaderValue,
    grant: Arc<Granted>,
}

/// What all copies have in common.
struct Granted {
    id: u64,
    received: Moment,
    terms: Terms,
}

/// What the authorization server said about a token beside its value.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// Counted from just before the request was sent.
    pub(crate) lifetime: Option<Duration>,
    /// The server's wish (Entra's `refresh_in`): renew at the latest after this.
    pub(crate) refresh_in: Option<Duration>,
    pub(crate) scope: Option<Box<str>>,
    pub(crate) extra: Map<String, Value>,
    pub(crate) holder: Holder,
}

/// Who alone can use a token.
#[derive(Clone, Default)]
pub(crate) struct Holder {
    /// Whoever has this key (RFC 9449); `None`: it is a bearer token.
    pub(crate) key: Option<Arc<Binding>>,
    /// Whoever shows this certificate (RFC 8705 section 3), or anybody: the response does not tell.
    #[cfg_attr(not(feature = "mtls"), expect(dead_code, reason = "never there"))]
    pub(crate) certificate: Option<Arc<TlsIdentity>>,
}

/// There is nothing that a token could be bound to.
#[cfg(not(feature = "dpop"))]
pub(crate) enum Binding {}

impl Terms {
    /// Scheme and space, as they stand before the token in the header (RFC 6750 section 2.1, RFC 9449 section 7.1).
    fn prefix(&self) -> &'static str {
        match self.holder.key {
            None => "Bearer ",
            Some(_) => "DPoP ",
        }
    }
}

impl AccessToken {
    /// A token that a source of your own obtained just now, usable for `lifetime`.
    ///
    /// Without a lifetime [`Cached`](crate::Cached) assumes its
    /// [`default_lifetime`](crate::Cached::default_lifetime).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Response`] if the secret is empty or has a byte outside 0x21 to 0x7E, which no header may carry.
    pub fn bearer(secret: impl Into<SecretString>, lifetime: Option<Duration>) -> Result<Self, Error> {
        let terms = Terms { lifetime, ..Terms::default() };
        AccessToken::issued(&secret.into(), terms, Clock::System.now())
    }

    /// `received` is the moment just before the request was sent, by the clock of the source.
    pub(crate) fn issued(secret: &SecretString, terms: Terms, received: Moment) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let secret = secret.expose_secret().as_bytes();
        if secret.is_empty() {
            return Err(Error::new(ErrorKind::Response, "the access token is empty"));
        }
        if !secret.iter().all(u8::is_ascii_graphic) {
            return Err(Error::new(ErrorKind::Response, "the access token has a character outside 0x21 to 0x7E"));
        }
        let prefix = terms.prefix();
        let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
        bytes.extend_from_slice(prefix.as_bytes());
        bytes.extend_from_slice(secret);
        let grant = Granted { id: NEXT.fetch_add(1, Ordering::Relaxed), received, terms };
        AccessToken::assemble(bytes, Arc::new(grant))
    }

    /// The value of the `Authorization` header: `Bearer ..` (RFC 6750 section 2.1), marked sensitive.
    ///
    /// It was built once; this is a reference count. Of a DPoP token it is `DPoP ..`, and the API wants a proof beside it:
    /// `BearerAuth` sees to that, or `request_headers`.
    // Never inlined: the value is then written straight to where it is wanted. Inlined, before a drop of the token, it was written
    // in pieces of 8 bytes and copied in pieces of 16, for which the processor waits: 4 ns of a hit of 23.
    #[inline(never)]
    pub fn authorization(&self) -> HeaderValue {
        self.0.authorization.clone()
    }

    /// The token itself. Keep it out of logs, URLs and errors.
    pub fn expose_secret(&self) -> &str {
        // The header was made from the prefix and visible ASCII: neither step can fail.
        self.0
            .authorization
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix(self.0.grant.terms.prefix()))
            .unwrap_or_default()
    }

    /// When the authorization server will cease to accept it; `None` if it did not say, or never.
    ///
    /// Sources stop handing it out a little earlier.
    pub fn expires_at(&self) -> Option<SystemTime> {
        let end = self.received().wall().checked_add(self.lifetime()?)?;
        SystemTime::UNIX_EPOCH.checked_add(end)
    }

    /// The scope as granted; if the server did not tell, as asked for (RFC 6749 section 5.1).
    pub fn scope(&self) -> Option<&str> {
        self.0.grant.terms.scope.as_deref()
    }

    /// Another member of the token response, for instance Salesforce's `instance_url`.
    pub fn extra(&self, member: &str) -> Option<&Value> {
        self.0.grant.terms.extra.get(member)
    }

    /// The identity that [`TokenSource::reject`](crate::TokenSource::reject) goes by.
    pub(crate) fn id(&self) -> u64 {
        self.0.grant.id
    }

    pub(crate) fn received(&self) -> Moment {
        self.0.grant.received
    }

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.0.grant.terms.lifetime
    }

    /// What it is of no use without; `None`: it is a bearer token.
    #[cfg(any(feature = "dpop", feature = "middleware", feature = "tower"))]
    pub(crate) fn binding(&self) -> Option<&Arc<Binding>> {
        self.0.grant.terms.holder.key.as_ref()
    }

    /// What was shown when it was asked for.
    #[cfg(feature = "mtls")]
    pub(crate) fn shown_certificate(&self) -> Option<&Arc<TlsIdentity>> {
        self.0.grant.terms.holder.certificate.as_ref()
    }

    pub(crate) fn refresh_in(&self) -> Option<Duration> {
        self.0.grant.terms.refresh_in
    }

    #[cfg(feature = "shared")]
    pub(crate) fn terms(&self) -> &Terms {
        &self.0.grant.terms
    }

    /// Whether the two carry the same value, whatever their identities.
    pub(crate) fn same_value(&self, other: &AccessToken) -> bool {
        self.0.authorization == other.0.authorization
    }

    /// The same value under the identity of `other`, with the terms of `self`.
    pub(crate) fn identified_as(&self, other: &AccessToken) -> AccessToken {
        let grant = Granted { id: other.id(), received: self.received(), terms: self.0.grant.terms.clone() };
        AccessToken(Arc::new(Copy { authorization: self.authorization(), grant: Arc::new(grant) }))
    }

    /// The same token in memory of its own.
    pub(crate) fn copy(&self) -> AccessToken {
        let bytes = Zeroizing::new(self.0.authorization.as_bytes().to_vec());
        AccessToken::assemble(bytes, Arc::clone(&self.0.grant)).unwrap_or_else(|_| self.clone())
    }

    fn assemble(bytes: Zeroizing<Vec<u8>>, grant: Arc<Granted>) -> Result<Self, Error> {
        let mut authorization = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(bytes)))
            .map_err(|_| Error::new(ErrorKind::Response, "the access token does not fit into a header"))?;
        authorization.set_sensitive(true);
        Ok(AccessToken(Arc::new(Copy { authorization, grant })))
    }
}

/// Owns the header's bytes and wipes them. The alignment keeps its reference count, which `Bytes` puts beside it, off
/// the cache lines of other copies.
#[repr(align(128))]
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the extra members the names only: the values may be secrets of the application.
        let extra: Vec<_> = self.0.grant.terms.extra.keys().collect();
        f.debug_struct("AccessToken")
            .field("secret", &"[redacted]")
            .field("expires_at", &self.expires_at())
            .field("scope", &self.scope())
            .field("extra", &extra)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str) -> Result<AccessToken, Error> {
        AccessToken::bearer(secret, None)
    }

    #[test]
    fn an_access_token_is_one_word_wide() {
        assert_eq!(size_of::<AccessToken>(), size_of::<usize>());
    }

    #[test]
    fn every_byte_that_no_header_may_carry_is_refused() {
        // B13, B14, B15
        for byte in 0..=255_u8 {
            let secret = format!("ab{}cd", char::from(byte));
            let accepted = token(&secret).is_ok();
            assert_eq!(accepted, (0x21..=0x7e).contains(&byte), "byte {byte:#x}");
        }
        assert!(token("").is_err());
        assert!(token(" ").is_err());
    }

    #[test]
    fn copies_are_one_token() {
        let one = token("abc").unwrap();
        let copy = one.copy();
        assert_eq!(copy.id(), one.id());
        assert_eq!(copy.expose_secret(), "abc");
        assert_eq!(copy.authorization(), "Bearer abc");
        assert!(copy.authorization().is_sensitive());
        assert_ne!(copy.0.authorization.as_bytes().as_ptr(), one.0.authorization.as_bytes().as_ptr());
        assert_ne!(token("abc").unwrap().id(), one.id());
    }

    #[test]
    fn an_endless_lifetime_overflows_nothing() {
        let token = AccessToken::bearer("abc", Some(Duration::MAX)).unwrap();
        assert_eq!(token.expires_at(), None);
        let token = AccessToken::bearer("abc", Some(Duration::from_secs(60))).unwrap();
        assert!(token.expires_at().is_some());
    }
}
