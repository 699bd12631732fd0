//! The client authentication of one attempt: the credential as it was read, and as the request carries it.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

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
    /// The secrets of the request, which a server could echo, and what is sent for them if it is neither the secret nor an
    /// encoding of it that [`Masks`](crate::server_text::Masks) knows.
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
        self.echoes.push(secret.clone());
        let value = Zeroizing::new(secret.expose_secret().to_owned());
        self.params.push((name.to_owned().into(), value));
    }

    /// RFC 7521 section 4.2.
    pub(super) fn assert(&mut self, assertion: &SecretString, kind: &str) {
        self.params.push(("client_assertion_type".into(), Zeroizing::new(kind.to_owned())));
        self.add_secret("client_assertion", assertion);
    }
}
