//! How authorization servers are reached, and what is known of them.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::exchange::ClientFactory;
use crate::lock::Lock;
use crate::metadata::Directory;

/// How authorization servers are reached, and what is known of them: shared by all sources that were given clones of it.
///
/// Needed for a proxy, root certificates or a resolver of your own. Sources without one share one for the process.
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
/// The TLS configuration with its root certificates, by sources with the same [`Limits`](crate::Limits) (a client certificate
/// and its TLS configuration belong to one source, and so does what is needed for hosts that only a document names). The
/// metadata of an issuer, by sources with the same rules for it. Connections are not shared: each request has its own.
///
/// # What is overridden
///
/// This crate finishes the builder: no redirects, no referer, no automatic decompression, no retries of reqwest's own, no idle
/// connections, the timeouts of [`Limits`](crate::Limits), certificates verified, no TLS key log. The environment's proxies
/// (`HTTPS_PROXY`) do not apply to loopback addresses and plain `http`; a proxy that the closure names does, except to plain
/// `http` on this machine. What cannot be undone, and is yours to leave out: a cookie store, default headers such as
/// `Authorization` or `Host`, a TLS stack of your own (`tls_backend_preconfigured`; without the feature `rustls` also
/// `tls_danger_..`). A `User-Agent` is set with [`header`](crate::ClientCredentialsBuilder::header).
///
/// # Root certificates
///
/// They are read when the first client is made, and again after a TLS failure, at most once a minute: a closure that reads a CA
/// file sees the file as it is then.
#[derive(Clone)]
pub struct HttpClient(Arc<Halves>);

struct Halves {
    clients: ClientFactory,
    directory: Directory,
}

impl HttpClient {
    /// From a closure that returns a builder of reqwest 0.13. It may be called several times.
    ///
    /// A panic of the closure, or a builder from which no client can be made, is an error of `build()`.
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

/// The one of the process, for as long as a source has it.
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
