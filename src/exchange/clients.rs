//! HTTP clients: one for each way to connect, made when it is needed first, shared by the sources of one [`HttpClient`].

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use url::Url;

use super::hardened::{hardened, is_loopback, is_stranger};
use super::{Settings, cause};
use crate::client_auth::TlsIdentity;
use crate::metadata::{Published, Rules};
use crate::{Error, ErrorKind};

/// How authorization servers are reached, and what is known of them: shared by all sources that were given clones of it.
///
/// Sources that are given nothing, or a closure, need not know of it: all those without a closure share one of the
/// process, and a closure becomes one for the builder and its clones. It is for many sources with a proxy, a root
/// certificate or a resolver of their own:
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, HttpClient};
///
/// let http = HttpClient::new(|| reqwest::Client::builder().local_address(std::net::IpAddr::from([0, 0, 0, 0])));
/// for tenant in ["red", "blue"] {
///     let auth = ClientAuth::client_secret_basic(tenant, "secret");
///     let endpoint = format!("https://{tenant}.example.com/token");
///     let tokens = ClientCredentials::builder(&endpoint, auth).http_client(http.clone()).build()?;
/// }
/// # Ok::<(), client_credentials::Error>(())
/// ```
///
/// What is shared: the TLS configuration with its root certificates, by sources with the same timeouts (a client
/// certificate and its TLS configuration belong to one source, and so does what is needed for hosts that only a document
/// names); and the metadata of an issuer, by sources with the same
/// rules for them. Connections are not shared: each request has its own.
///
/// The root certificates are read when it makes its first client: restart the process, or make another one, after the
/// system's were replaced. If the closure sets a cookie store, the sources share the cookies.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    builder: Box<Builder>,
    known: Mutex<Vec<Known>>,
    metadata: Mutex<HashMap<(Rules, Duration), Weak<Published>>>,
}

type Builder = dyn Fn() -> reqwest::ClientBuilder + Send + Sync;

/// For all sources: without a certificate, for hosts that may be at any address.
struct Known {
    way: Way,
    client: reqwest::Client,
}

/// What decides how a client is finished.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    https: bool,
    loopback: bool,
    connect_timeout: Duration,
    attempt_timeout: Duration,
}

impl Way {
    fn to(url: &Url, settings: &Settings) -> Self {
        Way {
            https: url.scheme() == "https",
            loopback: is_loopback(url),
            connect_timeout: settings.connect_timeout,
            attempt_timeout: settings.attempt_timeout,
        }
    }
}

impl HttpClient {
    /// `builder` yields the builder of an HTTP client, which is
    /// [finished by us](crate::ClientCredentialsBuilder::http_client).
    pub fn new(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        HttpClient(Arc::new(Inner { builder: Box::new(builder), known: Mutex::default(), metadata: Mutex::default() }))
    }

    fn client(&self, url: &Url, settings: &Settings) -> Result<reqwest::Client, Error> {
        /// More differ in a setting that hardly anybody sets.
        const MOST: usize = 16;
        let way = Way::to(url, settings);
        if let Some(known) = lock(&self.0.known).iter().find(|one| one.way == way) {
            return Ok(known.client.clone());
        }
        // A moment of work on a thread that others use: once.
        let client = self.make(url, None, settings)?;
        let mut known = lock(&self.0.known);
        if known.len() == MOST {
            known.remove(0);
        }
        known.push(Known { way, client: client.clone() });
        Ok(client)
    }

    fn make(&self, url: &Url, identity: Option<&TlsIdentity>, settings: &Settings) -> Result<reqwest::Client, Error> {
        let unusable = |text: &'static str| match identity {
            None => Error::new(ErrorKind::Configuration, text),
            // The same closure made a client before: it is worth another attempt.
            Some(_) => Error::new(ErrorKind::Credential, text).transient(),
        };
        // reqwest and rustls panic on some mistakes, such as a missing crypto provider.
        catch_unwind(AssertUnwindSafe(|| {
            let builder = hardened((self.0.builder)(), url, settings);
            match identity {
                Some(identity) => identity.shown_by(builder),
                None => builder,
            }
            .build()
        }))
        .map_err(|_| unusable("making the HTTP client panicked (its message went to the panic hook)"))?
        .map_err(|e| unusable("the HTTP client cannot be made").because(cause(e)))
    }

    /// The metadata that go by these rules: the same for all, as long as somebody has them.
    pub(crate) fn published(&self, rules: Rules, lifetime: Duration) -> Arc<Published> {
        let mut known = lock(&self.0.metadata);
        if known.len() == known.capacity() {
            known.retain(|_, metadata| metadata.strong_count() > 0);
        }
        let key = (rules, lifetime);
        if let Some(metadata) = known.get(&key).and_then(Weak::upgrade) {
            return metadata;
        }
        let metadata = Arc::new(Published::new(key.0.clone(), lifetime));
        known.insert(key, Arc::downgrade(&metadata));
        metadata
    }
}

/// The one of the process, for as long as a source has it.
impl Default for HttpClient {
    fn default() -> Self {
        static OURS: Mutex<Weak<Inner>> = Mutex::new(Weak::new());
        let mut ours = lock(&OURS);
        HttpClient(ours.upgrade().unwrap_or_else(|| {
            let HttpClient(inner) = HttpClient::new(reqwest::Client::builder);
            *ours = Arc::downgrade(&inner);
            inner
        }))
    }
}

impl<F: Fn() -> reqwest::ClientBuilder + Send + Sync + 'static> From<F> for HttpClient {
    fn from(builder: F) -> Self {
        HttpClient::new(builder)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// The clients of one source: the shared ones, and its own, made anew for another certificate or host.
pub(super) struct Clients {
    shared: HttpClient,
    own: Mutex<Vec<Own>>,
}

struct Own {
    way: Way,
    identity: Option<Arc<TlsIdentity>>,
    /// The host that it has no addresses for but public ones.
    stranger: Option<String>,
    client: reqwest::Client,
}

impl Clients {
    pub(super) fn new(shared: HttpClient) -> Self {
        Clients { shared, own: Mutex::default() }
    }

    /// The one that was made last for such a URL and this client certificate, or a new one, which has no connections
    /// yet.
    pub(super) fn client(
        &self,
        url: &Url,
        identity: Option<&Arc<TlsIdentity>>,
        settings: &Settings,
    ) -> Result<reqwest::Client, Error> {
        let stranger = url.host_str().filter(|_| is_stranger(url, settings));
        if identity.is_none() && stranger.is_none() {
            return self.shared.client(url, settings);
        }
        let way = Way::to(url, settings);
        let same = |one: &Own| {
            one.stranger.as_deref() == stranger
                && match (&one.identity, identity) {
                    (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                    (None, None) => true,
                    _ => false,
                }
        };
        if let Some(own) = lock(&self.own).iter().find(|one| one.way == way && same(one)) {
            return Ok(own.client.clone());
        }
        // A moment of work on a thread that others use: once, or once for each rotation.
        let client = self.shared.make(url, identity.map(|identity| &**identity), settings)?;
        let mut own = lock(&self.own);
        // One of each kind is kept for each way: there is no end of strangers.
        own.retain(|one| {
            one.way != way
                || one.identity.is_some() != identity.is_some()
                || one.stranger.is_some() != stranger.is_some()
        });
        own.push(Own { way, identity: identity.cloned(), stranger: stranger.map(Into::into), client: client.clone() });
        Ok(client)
    }
}

/// A panic cannot leave anything half done in there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
