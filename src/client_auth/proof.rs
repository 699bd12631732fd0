//! The client authentication of one attempt: the credential as it was read, and as the request carries it.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::basic;
#[cfg(feature = "jwt")]
use super::jwt;
use crate::tls_identity::TlsIdentity;

/// The credential as it was read once.
pub(crate) enum Evidence {
    Nothing,
    Secret(SecretString),
    #[cfg(feature = "jwt")]
    Identity(Arc<jwt::Identity>),
    #[cfg(feature = "mtls")]
    Tls(Arc<TlsIdentity>),
}

/// The server that the client authenticates to.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "jwt"), expect(dead_code, reason = "for assertions"))]
pub(crate) struct Recipient<'r> {
    pub(crate) issuer: Option<&'r str>,
    pub(crate) token_endpoint: &'r str,
}

/// The parts of a request that authenticate the client.
#[derive(Default)]
pub(crate) struct Proof {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) params: Vec<(Cow<'static, str>, Zeroizing<String>)>,
    /// The forms in which a server could echo the secrets of the request.
    pub(crate) echoes: Vec<SecretString>,
}

impl Evidence {
    /// Whether the server would receive the same again.
    pub(crate) fn is(&self, other: &Evidence) -> bool {
        match (self, other) {
            (Evidence::Nothing, Evidence::Nothing) => true,
            (Evidence::Secret(one), Evidence::Secret(other)) => one.expose_secret() == other.expose_secret(),
            #[cfg(feature = "jwt")]
            (Evidence::Identity(one), Evidence::Identity(other)) => one.is(other),
            #[cfg(feature = "mtls")]
            (Evidence::Tls(one), Evidence::Tls(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    pub(super) fn secret(&self) -> Option<&SecretString> {
        match self {
            Evidence::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// The certificate that the connection presents.
    pub(crate) fn tls_identity(&self) -> Option<&Arc<TlsIdentity>> {
        match self {
            #[cfg(feature = "mtls")]
            Evidence::Tls(identity) => Some(identity),
            _ => None,
        }
    }
}

impl Proof {
    /// Another parameter whose value is secret.
    pub(crate) fn add_secret(&mut self, name: &str, secret: &SecretString) {
        self.echoes.extend(echoes(secret));
        let value = Zeroizing::new(secret.expose_secret().to_owned());
        self.params.push((name.to_owned().into(), value));
    }

    /// RFC 7521 section 4.2.
    pub(super) fn assert(&mut self, assertion: &SecretString, kind: &str) {
        self.echoes.extend(echoes(assertion));
        self.params.push(("client_assertion_type".into(), Zeroizing::new(kind.to_owned())));
        let assertion = Zeroizing::new(assertion.expose_secret().to_owned());
        self.params.push(("client_assertion".into(), assertion));
    }
}

/// A secret as it is, and as headers and forms encode it.
pub(crate) fn echoes(secret: &SecretString) -> Vec<SecretString> {
    let plain = secret.expose_secret();
    // The largest size: growing would leave copies of the secret in memory.
    let mut form = Zeroizing::new(String::with_capacity(plain.len().saturating_mul(3)));
    form.extend(form_urlencoded::byte_serialize(plain.as_bytes()));
    vec![plain.into(), basic::percent_encoded(plain).as_str().into(), form.as_str().into()]
}
