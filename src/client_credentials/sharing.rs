//! The part of the configuration that a shared store needs.

use http::HeaderMap;
use url::Url;

use super::builder::ClientCredentialsBuilder;
use super::server::Known;
use crate::cache::CachePolicy;
use crate::clock::Clock;
use crate::grant::request::Params;
use crate::grant::response::Rules;
use crate::observer::Observers;
use crate::shared::key::{Asked, Key, Place};
use crate::shared::{BoundTo, SealedStore, Shared};
use crate::source::TokenSource;

pub(super) struct Sharing {
    store: SealedStore,
    key: Key,
    bound_to: BoundTo,
}

impl ClientCredentialsBuilder {
    /// `None`: the token is not shared.
    pub(super) fn sharing(
        &self,
        endpoint: &Url,
        params: &Params,
        headers: &HeaderMap,
        rules: &Rules,
    ) -> Option<Sharing> {
        let store = self.shared.clone()?;
        let api: Vec<String>;
        let place = match &self.server.0 {
            Known::TokenEndpoint(_) => Place::TokenEndpoint(endpoint),
            Known::Issuer(issuer) => Place::Issuer(&issuer.issuer),
            Known::Resource(resource) => {
                api = resource.parts();
                Place::Resource(&api)
            }
        };
        let auth = &self.auth;
        let asked = Asked { place, client_id: auth.id(), method: auth.name(), params, headers, rules };
        let bound_to = BoundTo {
            #[cfg(feature = "dpop")]
            key: self.dpop.clone(),
            #[cfg(feature = "mtls")]
            certificate: auth.is_mutual_tls().then(|| auth.clone()),
        };
        Some(Sharing { store, key: Key::of_grant(&asked), bound_to })
    }
}

impl Sharing {
    pub(super) fn around(
        self,
        source: Box<dyn TokenSource>,
        policy: CachePolicy,
        clock: Clock,
        observers: Observers,
    ) -> Box<dyn TokenSource> {
        Box::new(Shared::assemble(source, self.store, self.key, self.bound_to, policy, clock, observers))
    }
}
