//! The certificate that the client presents in the TLS handshake (RFC 8705), with its key.

#[cfg(feature = "mtls")]
mod certificate;
#[cfg(feature = "mtls")]
mod identity;

#[cfg(feature = "mtls")]
pub use certificate::ClientCertificate;
#[cfg(feature = "mtls")]
pub(crate) use identity::{TlsIdentity, certificates, private_key};

/// Empty without the feature `mtls`.
#[cfg(not(feature = "mtls"))]
#[derive(Debug)]
pub(crate) enum TlsIdentity {}

#[cfg(not(feature = "mtls"))]
impl TlsIdentity {
    pub(crate) fn apply_to(&self, _: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        match *self {}
    }
}
