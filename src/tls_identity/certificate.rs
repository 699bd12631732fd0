//! The certificate that a token may be bound to (RFC 8705 section 3).

use std::fmt;
use std::sync::Arc;

use super::TlsIdentity;

/// The certificate, with its key, that the client showed when it asked for a token.
///
/// The token may be good with this certificate only (RFC 8705 section 3): the connection to the API has to show it as
/// well. With reqwest-middleware [`SameCertificate`](crate::SameCertificate) sees to that, through rotations too;
/// elsewhere it is put on the client's builder by [`apply_to`](Self::apply_to).
///
/// A handle; equal are those that were read as one. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ClientCertificate(pub(crate) Arc<TlsIdentity>);

impl ClientCertificate {
    /// Puts it on the builder of the client that calls the API, instead of an identity that it has.
    ///
    /// ```
    /// # use client_credentials::ClientCredentials;
    /// # async fn run(tokens: ClientCredentials) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = tokens.token().await?;
    /// let mut builder = reqwest::Client::builder();
    /// if let Some(certificate) = token.client_certificate() {
    ///     builder = certificate.apply_to(builder);
    /// }
    /// let client = builder.build()?; // for this token, and for those after it with an equal certificate
    /// # Ok(()) }
    /// ```
    pub fn apply_to(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        self.0.apply_to(builder)
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

impl std::hash::Hash for ClientCertificate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
