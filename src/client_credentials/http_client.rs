//! The HTTP client for authorization servers, and the metadata obtained through it.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::exchange::ClientFactory;
use crate::lock::Lock;
use crate::metadata::Directory;

/// The HTTP client for authorization servers. Sources with clones of one share its TLS configuration and cached metadata.
///
/// Needed for a custom proxy, root certificates or DNS resolver. Sources without one share the default of the process.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, HttpClient};
///
/// let http = HttpClient::from_reqwest_0_13(|| {
///     let any = std::net::IpAddr::from([0, 0, 0, 0]);
///     reqwest::Client::builder().local_address(any)
/// });
/// for tenant in ["red", "blue"] {
///     let auth = ClientAuth::client_secret_basic(tenant, "secret");
///     let endpoint = format!("https://{tenant}.example.com/token");
///     let tokens = ClientCredentials::builder(endpoint, auth)
///         .http_client(http.clone())
///         .build()?;
/// }
/// # Ok::<(), client_credentials::Error>(())
/// ```
///
/// # What is shared
///
/// Sources with the same [`Limits`](crate::Limits) share the TLS configuration with its root certificates, except for client
/// certificates and for hosts that come only from a document, whose TLS configuration belongs to one source. Sources with the
/// same rules for an issuer share its metadata. Connections are not shared: each request opens its own.
///
/// # What is overridden
///
/// This crate overrides these settings of the builder: no redirects, no referer, no automatic decompression, no retries by
/// reqwest, no idle connections, the timeouts of [`Limits`](crate::Limits), certificate verification on, no TLS key log.
/// Proxies from the environment (`HTTPS_PROXY`) do not apply to loopback addresses and plain `http`; a proxy set in the
/// closure does, except to plain `http` on this machine. This crate cannot override a cookie store, default headers such as
/// `Authorization` or `Host`, or a preconfigured TLS backend (`tls_backend_preconfigured`; without the feature `rustls` also
/// `tls_danger_..`): do not set them. Set a `User-Agent` with [`header`](crate::ClientCredentialsBuilder::header).
///
/// # Root certificates
///
/// Root certificates are read when the first client is created, and again after a TLS failure, at most once a minute. A
/// closure that reads a CA file then reads its current content.
#[derive(Clone)]
pub struct HttpClient(Arc<Halves>);

struct Halves {
    clients: ClientFactory,
    directory: Directory,
}

impl HttpClient {
    /// Creates a client from a closure that returns a reqwest 0.13 builder. The closure may be called several times.
    ///
    /// If the closure panics, or no client can be built from its builder, `build()` returns an error.
    pub fn from_reqwest_0_13(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        HttpClient(Arc::new(Halves { clients: ClientFactory::new(builder), directory: Directory::default() }))
    }

    pub(super) fn clients(&self) -> &ClientFactory {
        &self.0.clients
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }
}

/// Returns the default client of the process, which lives as long as a source uses it.
impl Default for HttpClient {
    fn default() -> Self {
        static OURS: Lock<Weak<Halves>> = Lock::new(Weak::new());
        let mut ours = OURS.lock();
        HttpClient(ours.upgrade().unwrap_or_else(|| {
            let HttpClient(halves) = HttpClient::from_reqwest_0_13(reqwest::Client::builder);
            *ours = Arc::downgrade(&halves);
            halves
        }))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}
