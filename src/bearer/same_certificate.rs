//! Connections to the API that show the certificate which the token is bound to (RFC 8705 section 3).

use std::fmt;

use http::{Extensions, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use crate::bounded::Bounded;
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::tls_identity::ClientCertificate;

/// Sends each request over a connection that shows the certificate which its token is bound to.
///
/// The last in the chain, behind [`BearerAuth`](crate::BearerAuth): it does not call the client that the chain was built
/// on, but one of its own for each certificate, made by the closure. So token and connection always belong together,
/// also when the certificate is rotated while the program runs. There is nothing to configure twice: the certificate is
/// that of [`ClientAuth::mutual_tls`](crate::ClientAuth::mutual_tls). Requests without such a token take the client that
/// the chain was built on.
///
/// Redirects that the closure's client follows show the certificate wherever they lead; with `redirect(Policy::none())`
/// on its builder there are none.
///
/// ```no_run
/// use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Credential, SameCertificate};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let certificate = Credential::file("/run/secrets/tls/tls.crt");
/// let auth = ClientAuth::mutual_tls("billing", certificate, Credential::file("/run/secrets/tls/tls.key"));
/// let tokens = ClientCredentials::builder("https://mtls.auth.example.com/oauth2/token", auth).build()?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(BearerAuth::for_origin("https://api.example.com", tokens)?)
///     .with(SameCertificate::new(reqwest::Client::builder))
///     .build();
/// let invoices = client.get("https://api.example.com/invoices").send().await?.text().await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Of a request: [`ErrorKind::Configuration`] if the closure yields no client, or panics.
pub struct SameCertificate {
    builder: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    clients: Lock<Bounded<ClientCertificate, Client, MOST>>,
}

/// In the extensions of a request: what the token is bound to that [`BearerAuth`](crate::BearerAuth) has put on it, and where.
#[derive(Clone)]
pub(super) struct Carried {
    pub(super) certificate: ClientCertificate,
    pub(super) header: HeaderName,
    pub(super) value: HeaderValue,
}

/// 64: as many certificates as are in use at once, in rotations and with a good many tenants; a client takes about 100 KiB.
const MOST: usize = 64;

impl SameCertificate {
    /// `builder` yields the builder of the client that calls the API: roots, proxies, timeouts. Its identity is set by us.
    pub fn new(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        SameCertificate { builder: Box::new(builder), clients: Lock::default() }
    }

    fn client(&self, certificate: &ClientCertificate) -> std::result::Result<Client, Error> {
        // Held while a client is made, so that it is made once: a moment, once for each rotation. A panic is contained.
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
        // Extensions may be older than the request: those of a redirect, or of another request of the user's.
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
