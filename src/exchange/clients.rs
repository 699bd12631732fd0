//! HTTP clients: one for each way to connect, made when it is needed first, and anew for another client certificate.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::hardened::{hardened, is_loopback, is_stranger};
use super::{HttpClient, Settings, cause};
use crate::client_auth::TlsIdentity;
use crate::{Error, ErrorKind};

pub(super) struct Clients {
    http_client: Arc<HttpClient>,
    known: Mutex<Vec<Known>>,
}

struct Known {
    way: Way,
    identity: Option<Arc<TlsIdentity>>,
    /// The host that it has no addresses for but public ones.
    stranger: Option<String>,
    client: reqwest::Client,
}

/// What of a URL decides how its client is finished.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    https: bool,
    loopback: bool,
    stranger: bool,
}

impl Way {
    fn to(url: &Url, settings: &Settings) -> Self {
        Way {
            https: url.scheme() == "https",
            loopback: is_loopback(url),
            stranger: is_stranger(url, settings),
        }
    }
}

impl Clients {
    pub(super) fn new(http_client: Arc<HttpClient>) -> Self {
        Clients {
            http_client,
            known: Mutex::default(),
        }
    }

    /// The one that was made last for such a URL and this client certificate, or a new one, which has no connections
    /// yet.
    pub(super) fn client(
        &self,
        url: &Url,
        identity: Option<&Arc<TlsIdentity>>,
        settings: &Settings,
    ) -> Result<reqwest::Client, Error> {
        let way = Way::to(url, settings);
        let stranger = url.host_str().filter(|_| way.stranger);
        let same = |one: &Known| {
            one.stranger.as_deref() == stranger
                && match (&one.identity, identity) {
                    (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                    (None, None) => true,
                    _ => false,
                }
        };
        if let Some(known) = self.known().iter().find(|one| one.way == way && same(one)) {
            return Ok(known.client.clone());
        }
        // A moment of work on a thread that others use: once, or once for each rotation.
        let client = self.make(url, identity, settings)?;
        let mut known = self.known();
        // One with and one without a certificate are kept for each way: there is no end of strangers.
        known.retain(|one| one.way != way || one.identity.is_some() != identity.is_some());
        known.push(Known {
            way,
            identity: identity.cloned(),
            stranger: stranger.map(Into::into),
            client: client.clone(),
        });
        Ok(client)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        // A panic cannot leave anything half done in there.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(
        &self,
        url: &Url,
        identity: Option<&Arc<TlsIdentity>>,
        settings: &Settings,
    ) -> Result<reqwest::Client, Error> {
        let unusable = |text: &'static str| match identity {
            None => Error::new(ErrorKind::Configuration, text),
            // The same closure made a client before: it is worth another attempt.
            Some(_) => Error::new(ErrorKind::Credential, text).transient(),
        };
        // reqwest and rustls panic on some mistakes, such as a missing crypto provider.
        catch_unwind(AssertUnwindSafe(|| {
            let builder = hardened((self.http_client)(), url, settings);
            match identity {
                Some(identity) => identity.shown_by(builder),
                None => builder,
            }
            .build()
        }))
        .map_err(|_| {
            unusable("making the HTTP client panicked (its message went to the panic hook)")
        })?
        .map_err(|e| unusable("the HTTP client cannot be made").because(cause(e)))
    }
}
