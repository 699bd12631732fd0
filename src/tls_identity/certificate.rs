//! The certificate that a token may be bound to (RFC 8705 section 3).

use std::fmt;
use std::sync::Arc;

use super::TlsIdentity;

/// The certificate, with its key, that the client presented in a token request.
///
/// The token may be bound to this certificate (RFC 8705 section 3); the connection to the API must then present it, too. With
/// reqwest-middleware use [`SameCertificate`](crate::SameCertificate), which also handles rotations; elsewhere set it on the
/// client's builder with [`apply_to`](Self::apply_to).
///
/// This is a handle. Two are equal if they come from the same read. `Debug` shows no content.
#[derive(Clone)]
pub struct ClientCertificate(pub(crate) Arc<TlsIdentity>);

impl ClientCertificate {
    /// Sets this certificate as the identity of the client that calls the API, replacing any other.
    ///
    /// ```
    /// # use client_credentials::ClientCredentials;
    /// # async fn run(tokens: ClientCredentials) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = tokens.token().await?;
    /// let mut builder = reqwest::Client::builder();
    /// if let Some(certificate) = token.client_certificate() {
    ///     builder = certificate.apply_to(builder);
    /// }
    /// // For this token, and for those after it with an equal certificate.
    /// let client = builder.build()?;
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
