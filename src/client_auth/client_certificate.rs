//! The certificate that a token may be bound to (RFC 8705 section 3).

use std::fmt;
use std::sync::Arc;

use super::TlsIdentity;
use crate::AccessToken;

/// The certificate, with its key, that the client showed when it asked for a token.
///
/// The token may be good with this certificate only (RFC 8705 section 3): the connection to the API has to show it as
/// well. With reqwest-middleware [`SameCertificate`](crate::SameCertificate) sees to that, through rotations too;
/// elsewhere it is put on the client's builder by [`shown_by`](Self::shown_by).
///
/// A handle; equal are those that were read as one. `Debug` shows nothing of it.
#[derive(Clone)]
#[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
pub struct ClientCertificate(Arc<TlsIdentity>);

impl ClientCertificate {
    /// Puts it on the builder of the client that calls the API, instead of an identity that it has.
    ///
    /// ```
    /// # use client_credentials::{ClientCredentials, TokenSource};
    /// # async fn run(tokens: ClientCredentials) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = tokens.token().await?;
    /// let mut builder = reqwest::Client::builder();
    /// if let Some(certificate) = token.client_certificate() {
    ///     builder = certificate.shown_by(builder);
    /// }
    /// let client = builder.build()?; // for this token, and for those after it with an equal certificate
    /// # Ok(()) }
    /// ```
    pub fn shown_by(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        self.0.shown_by(builder)
    }
}

/// # Certificates (feature `mtls`)
#[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
impl AccessToken {
    /// The certificate that the client showed when it asked for this token; `None` for other methods than
    /// [`mutual_tls`](crate::ClientAuth::mutual_tls).
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        self.shown_certificate().cloned().map(ClientCertificate)
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
