//! HTTP clients: one for each way to connect, made when it is needed first.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::hardened::{hardened, is_stranger};
use super::proxy::Proxies;
use super::{Reach, cause};
use crate::address::is_loopback;
use crate::bounded::Bounded;
use crate::clock::Moment;
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::tls_identity::TlsIdentity;

/// Makes HTTP clients, and keeps those that any source may use: without a certificate of the client, for hosts at any address.
#[derive(Clone)]
pub(crate) struct ClientFactory(Arc<Inner>);

struct Inner {
    builder: Box<Builder>,
    /// 16: sources differ in little that decides how a client is made.
    clients: Lock<Bounded<Way, Client, 16>>,
    /// When clients were last made again after a certificate was refused.
    renewed: Lock<Option<Moment>>,
}

/// A client, and the proxies that it goes by.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    pub(super) proxies: Arc<Proxies>,
}

type Builder = dyn Fn() -> reqwest::ClientBuilder + Send + Sync;

/// What decides how a client is finished.
#[derive(Clone, PartialEq)]
struct Way {
    https: bool,
    loopback: bool,
    connect_timeout: Duration,
    attempt_timeout: Duration,
    /// The host that may have public addresses only.
    stranger: Option<String>,
}

impl Way {
    fn to(url: &Url, reach: &Reach) -> Self {
        Way {
            https: url.scheme() == "https",
            loopback: is_loopback(url),
            connect_timeout: reach.limits.connect_timeout,
            attempt_timeout: reach.limits.attempt_timeout,
            stranger: url.host_str().filter(|_| is_stranger(url, reach)).map(Into::into),
        }
    }
}

impl ClientFactory {
    pub(crate) fn new(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        ClientFactory(Arc::new(Inner {
            builder: Box::new(builder),
            clients: Lock::default(),
            renewed: Lock::default(),
        }))
    }

    fn make(&self, url: &Url, identity: Option<&TlsIdentity>, reach: &Reach) -> Result<Client, Error> {
        let unusable = |text: String| match identity {
            None => Error::of(ErrorKind::Configuration, text),
            // The same closure made a client before: it is worth another attempt.
            Some(_) => Error::of(ErrorKind::Credential, text).transient(),
        };
        // reqwest and rustls panic on some mistakes, such as a missing crypto provider.
        contained(|| {
            let builder = (self.0.builder)();
            let as_given = format!("{builder:?}");
            let builder = hardened(builder, url, reach);
            let http = match identity {
                Some(identity) => identity.apply_to(builder),
                None => builder,
            }
            .build()?;
            let proxies = Arc::new(Proxies::of(&as_given, &http));
            Ok(Client { http, proxies })
        })
        .map_err(|Panicked| unusable(Panicked::text("making the HTTP client")))?
        .map_err(|e| unusable("the HTTP client cannot be made".to_owned()).because_of(cause(e)))
    }

    /// A certificate was refused. What was read once, such as the roots of the system, may have been replaced since: clients are
    /// made again, at most once a minute. Whether they are.
    fn renew(&self, now: Moment) -> bool {
        const PAUSE: Duration = Duration::from_secs(60);
        let mut renewed = self.0.renewed.lock();
        if renewed.is_some_and(|last| !last.plus(PAUSE).reached(now)) {
            return false;
        }
        *renewed = Some(now);
        *self.0.clients.lock() = Bounded::default();
        true
    }
}

/// The clients of one source: the shared ones, and its own for its certificates and hosts.
pub(super) struct Clients {
    factory: ClientFactory,
    /// 4: a certificate in use and the one before, for one or two hosts.
    own: Lock<Bounded<(Way, Option<Identity>), Client, 4>>,
}

/// By the address in memory: a rotated certificate is another one.
#[derive(Clone)]
struct Identity(Arc<TlsIdentity>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Clients {
    pub(super) fn new(factory: ClientFactory) -> Self {
        Clients { factory, own: Lock::default() }
    }

    /// The one that was made last for such a URL and this client certificate, or a new one.
    pub(super) fn client(
        &self,
        url: &Url,
        identity: Option<&Arc<TlsIdentity>>,
        reach: &Reach,
    ) -> Result<Client, Error> {
        let way = Way::to(url, reach);
        if identity.is_none() && way.stranger.is_none() {
            if let Some(known) = self.factory.0.clients.lock().get(&way) {
                return Ok(known.clone());
            }
            // A moment of work on a thread that others use: once.
            let client = self.factory.make(url, None, reach)?;
            self.factory.0.clients.lock().insert(way, client.clone());
            return Ok(client);
        }
        let key = (way, identity.cloned().map(Identity));
        if let Some(known) = self.own.lock().get(&key) {
            return Ok(known.clone());
        }
        let client = self.factory.make(url, identity.map(|identity| &**identity), reach)?;
        self.own.lock().insert(key, client.clone());
        Ok(client)
    }

    pub(super) fn renew(&self, now: Moment) {
        if self.factory.renew(now) {
            *self.own.lock() = Bounded::default();
        }
    }
}
