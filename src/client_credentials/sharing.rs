//! The chain inside, alone or with a store that a fleet shares.

use std::fmt;

use url::Url;

use super::ClientCredentialsBuilder;
use super::check::Faults;
use super::place::Place;
use crate::cache::Settings;
use crate::cache::clock::Clock;
use crate::client_auth::ClientAuth;
use crate::grant::Grant;
use crate::grant::request::Params;
use crate::retry::Retrying;
use crate::shared::key::{self, Asked, Key};
use crate::shared::{Possession, SealedStore, Shared};
use crate::{AccessToken, TokenFuture, TokenSource};

/// What is behind the cache.
#[expect(clippy::large_enum_variant, reason = "there is one, and it is not moved")]
pub(super) enum Chain {
    Alone(Retrying<Grant>),
    Shared(Shared<Retrying<Grant>>),
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for Chain {
    fn token(&self) -> TokenFuture<'_> {
        match self {
            Chain::Alone(source) => source.token(),
            Chain::Shared(source) => source.token(),
        }
    }

    fn reject(&self, token: &AccessToken) {
        match self {
            Chain::Alone(source) => source.reject(token),
            Chain::Shared(source) => source.reject(token),
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chain::Alone(source) => source.fmt(f),
            Chain::Shared(source) => source.fmt(f),
        }
    }
}

/// # Who shares the token
impl ClientCredentialsBuilder {
    /// Shares the token with all who have the same store, seal key and configuration (feature `shared`): a fleet asks
    /// the authorization server as often as one process would.
    ///
    /// Whose configuration differs in anything that could make another token of it (issuer, endpoint or API, client, method,
    /// scope, audience, resources, authorization details, parameters, headers but `User-Agent`, the certificate of
    /// mutual TLS, the key of DPoP), or refuses more ([`strict`](Self::strict),
    /// [`refuse_narrower_scope`](Self::refuse_narrower_scope)), has a token of its own; the secret or assertion may differ. A store that fails costs 100 ms now and
    /// then, and no token. See [`Shared`], and the guide in the documentation, `docs::sharing`.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential, FileStore, SealedStore};
    ///
    /// let store = SealedStore::new(FileStore::new("/var/cache/billing"), Credential::file("/run/secrets/seal-key"));
    /// let auth = ClientAuth::client_secret_basic("billing", Credential::file("/run/secrets/client-secret"));
    /// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth).shared(store).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn shared(mut self, store: SealedStore) -> Self {
        self.shared = Some(store);
        self
    }

    pub(super) fn check_sharing(&self, faults: &mut Faults) {
        let Some(store) = &self.shared else { return };
        if let Some(flaw) = store.fault() {
            faults.add("shared", format_args!("the seal key {flaw}"));
        }
        // Two clients whose assertions alone tell them apart would have each other's tokens.
        if self.auth.id().is_empty() {
            faults.add("shared", "needs to know whose token it is: give ClientAuth::client_id");
        }
    }
}

/// What of the configuration has to be noted before it goes into the chain.
pub(super) struct Sharing {
    store: SealedStore,
    key: Key,
    possession: Possession,
    settings: Settings,
}

impl Sharing {
    pub(super) fn of(builder: &mut ClientCredentialsBuilder, endpoint: &Url, params: &Params) -> Option<Sharing> {
        let store = builder.shared.take()?;
        let auth: &ClientAuth = &builder.auth;
        let api: Vec<String>;
        let place = match &builder.place {
            Place::TokenEndpoint(_) => key::Place::TokenEndpoint(endpoint),
            Place::Issuer(issuer) => key::Place::Issuer(issuer),
            Place::Resource(resource) => {
                api = resource.parts();
                key::Place::Resource(&api)
            }
        };
        let asked = Asked {
            place,
            client_id: auth.id(),
            method: auth.name(),
            params,
            headers: &builder.exchange.headers,
            rules: &builder.rules,
        };
        Some(Sharing {
            store,
            key: Key::of_grant(&asked),
            possession: Possession {
                #[cfg(feature = "dpop")]
                key: builder.dpop.clone(),
                #[cfg(feature = "mtls")]
                certificate: auth.is_mutual_tls().then(|| auth.clone()),
            },
            settings: builder.cache.clone(),
        })
    }

    pub(super) fn around(sharing: Option<Sharing>, source: Retrying<Grant>, clock: Clock) -> Chain {
        match sharing {
            None => Chain::Alone(source),
            Some(sharing) => Chain::Shared(Shared::assemble(
                source,
                sharing.store,
                sharing.key,
                sharing.possession,
                sharing.settings,
                clock,
            )),
        }
    }
}
