//! HTTP clients: one for each way to connect, made on demand.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::hardened::hardened;
use super::proxy::Proxies;
use super::{Reach, cause};
use crate::address::is_loopback;
use crate::bounded::Bounded;
use crate::clock::Moment;
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::tls_identity::TlsIdentity;

/// Makes HTTP clients, and keeps those that all sources share: without a client certificate, for hosts at any address.
#[derive(Clone)]
pub(crate) struct ClientFactory(Arc<Inner>);

struct Inner {
    builder: Box<Builder>,
    /// 16: the settings that distinguish clients have few values.
    clients: Lock<Bounded<Way, Client, 16>>,
    /// When clients were last replaced because a certificate was refused.
    renewed: Lock<Option<Moment>>,
}

/// A client and its proxies.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    pub(super) proxies: Arc<Proxies>,
}

type Builder = dyn Fn() -> reqwest::ClientBuilder + Send + Sync;

/// The settings that distinguish clients.
#[derive(Clone, PartialEq)]
pub(super) struct Way {
    pub(super) https: bool,
    pub(super) loopback: bool,
    pub(super) connect_timeout: Duration,
    pub(super) attempt_timeout: Duration,
    /// The host that must have public addresses.
    pub(super) public_host: Option<String>,
}

impl Way {
    pub(super) fn to(url: &Url, reach: &Reach) -> Self {
        let must_be_public = reach.named_hosts.as_ref().is_some_and(|hosts| !hosts.has(url));
        Way {
            https: url.scheme() == "https",
            loopback: is_loopback(url),
            connect_timeout: reach.limits.connect_timeout,
            attempt_timeout: reach.limits.attempt_timeout,
            public_host: url.host_str().filter(|_| must_be_public).map(Into::into),
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

    fn make(&self, way: &Way, identity: Option<&TlsIdentity>) -> Result<Client, Error> {
        let unusable = |text: String| match identity {
            None => Error::of(ErrorKind::Configuration, text),
            // The closure has made a client before, so another attempt may succeed.
            Some(_) => Error::of(ErrorKind::Credential, text).transient(),
        };
        // reqwest and rustls panic on some mistakes, such as a missing crypto provider.
        contained(|| {
            let builder = (self.0.builder)();
            let as_given = format!("{builder:?}");
            let builder = hardened(builder, way);
            let http = match identity {
                Some(identity) => identity.apply_to(builder),
                None => builder,
            }
            .build()?;
            let proxies = Arc::new(Proxies::of(&as_given, &http));
            Ok(Client { http, proxies })
        })
        .map_err(|Panicked| unusable(Panicked::text("making the HTTP client")))?
        .map_err(|e| unusable("the HTTP client cannot be made".to_owned()).because_of(cause(e, None)))
    }

    /// A certificate was refused. What clients have read, such as the roots of the system, may have been replaced
    /// since, so new clients are made, at most once a minute. Returns whether they are.
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
    /// 4: the current and the previous certificate, for one or two hosts.
    own: Lock<Bounded<(Way, Option<Identity>), Client, 4>>,
}

/// Compared by address: a rotated certificate is another one.
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

    /// The client for such a URL and this client certificate, which is made if there is none.
    pub(super) fn client(
        &self,
        url: &Url,
        identity: Option<&Arc<TlsIdentity>>,
        reach: &Reach,
    ) -> Result<Client, Error> {
        let way = Way::to(url, reach);
        if identity.is_none() && way.public_host.is_none() {
            if let Some(known) = self.factory.0.clients.lock().get(&way) {
                return Ok(known.clone());
            }
            // Short, and done once, so it may run on a thread of the runtime.
            let client = self.factory.make(&way, None)?;
            self.factory.0.clients.lock().insert(way, client.clone());
            return Ok(client);
        }
        let key = (way, identity.cloned().map(Identity));
        if let Some(known) = self.own.lock().get(&key) {
            return Ok(known.clone());
        }
        let client = self.factory.make(&key.0, identity.map(|identity| &**identity))?;
        self.own.lock().insert(key, client.clone());
        Ok(client)
    }

    pub(super) fn renew(&self, now: Moment) {
        if self.factory.renew(now) {
            *self.own.lock() = Bounded::default();
        }
    }
}
