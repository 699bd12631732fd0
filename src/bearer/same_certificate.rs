//! Connections to the API that present the certificate to which the token is bound (RFC 8705 section 3).

use std::fmt;

use http::{Extensions, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use crate::bounded::Bounded;
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::tls_identity::ClientCertificate;

/// Sends each request over a connection that presents the certificate to which its token is bound.
///
/// Add it last in the chain, after [`BearerAuth`](crate::BearerAuth). It sends requests with a client of its own for each
/// certificate, built by the closure, instead of the chain's client. Token and connection therefore always match, even when
/// the certificate is rotated while the program runs. The certificate is that of
/// [`ClientAuth::mutual_tls`](crate::ClientAuth::mutual_tls) and need not be configured again. Requests without such a token
/// use the chain's client.
///
/// If the closure's client follows redirects, it presents the certificate to their targets, too; set
/// `redirect(Policy::none())` on its builder to prevent that.
///
/// ```no_run
/// use client_credentials::{
///     BearerAuth, ClientAuth, ClientCredentials, Credential, SameCertificate,
/// };
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let certificate = Credential::file("/run/secrets/tls/tls.crt");
/// let auth = ClientAuth::mutual_tls(
///     "billing",
///     certificate,
///     Credential::file("/run/secrets/tls/tls.key"),
/// );
/// let tokens = ClientCredentials::builder(
///     "https://mtls.auth.example.com/oauth2/token",
///     auth,
/// )
/// .build()?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(BearerAuth::for_origin("https://api.example.com", tokens)?)
///     .with(SameCertificate::new(reqwest::Client::builder))
///     .build();
/// let invoices = client
///     .get("https://api.example.com/invoices")
///     .send()
///     .await?
///     .text()
///     .await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// A request fails with [`ErrorKind::Configuration`] if no client can be built from the closure's builder, or if the closure
/// panics.
pub struct SameCertificate {
    builder: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    clients: Lock<Bounded<ClientCertificate, Client, MOST>>,
}

/// In the extensions of a request: the certificate to which the token set by [`BearerAuth`](crate::BearerAuth) is bound, and
/// the place it is sent to.
#[derive(Clone)]
pub(super) struct Carried {
    pub(super) certificate: ClientCertificate,
    pub(super) header: HeaderName,
    pub(super) value: HeaderValue,
}

/// 64: enough certificates for rotations and many tenants; a client takes about 100 KiB.
const MOST: usize = 64;

impl SameCertificate {
    /// Creates the middleware. `builder` returns the builder of the client that calls the API, with root certificates, proxies
    /// and timeouts. This crate sets its identity.
    pub fn new(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        SameCertificate { builder: Box::new(builder), clients: Lock::default() }
    }

    fn client(&self, certificate: &ClientCertificate) -> std::result::Result<Client, Error> {
        // Locked while a client is made, so that it is made once. That takes little time, once for each rotation. A
        // panic is contained.
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(certificate) {
            return Ok(client.clone());
        }
        let fault = |text: String| Error::of(ErrorKind::Configuration, text);
        let client = contained(|| certificate.apply_to((self.builder)()).build())
            .map_err(|Panicked| fault(Panicked::text("the closure given to SameCertificate")))?
            .map_err(|e| fault("the HTTP client for the API cannot be made".to_owned()).because_of(e))?;
        clients.insert(certificate.clone(), client.clone());
        Ok(client)
    }
}

#[async_trait::async_trait]
impl Middleware for SameCertificate {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        // Extensions may come from before a redirect, or from another request.
        let is_on = |carried: &&Carried| request.headers().get(&carried.header) == Some(&carried.value);
        let carried = extensions.get().filter(is_on).map(|carried| carried.certificate.clone());
        match carried {
            Some(certificate) => {
                let client = self.client(&certificate).map_err(reqwest_middleware::Error::middleware)?;
                Ok(client.execute(request).await?)
            }
            None => next.run(request, extensions).await,
        }
    }
}

impl fmt::Debug for SameCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SameCertificate")
    }
}
